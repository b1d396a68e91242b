"""What the tests of all exercise sheets share: reading a sheet, running it, asking its checks."""

import re
import sys
from pathlib import Path
from typing import Any

from diffcourse import practice

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))
from plain_markdown import Page  # noqa: E402


def outcome(name: str, *answers: Any) -> str:
    """The printed line, unwrapped."""
    return " ".join(practice.EXERCISES[name].outcome(*answers).split())


def code_cells(page: Page) -> list[str]:
    return [cell.source for cell, _ in page.cells() if cell.cell_type == "code"]


def run(page: Page) -> list[str]:
    """Run all code of a sheet and return what its checks say."""
    namespace: dict[str, Any] = {}
    said: list[str] = []
    for source in code_cells(page):
        if match := re.fullmatch(r'practice\.check\("([\w-]+)", (\w+)\)', source.strip()):
            said.append(outcome(match[1], namespace[match[2]]))
        else:
            exec(compile(source, "<cell>", "exec"), namespace)
    return said


def solution_lines(sheet: Page) -> set[str]:
    """What the generator cuts out of the code, without the names on the left of an assignment."""
    stubs = "\n".join(code_cells(sheet.solved(keep=False)))
    cut = (line.strip() for source in code_cells(sheet.solved(keep=True)) for line in source.splitlines())
    sides = {re.sub(r"^(return|[\w, ]+ =) ", "", line) for line in cut if line and line not in stubs}
    return {side for side in sides if len(side) > 8}
