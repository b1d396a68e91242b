"""Checks and hints for the exercises of chapter 13, sampling.

Every reference value follows from the claims of the chapter or from `diffcourse.diffusion`; none is typed in.
"""

from functools import cache
from typing import Any

import sympy as sp
import torch
from sympy import Expr, Rational
from torch import Tensor

from diffcourse.algebra import CLAIMS
from diffcourse.algebra.forward_process import alpha, bar, beta, t
from diffcourse.algebra.sampling import ASKED, gauss_noise, m, r, s, y
from diffcourse.algebra.sampling import c as width
from diffcourse.algebra.sampling import eta as noise_share
from diffcourse.diffusion import exact, process
from diffcourse.diffusion.process import standard_normal_like
from diffcourse.diffusion.sample import Denoiser
from diffcourse.diffusion.schedule import Schedule, linear
from diffcourse.practice.check import Exercise, Mistake, call, compare
from diffcourse.practice.expression import Domain, judge

Reference = tuple[Expr, dict[str, Expr]]
"""The truth, and known wrong answers under the sentences that name the mistake."""

BETA, BEFORE, P, Q = sp.symbols("beta before p q", positive=True)
STEP = Domain(
    tuple({BETA: b / 100, BEFORE: k / 100} for b, k in ((Rational(10), Rational(50)), (Rational(25), Rational(33)), (Rational(2), Rational(80)))),
    {BETA: 1 / (1 + P), BEFORE: 1 / (1 + Q)},
)
C, R, S = sp.symbols("c r s", positive=True)
LEVELS = Domain(
    tuple({C: a / 4, R: b / 4, S: d / 4} for a, b, d in ((Rational(2), Rational(12), Rational(4)), (Rational(8), Rational(5), Rational(1)))),
    {C: C, R: R, S: S},
)


# By hand


@cache
def eta_reference() -> Reference:
    (relation,) = CLAIMS["eq-ddim-sigma"].statement()
    step = relation.rhs.subs({s: t - 1, bar[s]: bar[t - 1]}).subs(bar[t], (1 - BETA) * BEFORE).subs(bar[t - 1], BEFORE)
    share = sp.simplify(step / noise_share**2)  # what eta = 1 adds
    truth = sp.sqrt(sp.simplify(BETA / share))
    suspects = {
        "this is η²": truth**2,
        "the ratio is upside down: β_t is the larger of the two variances": 1 / truth,
        "η = 1 adds β̃_t; here β_t is wanted": sp.S.One,
        "this is β_t over β̃_t with α in place of ᾱ": sp.sqrt(BETA / (1 - BEFORE)),
        "this is the standard deviation that η = 1 adds": sp.sqrt(share),
        "η is no variance; it multiplies the standard deviation that η = 1 adds": sp.sqrt(BETA),
    }
    return truth, suspects


def eta(answer: Any) -> str:
    how = judge(answer, *eta_reference(), STEP)
    return f"with this η, DDIM adds the noise of a step forwards; it is more than one ({how})"


@cache
def euler_factor_reference() -> Reference:
    (relation,) = CLAIMS["eq-ddim-euler"].statement()
    levels = {r[t]: R, r[s]: S}
    noise = gauss_noise(y[t], r[t]).subs(m, 0)
    truth = sp.factor(sp.expand(relation.rhs.subs(ASKED, noise).subs(levels).subs(width, C) / y[t]))
    (exact_flow,) = CLAIMS["eq-gauss-flow"].statement()
    suspects = {
        "this is the exact factor; one step of DDIM goes straight ahead": exact_flow.rhs.subs(m, 0).subs(levels).subs(width, C) / y[t],
        "this is right for data of one point, c = 0": S / R,
        "the slope belongs to the start of the step, at r, not to its end": sp.factor(1 + (S - R) * S / (C**2 + S**2)),
        "you step towards more noise": sp.factor(1 + (R - S) * R / (C**2 + R**2)),
        "this is the change; y itself is there as well": truth - 1,
        "c is the standard deviation; the variance of the data is c²": sp.factor(1 + (S - R) * R / (C + R**2)),
        "the best guess of the noise is r/(c² + r²) times y; this has 1/(c² + r²)": sp.factor(1 + (S - R) / (C**2 + R**2)),
    }
    return truth, suspects


def euler_factor(answer: Any) -> str:
    how = judge(answer, *euler_factor_reference(), LEVELS)
    return f"one step of DDIM multiplies y by this; compare it with the exact factor ({how})"


# In code

SINGLE, KEPT, NOISY = "single", "kept", "noisy"
MISTAKES = {
    SINGLE: "α_t belongs to a single step; between t and s there may be many",
    KEPT: "the clipped guess and the noise no longer add up to x_t: work the noise out anew",
    NOISY: "the step that ends at s = 0 adds noise, and nothing removes it any more",
}


def walk(
    schedule: Schedule, predict: Denoiser, x: Tensor, times: list[int], generator: torch.Generator, mistakes: tuple[str, ...] = ()
) -> Tensor:
    """DDPM over a subset of the steps with the variance of a jump forwards and clipping; with any of the `MISTAKES`."""
    for n, end in zip(times, times[1:] + [0]):
        eps = predict(x, torch.full((len(x),), n))
        if KEPT not in mistakes:
            eps = process.predict_eps(schedule, x, n, process.predict_x0(schedule, x, n, eps).clamp(-1, 1))
        jump = schedule.alpha(n) if SINGLE in mistakes else schedule.alpha_bar(n) / schedule.alpha_bar(end)
        x = (x - (1 - jump) / (1 - schedule.alpha_bar(n)).sqrt() * eps) / jump.sqrt()
        if end > 0 or NOISY in mistakes:
            x = x + (1 - jump).sqrt() * standard_normal_like(x, generator)
    return x


