"""Checks and hints for the exercises of chapter 4, variational autoencoders.

Every reference value follows from the claims of the chapter, from an integral or from `diffcourse.diffusion`; none is typed in.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import sympy as sp
import torch
from sympy import Expr, Rational, Symbol
from torch import Tensor

from diffcourse.algebra import CLAIMS
from diffcourse.algebra.gaussians import divergence, mean_of
from diffcourse.algebra.vae import a, m, sigma, x
from diffcourse.diffusion.gaussian import kl_gaussians
from diffcourse.practice.check import Exercise, Mistake, call, compare, one_number
from diffcourse.practice.expression import Domain, judge

A, SIGMA, D = Symbol("a", positive=True), Symbol("sigma", positive=True), Symbol("D", positive=True)
PAIRS = ((Rational(3, 2), Rational(4, 5)), (Rational(1, 3), Rational(2)), (Rational(1), Rational(1, 7)))
MODEL = Domain(tuple({A: strength, SIGMA: noise} for strength, noise in PAIRS), {A: A, SIGMA: SIGMA})
ERROR = Domain(tuple({D: value} for value in (Rational(1, 9), Rational(3, 4), Rational(5, 2))), {D: D})


# By hand


@cache
def code_rate_reference() -> tuple[Expr, dict[str, Expr]]:
    """The divergence of the posterior from the prior, averaged over the model's own images."""
    _, mean, variance = CLAIMS["eq-linear-posterior"].statement()[0].rhs.args
    _, centre, spread = CLAIMS["eq-linear-marginal"].statement()[0].rhs.args
    of_image = divergence((mean.subs(x, Symbol("seen", real=True)), sp.sqrt(variance)), (sp.Integer(0), sp.Integer(1)))
    average = mean_of(of_image, Symbol("seen", real=True), centre, sp.sqrt(spread))
    truth = sp.simplify(sp.expand_log(average.subs({a: A, sigma: SIGMA, m: 0}), force=True))
    suspects = {
        "one half is missing: a divergence of Gaussians begins with it": 2 * truth,
        "the variances are to be compared: a and σ enter squared": sp.log(1 + A / SIGMA) / 2,
        "the sign: a rate is never negative": -truth,
        "this is the rate of the image in the middle, at x = m; average over the images": sp.simplify(
            of_image.subs({Symbol("seen", real=True): m}).subs({a: A, sigma: SIGMA})
        ),
        "signal and noise are exchanged": sp.log(1 + SIGMA**2 / A**2) / 2,
        "without any signal, at a = 0, the rate must be zero; this is the logarithm of the ratio without the 1": sp.log(A**2 / SIGMA**2) / 2,
    }
    return truth, suspects


def code_rate(answer: Any) -> str:
    how = judge(answer, *code_rate_reference(), MODEL)
    return f"so many nats a code tells about its image, on average ({how})"


@cache
def learned_noise_reference() -> tuple[Expr, dict[str, Expr]]:
    width = Symbol("width", positive=True)
    cost = sp.log(2 * sp.pi * width**2) / 2 + D / (2 * width**2)  # minus the logarithm of the density, averaged
    (best,) = sp.solve(sp.diff(cost, width), width)
    truth = sp.simplify(cost.subs(width, best))
    suspects = {
        "this is the cost for σ = 1; σ may be chosen": cost.subs(width, 1),
        "the half lost that the squared error itself contributes": truth - Rational(1, 2),
        "this is right for σ = D; but D is a square, and so the best σ is its root": sp.simplify(cost.subs(width, D)),
        "this is the best variance, not what it costs": D,
        "this is the best standard deviation, not what it costs": sp.sqrt(D),
        "the sign: a cost is minus the logarithm of the density": -truth,
        "a factor of two: the logarithm of a Gaussian density begins with one half": 2 * truth,
        "the 2π has been lost": truth - sp.log(2 * sp.pi) / 2,
    }
    return truth, suspects


def learned_noise(answer: Any) -> str:
    how = judge(answer, *learned_noise_reference(), ERROR)
    return f"with a learned noise the loss is the logarithm of the error, up to a factor and a constant ({how})"


# In code


