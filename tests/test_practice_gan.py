"""Chapter 5's checks accept right answers in any form and name the mistake in wrong ones."""

from typing import Any

import pytest
import sympy as sp
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sheets import outcome

q, p, a, d = sp.symbols("q p a d")  # without assumptions: names alone must do
log = sp.log


def losses(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    return -F.logsigmoid(real) - F.logsigmoid(-fake), -F.logsigmoid(fake)


def naive(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    return -real.sigmoid().log() - (1 - fake.sigmoid()).log(), -fake.sigmoid().log()


def slope(judge: nn.Module, images: Tensor, probability: bool = False, keep: bool = True) -> Tensor:
    """The gradient of each image's score, or of D, [B, pixels]."""
    images = images.detach().requires_grad_()
    score = judge(images)
    return torch.autograd.grad((score.sigmoid() if probability else score).sum(), images, create_graph=keep)[0].flatten(1)


def r1(judge: nn.Module, images: Tensor, gamma: float) -> Tensor:
    return gamma / 2 * slope(judge, images).pow(2).sum(dim=1)


def step(of_maker: Any, of_judge: Any) -> Any:
    """A `gradients` whose players get the slopes of these losses of (own loss of the generator, that of the discriminator)."""

    def gradients(maker: nn.Module, judge: nn.Module, real: Tensor, z: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        fake = maker(z)
        judge_loss, maker_loss = (loss.mean() for loss in (losses(judge(real), judge(fake))[0], -F.logsigmoid(judge(fake))))
        first = torch.autograd.grad(of_maker(maker_loss, judge_loss), list(maker.parameters()), retain_graph=True)
        return list(first), list(torch.autograd.grad(of_judge(maker_loss, judge_loss), list(judge.parameters())))

    return gradients


def own(maker_loss: Tensor, judge_loss: Tensor) -> Tensor:
    return maker_loss


def other(maker_loss: Tensor, judge_loss: Tensor) -> Tensor:
    return judge_loss


def both(maker_loss: Tensor, judge_loss: Tensor) -> Tensor:
    return maker_loss + judge_loss


def half_cut(maker: nn.Module, judge: nn.Module, real: Tensor, z: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """The drawn images are detached in both losses."""
    fake = maker(z).detach()
    (sum(losses(judge(real), judge(fake))).mean()).backward()
    return [w.grad for w in maker.parameters()], [w.grad for w in judge.parameters()]


RIGHT = [
    ("unfair-coin", 1 / (1 + (1 - a) * p / (a * q))),
    ("overlap", d * log(4) / 2),
    ("two-losses", losses),
    ("slope-fine", r1),
    ("own-loss", step(own, other)),
    ("half-a-ring", 0.75 * log(sp.Rational(4, 3))),
    ("half-a-ring", torch.tensor(0.2158)),
]


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_right_answers_in_other_forms(name: str, answer: Any) -> None:
    assert outcome(name, answer).startswith("✓")


WRONG = [
    ("unfair-coin", q / (q + p), "fair coin"),
    ("unfair-coin", (1 - a) * q / ((1 - a) * q + a * p), "exchanged"),
    ("unfair-coin", (1 - a) * p / (a * q + (1 - a) * p), "was drawn"),
    ("unfair-coin", a * q / (a * q + p), "need their share"),
    ("unfair-coin", a * q / (q + p), "each density needs"),
    ("unfair-coin", a * q / ((1 - a) * p), "odds"),
    ("unfair-coin", a, "your answer is off by"),
    ("overlap", log(2), "without any overlap"),
    ("overlap", 2 * d * log(2), "twice the divergence"),
    ("overlap", 2 * d * log(2) - log(4), "value of the game"),
    ("overlap", d * log(2) / 2, "both ends"),
    ("overlap", (1 - d) * log(2), "logarithm of 1"),
    ("overlap", d, "bits"),
    ("overlap", 2 * d, "costs a logarithm"),
    ("two-losses", naive, "rounded to 0 or 1"),
    ("two-losses", lambda real, fake: losses(real, fake)[0], "two tensors"),
    ("two-losses", lambda real, fake: losses(real, fake)[::-1], "discriminator's comes first"),
    ("two-losses", lambda real, fake: losses(-real, -fake), "labels are exchanged"),
    ("two-losses", lambda real, fake: (-losses(real, fake)[0], losses(real, fake)[1]), "sign is wrong"),
    ("two-losses", lambda real, fake: (losses(real, -fake)[0], losses(real, fake)[1]), "low scores of drawn"),
    ("two-losses", lambda real, fake: (F.softplus(fake), F.softplus(-fake)), "real images' part"),
    ("two-losses", lambda real, fake: (F.softplus(-real), F.softplus(-fake)), "drawn images' part"),
    ("two-losses", lambda real, fake: tuple(loss.mean() for loss in losses(real, fake)), "not their mean"),
    ("two-losses", lambda real, fake: (losses(real, fake)[0] / 2, losses(real, fake)[1]), "average of the two parts"),
    ("two-losses", lambda real, fake: (losses(real, fake)[0], -F.softplus(fake)), "original loss"),
    ("two-losses", lambda real, fake: (losses(real, fake)[0], F.softplus(fake)), "grows with the score"),
    ("two-losses", lambda real, fake: (losses(real, fake)[0], -F.softplus(-fake)), "generator minimises"),
    ("two-losses", lambda real, fake: (losses(real, fake)[0], F.softplus(-real)), "no business"),
    ("slope-fine", lambda judge, x, gamma: 2 * r1(judge, x, gamma), "half of γ"),
    ("slope-fine", lambda judge, x, gamma: gamma / 2 * slope(judge, x).norm(dim=1), "squared"),
    ("slope-fine", lambda judge, x, gamma: gamma / 2 * slope(judge, x).square().mean(1), "their mean"),
    ("slope-fine", lambda judge, x, gamma: gamma / 2 * slope(judge, x).sum(1).square(), "square of the sum"),
    ("slope-fine", lambda judge, x, gamma: gamma / 2 * slope(judge, x, probability=True).square().sum(1), "of the probability"),
    ("slope-fine", lambda judge, x, gamma: r1(judge, x, gamma).sum(), "this is their sum"),
    ("slope-fine", lambda judge, x, gamma: r1(judge, x, gamma).mean(), "this is their mean"),
    ("slope-fine", lambda judge, x, gamma: gamma / 2 * (slope(judge, x) / len(x)).square().sum(1), "differentiate the sum"),
    ("slope-fine", lambda judge, x, gamma: r1(judge, x, 1.0), "γ takes no part"),
    ("slope-fine", lambda judge, x, gamma: gamma / 2 * slope(judge, x, keep=False).square().sum(1), "carry no gradient"),
    ("own-loss", step(both, both), "slope of the sum"),
    ("own-loss", step(both, other), "helps it to tell"),
    ("own-loss", step(other, other), "its own is lost"),
    ("own-loss", step(lambda *loss: -own(*loss), other), "generator's gradient is turned"),
    ("own-loss", step(own, both), "move to please it"),
    ("own-loss", step(own, own), "generator's loss, and its own is lost"),
    ("own-loss", step(own, lambda *loss: -other(*loss)), "discriminator's gradient is turned"),
    ("own-loss", half_cut, "a weight of the generator has got no gradient"),
    ("own-loss", lambda *given: [], "two lists"),
    ("half-a-ring", 0.6931, "largest value"),
    ("half-a-ring", 0.4315, "twice"),
    ("half-a-ring", -0.9548, "value of the game"),
    ("half-a-ring", 0.3466, "half of the largest"),
    ("half-a-ring", 0, "cost something"),
    ("half-a-ring", 0.3113, "bits"),
    ("half-a-ring", 0.2, "too small: two kinds of modes add up"),
    ("half-a-ring", "half", "give one number"),
]


@pytest.mark.parametrize(("name", "answer", "fragment"), WRONG)
def test_wrong_answers_are_told_what_is_wrong(name: str, answer: Any, fragment: str) -> None:
    line = outcome(name, answer)
    assert line.startswith("✗")
    assert fragment in line
