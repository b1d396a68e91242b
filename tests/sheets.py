"""What the tests of all exercise sheets share: reading a sheet, running it, asking its checks."""

import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from diffcourse import practice

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))
from plain_markdown import Page  # noqa: E402


def slug(sheet: ModuleType) -> str:
    """ "forward-process" for the module `forward_process`."""
    return sheet.__name__.rpartition(".")[2].replace("_", "-")


@cache
def page(sheet: ModuleType) -> Page:
    """The source of the sheet whose checks stand in this module, solutions/NN-slug.md."""
    (path,) = (ROOT / "solutions").glob(f"??-{slug(sheet)}.md")
    return Page.read(ROOT, f"solutions/{path.name}")


def outcome(name: str, *answers: Any) -> str:
    """The printed line, unwrapped."""
    return " ".join(practice.EXERCISES[name].outcome(*answers).split())


def raises(problem: Exception) -> Callable[..., None]:
    """An answer that raises this."""

    def answer(*arguments: Any) -> None:
        raise problem

    return answer


def code_cells(page: Page) -> list[str]:
    return [cell.source for cell, _ in page.cells() if cell.cell_type == "code"]


def answers(page: Page) -> Iterator[tuple[str, Any]]:
    """Run the code of a sheet, and at each check stop with the exercise's name and the answer to it."""
    namespace: dict[str, Any] = {}
    for source in code_cells(page):
        if match := re.fullmatch(r'practice\.check\("([\w-]+)", (\w+)\)', source.strip()):
            yield match[1], namespace[match[2]]
        else:
            exec(compile(source, "<cell>", "exec"), namespace)


def run(page: Page) -> list[str]:
    """Run all code of a sheet and return what its checks say."""
    return [outcome(name, answer) for name, answer in answers(page)]


@cache
def solution_lines(sheet: ModuleType) -> set[str]:
    """What the generator cuts out of a sheet's code, without the names on the left of an assignment."""
    stubs = "\n".join(code_cells(page(sheet).solved(keep=False)))
    cut = (line.strip() for source in code_cells(page(sheet).solved(keep=True)) for line in source.splitlines())
    sides = {re.sub(r"^(return|[\w, ]+ =) ", "", line) for line in cut if line and line not in stubs}
    return {side for side in sides if len(side) > 8}