def repair(function: Any) -> str:
    schedule, toy = linear(1000), exact.two_points(0.9)
    x_T = torch.randn(64, 1, generator=torch.Generator().manual_seed(8), dtype=torch.float64)

    def too_sure(x: Tensor, n: Tensor) -> Tensor:
        return 1.2 * toy.predict_eps(schedule, x, n)  # its guesses leave [-1, 1], so that clipping has something to do

    for times in ([1000, 600, 300, 50], [900, 250], [3, 2, 1]):

        def seeded() -> torch.Generator:
            return torch.Generator().manual_seed(9)

        expected = walk(schedule, too_sure, x_T, times, seeded())
        suspects = {}
        for first, sentence in MISTAKES.items():  # each alone, or with others: the first that is left is named
            later = list(MISTAKES)[list(MISTAKES).index(first) + 1 :]
            for others in ((), *((other,) for other in later), tuple(later)):
                suspects[sentence + " " * len(suspects)] = walk(schedule, too_sure, x_T, times, seeded(), (first, *others))
        got = call(function, schedule, too_sure, x_T, times, seeded())
        compare(got, expected, f"for the steps {times}", suspects, rtol=1e-8, atol=1e-8)
    return "it agrees with the package's sampler on every subset of the steps"


def heun_step(function: Any) -> str:
    place = torch.tensor([[-1.4, 0.3], [0.8, 2.0]], dtype=torch.float64)

    def slope(y: Tensor, r: float) -> Tensor:
        return torch.sin(2 * y) + r * y

    for start, end in ((3.0, 2.0), (0.5, 0.1)):
        h, first = end - start, slope(place, start)
        euler = place + h * first
        suspects = {
            "this is Euler's step: the slope at the far end takes no part": euler,
            "this is the slope at the far end alone": place + h * slope(euler, end),
            "the two slopes are added up; their mean is wanted": place + h * (first + slope(euler, end)),
            "the second slope belongs to the end of the step: ask at the noise level s": place + h / 2 * (first + slope(euler, start)),
            "the second slope belongs to where Euler's step ends, not to where you stand": place + h / 2 * (first + slope(place, end)),
            "the step goes from r to s, so its length is s - r": place - h / 2 * (first + slope(place - h * first, end)),
            "start the corrected step where you stood, not where Euler's step ended": euler + h / 2 * (first + slope(euler, end)),
            "a half step and the slope there: the midpoint rule, also of second order, but not Heun's": place
            + h * slope(place + h / 2 * first, start + h / 2),
        }
        expected = place + h / 2 * (first + slope(euler, end))
        compare(call(function, slope, place, start, end), expected, f"from r = {start:g} to s = {end:g}", suspects, rtol=1e-9, atol=1e-9)
    return "two looks, and an error of third order in each step"


# To think about


def budget(answer: Any) -> str:
    try:
        first, second = (float(number) for number in answer)
    except (TypeError, ValueError):
        raise Mistake("give two numbers, (calls of the first order, calls of the second)") from None
    now, factor = 20, 100  # calls, and how much smaller the error is to be
    truth = now * factor, now * factor**0.5
    if all(abs(got / right - 1) < 1e-3 for got, right in zip((first, second), truth)):
        return "a hundredth of the error costs a hundred times the calls, or ten times"
    if abs(first / truth[1] - 1) < 1e-3 and abs(second / truth[0] - 1) < 1e-3:
        raise Mistake("the two are exchanged: the higher order gets along with fewer calls")
    for got, right, order in ((first, truth[0], "first"), (second, truth[1], "second")):
        if not abs(got / right - 1) < 1e-3:
            how = "too small" if got < right else "too large" if got > right else "not right"
            raise Mistake(f"the number for the {order} order is {how}: with which power of the step do errors shrink?")
    raise AssertionError("unequal, but equal in both parts")


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        "eta",
        eta,
        (
            "With η = 1 the variance is β̃_t. Which multiple of it is β_t?",
            "η enters the variance squared.",
            "β_t over β̃_t is a ratio of two noise levels, 1 - ᾱ_t over 1 - ᾱ_{t-1}. Write ᾱ_t with `before` and `beta`.",
        ),
    ),
    Exercise(
        "euler-factor",
        euler_factor,
        (
            "The best guess of the noise is a multiple of y. Which? It is the covariance of y and ε over the variance of y.",
            "y is x_0 + r ε. The covariance with ε is r, the variance c² + r².",
            "Put this into Euler's step, and take y out as a factor.",
        ),
    ),
    Exercise(
        "repair",
        repair,
        (
            "The check names one mistake at a time. Repair it, run the check again.",
            "For a jump from t to s, ᾱ_t/ᾱ_s takes the place of α_t. `schedule.alpha_bar(0)` is 1.",
            "`predict_eps` of the package gives the noise that goes with a given guess of the image.",
            "When does a step add no noise? Ask where it ends, not where it begins.",
        ),
    ),
    Exercise(
        "heun-step",
        heun_step,
        (
            "First take Euler's step, from y, with the slope there.",
            "Then ask for the slope where that ended: both the place and the noise level are new.",
            "The mean of the two slopes, times the length s - r, which is negative.",
        ),
    ),
    Exercise(
        "budget",
        budget,
        (
            "With a method of first order the error is proportional to one over the number of calls.",
            "With a method of second order it is proportional to one over its square.",
        ),
    ),
)
"""The exercises of chapter 13 in the order of the sheet."""
