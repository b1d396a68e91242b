"""The checks of chapter 2's exercises accept right answers in any form and name the mistake in wrong ones."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import sympy as sp
import torch
from torch import Tensor

from diffcourse.diffusion import gaussian
from diffcourse.practice import gaussians
from sheets import outcome, solution_lines

y, v, m, s, mu = sp.symbols("y v m s mu")  # without assumptions: names alone must do


def log_q(x: Tensor, mean: float, variance: float) -> Tensor:
    return gaussian.log_density(x, mean, variance)


def one_by_one(means: Tensor, variances: Tensor) -> tuple[Tensor, Tensor]:
    here = gaussian.Gaussian(means[0], variances[0])
    for mean, variance in zip(means[1:], variances[1:]):
        here, _ = gaussian.product(*here, mean, variance)
    return here


def combined(mean: Callable, variance: Callable) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """An answer with these rules, each of (means, variances, precisions)."""
    return lambda means, variances: (mean(means, variances, 1 / variances), variance(means, variances, 1 / variances))


def good_mean(means: Tensor, variances: Tensor, precisions: Tensor) -> Tensor:
    return (means * precisions).sum(0) / precisions.sum(0)


def good_variance(means: Tensor, variances: Tensor, precisions: Tensor) -> Tensor:
    return 1 / precisions.sum(0)


def summed(each: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """An answer to the images' divergence with this contribution of each component."""
    return lambda mean, log_variance: each(mean, log_variance).sum((1, 2, 3))


def part(mean: Tensor, log_variance: Tensor) -> Tensor:
    return gaussian.kl_gaussians(mean, log_variance.exp(), 0.0, 1.0)


RIGHT = [
    ("shrinkage", y - y * v / (1 + v)),
    ("shrinkage", y / v / (1 + 1 / v)),
    ("both-ways", (v + 1 / v - 2 + m**2 * (1 + 1 / v)) / 2),
    ("both-ways", sp.log(sp.sqrt(v)) + (1 + m**2) / (2 * v) - sp.log(v) / 2 + (v + m**2) / 2 - 1),
    ("wrong-centre", s + m**2 - 2 * m * mu + mu**2),
    ("log-normal", lambda y, mean, variance: torch.distributions.LogNormal(mean, variance**0.5).log_prob(y)),
    ("combine", one_by_one),
    ("combine", lambda means, variances: list(one_by_one(means, variances))),
    ("kl-images", summed(part)),
    ("far-out", 111),
    ("far-out", sp.sqrt(12288)),
]

