"""Checks and hints for the exercises of chapter 3, autoregressive models.

Every reference value follows from the claims of the chapter or from `diffcourse.families`; none is typed in.
"""

import math
from functools import cache
from typing import Any

import sympy as sp
import torch
import torch.nn.functional as F
from sympy import Expr, Rational, Symbol
from torch import Tensor

from diffcourse.algebra import CLAIMS
from diffcourse.algebra.autoregressive import cut, k, logistic, plain_stack, window
from diffcourse.algebra.notation import function, symbol
from diffcourse.families.pixelcnn import conv_mask, down
from diffcourse.practice.check import Exercise, call, compare, one_number, wrong_number
from diffcourse.practice.expression import Domain, judge

Reference = tuple[Expr, dict[str, Expr]]
"""The truth, and known wrong answers under the sentences that name the mistake."""

N, K, MU, B = Symbol("n", integer=True, positive=True), Symbol("K", positive=True), Symbol("mu", real=True), Symbol("b", positive=True)
P, R = sp.symbols("p r", positive=True)
LAYERS = Domain(tuple({N: Rational(layers)} for layers in (1, 2, 3, 7, 10)), {N: N})
BELL = Domain(
    tuple(
        {K: Rational(levels), MU: mean, B: scale}
        for levels, mean, scale in ((17, Rational(1, 5), Rational(1, 3)), (3, Rational(-4, 5), Rational(1)), (5, Rational(-3, 2), Rational(1, 4)))
    ),
    {K: 1 + P, MU: R - 1, B: B},
)


# By hand


