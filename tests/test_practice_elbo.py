"""The exercises of chapter 9: right answers in other forms pass, wrong ones are told what is wrong."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import sympy as sp
import torch
from torch import Tensor

from diffcourse.diffusion import bound
from diffcourse.diffusion.schedule import Schedule
from sheets import outcome

r, bar_1, bar_T = sp.symbols("r alpha_bar_1 alpha_bar_T")  # without assumptions: names alone must do


# Answers


def nats(half: float = 0.5, sign: float = -1, pool: Callable[[Tensor], Tensor] = lambda x: x.flatten(1).sum(1)) -> Callable:
    def answer(schedule: Schedule, x0: Tensor) -> Tensor:
        alpha_bar = schedule.alpha_bar(schedule.T)
        return pool(half * (alpha_bar * x0**2 - alpha_bar + sign * torch.log(1 - alpha_bar)))

    return answer


def backwards(schedule: Schedule, x0: Tensor) -> Tensor:
    bar = schedule.alpha_bar(schedule.T)
    return 0.5 * ((1 + bar * x0**2) / (1 - bar) - 1 + torch.log(1 - bar)).flatten(1).sum(1)


def levels(cut_tails: bool = False, gaps: int = 255, log: bool = False) -> Callable:
    def answer(mean: float, std: float) -> Tensor:
        edges = torch.linspace(-1 - 1 / gaps, 1 + 1 / gaps, 257, dtype=torch.float64)
        if not cut_tails:
            edges[0], edges[-1] = -math.inf, math.inf
        p = torch.special.ndtr((edges - mean) / std).diff()
        return p.log() if log else p

    return answer


def rate(a: float = 1, c: float = 1, pool: Callable = lambda b: b.sum(1), unit: float = math.log(2)) -> Callable:
    return lambda prior, b, rec, x0: (a * prior + pool(b) + c * rec) / x0[0].numel() / unit


RIGHT = [
    ("wrong-variance", sp.log(r) / 2 + (1 - r) / (2 * r)),
    ("wrong-variance", (1 / r - 1 - sp.log(1 / r)) / 2),
    ("unit-sum", (sp.log(1 - bar_T) - sp.log(1 - bar_1)) / 2),
    ("unit-sum", sp.log(sp.sqrt((1 - bar_T) / (1 - bar_1)))),
    ("prior-term", bound.prior_term),
    ("prior-term", nats()),
    ("grey-levels", levels()),
    ("bits", rate()),
    ("bits", lambda a, b, c, x0: bound.bits_per_dim(bound.Bound(a, b, c).total, x0)),
    ("first-steps", 0.75),
]


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_right_answers_pass(name: str, answer: Any) -> None:
    assert outcome(name, answer).startswith(f"✓ {name}: ")


WRONG = [
    ("wrong-variance", (r - sp.log(r) - 1) / 2, "other way round"),
    ("wrong-variance", sp.log(r) + 1 / r - 1, "half is missing"),
    ("wrong-variance", (sp.log(r) + 1 / r) / 2, "equal densities"),
    ("wrong-variance", (-sp.log(r) + 1 / r - 1) / 2, "upside down"),
    ("wrong-variance", (sp.log(r**2) + 1 / r**2 - 1) / 2, "standard deviations"),
    ("wrong-variance", sp.log(r) / 2, "only the logarithm"),
    ("wrong-variance", r, "at r = "),
    ("unit-sum", sp.log(1 - bar_T) / 2, "begins at t = 2"),
    ("unit-sum", sp.log((1 - bar_1) / (1 - bar_T)) / 2, "exchanged"),
    ("unit-sum", sp.log((1 - bar_T) / (1 - bar_1)), "half is missing"),
    ("unit-sum", sp.log(bar_1 / bar_T) / 2, "not ᾱ itself"),
    ("prior-term", nats(half=1), "half is missing"),
    ("prior-term", nats(sign=1), "sign of the logarithm"),
    ("prior-term", nats(pool=lambda x: x.flatten(1).mean(1)), "mean over the pixels"),
    ("prior-term", nats(pool=lambda x: x.sum()), "whole batch"),
    ("prior-term", nats(pool=lambda x: x), "shape"),
    ("prior-term", backwards, "wrong way round"),
    ("grey-levels", levels(cut_tails=True), "tails are cut off"),
    ("grey-levels", levels(log=True), "logarithms"),
    ("grey-levels", levels(gaps=256, cut_tails=True), "255 gaps"),
    ("grey-levels", lambda mean, std: levels()(mean, std**2), "standard deviation"),
    ("bits", rate(unit=1), "these are nats"),
    ("bits", rate(unit=1 / math.log(2)), "must divide"),
    ("bits", rate(a=0), "prior's term is missing"),
    ("bits", rate(c=0), "reconstruction is missing"),
    ("bits", rate(pool=lambda b: b.mean(1)), "averaged over t"),
    ("bits", lambda a, b, c, x0: (a + b.sum(1) + c) / x0.numel() / math.log(2), "whole batch"),
    ("bits", lambda a, b, c, x0: (a + b.sum(1) + c) / math.log(2), "not divided"),
    ("bits", lambda a, b, c, x0: (a + b.sum(1) + c) / x0[0, 0].numel() / math.log(2), "colours"),
    ("first-steps", 0.1, "spread evenly"),
    ("first-steps", 0.25, "other 900"),
    ("first-steps", 0.5, "too small, by 0.3: what does a step add to the noise before it"),
    ("first-steps", 0.9, "too large, by 0.1: what does a step add to the noise before it"),
    ("first-steps", 2, "between 0 and 1"),
]


@pytest.mark.parametrize(("name", "answer", "says"), WRONG)
def test_wrong_answers_are_told_what_is_wrong(name: str, answer: Any, says: str) -> None:
    line = outcome(name, answer)
    assert line.startswith(f"✗ {name}: ") and says in line
