"""Checks and hints for the exercises of chapter 6, normalising flows.

Every reference value follows from the claims of the chapter or from `diffcourse.families.flow`; none is typed in.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import sympy as sp
import torch
from sympy import Expr, Rational
from torch import Tensor

from diffcourse.algebra import CLAIMS
from diffcourse.algebra.flows import K, a_theta, b_theta, d, f, p, p_theta, u, x, xs
from diffcourse.algebra.latex import Slope
from diffcourse.families.flow import ActNorm
from diffcourse.practice.check import Exercise, Mistake, call, compare, one_number, wrong_number
from diffcourse.practice.expression import Domain, between_0_and_1, judge

Reference = tuple[Expr, dict[str, Expr]]
"""The truth, and known wrong answers under the sentences that name the mistake."""

A1, B1, A2, B2, X2 = sp.symbols("a1 b1 a2 b2 x2", positive=True)
HALVES = Domain(
    tuple(
        {symbol: Rational(value) for symbol, value in zip((A1, B1, A2, B2, X2), values)}
        for values in ((2, 3, 5, 7, 11), (Rational(1, 2), 4, 3, 1, 6), (7, 1, Rational(2, 3), 5, 2))
    ),
    {symbol: symbol for symbol in (A1, B1, A2, B2, X2)},
)
X = sp.Symbol("x", positive=True)
UNIT = between_0_and_1("x", Rational(1, 3), Rational(1, 2), Rational(7, 8))


# By hand


@cache
def same_half_reference() -> Reference:
    rule = CLAIMS["eq-coupling"].statement()[1].rhs

    def couple(value: Expr, factor: Expr, shift: Expr) -> Expr:
        return rule.subs({a_theta(xs[1]): factor, b_theta(xs[1]): shift, xs[2]: value}, simultaneous=True)

    truth = couple(couple(X2, A1, B1), A2, B2)
    suspects = {
        "the second factor stretches the first shift as well": A1 * A2 * X2 + B1 + B2,
        "the first layer comes first: its result goes into the second": couple(couple(X2, A2, B2), A1, B1),
        "shifts are added, not multiplied": A1 * A2 * X2 + B1 * B2,
        "this is the second layer alone": couple(X2, A2, B2),
        "factors are multiplied, not added": (A1 + A2) * X2 + A2 * B1 + B2,
        "the second shift has been stretched: nothing comes after it": A2 * (couple(X2, A1, B1) + B2),
    }
    return truth, suspects


def same_half(answer: Any) -> str:
    how = judge(answer, *same_half_reference(), HALVES)
    return f"a straight line once more: two couplings that keep the same half are one ({how})"


@cache
def uniform_flow_reference() -> Reference:
    (relation,) = CLAIMS["eq-flow-1d"].statement()
    curve = sp.log(X / (1 - X))
    noise = sp.simplify(sp.exp(-curve) / (1 + sp.exp(-curve)) ** 2)
    slope = sp.simplify(sp.diff(curve, X))
    told = {Slope(f(x)): slope, p(f(x)): noise}
    truth = sp.simplify(relation.rhs.subs(told, simultaneous=True).subs(sp.Abs(slope), slope))
    told_at_x = sp.exp(-X) / (1 + sp.exp(-X)) ** 2
    suspects = {
        "the slope is missing: this is the density of the noise at f(x)": noise,
        "divided by the slope, where it must be multiplied: f goes from data to noise": sp.simplify(noise / slope),
        "this is the slope alone, without the density of the noise": slope,
        "the noise is to be asked at f(x), not at x; and the slope is missing": told_at_x,
        "this is the chance to stay below x; the density is its slope": X,
    }
    return truth, suspects


def uniform_flow(answer: Any) -> str:
    how = judge(answer, *uniform_flow_reference(), UNIT)
    return f"every x is equally likely: the curve and the noise undo each other ({how})"


# In code


def pair(got: Any) -> tuple[Any, Any]:
    """The two things that a layer returns.

    Raises:
        Mistake: if there are not two.
    """
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        raise Mistake("return two things, the output and the log-determinant")
    return got[0], got[1]


def coupling(function: Any) -> str:
    generator = torch.Generator().manual_seed(5)
    for batch, size in ((5, 6), (3, 2)):
        weight = torch.randn(size // 2, size, generator=generator, dtype=torch.float64)

        def net(half: Tensor) -> tuple[Tensor, Tensor]:
            s, t = (half @ weight).tanh().chunk(2, dim=1)
            return s, t

        given = torch.randn(batch, size, generator=generator, dtype=torch.float64)
        first, second = given.chunk(2, dim=1)
        s, t = net(first)
        wrong_s, wrong_t = net(second)
        expected = torch.cat([first, s.exp() * second + t], dim=1)
        outputs = {
            "the network gives the logarithm of the factor: take its exponential": torch.cat([first, s * second + t], 1),
            "the shift has been stretched as well": torch.cat([first, s.exp() * (second + t)], 1),
            "the wrong half stays: keep the first": torch.cat([wrong_s.exp() * first + wrong_t, second], 1),
            "the network was asked about the half that it changes": torch.cat([first, wrong_s.exp() * second + wrong_t], 1),
            "the halves have changed places": torch.cat([s.exp() * second + t, first], 1),
            "only the half that changes comes back: put the other in front of it": s.exp() * second + t,
            "this is the way back: from data to noise the factor multiplies": torch.cat([first, (second - t) * (-s).exp()], 1),
        }
        log_dets = {
            "this adds up the factors; the determinant is their product": s.exp().sum(1),
            "this is the determinant; its logarithm is asked for": s.sum(1).exp(),
            "this is one number for the whole batch: each example has its own": s.sum(),
            "the mean over the components; the volume is a product of all of them": s.mean(1),
            "this is the log-determinant of the way back": -s.sum(1),
            "add up over the components, so that one number is left for each example": s,
            "the shift does not change any volume": (s + t).sum(1),
        }
        y, log_det = pair(call(function, given, net))
        where = f"for {batch} vectors of {size} numbers"
        compare(y, expected, where, outputs, rtol=1e-9, atol=1e-9)
        compare(log_det, s.sum(1), f"{where}, in the log-determinant,", log_dets, rtol=1e-9, atol=1e-9)
    return "one half stays, the other is stretched, and the room it takes is accounted for"


@cache
def bits_formula() -> Callable[[Tensor, int, int], Tensor]:
    """eq-flow-bits as a function of log p(u), levels and components."""
    (relation,) = CLAIMS["eq-flow-bits"].statement()
    log_p = sp.Symbol("log_p", real=True)
    return sp.lambdify((log_p, K, d), relation.rhs.subs(sp.log(p_theta(u)), log_p), "math")


def flow_bits(function: Any) -> str:
    log_p = torch.tensor([-12.5, 40.0, 150.25, 0.0], dtype=torch.float64)
    for levels, shape in ((17, (1, 8, 8)), (256, (3, 4, 2))):
        size = math.prod(shape)
        formula = bits_formula()
        expected = formula(log_p, levels, size)
        nothing = formula(log_p, 1, size)
        suspects = {
            "the size of the cells is missing: these are bits of a density, not of a probability": nothing,
            "the cells have the wrong sign: a small cell makes a level less probable, and its code longer": 2 * nothing - expected,
            "these are nats: divide by log 2": expected * math.log(2),
            "these are bits of the whole image: divide by the number of components": expected * size,
            "the minus is missing: the more probable an image, the fewer bits": formula(-log_p, levels, size),
            "every component has a cell of its own: log K is not to be divided by d": nothing + math.log2(levels) / size,
            "all numbers of the shape count, channels too": formula(log_p, levels, size // shape[0]),
            "all numbers of the shape count, not one side": formula(log_p, levels, shape[-1]),
        }
        if shape[0] == 1:  # there the channels make no difference
            suspects.pop("all numbers of the shape count, channels too")
        got = call(function, log_p, levels, shape)
        compare(got, expected, f"for {levels} levels and the shape {shape}", suspects, rtol=1e-9, atol=1e-9)
    return "a density on the unit cube has become bits per dimension"


def repaired(function: Any) -> str:
    generator = torch.Generator().manual_seed(6)
    for shape in ((2, 3, 3, 3), (4, 2, 5, 3)):
        batch, channels, height, width = shape
        given = torch.randn(shape, generator=generator, dtype=torch.float64)
        log_scale, shift = torch.randn(2, channels, generator=generator, dtype=torch.float64)
        layer = ActNorm((channels, 1, 1)).double()
        with torch.no_grad():
            layer.log_scale.copy_(log_scale[:, None, None])
            layer.shift.copy_(shift[:, None, None])
            expected, log_det = layer(given)
        columns = {}
        if channels == width:
            columns["the numbers of the channels went to the columns: give them two more axes"] = given * log_scale.exp() + shift
        if channels == height:
            rows = given * log_scale.exp()[:, None] + shift[:, None]
            columns["the numbers of the channels went to the rows: give them two more axes"] = rows
        one = log_scale.sum()
        log_dets = {
            "every pixel is stretched: the sum over the channels counts once for each of them": one.expand(batch),
            "every pixel is stretched, and each example of the batch has a log-determinant of its own": one,
            "the values are right, but each example of the batch needs its own": height * width * one,
            "the pixels of one side only": (width * one).expand(batch),
            "the examples of the batch take up no common volume": (batch * height * width * one).expand(batch),
        }
        y, found = pair(call(function, given, log_scale, shift))
        where = f"for images of shape {list(shape)}"
        compare(y, expected, where, columns, rtol=1e-9, atol=1e-9)
        compare(found, log_det, f"{where}, in the log-determinant,", log_dets, rtol=1e-9, atol=1e-9)
    return "both mistakes are gone"


def flow_scale(guess: Any) -> str:
    value = one_number(guess)
    reported = -5.9
    # x = 2 u - 1: the density of u is twice that of x, in each dimension.
    truth = float(bits_formula()((1 - reported) * math.log(2), 256, 1))
    if abs(value - truth) < 0.005:
        return "a respectable model of MNIST, once it is said in the same units as all others"
    suspects = {
        "this would be right for values between 0 and 1; here a cell is twice as wide": reported + 8,
        "the values run from -1 to 1: a cell is 2/256 wide, not 1/512": reported + 9,
        "a density has no bits of its own: what is the probability of a cell?": reported,
        "no code is that short: look at the sign of the cells": reported - 7,
        "the minus has nothing to do with it: a density may be larger than one": -reported,
        "these are the bits of the other model": 1.06,
    }
    look_at = "how wide is the cell of one level, and how many bits does that add to the density's?"
    raise wrong_number(value, truth, suspects, 0.005, look_at)


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        "same-half",
        same_half,
        (
            "The half that stays is the same for both layers, so all factors and shifts are just numbers here.",
            "What the first layer makes of x2 goes into the second in the place of x2.",
            "Both are straight lines. What is a line of a line?",
        ),
    ),
    Exercise(
        "uniform-flow",
        uniform_flow,
        (
            "Two things are to be multiplied: the density of the noise at f(x), and the slope of f at x.",
            "What is exp(-f(x))? It is a simple fraction. Put it into the density of the noise.",
            "The slope of log x is 1/x, that of -log(1-x) is 1/(1-x). Add them up and bring them to one denominator.",
        ),
    ),
    Exercise(
        "coupling",
        coupling,
        (
            "`chunk` cuts the vectors into halves, and `torch.cat` puts them together again. Both want to be told along which axis.",
            "Ask the network about the first half only. What it calls s is the logarithm of the factor.",
            "The log-determinant is the sum of the logarithms of all factors, one sum for each example.",
        ),
    ),
    Exercise(
        "flow-bits",
        flow_bits,
        (
            "First nats: minus the log-density, spread over all components.",
            "A cell of the unit cube has sides of one over the number of levels. In nats each side adds the logarithm of that number.",
            "`math.prod(shape)` counts the components. At the end, from nats to bits.",
        ),
    ),
    Exercise(
        "flow-repair",
        repaired,
        (
            "PyTorch lines up shapes from the right. Which axis of the images do three numbers meet there?",
            "With the channels' numbers in the shape [C, 1, 1] they go where they belong.",
            "How many numbers of an image are multiplied by the factor of one channel?",
        ),
    ),
    Exercise(
        "flow-scale",
        flow_scale,
        (
            "How wide is one of the 256 cells when the values run from -1 to 1?",
            "A probability is density times width. What does this do to minus its logarithm to base two?",
            "The width is a power of two.",
        ),
    ),
)
"""The exercises of chapter 6 in the order of the sheet."""
