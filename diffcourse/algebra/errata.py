"""The claims of chapter 20, formulas in circulation."""

from typing import Literal

from diffcourse.algebra.claim import Claim

CLAIMS: tuple[Claim, ...] = ()

IN_TEXT: dict[str, Literal["true", "setting"]] = {}
"""See `forward_process.IN_TEXT`."""
