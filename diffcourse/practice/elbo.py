"""Checks and hints for the exercises of chapter 9, the variational bound.

Every reference value follows from the claims of the chapter or from `diffcourse.diffusion`; none is typed in.
"""

import math
from functools import cache
from typing import Any

import sympy as sp
import torch
from sympy import Expr, Rational, Symbol
from torch import Tensor

from diffcourse.algebra import CLAIMS
from diffcourse.algebra.elbo import SPREAD_P, SPREAD_Q, divergence
from diffcourse.algebra.forward_process import bar, beta, t
from diffcourse.algebra.notation import family, function, symbol
from diffcourse.algebra.proving import only
from diffcourse.diffusion import bound
from diffcourse.diffusion.schedule import Schedule, cosine, linear
from diffcourse.practice.check import Exercise, Mistake, call, compare, one_number, wrong_number
from diffcourse.practice.expression import Domain, judge

Reference = tuple[Expr, dict[str, Expr]]
"""The truth, and known wrong answers under the sentences that name the mistake."""

# By hand

RATIO, P, R = symbol("r"), Symbol("p", positive=True), Symbol("q", positive=True)
ONE_RATIO = Domain(tuple({RATIO: value} for value in (Rational(1, 3), Rational(3, 2), Rational(4))), {RATIO: P})


@cache
def wrong_variance_reference() -> Reference:
    formula = only(CLAIMS["eq-term-b"].statement()).rhs
    target = function(r"\tilde\mu")(*[*formula.atoms(function(r"\tilde\mu"))][0].args)
    (guess,) = formula.atoms(function(r"\mu_\theta"))
    sigma, tilde = family(r"\sigma")[t], family(r"\tilde\beta")[t]
    truth = sp.simplify(formula.subs({target: 0, guess: 0}).subs(sigma, sp.sqrt(RATIO * tilde)))
    swapped = sp.simplify(divergence(0, SPREAD_P, 0, SPREAD_Q).subs({SPREAD_P: RATIO, SPREAD_Q: 1}))
    suspects = {
        "this is the divergence the other way round: the average runs over the posterior, not over the model": swapped,
        "the half is missing": 2 * truth,
        "a divergence of equal densities is zero; put r = 1 into yours": truth + Rational(1, 2),
        "the ratio in the logarithm is upside down": truth - sp.log(RATIO),
        "r is the ratio of the variances, not of the standard deviations": truth.subs(RATIO, RATIO**2),
        "only the logarithm is left of it; what does the wrong variance do to the squared distance?": sp.log(RATIO) / 2,
    }
    return truth, suspects


def wrong_variance(answer: Any) -> str:
    how = judge(answer, *wrong_variance_reference(), ONE_RATIO)
    return f"what a wrong variance costs even if the means agree, for every r ({how})"


BAR_1, BAR_T = sp.symbols("alpha_bar_1 alpha_bar_T", positive=True)
BARS = ((Rational(9, 10), Rational(1, 3)), (Rational(99, 100), Rational(1, 100)), (Rational(1, 2), Rational(1, 5)))
TWO_BARS = Domain(tuple({BAR_1: a, BAR_T: b} for a, b in BARS), {BAR_1: 1 / (1 + P), BAR_T: 1 / (1 + P + R)})


@cache
def unit_sum_reference() -> Reference:
    term = only(CLAIMS["eq-exact-b"].statement()).rhs
    variances = {family("V")[t]: 1, family("V")[t - 1]: 1, family(r"\sigma")[t]: sp.sqrt(beta[t])}
    tilde = only(CLAIMS["eq-beta-tilde"].statement()).rhs
    term = sp.simplify(term.subs(variances).subs(family(r"\tilde\beta")[t], tilde))
    # The summand is F(t) - F(t - 1) for this F, so that the sum from 2 to T is F(T) - F(1).
    potential = sp.log(1 - bar[t]) / 2
    assert sp.simplify(sp.exp(2 * term) - (1 - bar[t]) / (1 - bar[t - 1])) == 0
    first, last = potential.subs(bar[t], BAR_1), potential.subs(bar[t], BAR_T)
    suspects = {
        "the sum begins at t = 2: what is left of the telescope at its lower end?": last,
        "the telescope's ends are exchanged: a divergence is not negative": first - last,
        "the half is missing": 2 * (last - first),
        "the terms contain the variances 1 - ᾱ, not ᾱ itself": sp.log(BAR_1 / BAR_T) / 2,
    }
    return last - first, suspects


