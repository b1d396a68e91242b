"""Checks and hints for the exercises of chapter 8, the reverse process.

Every reference value follows from the claims of the chapter or from `diffcourse.diffusion`; none is typed in.
"""

from functools import cache
from typing import Any

import sympy as sp
import torch
from sympy import Expr, Rational
from torch import Tensor

from diffcourse.algebra import CLAIMS
from diffcourse.algebra.forward_process import alpha, bar, beta, t, x
from diffcourse.algebra.notation import family, symbol
from diffcourse.algebra.proving import conditional, only
from diffcourse.diffusion import exact, process
from diffcourse.diffusion.process import standard_normal_like
from diffcourse.diffusion.schedule import Schedule, cosine, linear
from diffcourse.practice.check import Exercise, Mistake, call, compare, one_number, require_type, wrong_number
from diffcourse.practice.expression import Domain, between_0_and_1, judge

Reference = tuple[Expr, dict[str, Expr]]
"""The truth, and known wrong answers under the sentences that name the mistake."""

# By hand

BETA = symbol(r"\beta")
ONE_BETA = between_0_and_1(BETA.name, Rational(1, 10), Rational(1, 4), Rational(2, 3))


@cache
def neighbours_reference() -> Reference:
    # The chain started one step earlier: x_{t-1} plays the part of x_0, and abar_{t-1} is one factor 1 - beta.
    precision = only(CLAIMS["eq-posterior-precision"].statement()).terms[1]
    precision = precision.subs({alpha[t]: 1 - BETA, beta[t]: BETA, bar[t - 1]: 1 - BETA}, simultaneous=True)
    truth = sp.simplify(1 / precision)
    suspects = {
        "this is the variance with one neighbour only; the other one tells you something too": BETA,
        "you add 1/β twice. The later neighbour has seen x_t shrunk: what does that do to its precision?": BETA / 2,
        "the factor of x_t enters the exponent squared": 1 / (1 / BETA + sp.sqrt(1 - BETA) / BETA),
        "two witnesses add their precisions, not their variances": BETA + BETA / (1 - BETA),
        "this is the precision; the variance is one over it": 1 / truth,
        "this is the standard deviation": sp.sqrt(truth),
        "the neighbours are exchanged: the earlier one knows x_t directly, the later one through the shrinking": sp.simplify(
            1 / (1 / BETA + 1 / (BETA * (1 - BETA)))
        ),
    }
    return truth, suspects


def neighbours(answer: Any) -> str:
    how = judge(answer, *neighbours_reference(), ONE_BETA)
    return f"a little more than half of β, for every β ({how})"


C, P, R = sp.symbols("c p r", positive=True)
VALUES = ((Rational(1, 10), Rational(1, 2)), (Rational(1, 4), Rational(3)), (Rational(2, 3), Rational(5, 4)))
BETA_AND_C = Domain(tuple({BETA: b, C: c} for b, c in VALUES), {BETA: 1 / (1 + P), C: R})


@cache
def first_step_reference() -> Reference:
    mean, variance = conditional(only(CLAIMS["eq-reverse-gaussian"].statement()), x[t - 1], x[t])
    spread = only(CLAIMS["eq-component-variance"].statement()).rhs.subs(symbol("c"), C)
    V = family("V")
    first = {V[t - 1]: spread.subs(bar[t], 1), V[t]: spread.subs(bar[t], 1 - BETA), bar[t - 1]: 1, bar[t]: 1 - BETA}
    first |= {alpha[t]: 1 - BETA, beta[t]: BETA}
    mean, variance = (sp.simplify(value.subs(first, simultaneous=True)) for value in (mean, variance))
    truth = sp.simplify(sp.expand(mean).coeff(x[t], 1))
    suspects = {
        "this undoes the shrinking and takes the noise for image": 1 / sp.sqrt(1 - BETA),
        "this is right for data of variance one; how sure are you if c is tiny, or huge?": sp.sqrt(1 - BETA),
        "a root is missing above": sp.simplify(truth * sp.sqrt(1 - BETA)),
        "the root of 1-β is missing above": sp.simplify(truth / sp.sqrt(1 - BETA)),
        "this takes c for the variance of the data; it is their standard deviation": truth.subs(C, sp.sqrt(C)),
        "this is the variance that remains; the question is what x_1 is multiplied by": variance,
        "this multiplies the noise by what belongs to the image": sp.simplify(1 - truth),
    }
    return truth, suspects


