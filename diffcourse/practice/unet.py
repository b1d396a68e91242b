"""Checks and hints for the exercises of chapter 11, the U-Net.

Every reference value follows from the claims of the chapter, from `diffcourse.nets` or from PyTorch; none is typed in.
"""

from functools import cache
from typing import Any

import sympy as sp
import torch
import torch.nn.functional as F
from sympy import Expr, Rational
from torch import Tensor, nn

from diffcourse.algebra import CLAIMS
from diffcourse.algebra.notation import symbol
from diffcourse.nets.unet import timestep_embedding
from diffcourse.practice.check import Exercise, Mistake, call, compare, one_number, wrong_number
from diffcourse.practice.expression import Domain, judge

Reference = tuple[Expr, dict[str, Expr]]
"""The truth, and known wrong answers under the sentences that name the mistake."""

C, D, E = sp.symbols("c d e", positive=True)
BLOCK = Domain(tuple({C: Rational(c), D: Rational(d), E: Rational(e)} for c, d, e in ((3, 5, 7), (8, 2, 11), (16, 32, 64))), {C: C, D: D, E: E})
LAYER = Domain(tuple({C: Rational(c)} for c in (4, 7, 64)), {C: C})


# By hand


def convolution(side: int, channels: Expr, out: Expr) -> Expr:
    """Weights of a convolution, by eq-conv-parameters; of a linear layer for a kernel of side 1."""
    formula = CLAIMS["eq-conv-parameters"].statement()[0].rhs
    return formula.subs({symbol("k"): side, symbol("c"): channels, symbol("d"): out}, simultaneous=True)


@cache
def residual_weights_reference() -> Reference:
    norms, shortcut = 2 * C + 2 * D, convolution(1, C, D)
    first, second, told = convolution(3, C, D), convolution(3, D, D), convolution(1, E, 2 * D)
    truth = norms + first + second + told + shortcut
    biases = D + D + 2 * D + D
    suspects = {
        "the shortcut is missing: where the number of channels changes it is a convolution of its own": truth - shortcut,
        "the norms have weights too: a scale and a shift for each channel that they get": truth - norms,
        "a norm has two numbers for each channel, a scale and a shift": truth - C - D,
        "the second norm comes behind the first convolution: how many channels does it get?": truth - 2 * D + 2 * C,
        "the biases are missing": truth - biases,
        "the linear layer makes two numbers for each channel that comes out, scale and shift": truth - told + convolution(1, E, D),
        "the linear layer is missing, which makes scale and shift of the embedding": truth - told,
        "the second convolution goes from d to d channels": truth - second + first,
        "a kernel has two sides: 3x3 has nine places": truth - 6 * C * D - 6 * D**2,
        "the shortcut's kernel has side one": truth - shortcut + first,
    }
    return truth, suspects


def residual_weights(answer: Any) -> str:
    how = judge(answer, *residual_weights_reference(), BLOCK)
    return f"so many weights has a residual block whose number of channels changes ({how})"


@cache
def break_even_reference() -> Reference:
    n, c = symbol("n"), symbol("c")
    kernel = CLAIMS["eq-conv-cost"].statement()[0].rhs.subs({symbol("k"): 3, symbol("d"): c})
    attention = CLAIMS["eq-attention-cost"].statement()[0].rhs

    def where(cost: Expr) -> Expr:
        (pixels,) = sp.solve(sp.cancel((cost - kernel) / n), n)
        return pixels.subs(c, C)

    truth = where(attention)
    suspects = {
        "this is the side; how many pixels are that?": sp.sqrt(truth),
        "the four projections are missing: queries, keys, values and the way out cost something too": where(2 * n**2 * c),
        "pixels are compared and then mixed: that makes two products of all with all": where(attention - n**2 * c),
        "there are four projections; the way out is one of them": where(attention - n * c**2),
    }
    return truth, suspects


def break_even(answer: Any) -> str:
    how = judge(answer, *break_even_reference(), LAYER)
    return f"from here on attention is the dearer of the two ({how})"


# In code