def unit_sum(answer: Any) -> str:
    how = judge(answer, *unit_sum_reference(), TWO_BARS)
    return f"all denoising terms together, for every schedule and every T ({how})"


# In code


def prior_term(function: Any) -> str:
    for schedule, shape in ((linear(100), (5, 1, 4, 4)), (cosine(50), (3, 2, 2, 3))):
        x0 = torch.rand(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * 2 - 1
        expected = bound.prior_term(schedule, x0)
        bar_T = schedule.alpha_bar(schedule.T)
        squares, pixels = x0.square().flatten(1).sum(1), x0[0].numel()

        def nats(square: float, constant: Tensor) -> Tensor:
            return (square * squares + pixels * constant) / 2

        constant = -bar_T - (1 - bar_T).log()
        backwards = ((bar_T * squares + pixels) / (1 - bar_T) - pixels + pixels * (1 - bar_T).log()) / 2
        suspects = {
            "this is the mean over the pixels; independent components add up": expected / pixels,
            "this is one number for the whole batch; each image has its own": expected.sum().reshape(()),
            "this is the mean over the batch; each image has its own": expected.mean().reshape(()),
            "the half is missing": 2 * expected,
            "the sign of the logarithm: a divergence cannot be negative": nats(bar_T, -bar_T + (1 - bar_T).log()),
            "the divergence the wrong way round": backwards,
            "only the squares are summed over the pixels; each pixel has the other two parts as well": (bar_T * squares + constant) / 2,
            "a root is missing or one too many: the mean is sqrt(ᾱ) x_0, and its square counts": nats(bar_T.sqrt(), constant),
            "this is α_T of the last step; ᾱ_T gathers them all": (
                schedule.alpha(schedule.T) * squares - pixels * (schedule.alpha(schedule.T) + (1 - schedule.alpha(schedule.T)).log())
            ) / 2,
        }
        compare(call(function, schedule, x0), expected, f"for x_0 of shape {list(shape)}", suspects, rtol=1e-8, atol=1e-12)
    return "A in nats, one number for each image, whatever its shape"


def grey_levels(function: Any) -> str:
    levels = 2 * torch.arange(256, dtype=torch.float64) / 255 - 1
    for mean, std in ((0.1, 0.05), (-1.2, 0.3), (0.999, 0.01)):
        centre, variance = (torch.tensor(value, dtype=torch.float64) for value in (mean, std**2))
        expected = bound.grey_level_log_prob(levels, centre, variance).exp()
        normal = torch.distributions.Normal(centre, variance.sqrt())
        wide = normal.cdf(levels + 1 / 255) - normal.cdf(levels - 1 / 255)
        wrong_gaps = torch.linspace(-1 - 1 / 256, 1 + 1 / 256, 257, dtype=torch.float64)
        by_variance = torch.distributions.Normal(centre, variance)
        cut = torch.cat([torch.tensor([-math.inf]).double(), (levels[1:] + levels[:-1]) / 2, torch.tensor([math.inf]).double()])
        if isinstance(got := call(function, mean, std), Tensor) and got.shape == expected.shape and (got <= 0).all():
            raise Mistake("these are logarithms, or negative; return the probabilities")
        suspects = {
            "the tails are cut off: what lies below the lowest and above the highest level belongs to them": wide,
            "this is a density times a width: nearly right inside, but the tails are missing": normal.log_prob(levels).exp() * 2 / 255,
            "this is the density; a probability is an area": normal.log_prob(levels).exp(),
            "256 levels have 255 gaps between them": normal.cdf(wrong_gaps).diff(),
            "std is the standard deviation; your Gaussian takes it for something else": by_variance.cdf(cut).diff(),
            "these add up from below; a piece is the difference of two neighbours": normal.cdf(cut[1:]),
            "the sum has been made one by dividing; the outermost levels should get the tails instead": wide / wide.sum(),
        }
        compare(got, expected, f"for mean {mean} and std {std}", suspects, rtol=1e-6, atol=1e-12)
    return "256 probabilities that sum to one, with the mean inside, outside and at the edge"


def bits(function: Any) -> str:
    generator = torch.Generator().manual_seed(5)
    for shape, steps in (((4, 3, 8, 8), 20), ((2, 1, 5, 3), 1)):
        x0 = torch.rand(shape, generator=generator, dtype=torch.float64)
        prior, reconstruction = torch.rand(2, shape[0], generator=generator, dtype=torch.float64) * 50
        denoising = torch.rand(shape[0], steps - 1, generator=generator, dtype=torch.float64) * 10
        terms = bound.Bound(prior, denoising, reconstruction)
        expected = bound.bits_per_dim(terms.total, x0)
        pixels = x0[0].numel()
        suspects = {
            "these are nats; a bit is log 2 nats": terms.total / pixels,
            "multiplied by log 2, where one must divide": terms.total / pixels * math.log(2),
            "not divided by the number of components": terms.total / math.log(2),
            "divided by the number of components of the whole batch": terms.total / x0.numel() / math.log(2),
            "the colours are components as well": terms.total / (shape[2] * shape[3]) / math.log(2),
            "the B_t are averaged over t; the bound is their sum": (prior + denoising.mean(1) + reconstruction) / pixels / math.log(2),
            "the prior's term is missing": (denoising.sum(1) + reconstruction) / pixels / math.log(2),
            "the reconstruction is missing": (prior + denoising.sum(1)) / pixels / math.log(2),
            "this is one number for the whole batch; each image has its own": expected.mean(),
        }
        got = call(function, prior, denoising, reconstruction, x0)
        compare(got, expected, f"for x_0 of shape {list(shape)} and T = {steps}", suspects, rtol=1e-8, atol=0)
    return "bits for each component of each image, colours included, for T = 1 as well"


# To think about


def _nats(schedule: Schedule, last: int) -> float:
    """B_2 + .. + B_last for data of variance one and sigma_t^2 = beta_t, by the formula of exercise 2."""
    truth, _ = unit_sum_reference()
    return float(truth.subs({BAR_1: float(schedule.alpha_bar(1)), BAR_T: float(schedule.alpha_bar(last))}))


def first_steps(guess: Any) -> str:
    value = one_number(guess, "one number between 0 and 1")
    if not 0 <= value <= 1:
        raise Mistake("a share lies between 0 and 1")
    schedule = linear(1000)
    truth = _nats(schedule, 100) / _nats(schedule, 1000)
    if abs(value - truth) <= 0.02:
        return f"a tenth of the steps carries {truth:.2f} of all nats"
    suspects = {
        "this is the share of the steps; are the nats spread evenly?": 0.1,
        "this is the share of the other 900 steps": 1 - truth,
        "this is 1 - ᾱ at step 100, the share of the noise": float(1 - schedule.alpha_bar(100)),
    }
    look_at = "what does a step add to the noise before it, at small t and at large t?"
    raise wrong_number(value, truth, suspects, 0.01, look_at, by=True)


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        "wrong-variance",
        wrong_variance,
        (
            "The chapter gives the divergence of two Gaussians with different variances. The means agree, so one part of it is gone.",
            "Put r times the posterior's variance where the model's variance stands. The posterior's variance cancels everywhere.",
            "Three parts remain: a logarithm of r, one over r, and a number. Test with r = 1.",
        ),
    ),
    Exercise(
        "unit-sum",
        unit_sum,
        (
            "With data of variance one, every x_t has variance one. What becomes of the fraction in the closed form of B_t?",
            "Only the logarithm of β over the posterior's variance is left. Write the posterior's variance out, and β cancels.",
            "What is left is a ratio of the same thing at t and at t - 1, in a logarithm: the sum telescopes. Mind where it begins.",
        ),
    ),
    Exercise(
        "prior-term",
        prior_term,
        (
            "Only the last step counts here: one number of the schedule is all that you need.",
            "The formula of the chapter holds for one pixel. Work it out for all pixels at once, and add up over all axes but the first.",
            "`flatten(1)` leaves the images apart and puts all pixels of one image side by side.",
        ),
    ),
    Exercise(
        "grey-levels",
        grey_levels,
        (
            "You need 257 cuts for 256 pieces. The inner 255 lie half way between neighbouring levels.",
            "The first cut is minus infinity, the last one infinity: `math.inf` is a number that a distribution function understands.",
            "`torch.distributions.Normal(mean, std).cdf` takes all cuts at once, and `.diff()` subtracts neighbours.",
        ),
    ),
    Exercise(
        "bits",
        bits,
        (
            "Which of the three terms has an axis for t? Along it you must add up, not average.",
            "The number of components of one image is what `x0[0].numel()` says.",
            "A probability of one half is one bit, and log 2 nats.",
        ),
    ),
    Exercise(
        "first-steps",
        first_steps,
        (
            "Exercise 2 holds for every T, so it also gives the sum of the first hundred terms.",
            "You need ᾱ at three steps: 1, 100 and 1000. The schedule looks them up, by `alpha_bar`.",
        ),
    ),
)
