"""Checks and hints for the exercises of chapter 7, the forward process.

Every reference value follows from the claims of the chapter or from `diffcourse.diffusion`; none is typed in.
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
from diffcourse.algebra.forward_process import bar, conditional, eps, law_of, only, s, t, x
from diffcourse.algebra.notation import symbol
from diffcourse.diffusion import process
from diffcourse.diffusion.process import standard_normal_like
from diffcourse.diffusion.schedule import Schedule, cosine, linear
from diffcourse.practice.check import Exercise, Mistake, call, compare, one_number, require_type, wrong_number
from diffcourse.practice.expression import Domain, between_0_and_1, judge

# By hand

BETA = symbol(r"\beta")
ONE_BETA = between_0_and_1(BETA.name, Rational(1, 10), Rational(1, 4), Rational(2, 3))

Reference = tuple[Expr, dict[str, Expr]]
"""The truth, and known wrong answers under the sentences that name the mistake."""


@cache
def half_life_reference() -> Reference:
    mean, variance = (relation.rhs.subs(x[0], 1) for relation in CLAIMS["eq-toy-moments"].statement())
    steps = Symbol("steps", positive=True)

    def first_time(expression: Expr) -> Expr:
        """The t at which the expression is zero."""
        return sp.solve(expression.subs(t, steps), steps)[0]

    truth = first_time(mean**2 - variance)
    suspects = {
        "this is where half of x_0 itself is left; the ratio compares variances": first_time(mean - Rational(1, 2)),
        "a negative number of steps: mind the sign of the logarithm of a number below one": -truth,
        "close for small β, but not exact: (1-β)^t has been replaced by exp(-β t)": sp.log(2) / BETA,
        "this adds up t variances β, as if no step shrank the noise of the steps before it": 1 / (2 * BETA),
    }
    return truth, suspects


def half_life(answer: Any) -> str:
    how = judge(answer, *half_life_reference(), ONE_BETA)
    return f"signal and noise are equally strong after this many steps, for every β ({how})"


@cache
def lost_root_reference() -> Reference:
    variance = Symbol("variance", positive=True)
    factor, noise = law_of((1 - BETA) * x[t - 1] + sp.sqrt(BETA) * eps[t], [eps[t]])
    factor = factor.coeff(x[t - 1])

    def settles(factor: Expr, noise: Expr) -> Expr:
        """The variance that a step maps to itself."""
        return sp.solve(factor * variance + noise - variance, variance)[0]

    truth = settles(factor**2, noise)
    suspects = {
        "the chain with the root would keep this; what does a factor in front of x do to its variance?": sp.Integer(1),
        "this is the limit for small β; the exact value depends on β": sp.limit(truth, BETA, 0),
        "the noise has the wrong variance: what is that of sqrt(β) times a normal?": settles(factor**2, noise**2),
        "you add the noise's standard deviation; only variances add up": settles(factor**2, sp.sqrt(noise)),
        "it does not fade to zero: every step brings fresh noise": sp.Integer(0),
        "this is the variance that one single step adds": noise,
        "this is the variance after one single step from variance one; let the chain go on": factor**2 + noise,
    }
    return truth, suspects


def lost_root(answer: Any) -> str:
    how = judge(answer, *lost_root_reference(), ONE_BETA)
    return f"a step leaves this variance as it is, for every β between 0 and 1 ({how})"


BAR_S, BAR_T, P, R = sp.symbols("alpha_bar_s alpha_bar_t p r", positive=True)
PAIRS = ((Rational(3, 4), Rational(1, 3)), (Rational(9, 10), Rational(1, 2)), (Rational(1, 2), Rational(1, 5)))
TWO_STEPS = Domain(tuple({BAR_S: a, BAR_T: b} for a, b in PAIRS), {BAR_S: 1 / (1 + P), BAR_T: 1 / (1 + P + R)})


@cache
def covariance_reference() -> Reference:
    mean, _ = conditional(only(CLAIMS["eq-jump"].statement()), x[t], x[s])
    kept = (mean / x[s]).subs({bar[s]: BAR_S, bar[t]: BAR_T})
    _, variance = conditional(only(CLAIMS["eq-closed-form"].statement()), x[t], x[0])
    at_s, at_t = (variance.subs(bar[t], value) for value in (BAR_S, BAR_T))

    truth = kept * at_s
    suspects = {
        "this gives x_s and x_t one and the same noise, but more is added between s and t": sp.sqrt(at_s * at_t),
        "they are not independent: the noise of the first s steps is still in x_t": sp.Integer(0),
        "an index is exchanged: which of the two noises is in both x_s and x_t?": kept * at_t,
        "a root is missing: how does the jump shrink x_s itself, not its variance?": kept**2 * at_s,
        "this would hold for a random x_0 of variance one; here x_0 is given, so less is random": kept,
        "this is the correlation; do not divide by the standard deviations": truth / sp.sqrt(at_s * at_t),
        "x_s is shrunk here as if the jump had started at x_0": sp.sqrt(BAR_T) * at_s,
        "the noise in x_s has shrunk by the time it arrives in x_t": at_s,
        "the shrinking is upside down: this noise has grown on the way from s to t": at_s / kept,
        "this is the noise that the jump adds after x_s, and x_s knows nothing of it": 1 - kept**2,
    }
    return truth, suspects


def covariance(answer: Any) -> str:
    how = judge(answer, *covariance_reference(), TWO_STEPS)
    return f"this is how x_s and x_t vary together, for all s < t and every schedule ({how})"


# In code


def alpha_bar_at(function: Any) -> str:
    schedule = linear(1000)
    beta = schedule.beta(schedule.steps)

    def result(*steps: int, shape: tuple[int, ...] = (-1,)) -> Tensor:
        return call(function, beta, torch.tensor(steps).reshape(shape))

    some = torch.tensor([1, 2, 500, 999])
    suspects = {
        "off by one: step t stands at another index of the table than yours": schedule.alpha_bar(some + 1),
        "off by one: the last factor of the product is missing": schedule.alpha_bar(some - 1),
        "this is α_t of one step; ᾱ_t gathers all steps up to t": schedule.alpha(some),
        "this is β_t, straight from the table": schedule.beta(some),
        "this is 1 - ᾱ_t, the noise; ᾱ_t is what is left of the data": 1 - schedule.alpha_bar(some),
        "exp(-Σβ) is only an upper bound of the product": torch.exp(-torch.cumsum(beta, 0))[some - 1],
        "this is a sum; ᾱ_t is a product": torch.cumsum(1 - beta, 0)[some - 1],
        "this is the square root of ᾱ_t": schedule.alpha_bar(some).sqrt(),
    }
    compare(result(1, 2, 500, 999), schedule.alpha_bar(some), "for t = [1, 2, 500, 999]", suspects, rtol=1e-10, atol=0)
    compare(result(1000), schedule.alpha_bar(torch.tensor([1000])), "for t = [1000]", {}, rtol=1e-10, atol=0)
    wrapped = {
        "at t = 0 your function looks at index -1. PyTorch does not complain: it counts from the end and gives"
        " what belongs to t = T": schedule.alpha_bar(torch.tensor([1000])),
        "at t = 0 one step has already been taken": schedule.alpha_bar(torch.tensor([1])),
    }
    compare(result(0), schedule.alpha_bar(torch.tensor([0])), "for t = [0]", wrapped, rtol=1e-10, atol=0)
    mixed = (3, 0, 1000, 7, 7, 1)
    expected = schedule.alpha_bar(torch.tensor(mixed).reshape(2, 3))
    compare(result(*mixed, shape=(2, 3)), expected, "for t of shape [2, 3]", {}, rtol=1e-10, atol=0)
    return "ᾱ at every step from 0 to T, in any order and shape, to ten digits"


def q_sample(function: Any) -> str:
    schedule = linear(1000)
    generator = torch.Generator().manual_seed(7)

    def batch(*shape: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
        x0 = torch.rand(shape, generator=generator, dtype=dtype) * 2 - 1
        t = torch.randperm(997, generator=generator)[: shape[0]] + 2
        return x0, t, standard_normal_like(x0, generator)

    # As many images as rows and columns: a coefficient on the wrong axis fits there, and PyTorch stays silent.
    x0, t, noise = batch(8, 1, 8, 8)
    bar, alpha = schedule.alpha_bar(t), schedule.alpha(t)

    def mix(signal: Tensor, added: Tensor, *shape: int) -> Tensor:
        shape = shape or (-1, 1, 1, 1)
        return signal.reshape(shape) * x0 + added.reshape(shape) * noise

    def roots(bar: Tensor, *shape: int) -> Tensor:
        return mix(bar.sqrt(), (1 - bar).sqrt(), *shape)

    axes = "broadcasting lines up the last axes: your [B] coefficients went to the {}, not to the images"
    suspects = {
        axes.format("columns"): roots(bar, -1),
        axes.format("rows"): roots(bar, -1, 1),
        axes.format("channels"): roots(bar, -1, 1, 1),
        "a root is missing at the noise": mix(bar.sqrt(), 1 - bar),
        "a root is missing at the signal": mix(bar, (1 - bar).sqrt()),
        "both roots are missing": mix(bar, 1 - bar),
        "this is one step of the chain: α_t is where ᾱ_t should be": roots(alpha),
        "off by one: the coefficients belong to step t - 1": roots(schedule.alpha_bar(t - 1)),
        "off by one: the coefficients belong to step t + 1": roots(schedule.alpha_bar(t + 1)),
        "signal and noise are exchanged": mix((1 - bar).sqrt(), bar.sqrt()),
        "all images get the first image's t": roots(bar[:1]),
        "no noise has been added": mix(bar.sqrt(), 0 * bar),
        "the noise is subtracted: the same law, but not this eps": mix(bar.sqrt(), -(1 - bar).sqrt()),
    }
    got = call(function, schedule, x0, t, noise)
    if isinstance(got, Tensor) and not torch.equal(got, call(function, schedule, x0, t, noise)):
        raise Mistake("two calls with the same eps give different results: use the eps that is given, draw none")
    expected = process.q_sample(schedule, x0.double(), t, noise.double())
    compare(got, expected, "for 8 images of 8x8 pixels,", suspects)
    require_type(got, x0.dtype, "a network would refuse it: give x_t the type of x_0")
    for shape, dtype in (((5, 3, 8, 6), torch.float32), ((1, 1, 4, 4), torch.float64)):
        x0, t, noise = batch(*shape, dtype=dtype)
        got = call(function, schedule, x0, t, noise)
        compare(got, process.q_sample(schedule, x0, t, noise).double(), f"for x_0 of shape {list(shape)}", {})
        require_type(got, dtype, "give x_t the type of x_0")
    return "every image has its own t, colour or grey, and x_t keeps the type of x_0"


def noise_variance(function: Any) -> str:
    for T in (1000, 250):
        schedule = linear(T)
        expected = 1 - schedule.alpha_bar(schedule.steps)
        got = call(function, T)
        if isinstance(got, Tensor) and got.is_floating_point() and got.shape == expected.shape:
            loss = ((got.double() - expected) / expected).abs()
            worst = int(loss.argmax())
            if 2e-6 < loss[worst] < 1e-2:
                digits = f"{-math.log10(loss[worst]):.0f}"
                raise Mistake(
                    f"the formula is right, but digits are lost: only about {digits} are correct at t = {worst + 1}."
                    " A cast afterwards does not bring them back; where do they go, and in which type?"
                )
        suspects = {
            "this is ᾱ_t; the noise's variance is what is missing to one": 1 - expected,
            "this is the standard deviation; the variance has no root": expected.sqrt(),
            "this is the variance that each single step adds": schedule.beta(schedule.steps),
            "off by one: the first entry belongs to t = 1, not to t = 0": 1 - schedule.alpha_bar(schedule.steps - 1),
        }
        compare(got, expected, f"for T = {T}", suspects, rtol=2e-6, atol=0)
        require_type(got, torch.float32, "return float32: compute with many digits, then cast")
    return "float32 with all its digits, from t = 1 to t = T"


def trajectory(function: Any) -> str:
    schedule = linear(1000)
    generator = torch.Generator().manual_seed(11)
    steps = [3, 50, 51, 400, 1000]
    x0 = torch.rand(4, 1, 8, 8, generator=generator, dtype=torch.float64) * 2 - 1
    noises = [standard_normal_like(x0, generator) for _ in steps]

    def walk(kept: Callable[[int, int], Tensor], added: Callable[[int, int], Tensor]) -> Tensor:
        """All frames, each from the one before, with these factors of x_s and of the noise."""
        frames, here, before = [], x0, 0
        for now, noise in zip(steps, noises):
            here = kept(before, now) * here + added(before, now) * noise
            frames.append(here)
            before = now
        return torch.stack(frames)

    bar, alpha = schedule.alpha_bar, schedule.alpha

    def ratio(s: int, t: int) -> Tensor:
        return bar(t) / bar(s)

    frames, here, before = [], x0, 0
    for now, noise in zip(steps, noises):
        mean, variance = process.q_jump(schedule, here, before, now)
        here, before = mean + variance.sqrt() * noise, now
        frames.append(here)
    expected = torch.stack(frames)

    suspects = {
        "every frame starts again from x_0: each has the right law, but together they are no path": torch.stack(
            [process.q_sample(schedule, x0, now, noise) for now, noise in zip(steps, noises)]
        ),
        "each jump is as long as if it began at step 0: x_s has already come part of the way": walk(
            lambda s, t: bar(t).sqrt(), lambda s, t: (1 - bar(t)).sqrt()
        ),
        "the noise of a jump is too weak: ᾱ_s - ᾱ_t is what it adds for somebody who counts from x_0": walk(
            lambda s, t: ratio(s, t).sqrt(), lambda s, t: (bar(s) - bar(t)).sqrt()
        ),
        "a root is missing at the noise": walk(lambda s, t: ratio(s, t).sqrt(), lambda s, t: 1 - ratio(s, t)),
        "a root is missing at the signal": walk(ratio, lambda s, t: (1 - ratio(s, t)).sqrt()),
        "each jump is only one step long: α_t and β_t are those of the last step": walk(
            lambda s, t: alpha(t).sqrt(), lambda s, t: (1 - alpha(t)).sqrt()
        ),
    }
    got = call(function, schedule, x0, steps, noises)
    if isinstance(got, (list, tuple)):
        if len(got) == len(steps) + 1:
            raise Mistake(f"{len(got)} frames for {len(steps)} steps: x_0 is not one of them")
        if len(got) != len(steps) or not all(isinstance(frame, Tensor) and frame.shape == x0.shape for frame in got):
            raise Mistake(f"return a list of {len(steps)} tensors, one for each step, each of the shape of x_0")
        got = torch.stack(list(got))
    compare(got, expected, "for [frame, image, channel, row, column]", suspects, rtol=1e-8, atol=1e-8)
    return "one path: each frame grows out of the frame before, and each has the law of its step"


def snr_step(function: Any) -> str:
    def first(below: Tensor) -> int:
        return int(below.nonzero()[0]) + 1

    for name, schedule in {"linear(1000)": linear(1000), "cosine(200)": cosine(200)}.items():
        snr = schedule.snr(schedule.steps)
        for level in (4.0, 1.0, 0.1):
            truth = first(snr <= level)
            got = call(function, schedule, level)
            try:
                step = int(got)
            except (TypeError, ValueError, RuntimeError):
                raise Mistake(f"return one step, a whole number; this is of type {type(got).__name__}") from None
            if step == truth and float(got) == step:
                continue
            where = f"{name} at level {level:g}"
            if float(got) != step:
                raise Mistake(f"{where}: a step is a whole number")
            if step in (truth - 1, truth + 1):
                raise Mistake(f"{where}: off by one. A step or an index? The last above the level, or the next?")
            suspects = {
                "this compares amplitudes; the signal-to-noise ratio is one of variances": first(snr.sqrt() <= level),
                "signal and noise are exchanged in the ratio": first(1 / snr >= level),
                "this compares ᾱ itself with the level": first(schedule.alpha_bar(schedule.steps) <= level),
            }
            for sentence, wrong in suspects.items():
                if step in (wrong - 1, wrong):
                    raise Mistake(f"{where}: {sentence}")
            if not 1 <= step <= schedule.T:
                raise Mistake(f"{where}: your step is {step}, outside 1..T")
            side = "still above the level there" if step < truth else "below the level earlier than that"
            raise Mistake(f"{where}: your step is {step}, but the ratio is {side}")
    return "the first step at or below each level, on two schedules"


def ten_steps(guess: Any) -> str:
    value = one_number(guess, "one number between 0 and 1")
    if not 0 <= value <= 1:
        raise Mistake("a share lies between 0 and 1")
    truth = float(linear(10).alpha_bar(10))
    suspects = {
        "this is the share of the noise": 1 - truth,
        "this is the factor in front of x_0; the share of the variance is its square": math.sqrt(truth),
        "this is what 1000 steps leave": float(linear(1000).alpha_bar(1000)),
    }
    if abs(value - truth) <= 0.01:
        return f"after ten steps ᾱ is {truth:.3f}, so x_T is hardly noisy"
    raise wrong_number(value, truth, suspects, 0.01, "ᾱ is a product; how many factors, and how small?", by=True)


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        "half-life",
        half_life,
        (
            "The chapter's toy has both ingredients: the factor of x_0 after t steps, and the variance of the noise.",
            "Signal and noise are equally strong when the squared factor of x_0 equals the variance of the noise. "
            "Call the squared factor k; what number must k be?",
            "You are left with a power of 1 - β that equals a number. A logarithm brings the exponent down: `sp.log`.",
        ),
    ),
    Exercise(
        "lost-root",
        lost_root,
        (
            "Write the variance after a step in terms of the variance v before it. x_{t-1} and the fresh noise "
            "are independent.",
            "A factor c in front of a random number multiplies its variance by c squared. The fresh noise adds "
            "the same each time.",
            "The variance settles where a step changes nothing: the value after the step equals the value before."
            " Solve for v.",
        ),
    ),
    Exercise(
        "covariance",
        covariance,
        (
            "With x_0 given, only noise is random. Split x_t into a part that comes from x_s and a part that was "
            "added later.",
            "The jump from s to t does the splitting: a factor times x_s, plus noise that knows nothing of x_s.",
            "The covariance of x_s with (c x_s + fresh noise) is c times the variance of x_s. Read c off the jump, "
            "and the variance of x_s, given x_0, off the closed form.",
        ),
    ),
    Exercise(
        "alpha-bar",
        alpha_bar_at,
        (
            "Work out the whole table first, then look up. `torch.cumprod` multiplies along an axis.",
            "Your table starts at step 1, and Python counts from 0. And what should stand in front of the table, "
            "for t = 0?",
            "`torch.cat` puts a one in front: `torch.ones(1, dtype=...)`. Then step t stands at index t.",
        ),
    ),
    Exercise(
        "q-sample",
        q_sample,
        (
            "`schedule.alpha_bar(t)` takes the whole tensor t and returns one float64 number for each image.",
            "PyTorch compares shapes from the right: [8] against [8, 1, 8, 8] meets the columns. What shape meets"
            " the images?",
            "`a.reshape(-1, 1, 1, 1)` stands at the first axis. Take the roots in float64 and cast with "
            "`.to(x0.dtype)`.",
        ),
    ),
    Exercise(
        "noise-variance",
        noise_variance,
        (
            "float32 keeps about seven digits of 0.9999. How many of them tell you anything about the 0.0001 that"
            " is missing?",
            "The digits are lost in two places: when 1 - β is formed, and when ᾱ is taken from one. Neither may "
            "be in float32.",
            "Give `torch.linspace` a `dtype`, and cast only what you return.",
        ),
    ),
    Exercise(
        "trajectory",
        trajectory,
        (
            "A loop with two things to remember: the present image and the step it belongs to. Both change at "
            "every turn.",
            "The jump from s to t needs the ratio of two values of ᾱ. For the first frame s is 0, and ᾱ_0 is one.",
            "At each turn: a root of the ratio times the present image, plus a root of what the ratio lacks to "
            "one times the noise.",
        ),
    ),
    Exercise(
        "snr-step",
        snr_step,
        (
            "`schedule.snr(schedule.steps)` is the whole curve, for t = 1 .. T, and it only falls.",
            "Count how many steps are still above the level. Which step comes next?",
            "A comparison of a tensor with a number gives a tensor of truth values; `.sum()` counts the true ones.",
        ),
    ),
    Exercise(
        "ten-steps",
        ten_steps,
        (
            "The share is ᾱ_10. The ten β run in equal steps from 0.0001 to 0.02.",
            "For small β a product of (1 - β) is close to exp(-Σβ). The sum is the number of terms times their mean.",
        ),
    ),
)
"""The exercises of chapter 7 in the order of the sheet."""
