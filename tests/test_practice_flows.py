"""Chapter 6's checks accept right answers in any form and name the mistake in wrong ones."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import sympy as sp
import torch
from torch import Tensor

from sheets import outcome

a1, b1, a2, b2, x2, x = sp.symbols("a1 b1 a2 b2 x2 x")  # without assumptions: names alone must do


def coupled(y: Callable, log_det: Callable = lambda s, t: s.sum(1)) -> Callable:
    """A coupling with these rules of (first, second, s, t) and (s, t)."""

    def answer(given: Tensor, net: Callable) -> tuple[Tensor, Tensor]:
        first, second = given.chunk(2, dim=1)
        s, t = net(first)
        return y(first, second, s, t), log_det(s, t)

    return answer


def right(first: Tensor, second: Tensor, s: Tensor, t: Tensor) -> Tensor:
    return torch.cat([first, second * s.exp() + t], 1)


def by_hand(given: Tensor, net: Callable) -> list[Tensor]:
    half = given.shape[1] // 2
    s, t = net(given[:, :half])
    y = given.clone()
    y[:, half:] = y[:, half:] * torch.exp(s) + t
    return [y, torch.log(torch.exp(s).prod(1))]


def wrong_half(given: Tensor, net: Callable) -> tuple[Tensor, Tensor]:
    first, second = given.chunk(2, dim=1)
    s, t = net(second)
    return torch.cat([s.exp() * first + t, second], 1), s.sum(1)


def asked_of_itself(given: Tensor, net: Callable) -> tuple[Tensor, Tensor]:
    first, second = given.chunk(2, dim=1)
    s, t = net(second)
    return torch.cat([first, s.exp() * second + t], 1), s.sum(1)


def in_place(given: Tensor, net: Callable) -> tuple[Tensor, Tensor]:
    s, t = net(given[:, : given.shape[1] // 2])
    given[:, given.shape[1] // 2 :] *= s.exp()
    return given + torch.cat([torch.zeros_like(t), t], 1), s.sum(1)


def bits(rule: Callable) -> Callable:
    """An answer by a rule of (log-density, levels, number of components)."""
    return lambda log_p, levels, shape: rule(log_p, levels, math.prod(shape))


def actnorm(y: Callable, log_det: Callable) -> Callable:
    """An actnorm with these rules of (x, factor, shift) and (x, sum of the channels' logarithms)."""
    return lambda given, log_scale, shift: (y(given, log_scale.exp(), shift), log_det(given, log_scale.sum()))


def by_channel(given: Tensor, factor: Tensor, shift: Tensor) -> Tensor:
    return given * factor[:, None, None] + shift[:, None, None]


def by_pixel(given: Tensor, total: Tensor) -> Tensor:
    return (given.shape[2] * given.shape[3] * total).expand(len(given))


RIGHT = [
    ("same-half", a1 * a2 * x2 + a2 * b1 + b2),
    ("same-half", a2 * b1 + b2 + x2 * a1 * a2),
    ("uniform-flow", 1),
    ("uniform-flow", x * (1 - x) * (1 / x + 1 / (1 - x))),
    ("coupling", coupled(right)),
    ("coupling", by_hand),
    ("flow-bits", bits(lambda log_p, levels, size: math.log2(levels) - log_p / math.log(2) / size)),
    ("flow-bits", bits(lambda log_p, levels, size: -(log_p - size * math.log(levels)) / (size * math.log(2)))),
    ("flow-repair", actnorm(by_channel, by_pixel)),
    ("flow-scale", 1.1),
    ("flow-scale", torch.tensor(1.1)),
    ("flow-scale", sp.Rational(11, 10)),
]


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_right_answers_in_other_forms(name: str, answer: Any) -> None:
    assert outcome(name, answer).startswith("✓")


WRONG = [
    ("same-half", a1 * a2 * x2 + b1 + b2, "stretches the first shift"),
    ("same-half", a1 * (a2 * x2 + b2) + b1, "first layer comes first"),
    ("same-half", a1 * a2 * x2 + b1 * b2, "added, not multiplied"),
    ("same-half", a2 * x2 + b2, "second layer alone"),
    ("same-half", (a1 + a2) * x2 + a2 * b1 + b2, "multiplied, not added"),
    ("same-half", a2 * (a1 * x2 + b1 + b2), "nothing comes after it"),
    ("same-half", a1 * a2 * x2, "your answer is off by"),
    ("uniform-flow", x * (1 - x), "slope is missing"),
    ("uniform-flow", x**2 * (1 - x) ** 2, "divided by the slope"),
    ("uniform-flow", 1 / (x * (1 - x)), "slope alone"),
    ("uniform-flow", x, "chance to stay below"),
    ("uniform-flow", sp.exp(-x) / (1 + sp.exp(-x)) ** 2, "not at x"),
    ("uniform-flow", 2, "your answer is off by"),
    ("coupling", coupled(lambda a, b, s, t: torch.cat([a, s * b + t], 1)), "take its exponential"),
    ("coupling", coupled(lambda a, b, s, t: torch.cat([a, s.exp() * (b + t)], 1)), "stretched as well"),
    ("coupling", coupled(lambda a, b, s, t: torch.cat([s.exp() * b + t, a], 1)), "changed places"),
    ("coupling", coupled(lambda a, b, s, t: s.exp() * b + t), "only the half"),
    ("coupling", coupled(lambda a, b, s, t: torch.cat([a, (b - t) / s.exp()], 1)), "the way back"),
    ("coupling", wrong_half, "wrong half stays"),
    ("coupling", asked_of_itself, "half that it changes"),
    ("coupling", in_place, "in place"),
    ("coupling", coupled(right, lambda s, t: s.exp().sum(1)), "their product"),
    ("coupling", coupled(right, lambda s, t: s.exp().prod(1)), "its logarithm is asked for"),
    ("coupling", coupled(right, lambda s, t: s.sum()), "one number for the whole batch"),
    ("coupling", coupled(right, lambda s, t: s.mean(1)), "the mean over the components"),
    ("coupling", coupled(right, lambda s, t: -s.sum(1)), "of the way back"),
    ("coupling", coupled(right, lambda s, t: s), "one number is left"),
    ("coupling", coupled(right, lambda s, t: (s + t).sum(1)), "does not change any volume"),
    ("coupling", lambda given, net: given, "return two things"),
    ("flow-bits", bits(lambda log_p, levels, size: -log_p / size / math.log(2)), "not of a probability"),
    ("flow-bits", bits(lambda log_p, levels, size: -log_p / size / math.log(2) - math.log2(levels)), "wrong sign"),
    ("flow-bits", bits(lambda log_p, levels, size: math.log(levels) - log_p / size), "nats"),
    ("flow-bits", bits(lambda log_p, levels, size: size * math.log2(levels) - log_p / math.log(2)), "whole image"),
    ("flow-bits", bits(lambda log_p, levels, size: math.log2(levels) + log_p / size / math.log(2)), "minus is missing"),
    ("flow-bits", bits(lambda log_p, levels, size: (math.log2(levels) - log_p / math.log(2)) / size), "not to be divided"),
    ("flow-bits", lambda log_p, levels, shape: math.log2(levels) - log_p / math.log(2) / (shape[1] * shape[2]), "channels too"),
    ("flow-bits", lambda log_p, levels, shape: math.log2(levels) - log_p / math.log(2) / shape[-1], "not one side"),
    ("flow-repair", actnorm(lambda g, factor, shift: g * factor + shift, lambda g, total: total), "went to the columns"),
    ("flow-repair", actnorm(lambda g, f, s: g * f[:, None] + s[:, None], by_pixel), "went to the rows"),
    ("flow-repair", actnorm(by_channel, lambda g, total: total), "each example of the batch has"),
    ("flow-repair", actnorm(by_channel, lambda g, total: total.expand(len(g))), "once for each of them"),
    ("flow-repair", actnorm(by_channel, lambda g, total: g.shape[2] * g.shape[3] * total), "needs its own"),
    ("flow-repair", actnorm(by_channel, lambda g, total: (g.shape[3] * total).expand(len(g))), "one side only"),
    ("flow-repair", actnorm(by_channel, lambda g, total: len(g) * by_pixel(g, total)), "no common volume"),
    ("flow-scale", 2.1, "twice as wide"),
    ("flow-scale", 3.1, "not 1/512"),
    ("flow-scale", -5.9, "probability of a cell"),
    ("flow-scale", -12.9, "no code is that short"),
    ("flow-scale", 5.9, "larger than one"),
    ("flow-scale", 1.06, "the other model"),
    ("flow-scale", 1.5, "too large: how wide is the cell of one level"),
    ("flow-scale", "seven", "give one number"),
]


@pytest.mark.parametrize(("name", "answer", "fragment"), WRONG)
def test_wrong_answers_are_told_what_is_wrong(name: str, answer: Any, fragment: str) -> None:
    line = outcome(name, answer)
    assert line.startswith("✗")
    assert fragment in line
