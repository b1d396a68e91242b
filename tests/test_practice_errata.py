"""The checks of chapter 20's sheet accept right answers in any form and name the mistake in wrong ones."""

from collections.abc import Callable
from typing import Any

import pytest
import sympy as sp
import torch
from torch import Tensor

from diffcourse.diffusion.exact import GaussianMixture
from diffcourse.practice import errata
from diffcourse.practice.errata import PRINTED
from sheets import outcome, solution_lines

a, b, beta_0, beta_1 = sp.symbols("alpha_t alpha_bar_t beta_0 beta_1")  # without assumptions: names alone must do
root = sp.sqrt


def test_the_letters_of_the_sheet_are_right_and_wrong_as_the_proofs_say() -> None:
    right = "".join(letter for letter, (_, question) in PRINTED.items() if question is None)
    assert outcome("erratum-seven", right).startswith("✓")
    assert len(errata.printed_formulas().splitlines()) == len(PRINTED)


# Right answers in other forms


def repaired_through_x0(schedule: Any, predict_eps: Callable, x_T: Tensor, noises: list[Tensor]) -> Tensor:
    x = x_T
    for t in reversed(range(1, schedule.T + 1)):
        bar, before = schedule.alpha_bar(t), schedule.alpha_bar(t - 1)
        x0 = (x - (1 - bar) ** 0.5 * predict_eps(x, t)) / bar**0.5
        x = (before**0.5 * schedule.beta(t) * x0 + schedule.alpha(t) ** 0.5 * (1 - before) * x) / (1 - bar)
        if t > 1:
            x = x + ((1 - before) / (1 - bar) * schedule.beta(t)) ** 0.5 * noises[t - 1]
    return x


def log_det_recursive(x: Tensor, layers: list[Callable]) -> Tensor:
    h, first = layers[0](x)
    return first + log_det_recursive(h, layers[1:]) if len(layers) > 1 else first


def data(left: float = 0.2, std: float = 0.3) -> GaussianMixture:
    weight = torch.tensor([left, 1 - left], dtype=torch.float64)
    return GaussianMixture(weight, torch.tensor([[-1.0], [1.0]], dtype=torch.float64), std)


def accepts_by_quantiles(sampler: Callable) -> bool:
    x, truth = sampler(data()), data().sample(200_000, torch.Generator().manual_seed(0))
    at = torch.tensor([0.05, 0.3, 0.5, 0.7, 0.95], dtype=torch.float64)
    return bool((x.flatten().quantile(at) - truth.flatten().quantile(at)).abs().max() < 0.1)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("erratum-seven", ["b", "D", "f"]),
        ("erratum-seven", {"B", "D", "F"}),
        ("erratum-seven", "F, D, B"),
        ("erratum-factor", 1 / root(a) - root(1 - a) * root(1 - b) / root(a)),
        ("erratum-extra-beta", beta_0 + beta_1 * (1 - beta_0)),
        ("erratum-repair", repaired_through_x0),
        ("erratum-log-det", log_det_recursive),
        ("erratum-exam", accepts_by_quantiles),
    ],
)
def test_right_answers_in_other_forms_pass(name: str, answer: Any) -> None:
    assert outcome(name, answer).startswith("✓")


# Wrong answers


def sampler(bar: bool = True, power: float = 0.5, last: int = 0, rescale: bool = True, order: int = 0) -> Callable:
    def answer(schedule: Any, predict_eps: Callable, x: Tensor, noises: list[Tensor]) -> Tensor:
        for t in range(schedule.T, last, -1):
            below = 1 - (schedule.alpha_bar(t) if bar else schedule.alpha(t))
            x = x - schedule.beta(t) / below.sqrt() * predict_eps(x, t)
            x = x / schedule.alpha(t).sqrt() if rescale else x
            variance = (1 - schedule.alpha_bar(t - 1)) / (1 - schedule.alpha_bar(t)) * schedule.beta(t)
            x = x + variance**power * noises[-t if order else t - 1]
        return x

    return answer


