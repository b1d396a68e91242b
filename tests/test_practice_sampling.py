"""Chapter 13's checks accept right answers in any form and name the mistake in wrong ones."""

from collections.abc import Callable
from typing import Any

import pytest
import sympy as sp
import torch
from torch import Tensor

from diffcourse.diffusion.sample import sample_ddpm
from diffcourse.practice import sampling
from sheets import outcome

beta, before, c, r, s = sp.symbols("beta before c r s")  # without assumptions: names alone must do
root = sp.sqrt
Slope = Callable[[Tensor, float], Tensor]


def package(schedule: Any, network: Any, x: Tensor, times: list[int], generator: torch.Generator) -> Tensor:
    """The package's own sampler: the reference of `repair` is written anew, and must agree with it."""
    return sample_ddpm(schedule, network, x, generator=generator, steps=times, sigma="beta")


def with_mistakes(*mistakes: str) -> Any:
    return lambda *arguments: sampling.walk(*arguments, mistakes)


def heun(slope: Slope, y: Tensor, r: float, s: float) -> Tensor:
    first = slope(y, r)
    second = slope(y + (s - r) * first, s)
    return y + (s - r) * (first / 2 + second / 2)


RIGHT = [
    ("eta", root(beta * (1 - (1 - beta) * before) / (beta * (1 - before)))),
    ("eta", root(1 + beta * before / (1 - before))),
    ("euler-factor", 1 + (s - r) * r / (c**2 + r**2)),
    ("euler-factor", (c**2 + s * r) / (c**2 + r**2)),
    ("repair", package),
    ("heun-step", heun),
    ("budget", [2000.0, 200.0]),
    ("budget", torch.tensor([2000, 200])),
]


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_right_answers_in_other_forms(name: str, answer: Any) -> None:
    assert outcome(name, answer).startswith("✓")


WRONG = [
    ("eta", (1 - (1 - beta) * before) / (1 - before), "this is η²"),
    ("eta", root((1 - before) / (1 - (1 - beta) * before)), "upside down"),
    ("eta", 1, "β_t is wanted"),
    ("eta", root(beta / (1 - before)), "α in place of ᾱ"),
    ("eta", root(beta * (1 - before) / (1 - (1 - beta) * before)), "standard deviation that η = 1 adds"),
    ("eta", root(beta), "η is no variance"),
    ("eta", beta, "your answer is off by"),
    ("euler-factor", root(c**2 + s**2) / root(c**2 + r**2), "straight ahead"),
    ("euler-factor", s / r, "one point"),
    ("euler-factor", 1 + (s - r) * s / (c**2 + s**2), "start of the step"),
    ("euler-factor", 1 + (r - s) * r / (c**2 + r**2), "towards more noise"),
    ("euler-factor", (s - r) * r / (c**2 + r**2), "this is the change"),
    ("euler-factor", 1 + (s - r) * r / (c + r**2), "variance of the data is c²"),
    ("euler-factor", 1 + (s - r) / (c**2 + r**2), "1/(c² + r²)"),
    ("repair", with_mistakes("single"), "may be many"),
    ("repair", with_mistakes("kept"), "work the noise out anew"),
    ("repair", with_mistakes("noisy"), "nothing removes it"),
    ("repair", with_mistakes("single", "kept"), "may be many"),
    ("repair", with_mistakes("single", "noisy"), "may be many"),
    ("repair", with_mistakes("kept", "noisy"), "work the noise out anew"),
    ("repair", with_mistakes("single", "kept", "noisy"), "may be many"),
    ("repair", lambda schedule, network, x, times, generator: x, "off by"),
    ("heun-step", lambda f, y, r, s: y + (s - r) * f(y, r), "Euler's step"),
    ("heun-step", lambda f, y, r, s: y + (s - r) * f(y + (s - r) * f(y, r), s), "far end alone"),
    ("heun-step", lambda f, y, r, s: y + (s - r) * (f(y, r) + f(y + (s - r) * f(y, r), s)), "their mean"),
    ("heun-step", lambda f, y, r, s: y + (s - r) / 2 * (f(y, r) + f(y + (s - r) * f(y, r), r)), "noise level s"),
    ("heun-step", lambda f, y, r, s: y + (s - r) / 2 * (f(y, r) + f(y, s)), "where Euler's step ends"),
    ("heun-step", lambda f, y, r, s: y + (r - s) / 2 * (f(y, r) + f(y + (r - s) * f(y, r), s)), "its length is s - r"),
    (
        "heun-step",
        lambda f, y, r, s: y + (s - r) * f(y, r) + (s - r) / 2 * (f(y, r) + f(y + (s - r) * f(y, r), s)),
        "where you stood",
    ),
    ("heun-step", lambda f, y, r, s: y + (s - r) * f(y + (s - r) / 2 * f(y, r), (r + s) / 2), "midpoint"),
    ("budget", (200, 2000), "exchanged"),
    ("budget", (2000, 2000), "second order is too large: with which power of the step"),
    ("budget", (2000, 20), "second order is too small: with which power of the step"),
    ("budget", (200, 200), "first order is too small: with which power of the step"),
    ("budget", (float("nan"), 200), "first order is not right"),
    ("budget", 2000, "two numbers"),
]


@pytest.mark.parametrize(("name", "answer", "fragment"), WRONG)
def test_wrong_answers_are_told_what_is_wrong(name: str, answer: Any, fragment: str) -> None:
    line = outcome(name, answer)
    assert line.startswith("✗")
    assert fragment in line
