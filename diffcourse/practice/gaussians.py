"""Checks and hints for the exercises of chapter 2, Gaussians.

Every reference value follows from the claims of the chapter or from `diffcourse.diffusion.gaussian`; none is typed in.
"""

import math
from functools import cache
from typing import Any

import sympy as sp
import torch
from sympy import Expr, Rational
from torch import Tensor

from diffcourse.algebra import CLAIMS
from diffcourse.algebra.gaussians import mus, sigmas
from diffcourse.diffusion import gaussian
from diffcourse.practice.check import Exercise, Mistake, call, compare, one_number, wrong_number
from diffcourse.practice.expression import Domain, judge

# By hand

Y, V, M, S, MU = sp.symbols("y v m s mu", positive=True)
Reference = tuple[Expr, dict[str, Expr]]
"""The truth, and known wrong answers under the sentences that name the mistake."""


def domain(*symbols: sp.Symbol) -> Domain:
    """Three points with different values, for symbols that SymPy may take for positive."""
    rows = [[Rational(3, 4), Rational(2, 5), Rational(7, 3)], [Rational(1, 3), Rational(5, 2), Rational(1, 7)], [Rational(6, 5), 3, Rational(1, 2)]]
    return Domain(tuple(dict(zip(symbols, row)) for row in rows), {symbol: symbol for symbol in symbols})


def formula(label: str, **values: Expr) -> Expr:
    """The right side of a claim with numbers for mu_1, mu_2, sigma_1, sigma_2."""
    places = {"mu_1": mus[1], "mu_2": mus[2], "sigma_1": sigmas[1], "sigma_2": sigmas[2]}
    return sp.simplify(CLAIMS[label].statement()[0].rhs.xreplace({places[name]: sp.sympify(value) for name, value in values.items()}))


@cache
def shrinkage_reference() -> Reference:
    def combined(prior: Expr, reading: Expr) -> Expr:
        return formula("eq-weights", mu_1=0, mu_2=Y, sigma_1=prior, sigma_2=reading)

    truth = combined(sp.Integer(1), sp.sqrt(V))
    suspects = {
        "this is the reading alone; what you knew before it counts as well": Y,
        "this is the plain average of what you knew and what you read; the two are not equally sure": Y / 2,
        "the weights are exchanged: a reading with a large variance should count little": V * truth,
        "v is the variance of the error already; here it has been squared": combined(sp.Integer(1), V),
        "standard deviations have been added; precisions add up": Y / (1 + sp.sqrt(V)),
        "this is the weight of y; multiply it by what it weighs": truth / Y,
        "this is the variance that is left, not the mean": V * truth / Y,
    }
    return truth, suspects


def shrinkage(answer: Any) -> str:
    how = judge(answer, *shrinkage_reference(), domain(Y, V))
    return f"the reading, pulled towards zero, the more so the noisier it is ({how})"


@cache
def both_ways_reference() -> Reference:
    there = formula("eq-kl-univariate", mu_1=0, sigma_1=1, mu_2=M, sigma_2=sp.sqrt(V))
    back = formula("eq-kl-univariate", mu_1=M, sigma_1=sp.sqrt(V), mu_2=0, sigma_2=1)
    truth = sp.expand(sp.expand_log(there + back, force=True))
    suspects = {
        "this is the divergence in one direction; the other one is still to be added": there,
        "this is the divergence of the wide from the standard one alone; the other direction is still to be added": back,
        "the difference has been taken; ask for the sum": there - back,
        "this is the average of the two; ask for the sum": truth / 2,
        "twice one direction: the two are not the same": 2 * there,
        "twice one direction, the other one this time: the two are not the same": 2 * back,
        "the halves at the end have been lost: for m = 0 and v = 1 both densities agree and the sum must be zero": truth + 1,
        "the logarithms do not add up: one is the other with the sign turned": truth + sp.log(V),
    }
    return truth, suspects


def both_ways(answer: Any) -> str:
    how = judge(answer, *both_ways_reference(), domain(M, V))
    return f"both directions together, and no logarithm is left ({how})"