def judge_by(*numbers: Callable[[Tensor], Tensor], left: float = 0.2, std: float = 0.3, within: float = 0.05) -> Callable:
    def accepts(draw: Callable) -> bool:
        truth, x = data(left, std).sample(200_000, torch.Generator().manual_seed(0)), draw(data(left, std))
        return all((number(x) - number(truth)).abs() < within for number in numbers)

    return accepts


WRONG: list[tuple[str, Any, str]] = [
    ("erratum-seven", "A", "which power"),
    ("erratum-seven", "BCDF", "C is wrong: put t = s + 1"),
    ("erratum-seven", "BD", "1 more is right too"),
    ("erratum-seven", "B", "2 more are right too"),
    ("erratum-seven", "BX", "no formula X"),
    ("erratum-seven", 3, "give letters"),
    ("erratum-seven", "", "at least one"),
    ("erratum-factor", root(a), "right step comes to"),
    ("erratum-factor", 1 - root((1 - a) * (1 - b)), "stretching"),
    ("erratum-factor", (1 - root(1 - a) * (1 - b)) / root(a), "has a root"),
    ("erratum-factor", (1 - root(1 - a)) / root(a), "not x_t itself"),
    ("erratum-factor", (1 - (1 - a) * root(1 - b)) / root(a), "over its own root"),
    ("erratum-factor", a, "your answer is off by"),
    ("erratum-extra-beta", beta_1, "one step of this book"),
    ("erratum-extra-beta", beta_0 + beta_1, "do not simply add"),
    ("erratum-extra-beta", (1 - beta_0) * (1 - beta_1), "left of the data"),
    ("erratum-extra-beta", beta_0, "superfluous factor"),
    ("erratum-extra-beta", beta_0 * beta_1, "tiny"),
    ("erratum-repair", sampler(bar=False), "bar is still missing"),
    ("erratum-repair", sampler(power=1), "multiplied by its variance"),
    ("erratum-repair", sampler(last=1), "one step early"),
    ("erratum-repair", sampler(bar=False, power=1), "bar is still missing; and the noise is multiplied"),
    ("erratum-repair", sampler(bar=False, power=1, last=1), "one step early"),
    ("erratum-repair", sampler(rescale=False), "not rescaled"),
    ("erratum-repair", sampler(order=1), "wrong order"),
    ("erratum-repair", lambda schedule, predict_eps, x, noises: x, "your result is off by"),
    ("erratum-log-det", lambda x, layers: sum(layer(x)[1] for layer in layers), "evaluated at x"),
    ("erratum-log-det", lambda x, layers: -log_det_recursive(x, layers), "of the inverse"),
    ("erratum-log-det", lambda x, layers: log_det_recursive(x, layers[::-1]), "last to the first"),
    ("erratum-log-det", lambda x, layers: layers[-1](layers[1](layers[0](x)[0])[0])[1], "only the last layer"),
    ("erratum-exam", lambda draw: True, "accepts 4 of 4 wrong samplers"),
    ("erratum-exam", lambda draw: False, "turns away a sampler that is right"),
    ("erratum-exam", judge_by(torch.mean, left=0.5), "such as one that forgets the bar"),
    ("erratum-exam", judge_by(lambda x: (x < 0).double().mean()), "wrong samplers"),
    ("erratum-exam", judge_by(lambda x: (x < 0).double().mean(), torch.std, within=0.0001), "turns away"),
    ("erratum-exam", lambda draw: draw(3), "raises TypeError"),
]


@pytest.mark.parametrize(("name", "answer", "fragment"), WRONG)
def test_wrong_answers_are_told_what_is_wrong(name: str, answer: Any, fragment: str) -> None:
    line = outcome(name, answer)
    assert line.startswith("✗")
    assert fragment in line
    assert [spoiler for spoiler in solution_lines(errata) if spoiler in line] == []
