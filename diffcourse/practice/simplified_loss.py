"""Checks and hints for the exercises of chapter 10, the simplified loss.

Every reference value follows from the claims of the chapter or from `diffcourse.diffusion`; none is typed in.
"""

from functools import cache
from typing import Any

import sympy as sp
import torch
from sympy import Expr, Rational, Symbol
from torch import Tensor

from diffcourse.algebra import CLAIMS
from diffcourse.algebra.forward_process import E, alpha, bar, beta, t, x
from diffcourse.algebra.latex import Norm
from diffcourse.algebra.simplified_loss import ASKED, eps, sigma
from diffcourse.diffusion import loss, process
from diffcourse.diffusion.process import expand, standard_normal_like
from diffcourse.diffusion.schedule import linear
from diffcourse.practice.check import Exercise, call, compare, one_number, wrong_number
from diffcourse.practice.expression import Domain, judge

Reference = tuple[Expr, dict[str, Expr]]
"""The truth, and known wrong answers under the sentences that name the mistake."""

BETA, BAR, P, R = sp.symbols("beta alpha_bar p r", positive=True)
A = Symbol("a", positive=True)
STEP = Domain(
    tuple({BETA: b, BAR: k} for b, k in ((Rational(1, 10), Rational(1, 2)), (Rational(1, 4), Rational(1, 3)), (Rational(1, 50), Rational(4, 5)))),
    {BETA: 1 / (1 + P), BAR: 1 / (1 + R)},
)
BELL = Domain(
    tuple({BAR: k, A: width} for k, width in ((Rational(1, 2), Rational(3)), (Rational(1, 3), Rational(1, 4)), (Rational(4, 5), Rational(2)))),
    {BAR: 1 / (1 + P), A: A},
)


# By hand


@cache
def beta_weight_reference() -> Reference:
    (relation,) = CLAIMS["eq-b-weight"].statement()
    factor = relation.rhs / Norm(eps - ASKED) ** 2

    def weight(variance: Expr) -> Expr:
        return sp.simplify(factor.subs(sigma[t], sp.sqrt(variance)).subs({beta[t]: BETA, alpha[t]: 1 - BETA, bar[t]: BAR}))

    truth = weight(BETA)
    tilde = (1 - BAR / (1 - BETA)) / (1 - BAR) * BETA
    suspects = {
        "this is the weight for the other variance, β̃_t; here σ_t² is β_t": weight(tilde),
        "a factor of one half is missing: the divergence has it": 2 * truth,
        "you divide by β_t twice: σ_t itself is the root of β_t": weight(BETA**2),
        "no β_t cancels this way: σ_t² is β_t, not its root": weight(sp.sqrt(BETA)),
        "the α_t below has been lost: the mean is rescaled": truth * (1 - BETA),
        "below stands 1 - ᾱ_t, the noise of all steps, not that of one": truth.subs(BAR, 1 - BETA),
    }
    return truth, suspects


def beta_weight(answer: Any) -> str:
    how = judge(answer, *beta_weight_reference(), STEP)
    return f"this is what an error of the noise counts when σ_t² is β_t ({how})"


@cache
def bell_noise_reference() -> Reference:
    # The best guess of the image: how much x_t tells about x_0, its covariance with it over its variance.
    share = BAR * A**2 + 1 - BAR
    image = sp.sqrt(BAR) * A**2 / share
    (relation,) = CLAIMS["eq-best-noise"].statement()
    guess = E(x[0], sp.Tuple(x[t]))
    truth = sp.simplify(relation.rhs.subs(guess, image * x[t]).subs(bar[t], BAR) / x[t])
    suspects = {
        "this is the factor of the best guess of the image": image,
        "a root is missing above: the covariance of ε and x_t is a factor, not a variance": sp.simplify(truth * sp.sqrt(1 - BAR)),
        "this holds for data of variance one only": truth.subs(A, 1),
        "the data have the variance a², and a is their standard deviation": truth.subs(A, sp.sqrt(A)),
        "this takes all of x_t for noise": 1 / sp.sqrt(1 - BAR),
        "divide by the variance of x_t, not by its standard deviation": truth * sp.sqrt(share),
    }
    return truth, suspects


def bell_noise(answer: Any) -> str:
    how = judge(answer, *bell_noise_reference(), BELL)
    return f"no network can do better on Gaussian data than this factor times x_t ({how})"


# In code