def clocks(function: Any) -> str:
    times = torch.tensor([0, 1, 7, 500, 1000])
    for pairs in (4, 3):
        expected = timestep_embedding(times, 2 * pairs, dtype=torch.float64)
        cosines, sines = expected.chunk(2, dim=1)
        number, time = torch.arange(pairs, dtype=torch.float64), times.double()[:, None]

        def waves(exponent: Tensor, base: float = 10_000.0, turn: float = 1.0) -> Tensor:
            angle = turn * time * base**exponent
            return torch.cat([angle.cos(), angle.sin()], dim=1)

        suspects = {
            "the frequencies count from i = 1, and the first is 1: the exponent is -(i - 1)/d": waves(-(number + 1) / pairs),
            "the frequencies rise; the exponent has a minus": waves(number / pairs),
            "`//` rounds down: nearly all exponents have become whole numbers": waves(-number // pairs),
            "all frequencies are 1: has a division of whole numbers rounded the exponents to 0?": waves(-(number // pairs)),
            "the exponents are to be divided by d, the number of pairs, not by 2d": waves(-number / (2 * pairs)),
            "the exponents are not divided by d": waves(-number),
            "the last frequency should not reach 1/10000: divide by d, not by d - 1": waves(-number / (pairs - 1)),
            "the frequencies are in radians per step; no 2 pi": waves(-number / pairs, turn=2 * torch.pi),
            "first all cosines, then all sines": torch.cat([sines, cosines], dim=1),
            "all cosines come first; yours take turns with the sines": torch.stack([cosines, sines], dim=2).flatten(1),
        }
        got = call(function, times, pairs)
        if isinstance(got, Tensor) and got.dtype != torch.float64:
            raise Mistake(f"the result is {got.dtype}; compute in float64, from the first division on")
        if isinstance(got, Tensor) and got.shape == expected.shape:
            rounded = timestep_embedding(times, 2 * pairs).double()
            if not torch.allclose(got, expected, rtol=0, atol=1e-10) and torch.allclose(got, rounded, rtol=0, atol=1e-3):
                raise Mistake("somewhere it is computed in single precision: 1000 radians lose the digits that you see here")
        compare(got, expected, f"for d = {pairs}", suspects, rtol=0, atol=1e-10)
    return "clocks of the right speed, exact to ten digits"


def attend(function: Any) -> str:
    generator = torch.Generator().manual_seed(2)
    for batch, pixels, size in ((2, 5, 3), (1, 4, 16)):
        query, key, value = torch.randn(3, batch, pixels, size, generator=generator, dtype=torch.float64)
        match = query @ key.transpose(1, 2)
        suspects = {
            "the shares of each pixel's attention must add up to one: along which axis?": (match / size**0.5).softmax(1) @ value,
            "matches are divided by the root of the number of components, not of pixels": (match / pixels**0.5).softmax(2) @ value,
            "both mistakes are still there, the axis and the root": (match / pixels**0.5).softmax(1) @ value,
            "the matches are not divided by anything": match.softmax(2) @ value,
            "divide by the root of the number of components": (match / size).softmax(2) @ value,
            "queries and keys are exchanged": (match.transpose(1, 2) / size**0.5).softmax(2) @ value,
            "the shares weigh the values, not the keys": (match / size**0.5).softmax(2) @ key,
        }
        expected = F.scaled_dot_product_attention(query, key, value)
        got = call(function, query, key, value)
        compare(got, expected, f"for {pixels} pixels with {size} components", suspects, rtol=0, atol=1e-10)
    return "the same as PyTorch's own"


def walk(down: list[nn.Module], up: list[nn.Module], x: Tensor, taken: int = -1, skip_first: bool = False, late: bool = False) -> Tensor:
    """Down and up with skips: the reference, and its known mistakes."""
    skips = []
    for layer in down:
        if late:
            x = layer(x)
            skips.append(x)
        else:
            skips.append(x)
            x = layer(x)
    for layer in up:
        skip = skips.pop(taken)
        x = F.interpolate(x, size=skip.shape[2:])
        x = layer(torch.cat([skip, x] if skip_first else [x, skip], dim=1))
    return x


def u_turn(function: Any) -> str:
    generator = torch.Generator().manual_seed(4)
    for levels in (1, 3):
        down: list[nn.Module] = [nn.Conv2d(4, 4, 3, stride=2, padding=1) for _ in range(levels)]
        up: list[nn.Module] = [nn.Conv2d(8, 4, 3, padding=1) for _ in range(levels)]
        for layer in (*down, *up):
            layer.double().requires_grad_(False)
            for parameter in layer.parameters():
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
        x = torch.randn(2, 4, 16, 8, generator=generator, dtype=torch.float64)
        suspects = {
            "the skips are still taken in the order in which they were sent": walk(down, up, x, taken=0),
            "first what comes from below, then the skip": walk(down, up, x, skip_first=True),
            "the skip is what a layer on the way down gets, not what it returns": walk(down, up, x, late=True),
            "the layers on the way up are taken in the wrong order; it is the skips that go backwards": walk(down, up[::-1], x),
        }
        expected = walk(down, up, x)
        compare(call(function, list(down), list(up), x), expected, f"for {levels} levels", suspects, rtol=0, atol=1e-10)
    return "what was sent last is taken in first"


# To think about


def far_away(guess: Any) -> str:
    value = one_number(guess)
    # Four channels of 8x8 pixels in a group; one of them grows by one.
    group = torch.zeros(4, 8, 8, dtype=torch.float64)
    before = group.mean()
    group[0, 0, 0] += 1
    truth = (group.mean() - before).item()
    if abs(value - truth) < 1e-5:
        return "a little of every pixel reaches every other one"
    suspects = {
        "the mean is taken over all channels of the group, not over one": group[0].mean().item(),
        "the mean is taken over the pixels too, not over the channels alone": group[:, 0, 0].mean().item(),
        "the mean does move, if only by a little": 0.0,
        "the value moves by one; the mean is over all values of the group": 1.0,
    }
    raise wrong_number(value, truth, suspects, 1e-5, "what changes is one value; how many values share the mean?")


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        "residual-weights",
        residual_weights,
        (
            "Go through `ResBlock.__init__` line by line. Five layers have weights, and the shortcut is a sixth.",
            "A linear layer is a convolution with a kernel of side one.",
            "A norm has two weights for each channel that it gets. The first gets c channels, the second d.",
        ),
    ),
    Exercise(
        "break-even",
        break_even,
        (
            "Write down both costs for k = 3 and d = c, and set them equal.",
            "Each term has at least one factor n and one factor c. Divide them out.",
            "What remains is an equation of first degree in n.",
        ),
    ),
    Exercise(
        "clocks",
        clocks,
        (
            "`torch.arange(pairs, dtype=torch.float64)` counts from 0, which is what i - 1 does.",
            "Frequencies have the shape [d], times the shape [B]. Give the times a second axis with `[:, None]`, and their product has the shape [B, d].",
            "`torch.cat` along dim=1 puts the sines behind the cosines.",
        ),
    ),
    Exercise(
        "attend",
        attend,
        (
            "`query @ key.transpose(1, 2)` has the shape [B, n, n]. Its row i holds the matches of pixel i.",
            "The shares of row i must add up to one. Which axis do you add along?",
            "A match is a sum of as many products as a query has components. Which entry of `query.shape` is that?",
        ),
    ),
    Exercise(
        "u-turn",
        u_turn,
        (
            "Print the sides of the skips, and of what comes up from below, when they meet.",
            "The layer on the way up that comes first works at the lowest resolution. Which skip has that?",
            "A list that is filled with `append` and emptied with `pop()` gives back last what came first.",
        ),
    ),
    Exercise(
        "far-away",
        far_away,
        (
            "Which layers of a residual block are not convolutions and still look at more than one pixel?",
            "A group norm subtracts the mean of all values of a group: all its channels, all its pixels.",
            "How many values are in the group?",
        ),
    ),
)
"""The exercises of chapter 11 in the order of the sheet."""
