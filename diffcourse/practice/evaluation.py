"""Checks and hints for the exercises of chapter 14, evaluation.

Every reference value follows from the claims of the chapter or from `diffcourse.evaluation`; none is typed in.
"""

import math
from functools import cache
from typing import Any

import sympy as sp
import torch
from sympy import Expr, Rational
from torch import Tensor

from diffcourse import evaluation
from diffcourse.algebra import CLAIMS
from diffcourse.algebra.evaluation import mus, sigmas
from diffcourse.practice.check import Exercise, call, compare, one_number, wrong_number
from diffcourse.practice.expression import Domain, judge

Reference = tuple[Expr, dict[str, Expr]]
"""The truth, and known wrong answers under the sentences that name the mistake."""

M = sp.Symbol("m", positive=True)
N_FEW, N_MANY, F_FEW, F_MANY = sp.symbols("n_few n_many F_few F_many", positive=True)
CLASSES = Domain(tuple({M: value} for value in (Rational(1, 2), Rational(2), Rational(7, 2))), {M: M})
COUNTS = Domain(
    tuple(
        {N_FEW: few, N_MANY: many, F_FEW: one, F_MANY: other}
        for few, many, one, other in ((100, 200, Rational(3, 2), Rational(5, 4)), (50, 400, 9, 2), (30, 45, Rational(7, 3), 1))
    ),
    {symbol: symbol for symbol in (N_FEW, N_MANY, F_FEW, F_MANY)},
)


# By hand


@cache
def lost_class_reference() -> Reference:
    (relation,) = CLAIMS["eq-frechet-1d"].statement()

    def distance(mean_real: Expr, variance_real: Expr, mean: Expr, variance: Expr) -> Expr:
        at = {mus[1]: mean_real, sigmas[1]: sp.sqrt(variance_real), mus[2]: mean, sigmas[2]: sp.sqrt(variance)}
        return relation.rhs.subs(at)

    one = sp.Integer(1)
    truth = distance(sp.Integer(0), one + M**2, M, one)
    suspects = {
        "this is the squared distance of the means; what do two classes do to the variance of the real features?": M**2,
        "you compare variances; the distance compares standard deviations": M**2 + M**4,
        "half of the samples moved to the other class; but the measure knows a mean and a variance, nothing else": 2 * M**2,
        "the real features have their mean between the two classes, not in one of them": distance(-M, one + M**2, M, one),
        "the two variances are in the wrong place: they do not add up": M**2 + 2 + M**2,
        "this is the root of it; F is the squared distance": sp.sqrt(truth),
    }
    return truth, suspects


def lost_class(answer: Any) -> str:
    how = judge(answer, *lost_class_reference(), CLASSES)
    return f"the distance does notice a lost class, though it takes the two for one wide bell ({how})"


@cache
def no_limit_reference() -> Reference:
    limit, bias = sp.symbols("limit bias")
    solution = sp.solve([limit + bias / N_FEW - F_FEW, limit + bias / N_MANY - F_MANY], [limit, bias], dict=True)[0]
    truth = sp.factor(solution[limit])
    suspects = {
        "this is the constant over n, not what is left when n is infinite": solution[bias],
        "the weights are exchanged: the larger set says more about the limit": (N_FEW * F_FEW - N_MANY * F_MANY) / (N_MANY - N_FEW),
        "each distance has the other's number": (N_MANY * F_FEW - N_FEW * F_MANY) / (N_MANY - N_FEW),
        "an average lies between the two distances; the limit lies below both": (N_FEW * F_FEW + N_MANY * F_MANY) / (N_FEW + N_MANY),
        "this holds where one set is twice as large as the other": 2 * F_MANY - F_FEW,
        "this is only how much the distance has fallen": F_FEW - F_MANY,
    }
    return truth, suspects


def no_limit(answer: Any) -> str:
    how = judge(answer, *no_limit_reference(), COUNTS)
    return f"a straight line through two points, read off where 1/n is zero ({how})"


# In code


def as_tensor(value: Any) -> Any:
    """A plain number as a tensor; everything else as it is."""
    return torch.tensor(float(value), dtype=torch.float64) if type(value) in (int, float) else value