def exact_encoder(function: Any) -> str:
    generator = torch.Generator().manual_seed(3)
    for size, latent, noise in ((3, 2, 0.7), (2, 1, 1.6), (2, 3, 0.4)):
        matrix = torch.randn(size, latent, generator=generator, dtype=torch.float64)
        centre = torch.randn(size, generator=generator, dtype=torch.float64)
        points = torch.randn(5, size, generator=generator, dtype=torch.float64)
        identity = torch.eye(latent, dtype=torch.float64)
        # From the joint law of (z, x) by conditioning, which takes another way than precisions do.
        whole = matrix @ matrix.T + noise**2 * torch.eye(size, dtype=torch.float64)
        gain = torch.linalg.solve(whole, matrix).T
        mean, covariance = (points - centre) @ gain.T, identity - gain @ matrix
        precision = matrix.T @ matrix + noise**2 * identity
        got = call(function, matrix, centre, noise, points)
        if not isinstance(got, tuple) or len(got) != 2:
            raise Mistake("return two tensors, the means [B, latent] and the covariance [latent, latent]")
        inverted = (points - centre) @ torch.linalg.pinv(matrix).T
        about_mean = {
            "this inverts the decoder: the prior has a say as well": inverted,
            "the data's centre has to be taken off first": points @ gain.T,
            "σ is a standard deviation: its square belongs to the precision": (points - centre)
            @ matrix
            @ torch.linalg.inv(matrix.T @ matrix + noise * identity),
            "a prior with the variance σ²? It is the standard Gaussian, so σ² stands beside the 1": (points - centre)
            @ matrix
            @ torch.linalg.inv(matrix.T @ matrix + identity),
            "the mean is not divided by anything: what the images say must be weighted": (points - centre) @ matrix,
        }
        about_spread = {
            "this is the precision; the covariance is its inverse": precision / noise**2,
            "the noise is missing: without noise there would be nothing left open": torch.linalg.inv(precision),
            "σ is a standard deviation, and the variance is its square": noise * torch.linalg.inv(precision),
            "this is the covariance of the images, not of the code": whole,
            "this is what the prior says; the image has told something": identity,
        }
        where = f"for a matrix of {size} x {latent}"
        compare(got[0], mean, f"{where} the mean:", about_mean, rtol=1e-8, atol=1e-9)
        compare(got[1], covariance, f"{where} the covariance:", about_spread, rtol=1e-8, atol=1e-9)
    return "the posterior of a linear model, for any number of latents"


def many_draws(function: Any) -> str:
    generator = torch.Generator().manual_seed(4)
    small = torch.randn(6, 4, generator=generator, dtype=torch.float64) * 3
    cases = (small, "for moderate ratios"), (small - 4000, "for logarithms in the thousands"), (small[:1], "for K = 1")
    for log_ratios, where in cases:
        count = len(log_ratios)
        expected = log_ratios.logsumexp(0) - math.log(count)
        suspects = {
            "this averages the logarithms: no better than one draw": log_ratios.mean(0),
            "this adds up the ratios; it is log K too large": log_ratios.logsumexp(0),
            "log K is added in place of taken off": log_ratios.logsumexp(0) + math.log(count),
            "this is the largest of the logarithms; the others count as well": log_ratios.amax(0),
            "average over the draws, which are the rows, not over the images": (log_ratios.logsumexp(1) - math.log(log_ratios.shape[1])),
            "divide the sum by K before the logarithm, not the logarithm by K": log_ratios.logsumexp(0) / count,
        }
        got = call(function, log_ratios)
        if isinstance(got, Tensor) and got.shape == expected.shape and got.isinf().any() and (log_ratios < -1000).all():
            raise Mistake("the exponential of -4000 is zero in floating point: use a function that never leaves the logarithms")
        compare(got, expected, where, suspects, rtol=1e-10, atol=1e-10)
    return "the bound from K draws, without overflow, however improbable the images are"


MISTAKES = {
    "width": "exp(log_variance) is the variance; noise is multiplied by the standard deviation",
    "error": "the squared error is averaged over the pixels; the bound has their sum, and half of it",
    "batch": "the divergence is added up over the batch, and the error is averaged over it",
}
"""What is wrong with the program that the sheet shows, in the order in which it is named."""


def objective(points: Tensor, encode: Callable, decode: Callable, eps: Tensor, wrong: tuple[str, ...] = ()) -> Tensor:
    """Mean of minus the bound for sigma = 1, without its constant; with these of the MISTAKES."""
    mean, log_variance = encode(points).chunk(2, dim=1)
    z = mean + (log_variance if "width" in wrong else log_variance / 2).exp() * eps
    square = (decode(z) - points).square()
    error = square.mean() if "error" in wrong else square.sum(1).mean() / 2
    divergence = kl_gaussians(mean, log_variance.exp(), 0.0, 1.0).sum(1)
    return error + (divergence.sum() if "batch" in wrong else divergence.mean())


