"""Checks and hints for the exercises of chapter 1, the landscape.

Every reference value follows from the claims of the chapter or from counting; none is typed in.
"""

import math
from functools import cache
from typing import Any

import sympy as sp
import torch
from sympy import Expr, Rational, Symbol

from diffcourse.algebra import CLAIMS
from diffcourse.algebra.landscape import of_few
from diffcourse.practice.check import Exercise, call, compare, one_number, wrong_number
from diffcourse.practice.expression import Domain, between_0_and_1, judge

Reference = tuple[Expr, dict[str, Expr]]
"""The truth, and known wrong answers under the sentences that name the mistake."""

A, K, R = sp.symbols("a K r", positive=True)
P = Symbol("p", positive=True)
HEDGE = Domain(
    tuple({A: share, K: Rational(size)} for share, size in ((Rational(1, 2), 16), (Rational(1, 10), 300), (Rational(4, 5), 7))),
    {A: 1 / (1 + P), K: K},
)
SHARE = between_0_and_1("r", Rational(1, 2), Rational(1, 10), Rational(4, 5))


# By hand


@cache
def hedge_reference() -> Reference:
    probability = A / K
    truth = -sp.log(probability) / sp.log(2)
    suspects = {
        "these are nats; a bit is a question with two answers": -sp.log(probability),
        "the sign: a probability is less than one, and its logarithm negative": sp.log(probability) / sp.log(2),
        "as if all pictures were hedged all the time; the model does so with the chance a": sp.log(K) / sp.log(2),
        "with the chance 1 - a it draws from the heap, and there this picture is not": sp.log(K / (1 - A)) / sp.log(2),
        "this averages the bits of two cases; first find the picture's probability, then take its logarithm": A * sp.log(K) / sp.log(2),
        "the share a makes the picture less probable, so it must cost more": sp.log(K * A) / sp.log(2),
    }
    return truth, suspects


def hedge(answer: Any) -> str:
    how = judge(answer, *hedge_reference(), HEDGE)
    return f"a picture that is new costs this model so many bits ({how})"


@cache
def half_seen_reference() -> Reference:
    kept = 1 / (1 + P)  # the share r, so that the signs of all distances are known
    (relation,) = CLAIMS["eq-tell-apart"].statement()
    value = of_few(relation.rhs, [kept, 1 - kept], [sp.Integer(1), sp.Integer(0)])
    truth = sp.simplify(sp.simplify(value).subs(P, 1 / R - 1))
    suspects = {
        "this is how often you are wrong": 1 - truth,
        "the larger the share that the model draws, the harder it is to tell": R,
        "this is right for what the model leaves out; what it draws in its place is drawn too often, and counts as well": (1 + truth) / 2 - Rational(1, 4),
        "this is the share of the data that gives itself away; with all others you still guess": 1 - R,
        "half of the pictures that you are shown come from the model, and among these you are right more often": Rational(1, 2) * (1 - R) + R / 2,
    }
    return truth, suspects


def half_seen(answer: Any) -> str:
    how = judge(answer, *half_seen_reference(), SHARE)
    return f"so often the best guesser is right, one half if nothing is missing ({how})"


# In code


def mean_bits(function: Any) -> str:
    for law, heap in (([0.5, 0.25, 0.125, 0.125], [0, 3, 1, 0, 2, 0]), ([0.1, 0.2, 0.3, 0.4], [1, 1, 1])):
        p, pictures = torch.tensor(law, dtype=torch.float64), torch.tensor(heap)
        seen = p[pictures]
        expected = -seen.log2().mean()
        suspects = {
            "these are nats: a bit is a question with two answers, so the logarithm is to the base 2": -seen.log().mean(),
            "this is the whole heap's number; divide by its size": -seen.log2().sum(),
            "the sign: a probability is less than one, and its logarithm negative": seen.log2().mean(),
            "first the logarithm of each picture, then the average": -seen.mean().log2(),
            "this averages over the model's own pictures, and knows nothing of the heap": -(p * p.log2()).sum(),
            "this counts each kind of picture once; average over the heap": -p.log2().mean(),
        }
        compare(call(function, p, pictures), expected, f"for a heap of {len(heap)}", suspects)
    return "so many questions a picture of the heap takes"


def good_turing(function: Any) -> str:
    for heap in ([3, 5, 3, 7, 9, 3, 7], [1, 1, 2, 2, 2], [4, 0, 2, 6, 5]):
        pictures = torch.tensor(heap)
        _, occurs = pictures.unique(return_counts=True)
        alone, kinds, n = (occurs == 1).sum(), len(occurs), len(heap)
        suspects = {
            "this is the share of different pictures; count those that occur once": torch.tensor(kinds / n),
            "divide by the number of all pictures, not of different ones": alone / kinds,
            "this is the chance that the picture is not new": 1 - alone / n,
            "this is how many occur once; which share of the heap are they?": alone.float(),
            "this is the share of pictures that are repeated": torch.tensor(1 - kinds / n),
        }
        compare(call(function, pictures), alone / n, f"for the heap {heap}", suspects)
    return "from the heap alone, without the law that it comes from"


# To think about


MIXED, PIXELS = 1.85, 64
"""The bits per pixel of the model in the exercise, and the pixels of a digit."""


def behind_noise(guess: Any) -> str:
    value = one_number(guess)
    hidden = math.log2(100) / PIXELS
    truth = MIXED - hidden
    if abs(value - truth) < 2e-3:
        return "all the noise in the world hides no more than a tenth of a bit of a digit's pixel"
    suspects = {
        "the wrong way: without the noise the model can only be better": MIXED + hidden,
        "the noise costs bits, not nats": MIXED - math.log(100) / PIXELS,
        "these bits are for the whole picture; divide by its pixels": MIXED - math.log2(100),
        "what counts is the share of good pictures, not that of noise": MIXED - math.log2(1 / 0.99) / PIXELS,
        "this is what the noise costs; what is left without it?": hidden,
    }
    look_at = "what does a share of one in a hundred cost at most, and over how many pixels?"
    raise wrong_number(value, truth, suspects, 2e-4, look_at)


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        "hedge",
        hedge,
        (
            "In which of the two cases can the model draw a picture that is not in its heap?",
            "Multiply the chance of that case by the chance that it is this very picture.",
            "Bits are minus the logarithm to the base 2: `sp.log(x) / sp.log(2)`.",
        ),
    ),
    Exercise(
        "half-seen",
        half_seen,
        (
            "Take the data's pictures in two lots: those that the model draws, r of the data, and those that it does not.",
            "What does the model give to the first lot in all? By how much is that more than r? And to the second?",
            "Both distances are the same. The sum of both goes into the formula with a quarter.",
        ),
    ),
    Exercise(
        "mean-bits",
        mean_bits,
        (
            "`p[heap]` looks up the probability of every picture in the heap, repetitions included.",
            "Three things are to be done with these: a logarithm, an average, a sign. In which order?",
        ),
    ),
    Exercise(
        "good-turing",
        good_turing,
        (
            "Any picture of the heap could have been the last. When would it have been new?",
            "`torch.unique` gives the different pictures, and how often each occurs if you ask for that as well.",
            "Count the ones among the counts, and divide by the size of the heap.",
        ),
    ),
    Exercise(
        "behind-noise",
        behind_noise,
        (
            "The inequality on noise is in the section on many pixels. Which side of it is 1.85?",
            "The good part has the share a = 0.01. What does the logarithm of 1/a come to in bits, and for each of the 64 pixels?",
        ),
    ),
)
"""The exercises of chapter 1 in the order of the sheet."""