def first_step(answer: Any) -> str:
    how = judge(answer, *first_step_reference(), BETA_AND_C)
    return f"the best guess of x_0 from x_1, for every β and c ({how})"


# In code


def pair(got: Any, count: int, what: str) -> list[Any]:
    """The parts of a returned tuple.

    Raises:
        Mistake: if there are not `count` of them.
    """
    if not isinstance(got, (tuple, list)) or len(got) != count:
        raise Mistake(f"return {what}, separated by commas")
    return list(got)


def q_posterior(function: Any) -> str:
    schedule = linear(1000)
    generator = torch.Generator().manual_seed(5)

    def batch(*shape: int) -> tuple[Tensor, Tensor, Tensor]:
        x0 = torch.rand(shape, generator=generator, dtype=torch.float64) * 2 - 1
        steps = torch.randperm(60, generator=generator)[: shape[0]] + 2
        return x0, standard_normal_like(x0, generator), steps

    x0, xt, steps = batch(8, 1, 8, 8)

    def per_image(coefficient: Tensor) -> Tensor:
        return coefficient.reshape(-1, 1, 1, 1)

    now, before, a, b = schedule.alpha_bar(steps), schedule.alpha_bar(steps - 1), schedule.alpha(steps), schedule.beta(steps)

    def mean_by(of_x0: Tensor, of_xt: Tensor) -> Tensor:
        return per_image(of_x0) * x0 + per_image(of_xt) * xt

    right_x0, right_xt = before.sqrt() * b / (1 - now), a.sqrt() * (1 - before) / (1 - now)
    truth = process.q_posterior(schedule, x0, xt, steps)
    mean, variance = pair(call(function, schedule, x0, xt, steps), 2, "mean and variance")
    mean_suspects = {
        "x_0 and x_t are exchanged": mean_by(right_xt, right_x0),
        "off by one: the root in front of x_0 belongs to t - 1": mean_by(now.sqrt() * b / (1 - now), right_xt),
        "in front of x_t stands the root of α_t, of this step alone": mean_by(right_x0, now.sqrt() * (1 - before) / (1 - now)),
        "the root in front of x_0 is missing": mean_by(before * b / (1 - now), right_xt),
        "the root in front of x_t is missing": mean_by(right_x0, a * (1 - before) / (1 - now)),
        "bars are missing below: divide by what all steps up to t have added": mean_by(before.sqrt() * b / b, a.sqrt() * (1 - before) / b),
        "off by one: in front of x_t stands the noise of step t - 1, over that of step t": mean_by(right_x0, a.sqrt()),
        "all coefficients belong to step t + 1": process.q_posterior(schedule, x0, xt, steps + 1).mean,
        "all coefficients belong to step t - 1": process.q_posterior(schedule, x0, xt, steps - 1).mean,
        "the coefficients went to the columns, not to the images": right_x0 * x0 + right_xt * xt,
        "all images get the first image's t": process.q_posterior(schedule, x0, xt, int(steps[0])).mean,
    }
    compare(mean, truth.mean, "for 8 images of 8x8 pixels, the mean:", mean_suspects, rtol=1e-9, atol=1e-12)
    if isinstance(variance, Tensor):
        try:
            variance = variance.expand(truth.mean.shape)
        except RuntimeError:
            raise Mistake(f"the variance has the shape {list(variance.shape)}; give it one number per image, [B, 1, 1, 1]") from None
    expected = truth.variance.expand(truth.mean.shape)
    suspects = {
        "the variance is that of a step forwards": per_image(b).expand(expected.shape),
        "this is the standard deviation": expected.sqrt(),
        "the ratio in the variance is upside down": per_image((1 - now) / (1 - before) * b).expand(expected.shape),
        "bars are missing in the variance": per_image(schedule.beta(steps - 1)).expand(expected.shape),
        "the variance went to the columns, not to the images": truth.variance.reshape(-1).expand(expected.shape),
        "the variance went to the rows, not to the images": truth.variance.reshape(-1, 1).expand(expected.shape),
    }
    compare(variance, expected, "for 8 images of 8x8 pixels, the variance:", suspects, rtol=1e-9, atol=1e-15)
    x0, xt, _ = batch(2, 3, 4, 5)
    mean, variance = pair(call(function, schedule, x0, xt, torch.tensor([1, 1000])), 2, "mean and variance")
    truth = process.q_posterior(schedule, x0, xt, torch.tensor([1, 1000]))
    compare(mean, truth.mean, "for t = 1 and t = 1000, the mean:", {}, rtol=1e-9, atol=1e-12)
    try:
        variance = variance.expand(truth.mean.shape)
    except (AttributeError, RuntimeError):
        raise Mistake("the variance should be a tensor with one number per image, [B, 1, 1, 1]") from None
    compare(variance, truth.variance.expand(truth.mean.shape), "for t = 1 and t = 1000, the variance:", {}, rtol=1e-9, atol=1e-15)
    return "mean and variance of every image at its own t, from the first step to the last"


