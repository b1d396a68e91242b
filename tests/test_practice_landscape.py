"""Chapter 1's checks accept right answers in any form and name the mistake in wrong ones."""

import math
from typing import Any

import pytest
import sympy as sp
import torch

from sheets import outcome

a, K, r = sp.symbols("a K r")  # without assumptions: names alone must do
half = sp.Rational(1, 2)

RIGHT = [
    ("hedge", (sp.log(K) - sp.log(a)) / sp.log(2)),
    ("hedge", sp.log(K / a, 2)),
    ("hedge", -sp.log(a / K) / sp.log(2)),
    ("half-seen", half + (1 - r) / 2),
    ("half-seen", (1 - r) * half + half),
    ("mean-bits", lambda p, heap: -(p[heap].log().mean() / math.log(2))),
    ("mean-bits", lambda p, heap: torch.stack([-p[picture].log2() for picture in heap]).sum() / len(heap)),
    ("good-turing", lambda heap: ((heap[:, None] == heap).sum(1) == 1).double().mean()),
    ("behind-noise", 1.85 - math.log2(100) / 64),
    ("behind-noise", torch.tensor(1.746)),
    ("behind-noise", sp.Rational(185, 100) - sp.log(100) / (64 * sp.log(2))),
]


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_right_answers_in_other_forms(name: str, answer: Any) -> None:
    assert outcome(name, answer).startswith("✓")


def counts(heap: torch.Tensor) -> torch.Tensor:
    return heap.unique(return_counts=True)[1]


WRONG = [
    ("hedge", sp.log(K / a), "these are nats"),
    ("hedge", sp.log(a / K) / sp.log(2), "the sign"),
    ("hedge", sp.log(K) / sp.log(2), "all the time"),
    ("hedge", sp.log(K / (1 - a)) / sp.log(2), "this picture is not"),
    ("hedge", a * sp.log(K) / sp.log(2), "averages the bits"),
    ("hedge", sp.log(K * a) / sp.log(2), "must cost more"),
    ("hedge", K / a, "your answer is off by"),
    ("half-seen", r / 2, "how often you are wrong"),
    ("half-seen", r, "the harder it is"),
    ("half-seen", half + (1 - r) / 4, "counts as well"),
    ("half-seen", 1 - r, "you still guess"),
    ("half-seen", half, "more often"),
    ("half-seen", r**2, "your answer is off by"),
    ("mean-bits", lambda p, heap: -p[heap].log().mean(), "these are nats"),
    ("mean-bits", lambda p, heap: -p[heap].log2().sum(), "divide by its size"),
    ("mean-bits", lambda p, heap: p[heap].log2().mean(), "the sign"),
    ("mean-bits", lambda p, heap: -p[heap].mean().log2(), "first the logarithm"),
    ("mean-bits", lambda p, heap: -(p * p.log2()).sum(), "own pictures"),
    ("mean-bits", lambda p, heap: -p.log2().mean(), "each kind of picture once"),
    ("mean-bits", lambda p, heap: -p[heap].log2(), "the shape"),
    ("good-turing", lambda heap: torch.tensor(len(counts(heap)) / len(heap)), "count those that occur once"),
    ("good-turing", lambda heap: (counts(heap) == 1).double().mean(), "not of different ones"),
    ("good-turing", lambda heap: 1 - (counts(heap) == 1).sum() / len(heap), "is not new"),
    ("good-turing", lambda heap: (counts(heap) == 1).sum(), "which share"),
    ("good-turing", lambda heap: torch.tensor(1 - len(counts(heap)) / len(heap)), "are repeated"),
    ("good-turing", lambda heap: 0.5, "return a tensor"),
    ("behind-noise", 1.954, "the wrong way"),
    ("behind-noise", 1.778, "not nats"),
    ("behind-noise", -4.794, "for the whole picture"),
    ("behind-noise", 1.8498, "share of good pictures"),
    ("behind-noise", 0.1038, "what is left"),
    ("behind-noise", 1.8, "too large: what does a share of one in a hundred cost at most"),
    ("behind-noise", "less", "give one number"),
]


@pytest.mark.parametrize(("name", "answer", "fragment"), WRONG)
def test_wrong_answers_are_told_what_is_wrong(name: str, answer: Any, fragment: str) -> None:
    line = outcome(name, answer)
    assert line.startswith("✗")
    assert fragment in line