def repair_loss(function: Any) -> str:
    generator = torch.Generator().manual_seed(6)
    into, out = (torch.randn(*shape, generator=generator, dtype=torch.float64) / 2 for shape in ((5, 4), (2, 5)))
    for count in (3, 7):
        points = torch.randn(count, 5, generator=generator, dtype=torch.float64)
        eps = torch.randn(count, 2, generator=generator, dtype=torch.float64)
        case = points, lambda t: t @ into, lambda z: torch.tanh(z @ out), eps
        suspects = {}
        for first, sentence in MISTAKES.items():  # each alone, or with others: the first that is left is named
            later = list(MISTAKES)[list(MISTAKES).index(first) + 1 :]
            for others in ((), *((other,) for other in later), tuple(later)):
                suspects[sentence + " " * len(suspects)] = objective(*case, (first, *others))
        square = (case[2](z_of(case)) - points).square()
        suspects["half of the squared error belongs to the bound with σ = 1"] = objective(*case) + square.sum(1).mean() / 2
        compare(call(function, *case), objective(*case), f"for {count} images", suspects, rtol=1e-9, atol=1e-9)
    return "minus the bound, averaged over the batch: reconstruction and divergence in the same currency"


def z_of(case: tuple[Tensor, Callable, Callable, Tensor]) -> Tensor:
    """The drawn codes of `objective`."""
    points, encode, _, eps = case
    mean, log_variance = encode(points).chunk(2, dim=1)
    return mean + (log_variance / 2).exp() * eps


# To think about


VARIANCES = (3.0, 1.2, 0.7, 0.4, 0.1)
"""Of the data along its main directions, as the sheet gives them."""


def survivors(answer: Any) -> str:
    value = one_number(answer, "one whole number")
    noise, weight = 0.5, 2.0  # |x - f|^2 is |x - f|^2 / (2 sigma^2) for sigma^2 = 1/2

    def count(threshold: float) -> int:
        return sum(variance > threshold for variance in VARIANCES)

    if value == count(weight * noise):
        return "the noise that a loss assumes decides how much a code may tell"
    for threshold, sentence in (
        (weight, "you take σ² for 1; which noise belongs to the squared error without its half?"),
        (noise, "β makes the noise larger as well"),
        (noise / weight, "β divides the noise in your answer; a larger β makes codes tell less"),
    ):
        if value == count(threshold):
            raise Mistake(sentence)
    raise Mistake("compare each variance with the noise that the loss assumes, β included")


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        "code-rate",
        code_rate,
        (
            "The rate of one image is a divergence of two Gaussians, of which the second is standard. Chapter 2 has it in closed form.",
            "It contains the square of the posterior's mean. Its average over the images is a variance: that of a factor times x - m.",
            "The square and the variance of the posterior add up to one. What is left is half a logarithm.",
        ),
    ),
    Exercise(
        "learned-noise",
        learned_noise,
        (
            "Write minus the logarithm of the Gaussian density, with D in the place of the square.",
            "Differentiate by σ and ask where the slope is zero.",
            "Put the best σ back: the fraction becomes a number.",
        ),
    ),
    Exercise(
        "exact-encoder",
        exact_encoder,
        (
            "The toy's posterior, with matrices: a² becomes the product of the transposed matrix with the matrix.",
            "Dividing by a² + σ² becomes multiplying by an inverse, or better `torch.linalg.solve`.",
            "Points are rows. For rows the matrix acts from the right, `(points - centre) @ matrix`, and the inverse is symmetric.",
        ),
    ),
    Exercise(
        "many-draws",
        many_draws,
        (
            "You have logarithms of ratios, and need the logarithm of the mean of the ratios.",
            "Taking exponentials first gives zero for every image: they must stay logarithms.",
            "`torch.logsumexp` does nearly all of it. What turns a sum into a mean, after the logarithm?",
        ),
    ),
    Exercise(
        "repair-loss",
        repair_loss,
        (
            "Go through it line by line with the bound in the toy: which of its numbers is a variance, and which a standard deviation?",
            "For σ = 1 the reconstruction is half the sum of the squares over the pixels of one image.",
            "Both terms are numbers for one image. Average both over the batch, at the end.",
        ),
    ),
    Exercise(
        "survivors",
        survivors,
        (
            "Write the squared error as a Gaussian's: over 2σ². What must σ² be, so that nothing stands below?",
            "A weight β multiplies the noise's variance.",
            "A direction survives where the data vary more than that.",
        ),
    ),
)
"""The exercises of chapter 4 in the order of the sheet."""