@cache
def blind_five_reference() -> Reference:
    layers = symbol("n")

    def hidden(side: int) -> Expr:
        """A polynomial of degree two, through what is counted behind 1 to 3 layers."""
        counted = [len(window(side // 2 * many) - plain_stack([side] * many)) for many in (1, 2, 3)]
        return sp.expand(sp.interpolate(list(zip((1, 2, 3), counted)), N))

    truth = hidden(5)
    (relation,) = CLAIMS["eq-blind-count"].statement()
    of_three = relation.rhs.subs(layers, N)
    suspects = {
        "this is for kernels of side three; one of side five goes two columns to the right in a row": of_three,
        "in a row above, this kernel goes two columns to the right, not one": of_three.subs(N, 2 * N),
        "as if both sides were hidden: to the left all is seen": 2 * truth,
        "this is the whole window, hidden or not": sp.expand(4 * N * (2 * N + 1)),
        "off by one layer: a single layer hides nothing": truth.subs(N, N + 1),
        "these are the pixels that are seen": sp.expand(4 * N * (2 * N + 1) - truth),
    }
    return truth, suspects


def blind_five(answer: Any) -> str:
    how = judge(answer, *blind_five_reference(), LAYERS)
    return f"so many pixels are hidden behind kernels of side five ({how})"


@cache
def black_reference() -> Reference:
    (level,) = CLAIMS["eq-logistic-level"].statement()
    inner, first, _ = CLAIMS["eq-level-cuts"].statement()

    def edge(number: int) -> Expr:
        return inner.rhs.subs({k: number, symbol("K"): K})

    def probability(lower: Expr | None, upper: Expr) -> Expr:
        """Between two cuts; None for minus infinity, where the logistic function is 0."""
        formula = level.rhs.subs({symbol(r"\mu"): MU, symbol("b"): B})
        below = function("g")((cut[k] - MU) / B)
        formula = formula.subs(below, 0) if lower is None else formula.subs(cut[k], lower)
        return formula.subs(cut[k + 1], upper).replace(function("g"), logistic)

    truth = probability(None, edge(1))
    suspects = {
        "the lowest level gets everything below it as well: its lower cut is minus infinity": probability(edge(0), edge(1)),
        "the cut lies half way to the next level, not at the level itself": probability(None, sp.Integer(-1)),
        "this is all that lies above: the probability of every other level": 1 - truth,
        "this is cut at the next level": probability(None, edge(1) + 1 / (K - 1)),
        "there are K - 1 steps between K levels": probability(None, edge(1).subs(K, K + 1)),
        "divide by the scale, not by its square": truth.subs(B, B**2),
        "this is the density, not the area of the piece": sp.diff(truth, MU) * -1,
    }
    return truth, suspects


def black(answer: Any) -> str:
    how = judge(answer, *black_reference(), BELL)
    return f"the whole tail belongs to black ({how})"


# In code


def mask(function: Any) -> str:
    for kernel in (3, 5):
        got = {kind: call(function, kind, kernel) for kind in ("A", "B")}
        both = all(isinstance(one, Tensor) for one in got.values())
        same = both and torch.equal(*got.values())
        for kind, other in (("A", "B"), ("B", "A")):
            expected, exchanged = (conv_mask(one, kernel, 1, 1)[0, 0] for one in (kind, other))
            rows, columns = torch.meshgrid(torch.arange(kernel), torch.arange(kernel), indexing="ij")
            middle = kernel // 2
            middle_wrong = "mask A must shut the middle" if kind == "A" else "mask B lets the middle pass"
            suspects = {
                middle_wrong if same else "A and B are exchanged: it is A that shuts the middle": exchanged,
                "this looks at what comes after": 1 - exchanged,
                "the image is read row by row; this reads it column by column": expected.T,
                "the rows above are open to both sides": ((rows <= middle) & (columns <= middle)).float() * expected,
                "the row of the middle is open to the right as well": (rows <= middle).float(),
                "what lies to the left in the same row is missing": (rows < middle).float(),
                "this is upside down": expected.flip(0),
            }
            compare(got[kind], expected, f"for mask {kind} of side {kernel}", suspects)
    return "nothing that comes later is seen"


def logits_to_bits(function: Any) -> str:
    generator = torch.Generator().manual_seed(3)
    for batch, levels, height, width in ((2, 5, 3, 4), (3, 17, 4, 2)):
        logits = 2 * torch.randn(batch, levels, height, width, generator=generator, dtype=torch.float64)
        chosen = torch.randint(levels, (batch, height, width), generator=generator)
        nats = F.cross_entropy(logits, chosen, reduction="none")
        expected = nats.mean(dim=(1, 2)) / math.log(2)
        flat = logits.log_softmax(2).gather(1, chosen[:, None]).mean(dim=(1, 2, 3))
        suspects = {
            "these are nats; a bit has log 2 of them": nats.mean(dim=(1, 2)),
            "these are the bits of a whole image; divide by the number of its pixels": nats.sum(dim=(1, 2)) / math.log(2),
            "these are the nats of a whole image": nats.sum(dim=(1, 2)),
            "multiplied by log 2, where nats are to be divided by it": nats.mean(dim=(1, 2)) * math.log(2),
            "the sign: a probability is below one, and its logarithm below zero": -expected,
            "one number for each image, please, not the mean of all": expected.mean(),
            "one number for each image, please, not for each pixel": nats / math.log(2),
            "along which axis do the probabilities add up to one? Along that of the levels": -flat / math.log(2),
            "the logits are not logarithms of probabilities yet": -logits.gather(1, chosen[:, None]).mean(dim=(1, 2, 3)) / math.log(2),
            "first the logarithm, then the mean over the pixels": -(-nats).exp().mean(dim=(1, 2)).log2(),
        }
        compare(call(function, logits, chosen), expected, f"for {levels} levels", suspects, rtol=1e-8, atol=1e-8)
    large = torch.tensor([[1000.0, 0.0, -1000.0]]).view(1, 3, 1, 1)
    compare(
        call(function, large, torch.tensor([[[1]]])),
        F.cross_entropy(large, torch.tensor([[[1]]]))[None] / math.log(2),
        "for logits of 1000: use `log_softmax`, which takes the logarithm before anything overflows;",
        {},
    )
    return "bits per dimension, one number for each image"


def hand_over(function: Any) -> str:
    generator = torch.Generator().manual_seed(4)
    for shape in ((1, 1, 4, 4), (2, 3, 5, 2)):
        v, h = torch.randn(2, *shape, generator=generator, dtype=torch.float64)
        suspects = {
            "the last row still comes in at the top": h + v.roll(1, 2),
            "nothing is moved: a pixel sees its own row, and what stands to the right in it": h + v,
            "this moves to the right; rows are axis 2": h + F.pad(v, (1, -1)),
            "this moves in a circle, and to the right; rows are axis 2": h + v.roll(1, 3),
            "this moves up: a pixel is told what stands below": h + F.pad(v, (0, 0, -1, 1)),
            "this moves up, in a circle": h + v.roll(-1, 2),
            "two rows are one too many": h + F.pad(v, (0, 0, 2, -2)),
            "the horizontal stack's own numbers are lost": down(v),
            "the first row is told the second's news: it must be told nothing": h + torch.cat([v[:, :, :1], v[:, :, :-1]], 2),
        }
        compare(call(function, v, h), h + down(v), f"for images of {shape[2]} rows", suspects, rtol=1e-8, atol=1e-8)
    return "what comes from above comes one row lower, and from nowhere else"


# To think about


def cold_images(answer: Any) -> str:
    first = {"black": Rational(6, 10), "white": Rational(4, 10)}
    others = [first["black"] / 10] * 10

    def tempered(power: int) -> Expr:
        return first["white"] ** power / (first["white"] ** power + sum(other**power for other in others))

    truth = float(tempered(2))
    value = one_number(answer)
    if abs(value - truth) < 5e-3:
        return "whole images get colder than their pixels do"
    squared = {name: share**2 for name, share in first.items()}
    suspects = {
        "this is what comes of pixels, tempered one after the other": float(squared["white"] / sum(squared.values())),
        "this is not tempered at all": float(first["white"]),
        "squared, but not yet divided by the sum over all eleven images": float(squared["white"]),
        "there are ten images that begin with black": float(squared["white"] / (squared["white"] + others[0] ** 2)),
        "this is the limit of temperature zero": 1.0,
        "this is twice as hot, not twice as cold: square, do not take the root": float(
            sp.sqrt(first["white"]) / (sp.sqrt(first["white"]) + 10 * sp.sqrt(others[0]))
        ),
    }
    look_at = "a whole image is tempered as one; square its share, and divide by all eleven squares"
    raise wrong_number(value, truth, suspects, 5e-3, look_at)


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        "blind-five",
        blind_five,
        (
            "Go row by row. How many layers must climb to reach row j above the pixel, and how far to the right can each of them go on the way?",
            "A layer that climbs a single row goes two columns to the right with it. So row j is seen 2j columns far, as long as there are layers left.",
            "How many columns has the window to the right, and from which row on is none of them hidden? Then sum up.",
        ),
    ),
    Exercise(
        "what-black-costs",
        black,
        (
            "Which two cuts has the lowest level?",
            "The lower one is minus infinity, and there the logistic function is zero.",
            "The upper one is e_1. Put it in, and write the logistic function out.",
        ),
    ),
    Exercise(
        "mask",
        mask,
        (
            "Start from zeros. Which rows are open completely?",
            "The rows above the middle, then the part of the middle row that lies to the left. For B, one place more.",
            "Or count the places in the order of reading: all before number kernel² // 2 are open.",
        ),
    ),
    Exercise(
        "logits-to-bits",
        logits_to_bits,
        (
            "Three steps: logarithms of probabilities for all levels, those of the true levels, and the mean over the pixels.",
            "`gather` picks along an axis. Its index needs as many axes as the logits: `k[:, None]`.",
            "`torch.nn.functional.cross_entropy` with reduction='none' does the first two steps at once. Then nats become bits.",
        ),
    ),
    Exercise(
        "hand-over",
        hand_over,
        (
            "Print the result for a `v` whose rows are 1, 2, 3, 4 and an `h` of zeros. Which row is told what?",
            "What should the uppermost row be told? Nothing is above it.",
            "Drop the last row and put a row of zeros in front: `torch.cat` along axis 2 or `torch.nn.functional.pad` will do.",
        ),
    ),
    Exercise(
        "cold-images",
        cold_images,
        (
            "There are eleven images. Write down the probability of each.",
            "Square them all. What is their sum?",
            "One of the eleven squares belongs to the image of two white pixels. What is its share?",
        ),
    ),
)
"""The exercises of chapter 3 in the order of the sheet."""
