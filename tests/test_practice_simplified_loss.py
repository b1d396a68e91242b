"""Chapter 10's checks accept right answers in any form and name the mistake in wrong ones."""

from typing import Any

import pytest
import sympy as sp
import torch
from torch import Tensor

from diffcourse.diffusion import process
from diffcourse.diffusion.schedule import Schedule
from sheets import outcome

bar, beta, a = sp.symbols("alpha_bar beta a")  # without assumptions: names alone must do
root = sp.sqrt


def image(rule: Any) -> Any:
    """An as_image that converts every answer by one rule of (alpha_bar, x_t, answer)."""
    return lambda schedule, xt, t, answer, target: rule(schedule.alpha_bar(t)[:, None], xt, answer)


def as_image(schedule: Schedule, xt: Tensor, t: Tensor, answer: Tensor, target: str) -> Tensor:
    convert = {"eps": process.predict_x0, "v": process.x0_from_v, "x0": lambda schedule, xt, t, answer: answer}
    return convert[target](schedule, xt, t, answer)


def min_snr(snr: Tensor, gamma: float, target: str) -> Tensor:
    return torch.minimum(snr, torch.tensor(gamma, dtype=snr.dtype)) / {"x0": 1, "eps": snr, "v": snr + 1}[target]


RIGHT = [
    ("beta-weight", beta**2 / (2 * beta * (1 - beta) * (1 - bar))),
    ("beta-weight", 1 / (2 * (1 / beta - 1) * (1 - bar))),
    ("bell-noise", root(1 - bar) / (1 + bar * (a**2 - 1))),
    ("bell-noise", 1 / root(1 - bar) * (1 - bar * a**2 / (bar * a**2 + 1 - bar))),
    ("as-image", as_image),
    ("min-snr", min_snr),
    ("silent", sp.Rational(1, 2)),
    ("silent", torch.tensor(0.5)),
]


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_right_answers_in_other_forms(name: str, answer: Any) -> None:
    assert outcome(name, answer).startswith("✓")


def by_target(**rules: Any) -> Any:
    """A right as_image, except for these targets."""

    def answer(schedule: Schedule, xt: Tensor, t: Tensor, said: Tensor, target: str) -> Tensor:
        if target in rules:
            return rules[target](schedule.alpha_bar(t)[:, None], schedule.alpha(t)[:, None], xt, said)
        return as_image(schedule, xt, t, said, target)

    return answer


WRONG = [
    ("beta-weight", beta / (2 * (1 - beta - bar)), "other variance"),
    ("beta-weight", beta / ((1 - beta) * (1 - bar)), "one half"),
    ("beta-weight", 1 / (2 * (1 - beta) * (1 - bar)), "twice"),
    ("beta-weight", beta ** sp.Rational(3, 2) / (2 * (1 - beta) * (1 - bar)), "not its root"),
    ("beta-weight", beta / (2 * (1 - bar)), "rescaled"),
    ("beta-weight", 1 / (2 * (1 - beta)), "all steps"),
    ("beta-weight", beta, "your answer is off by"),
    ("bell-noise", root(bar) * a**2 / (bar * a**2 + 1 - bar), "of the image"),
    ("bell-noise", (1 - bar) / (bar * a**2 + 1 - bar), "root is missing"),
    ("bell-noise", root(1 - bar), "variance one only"),
    ("bell-noise", root(1 - bar) / (bar * a + 1 - bar), "standard deviation"),
    ("bell-noise", 1 / root(1 - bar), "all of x_t"),
    ("bell-noise", root(1 - bar) / root(bar * a**2 + 1 - bar), "divide by the variance"),
    ("as-image", by_target(eps=lambda k, one, x, y: k.sqrt() * x - (1 - k).sqrt() * y), "right for a velocity"),
    ("as-image", by_target(eps=lambda k, one, x, y: (x + (1 - k).sqrt() * y) / k.sqrt()), "take it away"),
    ("as-image", by_target(eps=lambda k, one, x, y: x - (1 - k).sqrt() * y), "not undone"),
    ("as-image", by_target(eps=lambda k, one, x, y: (x - (1 - one).sqrt() * y) / one.sqrt()), "where ᾱ_t should be"),
    ("as-image", by_target(eps=lambda k, one, x, y: (x - (1 - k).sqrt() * y) / k), "divide by the root"),
    ("as-image", by_target(eps=lambda k, one, x, y: (x - (1 - k) * y) / k.sqrt()), "missing at the noise"),
    ("as-image", image(lambda k, x, y: (x - (1 - k).sqrt() * y) / k.sqrt()), "already said it"),
    ("as-image", by_target(v=lambda k, one, x, y: (x - (1 - k).sqrt() * y) / k.sqrt()), "right for noise"),
    ("as-image", by_target(v=lambda k, one, x, y: (1 - k).sqrt() * x + k.sqrt() * y), "not the image"),
    ("as-image", by_target(v=lambda k, one, x, y: k.sqrt() * x + (1 - k).sqrt() * y), "sign of v"),
    ("as-image", by_target(v=lambda k, one, x, y: one.sqrt() * x - (1 - one).sqrt() * y), "where ᾱ_t should be"),
    ("as-image", by_target(v=lambda k, one, x, y: (1 - k).sqrt() * x - k.sqrt() * y), "exchanged"),
    ("min-snr", lambda snr, gamma, target: snr.clamp(min=gamma) / {"x0": 1, "eps": snr, "v": snr + 1}[target], "larger"),
    ("min-snr", lambda snr, gamma, target: snr.clamp(max=gamma), "error of the image"),
    ("min-snr", lambda snr, gamma, target: snr.clamp(max=gamma) / snr, "error of the noise"),
    ("min-snr", lambda snr, gamma, target: snr.clamp(max=gamma) / (1 if target == "x0" else snr), "error of the noise"),
    ("min-snr", lambda snr, gamma, target: snr.clamp(max=gamma) / (snr + 1), "error of the velocity"),
    ("min-snr", lambda snr, gamma, target: snr / {"x0": 1, "eps": snr, "v": snr + 1}[target], "nothing is cut off"),
    ("silent", 1, "velocity"),
    ("silent", 0.7071, "root"),
    ("silent", 0, "perfect"),
    ("silent", 0.3, "too small: at SNR 1, how much of x_t is image"),
    ("silent", "half", "give one number"),
]


@pytest.mark.parametrize(("name", "answer", "fragment"), WRONG)
def test_wrong_answers_are_told_what_is_wrong(name: str, answer: Any, fragment: str) -> None:
    line = outcome(name, answer)
    assert line.startswith("✗")
    assert fragment in line
