"""Checks and hints for the exercises of chapter 19, the comparison.

Every reference value follows from what is asked; none is typed in.
"""

import math
from functools import cache
from typing import Any

import sympy as sp
import torch
from sympy import Expr, Rational
from torch import Tensor

from diffcourse.practice.check import Exercise, Mistake, call, one_number
from diffcourse.practice.expression import Domain, judge

Reference = tuple[Expr, dict[str, Expr]]
"""The truth, and known wrong answers under the sentences that name the mistake."""

T_A, T_B, M_A, M_B = sp.symbols("T_a T_b m_a m_b", positive=True)
COSTS = Domain(
    tuple(
        {T_A: t_a, T_B: t_b, M_A: m_a, M_B: m_b}
        for t_a, t_b, m_a, m_b in ((40, 60, 50, 10), (7, 90, Rational(13, 2), Rational(1, 2)), (30, 35, 3, 2))
    ),
    {symbol: symbol for symbol in (T_A, T_B, M_A, M_B)},
)


# By hand


@cache
def pays_off_reference() -> Reference:
    images = sp.Symbol("images")
    (truth,) = sp.solve(T_A + images * M_A / 1000 - T_B - images * M_B / 1000, images)
    suspects = {
        "seconds are divided by milliseconds as if they were the same: it takes a thousand times as many": truth / 1000,
        "the units are converted the wrong way round": truth / 10**6,
        "this is negative: b pays off because it trains longer and draws faster, not the other way round": -truth,
        "b draws too, only faster: what counts is what each image saves": 1000 * (T_B - T_A) / M_A,
        "b has to make up for what it trains longer, not for all of its training": 1000 * T_B / (M_A - M_B),
        "both draw, but not one after the other: what does b save with each image?": 1000 * (T_B - T_A) / (M_A + M_B),
        "this is upside down: what is saved must be in the denominator": (M_A - M_B) / (T_B - T_A) / 1000,
        "each of the two is divided by its own drawing time; put the total costs equal": 1000 * (T_B / M_B - T_A / M_A),
    }
    return truth, suspects


def pays_off(answer: Any) -> str:
    how = judge(answer, *pays_off_reference(), COSTS)
    return f"before that a is cheaper, after that b ({how})"


# In code


def paired(function: Any) -> str:
    generator = torch.Generator().manual_seed(19)
    for n, level in ((5, 1.9), (40, 2.1)):  # once a is larger, once b: whoever loses the sign is caught by the second
        image = torch.randn(n, generator=generator, dtype=torch.float64)
        a = 2 + 0.3 * image + 0.02 * torch.randn(n, generator=generator, dtype=torch.float64)
        b = level + 0.3 * image + 0.02 * torch.randn(n, generator=generator, dtype=torch.float64)
        gap = a - b
        truth = gap.mean() * math.sqrt(n) / gap.std()
        suspects = {
            "this is `apart` of the chapter: it takes the images of a and of b for different ones": gap.mean()
            / ((a.var() + b.var()) / n).sqrt(),
            "the spread from image to image is not yet the error of their mean: n is missing": gap.mean() / gap.std(),
            "the standard error of a mean is smaller by the root of n, not by n": gap.mean() * n / gap.std(),
            "the standard deviation is divided by n; with n - 1 it is right on average": gap.mean()
            * math.sqrt(n)
            / gap.std(correction=0),
            "the sign is lost: it tells which of the two is larger": truth.abs(),
            "a minus b is asked for": -truth,
            "variances are taken for standard deviations": gap.mean() * n / gap.var(),
        }
        got = _number(call(function, a, b))
        if math.isclose(got, truth, rel_tol=1e-9):
            continue
        for sentence, wrong in suspects.items():
            if math.isclose(got, wrong, rel_tol=1e-9):
                raise Mistake(sentence)
        raise Mistake(f"for {n} images your number is off by {abs(got - truth):.2g}")
    return "what makes an image easy or hard for both models has dropped out"


def _number(got: Any) -> float:
    if isinstance(got, bool) or not isinstance(got, (int, float, Tensor)) or torch.as_tensor(got).numel() != 1:
        raise Mistake("return one number")
    if not math.isfinite(value := float(got)):
        raise Mistake("your number is infinite or NaN")
    return value