@cache
def wrong_centre_reference() -> Reference:
    # -log N(x; mu, v), averaged over numbers with mean m and variance s: only the square depends on where they come from.
    square = formula("eq-second-moment", mu_1=M, mu_2=MU, sigma_1=sp.sqrt(S))
    (truth,) = sp.solve(sp.diff(sp.log(V) / 2 + square / (2 * V), V), V)
    suspects = {
        "this is the best variance with the right centre; around a wrong centre the numbers lie farther out": S,
        "the distance of the centres enters squared": S + M - MU,
        "the sign is wrong: a wrong centre makes the spread around it larger": S - (M - MU) ** 2,
        "this is the best standard deviation; ask for the variance": sp.sqrt(truth),
        "this is the distance of the centres alone; the numbers scatter as well": (M - MU) ** 2,
        "s is the variance already": S**2 + (M - MU) ** 2,
        "half of it: did the factor 1/2 of the logarithm get lost?": truth / 2,
        "twice as much: did the factor 1/2 of the square get lost?": 2 * truth,
    }
    return truth, suspects


def wrong_centre(answer: Any) -> str:
    how = judge(answer, *wrong_centre_reference(), domain(S, M, MU))
    return f"the mean squared distance from mu, whatever the numbers' law ({how})"


# In code


def log_normal(function: Any) -> str:
    for mean, variance in ((0.0, 1.0), (0.7, 0.3)):
        y = torch.tensor([0.05, 0.4, 1.0, 2.5, 9.0], dtype=torch.float64)
        log_q = gaussian.log_density(y.log(), mean, variance)
        suspects = {
            "the slope of the exponential is missing: this is log q at log y, and the area under its exponential is not one": log_q,
            "the slope has the wrong sign: where the exponential stretches, the density falls": log_q + y.log(),
            "this is the density; ask for its logarithm": (log_q - y.log()).exp(),
            "this is the Gaussian's density at y itself; which x does y come from?": gaussian.log_density(y, mean, variance),
            "this is log q at exp(y): the map has been taken in the wrong direction": gaussian.log_density(y.exp(), mean, variance) - y,
            "the logarithm of the density is divided by the slope; divide first, then take the logarithm": log_q / y,
            "the variance has been used as a standard deviation": gaussian.log_density(y.log(), mean, variance**2) - y.log(),
        }
        if variance == 1.0:
            suspects.pop("the variance has been used as a standard deviation")
        where = f"for mean {mean} and variance {variance},"
        compare(call(function, y, mean, variance), log_q - y.log(), where, suspects, rtol=1e-6, atol=1e-7)
    return "the density of exp(x), for every mean and variance"


def combine(function: Any) -> str:
    generator = torch.Generator().manual_seed(5)
    for shape in ((2,), (7,), (4, 3)):
        means = 10 * torch.randn(shape, generator=generator, dtype=torch.float64)
        variances = 0.2 + torch.rand(shape, generator=generator, dtype=torch.float64)
        expected = gaussian.Gaussian(means[0], variances[0])
        for mean, variance in zip(means[1:], variances[1:]):
            expected, _ = gaussian.product(*expected, mean, variance)
        got = call(function, means, variances)
        where = f"for readings of shape {list(shape)},"
        if not isinstance(got, (tuple, list)) or len(got) != 2:
            raise Mistake(f"{where} return two tensors: the mean and the variance")

        def weighted(weight: Tensor) -> Tensor:
            return (weight * means).sum(0) / weight.sum(0)

        spreads = {
            "variances do not add up here: more readings should leave you surer, not less sure": variances.sum(0),
            "this is the precision; the variance is one over it": 1 / expected.variance,
            "this is the average variance; several readings together are better than the average one": variances.mean(0),
            "this is the average variance over the number of readings: right only if all are equally good": variances.mean(0) / len(means),
            "this is the standard deviation": expected.variance.sqrt(),
            "this is how far the readings lie apart; the formula asks only for their own variances": means.var(0),
            "the axis is wrong: the readings lie along the first": 1 / (1 / variances).sum(-1),
        }
        centres = {
            "the mean is the plain average: the better readings should count more": means.mean(0),
            "the weights of the mean are the variances: the worst reading counts most": weighted(variances),
            "the weights of the mean are one over the standard deviations": weighted(variances.rsqrt()),
            "the weighted sum has not been divided by the sum of the weights": (means / variances).sum(0),
            "the axis is wrong: the readings lie along the first": (means / variances).sum(-1) / (1 / variances).sum(-1),
        }
        compare(got[1], expected.variance, f"{where} the variance:", spreads, rtol=1e-9, atol=1e-12)
        compare(got[0], expected.mean, f"{where} the mean:", centres, rtol=1e-9, atol=1e-9)
    return "any number of readings at once; one after the other would give the same"


