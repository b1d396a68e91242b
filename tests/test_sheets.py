"""What holds for every exercise sheet: solutions pass, stubs are not attempted, nothing raises, hints do not spoil."""

import re
from types import ModuleType
from typing import Any

import pytest
import sympy as sp
import torch

from diffcourse import practice
from diffcourse.algebra.latex import read
from sheets import ROOT, answers, code_cells, outcome, page, raises, run, slug, solution_lines

EXERCISES = [(sheet, exercise.name) for sheet in practice.SHEETS for exercise in sheet.EXERCISES]
NAMES = [name for _, name in EXERCISES]
every_sheet = pytest.mark.parametrize("sheet", practice.SHEETS, ids=slug)
every_exercise = pytest.mark.parametrize("name", NAMES)
every_exercise_of_its_sheet = pytest.mark.parametrize(("sheet", "name"), EXERCISES, ids=NAMES)

BROKEN = {"repair": "α_t belongs to a single step", "repair-loss": "noise is multiplied by the standard deviation", "own-loss": "both players get the slope of the sum"}
"""What is said of a program that a sheet shows to be repaired: `broken` is checked before the reader's answer."""

UNREAD = {("reverse-process", "+1"), ("unet", "e"), ("sampling", "[-1, 1]"), ("evaluation", r"\log_2 127.5")}
"""What the reader of formulas does not know: values, a range, a width of its sheet's own, a base of the logarithm."""


def names_of(sheet: ModuleType) -> list[str]:
    return [exercise.name for exercise in sheet.EXERCISES]


def said_of_answers(sheet: ModuleType, solved: bool) -> list[str]:
    """What the checks of a sheet say, without what they first say of a broken program."""
    said = run(page(sheet).solved(keep=solved))
    for at, name in enumerate(names_of(sheet)):
        if name in BROKEN:
            line = said.pop(at)
            assert line.startswith(f"✗ {name}: ") and BROKEN[name] in line
    return said


# The sheets


def test_no_two_exercises_share_a_name() -> None:
    assert sorted(NAMES) == sorted(practice.EXERCISES)


def test_every_sheet_has_its_checks() -> None:
    sources = sorted(f"solutions/{path.name}" for path in (ROOT / "solutions").glob("*.md"))
    assert [page(sheet).name for sheet in practice.SHEETS] == sources


@every_sheet
def test_every_solution_passes(sheet: ModuleType) -> None:
    said = said_of_answers(sheet, solved=True)
    assert [line.split(":")[0] for line in said] == [f"✓ {name}" for name in names_of(sheet)]


@every_sheet
def test_without_answers_it_runs_and_nothing_is_attempted(sheet: ModuleType) -> None:
    said = said_of_answers(sheet, solved=False)
    assert said == [f"○ {name}: not attempted yet" for name in names_of(sheet)]


@every_sheet
def test_every_exercise_is_checked_once_and_has_its_hints(sheet: ModuleType) -> None:
    code = "\n".join(code_cells(page(sheet).solved(keep=True)))
    checked = re.findall(r'practice\.check\("([^"]+)"', code)
    assert checked == [name for name in names_of(sheet) for _ in range(1 + (name in BROKEN))]
    assert re.findall(r'practice\.hints\("([^"]+)"', code) == names_of(sheet)


@every_sheet
def test_every_formula_is_understood(sheet: ModuleType) -> None:
    text = re.sub(r"^```.*?^```$", "", "\n".join(page(sheet).lines), flags=re.DOTALL | re.MULTILINE)
    assert "$$" not in text
    for formula in re.findall(r"\$([^$]+)\$", text):
        for part in formula.split(r", \dots, "):
            if (slug(sheet), part) not in UNREAD:
                relation = re.search("[=<>]", re.sub(r"_\{[^}]*\}", "", part))
                read(part if relation else f"{part} = 0")


# Any answer


def recursive(*arguments: Any) -> Any:
    return recursive(*arguments)


STUBS = [None, ...]
STUBS_IN_CODE = [lambda *a: None, lambda *a: ..., raises(NotImplementedError())]

SYMBOLS = sp.symbols("y beta r c kappa m x2 alpha_t n T_a")
"""One that an answer may contain, of each sheet that asks for expressions."""

GARBAGE = [
    "text",
    "",
    b"bytes",
    object(),
    [],
    {},
    (1, 2),
    float("nan"),
    float("inf"),
    -1,
    1j,
    True,
    sp.nan,
    sp.zoo,
    *(form for x in SYMBOLS for form in (sp.Eq(x, 1), sp.Matrix([x]), sp.Function("f")(x))),
    sp.IndexedBase("beta")[1],
    torch.zeros(3),
    torch.zeros(0),
    int,
    len,
    raises(ValueError("a\nb")),
    raises(RecursionError()),
    recursive,
    lambda: 1,
    lambda *a: "text",
    lambda *a: [],
    lambda *a: [None] * 5,
    lambda *a: (None, None),
    lambda *a: (1, 2, 3),
    lambda *a: torch.zeros(0),
    lambda *a: (torch.zeros(3), torch.zeros(7)),
    lambda *a: torch.zeros(1000, dtype=torch.complex64),
    lambda *a: torch.full((1000,), torch.nan),
    lambda *a: torch.full((6, 1), torch.nan),
    lambda *a: float("nan"),
    lambda *a: a,
    lambda *a: 10**400,
    lambda *a: 1 / 0,
]


@every_sheet
def test_stubs_are_not_attempted_yet(sheet: ModuleType) -> None:
    for name, place in answers(page(sheet).solved(keep=False)):
        for stub in STUBS + STUBS_IN_CODE if callable(place) else STUBS:
            assert outcome(name, stub) == f"○ {name}: not attempted yet"


@every_exercise
def test_nothing_makes_a_check_raise(name: str) -> None:
    for answer in GARBAGE:
        assert outcome(name, answer).startswith(f"✗ {name}: "), answer
    for given in [(), (1, 2), (1, 2, 3)]:
        assert outcome(name, *given).startswith(f"✗ {name}: "), given


# Hints


@every_exercise_of_its_sheet
def test_hints_open_one_by_one(sheet: ModuleType, name: str) -> None:
    hints = practice.hints(name)
    html = hints._repr_html_()
    assert len(hints.texts) >= 2
    assert html.count("<details><summary>Hint ") == html.count("</details>") == len(hints.texts)
    assert "`" not in html and "$" not in html  # code is marked up, and formulas are plain text: Colab sets none here
    assert not any(spoiler in text for spoiler in solution_lines(sheet) for text in hints.texts)