def clouds(seed: int, n: int = 60, size: int = 4) -> Tensor:
    """Correlated features, [n, size]."""
    generator = torch.Generator().manual_seed(seed)
    mix, points, shift = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((size, size), (n, size), (size,)))
    return points @ mix + shift


def frechet(function: Any) -> str:
    for seed in (1, 2):
        samples, real = clouds(seed), clouds(seed + 10, n=80)
        (mean_1, cov_1, n_1), (mean_2, cov_2, n_2) = evaluation.fit_gaussian(samples), evaluation.fit_gaussian(real)
        apart, total = (mean_1 - mean_2).square().sum(), (cov_1 + cov_2).trace()
        squared = evaluation.frechet_distance(evaluation.fit_gaussian(samples), evaluation.fit_gaussian(real))
        expected = torch.tensor(squared, dtype=torch.float64)
        root = (apart + total - expected) / 2
        by_entries = (cov_1 @ cov_2).abs().sqrt().trace()
        each = (cov_1.diagonal() * cov_2.diagonal()).sqrt().sum()
        scale_1, scale_2 = (n_1 - 1) / n_1, (n_2 - 1) / n_2
        suspects = {
            "`sqrt` takes the root of every entry; the root of the matrix is meant": apart + total - 2 * by_entries,
            "neither is repaired, the root of every entry nor the distance of the means": apart.sqrt() + total - 2 * by_entries,
            "the distance of the means is to be squared": apart.sqrt() + total - 2 * root,
            "the root counts twice": apart + total - root,
            "only the diagonals take part; the features are correlated": apart + total - 2 * each,
            "the covariances are divided by n; divide by n - 1, as `torch.cov` does": apart
            + scale_1 * cov_1.trace() + scale_2 * cov_2.trace() - 2 * (scale_1 * scale_2) ** 0.5 * root,
            "the means do not take part": expected - apart,
            "this is the root of it; the squared distance is meant": expected.sqrt(),
        }
        got = as_tensor(call(function, samples, real))
        compare(got, expected, f"for {n_1} and {n_2} rows of features", suspects, rtol=1e-6, atol=1e-8)
    return "zero for a set and itself, and right for correlated features"


def bits(function: Any) -> str:
    generator = torch.Generator().manual_seed(3)
    for shape in ((5, 1, 8, 8), (4, 3, 6, 5)):
        images = torch.rand(shape, generator=generator, dtype=torch.float64) * 2 - 1
        nats = 300 * torch.rand(len(images), generator=generator, dtype=torch.float64) - 100
        d, unit = images[0].numel(), math.log2(127.5)
        rate = nats / (d * math.log(2))
        suspects = {
            "this is for values from -1 to 1; a level is not one wide there": rate,
            "the unit goes in the wrong direction: in steps of one level the density is smaller, and the bits are more": rate - unit,
            "these are nats; a bit is log 2 of them": nats / d + math.log(127.5),
            "you multiply by log 2; a nat is more than a bit": nats * math.log(2) / d + unit,
            "you divide by the size of the whole batch": nats / (images.numel() * math.log(2)) + unit,
            "the channels are components as well": nats / (images[0, 0].numel() * math.log(2)) + unit,
            "from -1 to 1 there are 255 steps on a length of two": rate + math.log2(255),
            "from -1 to 1 there are 255 steps on a length of two, not 256": rate + 7.0,
            "the width of a level counts once for each component, and you divide it by their number once more": rate + unit / d,
        }
        compare(call(function, nats, images), rate + unit, f"for images of shape {list(shape[1:])}", suspects, rtol=1e-7, atol=1e-9)
    return "bits of whole grey levels, whatever the images' shape"