def log_variance(function: Any) -> str:
    for name, schedule in (("linear(1000)", linear(1000)), ("cosine(50)", cosine(50))):
        steps = schedule.steps
        zero = torch.zeros(schedule.T, 1, dtype=torch.float64)
        variance = process.q_posterior(schedule, zero, zero, steps).variance[:, 0]
        expected = torch.cat([variance[1:2], variance[1:]]).log()
        got = call(function, schedule)
        if isinstance(got, Tensor) and got.shape == expected.shape and got.is_floating_point():
            if torch.isneginf(got[0]):
                raise Mistake(f"for {name} the first entry is minus infinity: there the variance is zero. What should stand in its place?")
            if torch.allclose(got[1:].double(), expected[1:], rtol=1e-9, atol=0) and not torch.isclose(got[0].double(), expected[0], rtol=1e-9):
                raise Mistake(f"for {name} all entries but the first are right; the first should repeat the second")
        beta_log = schedule.beta(steps).log()
        suspects = {
            "this is the logarithm of β_t, the variance forwards": beta_log,
            "this is the logarithm of the standard deviation": expected / 2,
            "off by one: the table is shifted by a step": torch.cat([expected[1:], expected[-1:]]),
            "the logarithm is missing": expected.exp(),
            "this is the logarithm to base 10": expected / torch.log(torch.tensor(10.0, dtype=torch.float64)),
            "bars are missing: this is nearly β_{t-1}": torch.cat([beta_log[:1], beta_log[:-1]]),
        }
        compare(got, expected, f"for {name}", suspects, rtol=1e-9, atol=0)
        require_type(got, torch.float64, "keep float64 until the numbers are used")
    return "finite at every step, and exact from the second on"


def two_pasts(function: Any) -> str:
    schedule = linear(1000)
    where = torch.linspace(-2.5, 2.5, 11, dtype=torch.float64)
    for step in (2, 40, 270, 700):
        truth = exact.two_points().reverse_conditional(schedule, where[:, None], step)
        probability, low, high = pair(call(function, schedule, where, step), 3, "the probability of +1, the mean for -1 and the mean for +1")
        bar_t = schedule.alpha_bar(step)
        argument = bar_t.sqrt() * where / (1 - bar_t)
        expected = truth.weight[:, 1]
        suspects = {
            "this is the best guess of x_0, between -1 and 1; a probability lies between 0 and 1": argument.tanh(),
            "this is the probability of -1": 1 - expected,
            "a factor 2 is missing in the exponent: the two squares differ by twice the mixed term": argument.sigmoid(),
            "this divides by the standard deviation of the noise; the exponent has its variance": (2 * argument * (1 - bar_t).sqrt()).sigmoid(),
            "the probability knows nothing of x_t": torch.full_like(where, 0.5),
            "α_t is where ᾱ_t should be": (2 * schedule.alpha(step).sqrt() * where / schedule.beta(step)).sigmoid(),
        }
        compare(probability, expected, f"for t = {step}, the probability of +1", suspects, rtol=1e-8, atol=1e-12)
        both = truth.mean[:, 0, 0], truth.mean[:, 1, 0]
        for got, expected, other, name in ((low, both[0], both[1], "-1"), (high, both[1], both[0], "+1")):
            suspects = {
                "the two means are exchanged": other,
                "this is the mean at step t, not the one before": torch.full_like(where, float(name)) * bar_t.sqrt(),
                "this forgets x_t: a mean of x_{t-1} given x_0 alone": torch.full_like(where, float(name)) * schedule.alpha_bar(step - 1).sqrt(),
            }
            compare(got, expected, f"for t = {step}, the mean for x_0 = {name}", suspects, rtol=1e-8, atol=1e-12)
    return "both pasts and how likely each is, from clean to noisy"


