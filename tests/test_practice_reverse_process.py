"""The exercises of chapter 8: right answers in other forms pass, wrong ones are told what is wrong."""

from collections.abc import Callable
from typing import Any

import pytest
import sympy as sp
import torch
from torch import Tensor

from diffcourse.diffusion import exact, process
from diffcourse.diffusion.schedule import Schedule
from diffcourse.practice import reverse_process
from sheets import outcome, solution_lines

beta, c = sp.symbols("beta c")  # without assumptions: names alone must do
root = sp.sqrt


# Answers


def posterior(schedule: Schedule, x0: Tensor, xt: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    return tuple(process.q_posterior(schedule, x0, xt, t))


def by_precision(schedule: Schedule, x0: Tensor, xt: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Through x_0, written with multiplications that survive t = 1."""
    rows = [process.q_posterior(schedule, x0[i], xt[i], int(t[i])) for i in range(len(t))]
    return torch.stack([row.mean for row in rows]), torch.stack([row.variance for row in rows]).reshape(-1, 1, 1, 1)


def coefficients(of_x0: Callable, of_xt: Callable, variance: Callable | None = None, shape: tuple[int, ...] = (-1, 1, 1, 1)) -> Callable:
    """A q_posterior with these functions of (schedule, t), each a [B]."""

    def answer(schedule: Schedule, x0: Tensor, xt: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        mean = of_x0(schedule, t).reshape(-1, 1, 1, 1) * x0 + of_xt(schedule, t).reshape(-1, 1, 1, 1) * xt
        return mean, (variance or right_variance)(schedule, t).reshape(shape)

    return answer


def right_x0(s: Schedule, t: Tensor) -> Tensor:
    return s.alpha_bar(t - 1).sqrt() * s.beta(t) / (1 - s.alpha_bar(t))


def right_xt(s: Schedule, t: Tensor) -> Tensor:
    return s.alpha(t).sqrt() * (1 - s.alpha_bar(t - 1)) / (1 - s.alpha_bar(t))


def right_variance(s: Schedule, t: Tensor) -> Tensor:
    return (1 - s.alpha_bar(t - 1)) / (1 - s.alpha_bar(t)) * s.beta(t)


def log_table(rule: Callable[[Schedule], Tensor]) -> Callable[[Schedule], Tensor]:
    return lambda schedule: rule(schedule)


def full_log(s: Schedule) -> Tensor:
    return right_variance(s, s.steps).log()


def right_log(s: Schedule) -> Tensor:
    table = full_log(s)
    table[0] = table[1]
    return table


def pasts(weight: Callable, swap: bool = False, mean: Callable | None = None) -> Callable:
    """A two_pasts with this probability, a function of (schedule, xt, t)."""

    def answer(schedule: Schedule, xt: Tensor, t: int) -> tuple[Tensor, Tensor, Tensor]:
        low, high = ((mean or right_mean)(schedule, xt, t, sign) for sign in (-1.0, 1.0))
        return (weight(schedule, xt, t), high, low) if swap else (weight(schedule, xt, t), low, high)

    return answer


def right_mean(s: Schedule, xt: Tensor, t: int, sign: float) -> Tensor:
    return process.q_posterior(s, torch.full_like(xt, sign), xt, t).mean


def z(s: Schedule, xt: Tensor, t: int) -> Tensor:
    return s.alpha_bar(t).sqrt() * xt / (1 - s.alpha_bar(t))


def by_densities(schedule: Schedule, xt: Tensor, t: int) -> tuple[Tensor, ...]:
    truth = exact.two_points().reverse_conditional(schedule, xt[:, None], t)
    return truth.weight[:, 1], truth.mean[:, 0, 0], truth.mean[:, 1, 0]


RIGHT = [
    ("neighbours", 1 / (2 / beta - 1)),
    ("neighbours", 1 / (1 / beta + (1 - beta) / beta)),
    ("first-step", root(1 - beta) / (1 - beta + beta / c**2)),
    ("q-posterior", posterior),
    ("q-posterior", by_precision),
    ("q-posterior", lambda *a: list(posterior(*a))),
    ("log-variance", right_log),
    ("log-variance", lambda s: torch.cat([full_log(s)[1:2], full_log(s)[1:]])),
    ("two-pasts", by_densities),
    ("two-pasts", pasts(lambda *a: torch.sigmoid(2 * z(*a)))),
    ("which-variance", 0.828),
    ("which-variance", sp.Rational(83, 100)),
]


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_right_answers_in_other_forms(name: str, answer: Any) -> None:
    assert outcome(name, answer).startswith("✓")


WRONG = [
    ("neighbours", beta, "one neighbour only"),
    ("neighbours", beta / 2, "shrunk"),
    ("neighbours", beta / (1 + root(1 - beta)), "squared"),
    ("neighbours", (2 - beta) / beta, "this is the precision"),
    ("neighbours", root(beta / (2 - beta)), "standard deviation"),
    ("neighbours", beta + beta / (1 - beta), "precisions, not their variances"),
    ("neighbours", beta * (1 - beta) / (2 - beta), "exchanged"),
    ("neighbours", beta**2, "at beta = 1/10 your answer is off by"),
    ("first-step", 1 / root(1 - beta), "takes the noise for image"),
    ("first-step", root(1 - beta), "variance one"),
    ("first-step", (1 - beta) * c**2 / ((1 - beta) * c**2 + beta), "a root is missing"),
    ("first-step", c**2 / ((1 - beta) * c**2 + beta), "the root of 1-β is missing"),
    ("first-step", root(1 - beta) * c / ((1 - beta) * c + beta), "standard deviation"),
    ("first-step", beta * c**2 / ((1 - beta) * c**2 + beta), "variance that remains"),
    ("q-posterior", coefficients(right_xt, right_x0), "exchanged"),
    ("q-posterior", coefficients(lambda s, t: s.alpha_bar(t).sqrt() * s.beta(t) / (1 - s.alpha_bar(t)), right_xt), "belongs to t - 1"),
    ("q-posterior", coefficients(right_x0, lambda s, t: right_xt(s, t) * s.alpha_bar(t - 1).sqrt()), "of this step alone"),
    ("q-posterior", coefficients(lambda s, t: right_x0(s, t) * s.alpha_bar(t - 1).sqrt(), right_xt), "in front of x_0 is missing"),
    ("q-posterior", coefficients(right_x0, lambda s, t: right_xt(s, t) * s.alpha(t).sqrt()), "in front of x_t is missing"),
    ("q-posterior", coefficients(right_x0, lambda s, t: s.alpha(t).sqrt()), "that of step t"),
    ("q-posterior", coefficients(right_x0, right_xt, lambda s, t: s.beta(t)), "step forwards"),
    ("q-posterior", coefficients(right_x0, right_xt, lambda s, t: right_variance(s, t).sqrt()), "standard deviation"),
    ("q-posterior", coefficients(right_x0, right_xt, lambda s, t: s.beta(t) ** 2 / right_variance(s, t)), "upside down"),
    ("q-posterior", coefficients(right_x0, right_xt, lambda s, t: s.beta(t - 1)), "bars are missing in the variance"),
    ("q-posterior", coefficients(right_x0, right_xt, shape=(-1,)), "variance went to the columns"),
    ("q-posterior", lambda s, x0, xt, t: (right_x0(s, t) * x0 + right_xt(s, t) * xt, right_variance(s, t)), "coefficients went to the columns"),
    ("q-posterior", coefficients(right_x0, right_xt, shape=(-1, 1)), "went to the rows"),
    ("q-posterior", lambda s, x0, xt, t: posterior(s, x0, xt, int(t[0])), "first image's t"),
    ("q-posterior", lambda s, x0, xt, t: posterior(s, x0, xt, t + 1), "step t + 1"),
    ("q-posterior", lambda *a: posterior(*a)[0], "return mean and variance"),
    ("q-posterior", lambda *a: (*posterior(*a), 1), "return mean and variance"),
    ("log-variance", full_log, "minus infinity"),
    ("log-variance", lambda s: full_log(s).clamp(min=-46), "the first should repeat the second"),
    ("log-variance", lambda s: s.beta(s.steps).log(), "variance forwards"),
    ("log-variance", lambda s: right_log(s) / 2, "standard deviation"),
    ("log-variance", lambda s: right_log(s).exp(), "the logarithm is missing"),
    ("log-variance", lambda s: right_log(s).log10(), "NaN"),
    ("log-variance", lambda s: full_log(s)[1:], "has the shape [999]; it should be [1000]"),
    ("log-variance", lambda s: torch.cat([full_log(s)[1:], full_log(s)[-1:]]), "shifted"),
    ("log-variance", lambda s: right_log(s).float(), "off by"),
    ("two-pasts", pasts(lambda *a: torch.tanh(z(*a))), "between 0 and 1"),
    ("two-pasts", pasts(lambda *a: torch.sigmoid(-2 * z(*a))), "probability of -1"),
    ("two-pasts", pasts(lambda *a: torch.sigmoid(z(*a))), "factor 2"),
    ("two-pasts", pasts(lambda s, x, t: torch.sigmoid(2 * z(s, x, t) * (1 - s.alpha_bar(t)).sqrt())), "has its variance"),
    ("two-pasts", pasts(lambda s, x, t: torch.full_like(x, 0.5)), "knows nothing of x_t"),
    ("two-pasts", pasts(lambda *a: torch.sigmoid(2 * z(*a)), swap=True), "exchanged"),
    ("two-pasts", pasts(lambda *a: torch.sigmoid(2 * z(*a)), mean=lambda s, x, t, sign: torch.full_like(x, sign) * s.alpha_bar(t - 1).sqrt()), "forgets x_t"),
    ("two-pasts", lambda s, x, t: by_densities(s, x, t)[:2], "return the probability"),
    ("which-variance", 0.526, "as if the image were known"),
    ("which-variance", 1, "step forwards"),
    ("which-variance", 1.208, "upside down"),
    ("which-variance", 0.083, "give its share"),
    ("which-variance", 0.6, "too small, by 0.2: what are V_{t-1} and V_t for these data?"),
    ("which-variance", -1, "cannot be negative"),
]


@pytest.mark.parametrize(("name", "answer", "fragment"), WRONG)
def test_wrong_answers_are_told_what_is_wrong(name: str, answer: Any, fragment: str) -> None:
    line = outcome(name, answer)
    assert line.startswith("✗"), line
    assert fragment in line
    assert [spoiler for spoiler in solution_lines(reverse_process) | {"0.83", "0.828"} if spoiler in line] == []