def precision(function: Any) -> str:
    generator = torch.Generator().manual_seed(4)
    real = torch.randn(40, 2, generator=generator, dtype=torch.float64)
    samples = 2.2 * torch.randn(70, 2, generator=generator, dtype=torch.float64)
    for k in (2, 4):
        found = evaluation.precision_recall(samples, real, k)
        distance = torch.cdist(samples, real)
        own = torch.cdist(real, real).sort(dim=1).values
        nearest = distance.min(dim=1)
        share = {name: value.double().mean() for name, value in (
            ("itself", (distance <= own[:, k - 1]).any(1)),
            ("nearest", nearest.values <= own[nearest.indices, k]),
            ("all", (distance <= own[:, k]).all(1)),
            ("mean", nearest.values <= own[:, k].mean()),
        )}
        suspects = {
            "the nearest to a real point is itself, at distance zero; it is not one of the k": share["itself"],
            "this is recall: the balls belong to the real points": torch.tensor(found.recall, dtype=torch.float64),
            "you look at the nearest real point only; a farther one may have a larger ball": share["nearest"],
            "one ball is enough; you ask for all of them": share["all"],
            "every ball has a radius of its own": share["mean"],
            "this counts the samples; give their share": torch.tensor(found.precision * len(samples), dtype=torch.float64),
        }
        expected = torch.tensor(found.precision, dtype=torch.float64)
        compare(as_tensor(call(function, samples, real, k)), expected, f"for k = {k}", suspects, rtol=1e-5, atol=1e-6)
    return "the share of samples that lie where real points are"


# To think about


@cache
def lucky_reference(checkpoints: int = 20, mean: float = 1.0, deviation: float = 0.2) -> float:
    """The expected smallest of many Gaussian numbers, by integrating over a grid."""
    grid = torch.linspace(-8, 8, 16_001, dtype=torch.float64)
    chance_above = torch.special.ndtr(-grid) ** checkpoints  # that the smallest lies above
    density = -torch.gradient(chance_above, spacing=(grid,))[0]
    smallest = (grid * density).sum() * (grid[1] - grid[0])
    return mean + deviation * smallest.item()


def lucky(guess: Any) -> str:
    value = one_number(guess)
    truth = lucky_reference()
    if abs(value - truth) <= 0.03:
        return f"on average the smallest of twenty is {truth:.2f}, and no model has become any better"
    suspects = {
        "this is what each of them has on average; you report the smallest": 1.0,
        "one standard deviation below; among twenty there is usually one that is lower": 0.8,
        "averaging twenty would bring you near the mean; choosing the smallest does not": 1.0 - 0.2 / 20**0.5,
    }
    look_at = "draw twenty such measurements a thousand times over, and average the smallest"
    raise wrong_number(value, truth, suspects, 0.01, look_at)


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        "lost-class",
        lost_class,
        (
            "Fit a Gaussian to the real features first. What are mean and variance of a number that is near -m or near m, "
            "with equal chance?",
            "The mean is zero. The variance is that within a class plus the squared distance of the classes from the mean.",
            "The model's features have the mean m and the variance 1. Put both pairs into the formula for one dimension; "
            "it has standard deviations in it.",
        ),
    ),
    Exercise(
        "no-limit",
        no_limit,
        (
            "Two equations, two unknowns: the limit and the constant over n.",
            "Multiply each equation by its number of samples. The constant then stands alone in both.",
            "Subtract, and divide by what multiplies the limit.",
        ),
    ),
    Exercise(
        "frechet",
        frechet,
        (
            "There are two faults. One shows for a set and itself, the other when you shift all features of one set by ten.",
            "Only the trace of the root is needed: the sum of the roots of the eigenvalues.",
            "`torch.linalg.eigvals(cov_1 @ cov_2)` are complex numbers with no imaginary part; take `.real`, and hold them "
            "above zero before the root.",
        ),
    ),
    Exercise(
        "image-bits",
        bits,
        (
            "First nats to bits, and from the whole image to one component. All axes but the first belong to the image.",
            "Then the unit. A level is one wide when grey runs from 0 to 255. How wide is it when grey runs from -1 to 1?",
            "Stretching a number by a factor divides its density by it. In bits that adds a logarithm for each component.",
        ),
    ),
    Exercise(
        "precision",
        precision,
        (
            "`torch.cdist(a, b)` has all distances, a row for each point of a.",
            "Sort each row of the distances among real points. What stands in the first column?",
            "A sample counts if any of the balls reaches it: compare with all radii at once, then `.any(1)`.",
        ),
    ),
    Exercise(
        "lucky",
        lucky,
        (
            "Try it: draw twenty numbers, take the smallest, repeat.",
            "`torch.randn(100_000, 20).amin(1).mean()` says how many standard deviations below the mean the smallest lies.",
        ),
    ),
)
"""The exercises of chapter 14 in the order of the sheet."""