# To think about


@cache
def which_variance_reference() -> tuple[float, dict[str, float]]:
    first_beta, second_beta, variance = 0.1, 0.1, 0.25
    schedule = Schedule(torch.tensor([first_beta, second_beta], dtype=torch.float64))
    zero = torch.zeros(1, 1, dtype=torch.float64)

    def share(std: float) -> float:
        data = exact.GaussianMixture(torch.ones(1, dtype=torch.float64), zero, std)
        return (data.reverse_conditional(schedule, zero, 2).variance / second_beta).item()

    truth = share(variance**0.5)
    suspects = {
        "this is the posterior's variance, as if the image were known": share(0.0),
        "this is the variance of a step forwards; it is exact for data of variance one": share(1.0),
        "the ratio is upside down: a step back cannot be noisier than that here": 1 / truth,
        "0.25 is the variance already; do not square it": share(variance),
        "0.25 is the variance already; do not take its root twice": share(variance**0.25),
        "this is the variance itself; give its share of β": truth * second_beta,
    }
    return truth, suspects


def which_variance(guess: Any) -> str:
    value = one_number(guess)
    truth, suspects = which_variance_reference()
    if not 0 <= value <= 2:
        raise Mistake("a share of β; it cannot be negative, and a step back is not noisier than twice a step forwards")
    if abs(value - truth) <= 0.006:
        return f"the exact share is {truth:.3f}, between the two usual choices"
    raise wrong_number(value, truth, suspects, 0.004, "what are V_{t-1} and V_t for these data?", by=True)


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        "neighbours",
        neighbours,
        (
            "Two witnesses again: the neighbour before and the neighbour after. Write both exponents, as functions of x_t.",
            "The neighbour before says that x_t has the variance β. In the exponent of the step that follows, x_t "
            "carries a factor; squared, it multiplies the precision.",
            "Add the two precisions, both with β below, and turn the fraction around.",
        ),
    ),
    Exercise(
        "first-step",
        first_step,
        (
            "The chapter has the reverse conditional for Gaussian data. What are m, α_t, ᾱ_t and ᾱ_{t-1} at t = 1?",
            "V_0 is the variance of the data, c squared. V_1 is what one step makes of it.",
            "With m = 0 the mean is a number times x_1: the root of α_1 times V_0 over V_1.",
        ),
    ),
    Exercise(
        "q-posterior",
        q_posterior,
        (
            "`schedule.alpha_bar` takes the whole tensor of steps, and a step 0 is allowed. Collect the four tables first.",
            "As in chapter 7, a coefficient of shape [B] must become [B, 1, 1, 1] before it meets the images.",
            "Three products of one-dimensional tables are needed: the factor of x_0, the factor of x_t, the variance. "
            "All three are divided by the same thing.",
        ),
    ),
    Exercise(
        "log-variance",
        log_variance,
        (
            "Compute the variances of all steps at once from `schedule.steps`; only one of them gives trouble.",
            "Drop the first entry and put a copy of the second in its place: `torch.cat` joins pieces.",
            "`table[1:2]` keeps its axis, `table[1]` loses it. Take the logarithm last.",
        ),
    ),
    Exercise(
        "two-pasts",
        two_pasts,
        (
            "There are two steps: how likely is each point, and where was x_{t-1} if it was that one? The second is the posterior's mean.",
            "The probability of +1 is one plus the best guess of x_0, divided by two; the guess is a tanh.",
            "`process.q_posterior(schedule, x0, xt, t).mean` takes an x0 that is full of ones: `torch.ones_like`.",
        ),
    ),
    Exercise(
        "which-variance",
        which_variance,
        (
            "For Gaussian data the answer is a ratio of two variances, that of x_{t-1} and that of x_t.",
            "V is ᾱ times the variance of the data plus 1 - ᾱ. Work it out for ᾱ = 0.9 and for the next step.",
        ),
    ),
)
"""The exercises of chapter 8 in the order of the sheet."""
