"""Checks and hints for the exercises of chapter 5, generative adversarial networks.

Every reference value follows from the claims of the chapter or from `diffcourse.families.gan`; none is typed in.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any

import sympy as sp
import torch
import torch.nn.functional as F
from sympy import Expr, Rational
from torch import Tensor, nn

from diffcourse.algebra import CLAIMS
from diffcourse.algebra.gan import P, Q, js_integrand, p_theta, q, x
from diffcourse.families import gan
from diffcourse.practice.check import Exercise, Mistake, call, compare, one_number, wrong_number
from diffcourse.practice.expression import Domain, between_0_and_1, judge

Reference = tuple[Expr, dict[str, Expr]]
"""The truth, and known wrong answers under the sentences that name the mistake."""

REAL, DRAWN, A, R = sp.symbols("q p a r", positive=True)
POINTS = ((Rational(3, 2), Rational(1, 4), Rational(1, 5)), (Rational(1, 3), Rational(2), Rational(2, 3)), (Rational(1), Rational(5, 7), Rational(9, 10)))
SHARES = Domain(tuple(dict(zip((REAL, DRAWN, A), point)) for point in POINTS), {REAL: REAL, DRAWN: DRAWN, A: 1 / (1 + R)})
SHIFT = between_0_and_1("d", Rational(1, 2), Rational(1, 5), Rational(6, 7))


# By hand


@cache
def unfair_coin_reference() -> Reference:
    fair = CLAIMS["eq-gan-best"].statement()[0].rhs

    def best(real: Expr, drawn: Expr) -> Expr:
        return sp.simplify(fair.subs({q(x): real, p_theta(x): drawn}))

    truth = best(A * REAL, (1 - A) * DRAWN)
    suspects = {
        "this is the answer for a fair coin; here the real images are a share of a": best(REAL, DRAWN),
        "the shares are exchanged: a of the images are real": best((1 - A) * REAL, A * DRAWN),
        "this is the probability that the image was drawn": 1 - truth,
        "below the line the drawn images need their share as well": best(A * REAL, DRAWN),
        "below the line each density needs its share": A * best(REAL, DRAWN),
        "these are the odds, real against drawn; ask for the probability": A * REAL / ((1 - A) * DRAWN),
    }
    return truth, suspects


def unfair_coin(answer: Any) -> str:
    how = judge(answer, *unfair_coin_reference(), SHARES)
    return f"the share of the real ones among all images that look like x ({how})"


@cache
def overlap_reference() -> Reference:
    d = next(iter(SHIFT.positive))
    here = js_integrand(Q, P)
    alone = sp.limit(here.subs(Q, 1), P, 0)  # where only one of the two densities is
    truth = sp.simplify(2 * d * alone + (1 - d) * here.subs({Q: 1, P: 1}))
    suspects = {
        "this is what it is without any overlap; here they share a stretch of length 1 - d": sp.log(2),
        "this is twice the divergence, as it stands in the value of the game": 2 * truth,
        "this is the value of the game against the best discriminator, not the divergence": 2 * truth - sp.log(4),
        "the stretches at both ends count, where only one of the densities is": truth / 2,
        "where both densities are the mixture is one as well, and the logarithm of 1 is zero": truth.subs(d, 1 - d),
        "logarithms are natural: this is in bits": d,
        "this is how much does not overlap; each piece of it costs a logarithm": 2 * d,
    }
    return truth, suspects


def overlap(answer: Any) -> str:
    how = judge(answer, *overlap_reference(), SHIFT)
    return f"a straight line up to d = 1, and flat from there on ({how})"


# In code


def two_losses(function: Any) -> str:
    generator = torch.Generator().manual_seed(3)
    for size, where in ((2.0, "for ordinary scores"), (300.0, "for scores as large as 300")):
        real, fake = size * torch.randn(2, 6, generator=generator)
        got = call(function, real, fake)
        if not isinstance(got, tuple | list) or len(got) != 2:
            raise Mistake("return two tensors: the discriminator's losses and the generator's")
        if size > 100 and all(isinstance(part, Tensor) for part in got) and not all(part.isfinite().all() for part in got):
            raise Mistake(f"{where} a loss is infinite or NaN: the sigmoid has been rounded to 0 or 1 before its logarithm was taken")
        judge_loss, maker_loss = gan.discriminator_loss(real, fake), gan.generator_loss(fake)
        suspects = {
            "the two losses are exchanged: the discriminator's comes first": maker_loss,
            "the labels are exchanged: a real image with a high score should cost little": gan.discriminator_loss(-real, -fake),
            "the sign is wrong: this is what the discriminator earns, and it should be small where the discriminator is right": -judge_loss,
            "this charges the discriminator for low scores of drawn images too": F.softplus(-real) + F.softplus(-fake),
            "the real images' part is missing": F.softplus(fake),
            "the drawn images' part is missing": F.softplus(-real),
            "give one loss for each image, not their mean": judge_loss.mean(),
            "this is an average of the two parts; the value of the game adds them up": judge_loss / 2,
        }
        compare(got[0], judge_loss, f"{where}, first output:", suspects)
        suspects = {
            "this is the original loss; where the discriminator is sure it is flat": gan.generator_loss(fake, "original"),
            "the generator wants a high score, and this grows with the score": F.softplus(fake),
            "the sign is wrong: the generator minimises": -maker_loss,
            "real images are no business of the generator": F.softplus(-real),
            "give one loss for each image, not their mean": maker_loss.mean(),
        }
        compare(got[1], maker_loss, f"{where}, second output:", suspects)
    return "both players' losses, and no score is too large"


def some_judge() -> nn.Module:
    """A discriminator with a curved score, in float64, the same at each call."""
    generator = torch.Generator().manual_seed(8)
    network = nn.Sequential(nn.Conv2d(2, 3, 2), nn.Tanh(), nn.Flatten(), nn.Linear(12, 1), nn.Flatten(0)).double()
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator, dtype=torch.float64))
    return network


def slope_fine(function: Any) -> str:
    network = some_judge()
    images = torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    given = images.clone().requires_grad_()
    score = network(given)
    slope, slope_of_D = (torch.autograd.grad(out.sum(), given, retain_graph=True)[0].flatten(1) for out in (score, score.sigmoid()))
    square = slope.square().sum(1)
    for gamma in (2.0, 0.3):
        truth = gamma / 2 * square
        got = call(function, network, images, gamma)
        suspects = {
            "half of γ counts": gamma * square,
            "the slope enters squared: this is γ/2 times its length": gamma / 2 * square.sqrt(),
            "add up over the components of the slope; this is their mean": gamma / 2 * slope.square().mean(1),
            "this is the square of the sum of the components; the sum of their squares is asked for": gamma / 2 * slope.sum(1).square(),
            "this is the slope of the probability D; the fine is for the slope of the score": gamma / 2 * slope_of_D.square().sum(1),
            "give one penalty for each image; this is their sum": truth.sum(),
            "give one penalty for each image; this is their mean": truth.mean(),
            "this is of the gradient of the mean score, a batch of images too small: differentiate the sum": truth / len(images) ** 2,
            "γ takes no part": square / 2,
        }
        compare(got, truth, f"for gamma = {gamma:g}", suspects, rtol=1e-9, atol=1e-12)
        if not got.requires_grad:
            raise Mistake("the values are right, but nothing can learn from them: they carry no gradient. Keep the graph of the slope")
        weights = list(network.parameters())
        if torch.autograd.grad(got.sum(), weights, allow_unused=True)[0] is None:
            raise Mistake("the values are right, but they do not depend on the discriminator's weights. Keep the graph of the slope")
    return "one fine for each image, and the discriminator can learn to avoid it"


def players() -> tuple[nn.Module, nn.Module, Tensor, Tensor]:
    """A generator, a discriminator, real points and latents, the same at each call."""
    generator = torch.Generator().manual_seed(6)
    maker = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    critic = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1), nn.Flatten(0)).double()
    with torch.no_grad():
        for weight in (*maker.parameters(), *critic.parameters()):
            weight.copy_(torch.randn(weight.shape, generator=generator, dtype=torch.float64))
    real, z = (torch.randn(5, size, generator=generator, dtype=torch.float64) for size in (3, 2))
    return maker, critic, real, z


def flat(gradients: Iterable[Tensor | None]) -> Tensor:
    return torch.cat([gradient.flatten() for gradient in gradients])


def own_loss(function: Any) -> str:
    maker, critic, real, z = players()
    fake = maker(z)
    losses = gan.discriminator_loss(critic(real), critic(fake)).mean(), gan.generator_loss(critic(fake)).mean()
    weights = list(maker.parameters()), list(critic.parameters())
    # of[k][n]: the slope of loss k by the weights of player n, the discriminator's loss first and the generator's weights first
    of = [[flat(torch.autograd.grad(loss, some, retain_graph=True)) for some in weights] for loss in losses]

    got = call(function, *players())
    if not isinstance(got, tuple | list) or len(got) != 2:
        raise Mistake("return two lists: the generator's gradients and the discriminator's")
    vectors = []
    for name, part in zip(("generator", "discriminator"), got):
        part = list(part)
        if any(gradient is None for gradient in part):
            raise Mistake(f"a weight of the {name} has got no gradient: something that it should learn from has been detached")
        vectors.append(flat(part))
    sums = [of[0][n] + of[1][n] for n in (0, 1)]
    if all(torch.allclose(got, wrong) for got, wrong in zip(vectors, sums)):
        raise Mistake("both players get the slope of the sum: the generator helps the discriminator, and the discriminator the generator")
    suspects = {
        "the generator still gets the discriminator's loss as well, and helps it to tell its images apart": sums[0],
        "the generator gets the discriminator's loss, and its own is lost": of[0][0],
        "the generator learns nothing: its own loss needs the drawn images with their graph": torch.zeros_like(of[1][0]),
        "the sign of the generator's gradient is turned round": -of[1][0],
    }
    compare(vectors[0], of[1][0], "the generator's gradients:", suspects, rtol=1e-9, atol=1e-12)
    suspects = {
        "the discriminator's weights still get the generator's loss as well, and move to please it": sums[1],
        "the discriminator gets the generator's loss, and its own is lost": of[1][1],
        "the sign of the discriminator's gradient is turned round": -of[0][1],
    }
    compare(vectors[1], of[0][1], "the discriminator's gradients:", suspects, rtol=1e-9, atol=1e-12)
    return "each player follows the slope of its own loss, and of no other"


def half_a_ring(guess: Any) -> str:
    value = one_number(guess)
    eighth, quarter = Rational(1, 8), Rational(1, 4)
    here = js_integrand(Q, P)
    kept, lost = here.subs({Q: eighth, P: quarter}), sp.limit(here.subs(Q, eighth), P, 0)
    truth = float(4 * kept + 4 * lost)
    if abs(value - truth) < 1e-3:
        return "less than a third of the most that there is, for half of the data lost"
    suspects = {
        "this is the largest value that there is; four modes do overlap": float(sp.log(2)),
        "this is twice the divergence, as it stands in the value of the game": 2 * truth,
        "this is the value of the game against the best discriminator, not the divergence": float(2 * truth - sp.log(4)),
        "half of the data is missing, but half of the largest value is not the answer: on the other half the generator draws too much": float(sp.log(2) / 2),
        "it does cost something: four modes never appear": 0.0,
        "this is in bits; ask for nats": truth / float(sp.log(2)),
        "the modes that are left out cost something, too": float(4 * kept),
        "the generator draws twice as often from the modes that it has, which costs something, too": float(4 * lost),
    }
    look_at = "two kinds of modes add up, those that both have and those that only the data have"
    raise wrong_number(value, truth, suspects, 1e-3, look_at)


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        "unfair-coin",
        unfair_coin,
        (
            "Repeat the argument of the section on the best discriminator. What does the discriminator earn at one point, on average?",
            "A real image comes up a of the time, a drawn one 1 - a of the time. So the two positive numbers at a point are no longer q and p.",
            "For numbers a and b the best y is a over a + b. Which two numbers are they here?",
        ),
    ),
    Exercise(
        "overlap",
        overlap,
        (
            "Draw both densities. There are three stretches: only q, both, only p. How long is each?",
            "What is the mixture on each stretch, and what is the logarithm of a density over it?",
            "Where both are one, the mixture is one and nothing is added. Where one is alone, the mixture is half of it.",
        ),
    ),
    Exercise(
        "two-losses",
        two_losses,
        (
            "The logarithm of the sigmoid of u is minus `softplus` of minus u. And 1 - sigmoid(u) is the sigmoid of -u.",
            "The discriminator's loss has two parts, one for each tensor. What should each score be, high or low?",
            "The generator wants that its images get a high score: the non-saturating loss is large where the score is low.",
        ),
    ),
    Exercise(
        "slope-fine",
        slope_fine,
        (
            "The images must be part of the graph: take a copy with `detach()` and call `requires_grad_()` on it.",
            "The gradient of the sum of all scores by the images holds, for each image, the gradient of its own score.",
            "`torch.autograd.grad` has an option that keeps the graph of the gradient itself, so that it can be differentiated once more.",
        ),
    ),
    Exercise(
        "own-loss",
        own_loss,
        (
            "On which weights does each of the two losses depend? Both on both. Which of these four slopes are wanted?",
            "For the discriminator the drawn images are data. For the generator the discriminator is a fixed function.",
            "`torch.autograd.grad` takes a loss and a list of weights, and touches no others. `retain_graph` lets you call it twice.",
        ),
    ),
    Exercise(
        "half-a-ring",
        half_a_ring,
        (
            "Think of a ring as of a die with eight sides. Which probabilities do the data give to a side, and which the generator?",
            "The mixture gives 3/16 to a side that the generator has, and 1/16 to one that it has not.",
            "Then take the average of the two divergences from the mixture, as sums over eight sides.",
        ),
    ),
)
"""The exercises of chapter 5 in the order of the sheet."""