shrunk, there, back = y / (1 + v), sp.log(v) / 2 + (1 + m**2) / (2 * v) - sp.Rational(1, 2), -sp.log(v) / 2 + (v + m**2) / 2 - sp.Rational(1, 2)
WRONG = [
    ("shrinkage", y, "reading alone"),
    ("shrinkage", y / 2, "plain average"),
    ("shrinkage", v * y / (1 + v), "weights are exchanged"),
    ("shrinkage", y / (1 + v**2), "squared"),
    ("shrinkage", y / (1 + sp.sqrt(v)), "standard deviations"),
    ("shrinkage", 1 / (1 + v), "multiply it by what it weighs"),
    ("shrinkage", v / (1 + v), "not the mean"),
    ("shrinkage", y - v, "at y = 3/4, v = 2/5 your answer is off by"),
    ("both-ways", there, "one direction"),
    ("both-ways", back, "the other direction is still to be added"),
    ("both-ways", there - back, "difference"),
    ("both-ways", (there + back) / 2, "average"),
    ("both-ways", 2 * there, "twice one direction"),
    ("both-ways", 2 * back, "this time"),
    ("both-ways", there + back + 1, "halves"),
    ("both-ways", there + back + sp.log(v), "sign turned"),
    ("wrong-centre", s, "right centre"),
    ("wrong-centre", s + m - mu, "enters squared"),
    ("wrong-centre", s - (m - mu) ** 2, "sign is wrong"),
    ("wrong-centre", sp.sqrt(s + (m - mu) ** 2), "standard deviation"),
    ("wrong-centre", (m - mu) ** 2, "scatter as well"),
    ("wrong-centre", s**2 + (m - mu) ** 2, "variance already"),
    ("wrong-centre", (s + (m - mu) ** 2) / 2, "half of it"),
    ("wrong-centre", 2 * (s + (m - mu) ** 2), "twice as much"),
    ("log-normal", lambda y, mean, variance: log_q(y.log(), mean, variance), "slope of the exponential is missing"),
    ("log-normal", lambda y, mean, variance: log_q(y.log(), mean, variance) + y.log(), "wrong sign"),
    ("log-normal", lambda y, mean, variance: log_q(y.log(), mean, variance).exp() / y, "ask for its logarithm"),
    ("log-normal", lambda y, mean, variance: log_q(y, mean, variance), "at y itself"),
    ("log-normal", lambda y, mean, variance: log_q(y.exp(), mean, variance) - y, "wrong direction"),
    ("log-normal", lambda y, mean, variance: log_q(y.log(), mean, variance) / y, "divided by the slope"),
    ("log-normal", lambda y, mean, variance: log_q(y.log(), mean, variance**2) - y.log(), "used as a standard deviation"),
    ("log-normal", lambda y, mean, variance: log_q(y.log(), mean, variance) - 2 * y.log(), "your result is off by"),
    ("combine", combined(good_mean, lambda mu, v, w: v.sum(0)), "do not add up"),
    ("combine", combined(good_mean, lambda mu, v, w: w.sum(0)), "this is the precision"),
    ("combine", combined(good_mean, lambda mu, v, w: v.mean(0)), "average variance"),
    ("combine", combined(good_mean, lambda mu, v, w: v.mean(0) / len(v)), "equally good"),
    ("combine", combined(good_mean, lambda mu, v, w: w.sum(0).rsqrt()), "standard deviation"),
    ("combine", combined(good_mean, lambda mu, v, w: mu.var(0)), "lie apart"),
    ("combine", combined(good_mean, lambda mu, v, w: 1 / w.sum(-1)), "axis is wrong"),
    ("combine", combined(lambda mu, v, w: mu.mean(0), good_variance), "plain average"),
    ("combine", combined(lambda mu, v, w: (mu * v).sum(0) / v.sum(0), good_variance), "worst reading"),
    ("combine", combined(lambda mu, v, w: (mu * w.sqrt()).sum(0) / w.sqrt().sum(0), good_variance), "one over the standard deviations"),
    ("combine", combined(lambda mu, v, w: (mu * w).sum(0), good_variance), "not been divided"),
    ("combine", combined(lambda mu, v, w: (mu * w).sum(-1) / w.sum(-1), good_variance), "axis is wrong"),
    ("combine", lambda means, variances: means.mean(0), "return two tensors"),
    ("kl-images", lambda mean, lv: part(mean, lv).mean((1, 2, 3)), "mean over the components"),
    ("kl-images", lambda mean, lv: part(mean, lv).sum(), "whole batch"),
    ("kl-images", lambda mean, lv: summed(part)(mean, lv).mean(), "mean over the batch"),
    ("kl-images", summed(lambda mean, lv: -part(mean, lv)), "sign is turned"),
    ("kl-images", summed(lambda mean, lv: 2 * part(mean, lv)), "factor 1/2"),
    ("kl-images", summed(lambda mean, lv: gaussian.kl_gaussians(0.0, 1.0, mean, lv.exp())), "other direction"),
    ("kl-images", summed(lambda mean, lv: part(mean, 2 * lv)), "standard deviation"),
    ("kl-images", summed(lambda mean, lv: (mean**2 - 1) / 2), "where the variance belongs"),
    ("kl-images", summed(lambda mean, lv: part(mean, lv) + 0.5), "the 1 is missing"),
    ("kl-images", lambda mean, lv: part(mean, lv).sum(-1), "everything but the batch"),
    ("far-out", 0, "at the peak"),
    ("far-out", 1, "single component"),
    ("far-out", 12288, "squared distance"),
    ("far-out", 64, "three colours"),
    ("far-out", 50, "too small: what does a component add to the squared distance"),
    ("far-out", 500, "too large: what does a component add to the squared distance"),
    ("far-out", -3, "not negative"),
]


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_right_answers_in_other_forms(name: str, answer: Any) -> None:
    line = outcome(name, answer)
    assert line.startswith("✓")
    assert "twelve digits" not in line


@pytest.mark.parametrize(("name", "answer", "fragment"), WRONG)
def test_wrong_answers_are_told_what_is_wrong(name: str, answer: Any, fragment: str) -> None:
    line = outcome(name, answer)
    assert line.startswith("✗")
    assert fragment in line
    assert [spoiler for spoiler in solution_lines(gaussians) | {f"{math.sqrt(12288):.1f}", "12288"} if spoiler in line] == []