def as_image(function: Any) -> str:
    schedule = linear(1000)
    generator = torch.Generator().manual_seed(5)
    xt = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    steps = torch.tensor([1, 30, 200, 500, 800, 1000])
    answer = standard_normal_like(xt, generator)
    keep = schedule.alpha_bar(steps)
    signal, noise = (expand(c.sqrt(), xt) for c in (keep, 1 - keep))
    one_step = schedule.alpha(steps)
    short_signal, short_noise = (expand(c.sqrt(), xt) for c in (one_step, 1 - one_step))
    expected = {
        "eps": process.predict_x0(schedule, xt, steps, answer),
        "x0": answer,
        "v": process.x0_from_v(schedule, xt, steps, answer),
    }
    suspects = {
        "eps": {
            "this is right for a velocity; the network was asked for the noise": expected["v"],
            "the noise is added; to undo it, take it away": (xt + noise * answer) / signal,
            "the shrinking is not undone: divide by the signal's factor": xt - noise * answer,
            "α_t is where ᾱ_t should be: x_t holds the noise of all steps": (xt - short_noise * answer) / short_signal,
            "a root is missing: divide by the root of ᾱ_t": (xt - noise * answer) / expand(keep, xt),
            "a root is missing at the noise": (xt - expand(1 - keep, xt) * answer) / signal,
        },
        "x0": {"whoever is asked for the image has already said it; convert nothing": expected["eps"]},
        "v": {
            "this is right for noise; the network was asked for the velocity": expected["eps"],
            "this is the noise that goes with v, not the image": process.eps_from_v(schedule, xt, steps, answer),
            "the sign of v: which way do the axes turn?": signal * xt + noise * answer,
            "α_t is where ᾱ_t should be": short_signal * xt - short_noise * answer,
            "the two factors are exchanged": noise * xt - signal * answer,
        },
    }
    for target, truth in expected.items():
        got = call(function, schedule, xt, steps, answer, target)
        compare(got, truth, f"for target {target!r}", suspects[target], rtol=1e-8, atol=1e-8)
    return "three languages, one image, and every example at its own step"


def min_snr(function: Any) -> str:
    schedule = linear(1000)
    snr = schedule.snr(torch.tensor([1, 20, 100, 150, 300, 1000]))
    for gamma in (5.0, 1.0):
        cut, wrong_cut = snr.clamp(max=gamma), snr.clamp(min=gamma)
        rate = {target: loss.error_scale(schedule, torch.tensor([1, 20, 100, 150, 300, 1000]), target) for target in ("x0", "eps", "v")}
        noise_weight = cut / snr
        expected = {target: noise_weight * scale for target, scale in rate.items()}
        for target, truth in expected.items():
            suspects = {
                "this is the larger of SNR and γ; the smaller is meant": wrong_cut / snr * rate[target],
                "this is the weight of an error of the image; the target is another one": expected["x0"],
                "this is the weight of an error of the noise; the target is another one": expected["eps"],
                "this is the weight of an error of the velocity; the target is another one": expected["v"],
                "the exchange rate is upside down": noise_weight / rate[target],
                "γ takes no part: nothing is cut off": rate[target],
            }
            got = call(function, snr, gamma, target)
            compare(got, truth, f"for gamma = {gamma:g} and target {target!r}", suspects, rtol=1e-8, atol=1e-12)
    return "the same loss, whatever the network is asked for"


def silent(guess: Any) -> str:
    value = one_number(guess)
    # SNR = 1: half of the variance of x_t is signal. The implied image is sqrt(abar) x_t, for data and noise of variance one.
    keep = 0.5
    truth = (1 - keep) ** 2 + keep * (1 - keep)
    if abs(value - truth) < 1e-3:
        return "and for Gaussian data of variance one no network does better: the chapter's floor comes to the same"
    suspects = {
        "this is the loss of the velocity, or that of answering x_0 = 0; which image goes with v = 0?": 1.0,
        "this is the root of it; the loss is a squared error": truth**0.5,
        "a silent network is not a perfect one": 0.0,
    }
    look_at = "at SNR 1, how much of x_t is image, and which multiple of x_t goes with v = 0?"
    raise wrong_number(value, truth, suspects, 1e-3, look_at)


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        "beta-weight",
        beta_weight,
        (
            "Start from the weight with σ_t² in it. Only σ_t² is to be replaced.",
            "One power of β_t cancels.",
            "α_t is not allowed in the answer; write it with β_t.",
        ),
    ),
    Exercise(
        "bell-noise",
        bell_noise,
        (
            "There are two witnesses for ε, as in the section on what even the best network must pay: its own density, and x_t.",
            "The guess is the average of what they say, weighted by their precisions. The first says zero. What does the second say, if the image is taken for zero?",
            "It says x_t over √(1-ᾱ_t). Its precision, over the sum of both, stands in the chapter: one less the signal's share.",
        ),
    ),
    Exercise(
        "as-image",
        as_image,
        (
            "Three cases. In one of them there is nothing to do.",
            "For the noise, solve x_t for x_0. For the velocity, turn the axes back: no division.",
            "`process.expand` gives a coefficient of shape [B] the axes it needs.",
        ),
    ),
    Exercise(
        "min-snr",
        min_snr,
        (
            "First the weight of an error of the image: the smaller of two numbers. `clamp` can do it.",
            "One unit of squared error of the image is SNR units of the noise's. So its weight must be divided.",
            "And how many units is it of the velocity's? The exchange rates are in the section on three ways to ask.",
        ),
    ),
    Exercise(
        "silent",
        silent,
        (
            "Which image goes with v = 0? It is a factor times x_t.",
            "The error of the image is then the other factor times v. What is the variance of v, for data and noise of variance one?",
            "At an SNR of one, image and noise have equal shares.",
        ),
    ),
)
"""The exercises of chapter 10 in the order of the sheet."""
