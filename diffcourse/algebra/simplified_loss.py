"""The claims of chapter 10, the simplified loss."""

from typing import Literal

from diffcourse.algebra.claim import Claim

CLAIMS: tuple[Claim, ...] = ()

IN_TEXT: dict[str, Literal["true", "setting"]] = {}
"""See `forward_process.IN_TEXT`."""