NEEDED = {"family", "seed", "steps", "training_flops", "samples"}


def own_comparison(results: Any) -> str:
    """Judges the results of `comparison.run_one` by their terms; who came out better is not judged."""
    if not isinstance(results, (list, tuple)) or not results or not all(isinstance(run, dict) for run in results):
        raise Mistake("give a list with what `run_one` returned for each family and seed")
    if any(NEEDED - run.keys() for run in results):
        raise Mistake("these are not results of `run_one`")
    seeds: dict[str, list[int]] = {}
    for run in results:
        seeds.setdefault(run["family"], []).append(run["seed"])
    if len(seeds) < 2:
        raise Mistake("one family alone has nothing to be compared with")
    if any(len(set(of_one)) < len(of_one) for of_one in seeds.values()):
        raise Mistake("a run stands in the list twice: that makes the spread too small")
    if min(map(len, seeds.values())) < 2:
        raise Mistake("with one seed the spread cannot be told: give two at least")
    if len({frozenset(of_one) for of_one in seeds.values()}) > 1:
        raise Mistake("the families have different seeds")
    spent = [run["training_flops"] for run in results]
    if (times := max(spent) / min(spent)) > 1.25:
        if len({run["steps"] for run in results}) == 1:
            raise Mistake(f"equally many steps: one family has got {times:.1f} times the operations of another")
        unequal = f"one family has got {times:.1f} times the operations of another"
        raise Mistake(f"{unequal}; are they what is equal, and are the steps more than a few?")
    if len({way["n_floor"] for run in results for way in run["samples"].values()}) > 1:
        raise Mistake("different numbers of images: their Fréchet distances cannot be compared")
    return "equal terms, and a spread for each family"


# To think about

DIFFERENCE = SPREAD = 0.1
LIMIT = 4


def many_seeds_reference() -> int:
    """The smallest n with difference / (spread (2 / n)^(1/2)) of at least the limit."""
    n = 2
    while DIFFERENCE / (SPREAD * math.sqrt(2 / n)) < LIMIT - 1e-9:
        n += 1
    return n


def many_seeds(guess: Any) -> str:
    value = one_number(guess)
    truth = many_seeds_reference()
    if value == truth:
        return "so many runs of each, for a tenth; now think about the cheaper ways"
    if value != value or value in (math.inf, -math.inf):
        raise Mistake("give one number")
    suspects = {
        "only one of the two means has an error here; both vary": truth / 2,
        "the error shrinks with the root of the number of seeds, not with the number": LIMIT,
        "these are the runs of both; how many does each get?": 2 * truth,
        "this is enough for one standard error": truth / LIMIT**2,
    }
    for sentence, wrong in suspects.items():
        if value == wrong:
            raise Mistake(sentence)
    how = "too few" if value < truth else "more than are needed"
    raise Mistake(f"{how}: how large is the error of a mean of n, and by how much is that of a difference larger?")


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        "pays-off",
        pays_off,
        (
            "Write down what each of the two costs in all, for a number of images. In which unit?",
            "Training is in seconds and drawing in milliseconds; one of them must be converted.",
            "Put the two costs equal and solve for the number of images.",
        ),
    ),
    Exercise(
        "paired",
        paired,
        (
            "What is the same for both models, and what differs?",
            "Look at one number for each image: what one model needs more than the other.",
            "How well is the mean of those numbers known?",
        ),
    ),
    Exercise(
        "own-comparison",
        own_comparison,
        (
            "A `comparison.Settings` says what all runs share; `run_one` wants it, a family, a seed and the folder.",
            "What should be equal is said by `equal`, how much of it by `budget`: 2e10 operations take a second or two.",
            "Two loops, over families and over seeds. Take families that draw fast, and few images.",
        ),
    ),
    Exercise(
        "many-seeds",
        many_seeds,
        (
            "Write the standard error of the difference for n seeds of each.",
            "Both means have the variance of a single run over n.",
            "The difference should be four times the error. Solve for n.",
        ),
    ),
)
"""The exercises of chapter 19 in the order of the sheet."""