def kl_images(function: Any) -> str:
    generator = torch.Generator().manual_seed(6)
    for shape in ((3, 2, 4, 4), (1, 3, 2, 5)):
        mean, log_variance = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
        each = gaussian.kl_gaussians(mean, log_variance.exp(), 0.0, 1.0)
        other = gaussian.kl_gaussians(0.0, 1.0, mean, log_variance.exp())

        def total(parts: Tensor) -> Tensor:
            return parts.flatten(1).sum(1)

        suspects = {
            "this is the mean over the components; divergences of independent components add up": each.flatten(1).mean(1),
            "this is one number for the whole batch; keep the images apart": each.sum(),
            "this is the mean over the batch; keep the images apart": total(each).mean(),
            "the sign is turned: this is what is added to the bound, and it is never positive": -total(each),
            "the factor 1/2 is missing": 2 * total(each),
            "this is the divergence in the other direction": total(other),
            "the logarithm of the variance has been taken for that of the standard deviation": total(
                gaussian.kl_gaussians(mean, (2 * log_variance).exp(), 0.0, 1.0)
            ),
            "the logarithm of the variance has been used where the variance belongs": total(
                (mean**2 + log_variance - 1 - log_variance) / 2
            ),
            "the 1 is missing: two standard Gaussians should have the divergence zero": total(each + 0.5),
            "only channels or rows have been summed; sum over everything but the batch": each.sum(-1),
        }
        compare(call(function, mean, log_variance), total(each), f"for images of shape {list(shape)},", suspects, rtol=1e-9, atol=1e-9)
    return "one divergence for each image, in nats"


# To think about


def far_out(guess: Any) -> str:
    value = one_number(guess)
    if not 0 <= value < math.inf:
        raise Mistake("a distance is a number that is not negative")
    truth = math.sqrt(64 * 64 * 3)  # every component adds its variance, which is one, to the mean squared distance
    suspects = {
        "that would be at the peak, where the density is largest; but hardly any of the volume lies there": 0.0,
        "that is how far a single component lies out; there are many": 1.0,
        "this is the squared distance": truth**2,
        "this counts the pixels once; each has three colours": 64.0,
    }
    for sentence, wrong in suspects.items():
        if abs(value - wrong) <= 0.02 * max(wrong, 1):
            raise Mistake(sentence)
    if abs(value - truth) <= 0.05 * truth:
        return f"about {truth:.1f}, and nearly all draws lie within two of that"
    look_at = "what does a component add to the squared distance, and how many components are there?"
    raise wrong_number(value, truth, {}, 0, look_at)


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        "shrinkage",
        shrinkage,
        (
            "Two sources tell you about x: what you knew before, and the reading. Each is a Gaussian density of x.",
            "Multiply the two. The precision of what you knew is 1; what is the precision of the reading?",
            "The mean is the average of the two means, weighted by their precisions. One of the two means is zero.",
        ),
    ),
    Exercise(
        "both-ways",
        both_ways,
        (
            "Write the closed form down twice, once for each direction, and look at the two logarithms.",
            "The logarithms cancel, and the two halves at the end add up to one.",
            "What remains are two fractions: the one over 2v contains 1 + m², the other one, over 2, contains v + m².",
        ),
    ),
    Exercise(
        "wrong-centre",
        wrong_centre,
        (
            "Only one term of the divergence depends on v through the model: minus the mean of log N(x; mu, v).",
            "That mean needs the average of (x - mu)². Split x - mu into x - m and m - mu; the mixed term vanishes.",
            "You have log(v)/2 plus a constant over 2v. Set its slope in v to zero.",
        ),
    ),
    Exercise(
        "log-normal",
        log_normal,
        (
            "Which x does a given y come from? Evaluate the Gaussian there.",
            "Then divide by the slope of the map at that x. What is the slope of the exponential, in terms of y?",
            "In logarithms a division is a subtraction. `gaussian.log_density` gives you the first part.",
        ),
    ),
    Exercise(
        "combine",
        combine,
        (
            "What adds up when you multiply densities? Work that out for all readings first.",
            "The precisions `1 / variances` add up along the first axis, `.sum(0)`.",
            "The mean is a sum of precision times mean, divided by the total precision.",
        ),
    ),
    Exercise(
        "kl-images",
        kl_images,
        (
            "The chapter has this very divergence, with a sum over the components. Which symbol there is `log_variance`?",
            "`log_variance.exp()` is the variance. Write down what one component contributes, as a tensor of the images' shape.",
            "`.flatten(1).sum(1)` sums over everything but the batch.",
        ),
    ),
    Exercise(
        "far-out",
        far_out,
        (
            "Do not think of the distance, think of its square: it is a sum over the components.",
            "Each component contributes the square of a standard Gaussian number. What is that on average?",
        ),
    ),
)
"""The exercises of chapter 2 in the order of the sheet."""
