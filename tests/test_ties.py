"""Each formula of the book against the torch function that implements it, in float64; the ties stand in `tests/ties/`."""

import importlib
import re

import pytest
import torch

from diffcourse.algebra import CHAPTERS, CLAIMS, Claim
from ties import Ties

TIES: Ties = {}
for module in CHAPTERS.values():
    TIES |= importlib.import_module(f"ties.{module.__name__.rpartition('.')[2]}").TIES


@pytest.mark.parametrize("label", TIES)
def test_formula_and_function_agree(label: str) -> None:
    pairs = list(TIES[label]())
    assert pairs
    for formula, value in pairs:
        assert value.dtype == torch.float64
        assert value.item() == pytest.approx(formula, rel=1e-12, abs=1e-13)


def test_every_implemented_claim_is_tied() -> None:
    assert set(TIES) == {label for label, claim in CLAIMS.items() if claim.implemented_by}


@pytest.mark.parametrize("claim", [c for c in CLAIMS.values() if c.implemented_by], ids=lambda c: c.label)
def test_the_function_names_the_equation(claim: Claim) -> None:
    parts = claim.implemented_by.split(".")  # diffcourse.diffusion.exact.GaussianMixture.log_prob
    thing = importlib.import_module(".".join(parts[:3]))
    for part in parts[3:]:
        thing = getattr(thing, part)
    assert re.search(rf"{claim.label}(?![\w-])", thing.__doc__), f"{claim.implemented_by} does not name {claim.label}"
