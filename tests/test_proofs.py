"""The checks of claims notice what they are for, and say where: the chapters themselves are checked in test_algebra.py."""

import json
import re
import sys
import time
from pathlib import Path

import pytest

from diffcourse.algebra import CHAPTERS, CLAIMS, Claim, ClaimError, NearMiss
from diffcourse.algebra.claim import Statement

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

from proofs import REPORT, claim_problems, prove  # noqa: E402


def claim(label: str = "eq-x", latex: str = r"x_t = a + b", miss: str = "x_t = a - b") -> Claim:
    return Claim(label, latex, "", lambda statement: None, (NearMiss(miss, "a sign"),))


PAGES = {"07-x.md": "As follows:\n\n$$x_t = a\n  + b$$ (eq-x)\n\n```{code-cell} ipython3\nprint('$$ no formula $$ (eq-z)')\n```\n"}


def test_a_claim_that_fits_is_no_problem() -> None:
    assert claim_problems([claim()], PAGES) == []


@pytest.mark.parametrize(
    ("claims", "pages", "expected"),
    [
        ([claim()], {"07-x.md": ""}, "eq-x: claimed, but no chapter displays it"),
        ([claim()], PAGES | {"08-y.md": PAGES["07-x.md"]}, "eq-x: displayed 2 times, in 07-x.md and 08-y.md"),
        ([claim()], {"07-x.md": PAGES["07-x.md"] * 2}, "eq-x: displayed 2 times, in 07-x.md and 07-x.md"),
        ([claim(), claim()], PAGES, "eq-x: claimed 2 times"),
        ([], PAGES, "07-x.md: eq-x has no claim"),
        ([claim()], PAGES | {"08-y.md": "$$x_t = b$$"}, "08-y.md: a displayed formula without a label: x_t = b"),
        ([claim(latex="x_t = a b")], PAGES, "07-x.md: eq-x is not what the claim says"),
        ([claim(miss=r"x_t = a \oplus b")], PAGES, r"eq-x: the near miss .* cannot be read completely: .*\\oplus"),
        (
            [claim(latex=r"x_t = a + \foo")],
            {"07-x.md": r"$$x_t = a + \foo$$ (eq-x)"},
            r"eq-x: the formula .* cannot be read completely: .*\\foo.* after 'x _ t = a \+'",
        ),
    ],
)
def test_each_problem_is_named_with_its_place(claims: list[Claim], pages: dict[str, str], expected: str) -> None:
    (problem,) = claim_problems(claims, pages)
    assert re.fullmatch(expected + ".*" * ("read completely" in expected), problem)


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=lambda claim: claim.label)
def test_the_proof_is_a_function_that_readers_can_be_led_to(claim: Claim) -> None:
    name = claim.proof.__qualname__.partition(".")[0]  # of a closure: the function that makes it
    assert hasattr(sys.modules[claim.proof.__module__], name), f"{claim.label}: give the proof a name, {name} has none"


# Proofs that do not end


def endless(statement: Statement) -> None:
    while True:
        try:
            time.sleep(0.01)
        except Exception:  # as some of SymPy's callbacks do
            pass


def test_a_proof_that_does_not_end_is_stopped() -> None:
    started = time.monotonic()
    with pytest.raises(ClaimError, match=r"eq-x: no end after 0\.2 s"):
        prove(Claim("eq-x", "x_t = a", "", endless, ()), limit=0.2)
    assert time.monotonic() - started < 5


def test_the_limit_leaves_no_alarm_behind() -> None:
    prove(CLAIMS["eq-snr"], limit=5)
    with pytest.raises(ClaimError, match="near miss .* passes"):
        prove(claim(), limit=0.3)
    time.sleep(0.5)  # an alarm still set would end the tests here


def test_latex_that_is_not_read_names_its_claim() -> None:
    with pytest.raises(ClaimError, match=r"eq-x: not read completely: .*\\foo"):
        prove(claim(latex=r"x_t = \foo"))


# The measured times


def test_every_claim_has_a_measured_time() -> None:
    measured = json.loads(REPORT.read_text(encoding="utf-8"))["seconds"]
    labels = [claim.label for module in CHAPTERS.values() for claim in module.CLAIMS]
    assert sorted(measured) == sorted(labels), "claims have come or gone: run python tools/proofs.py"
    assert all(seconds > 0 for seconds in measured.values())
