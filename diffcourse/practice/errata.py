"""Checks and hints for the exercises of chapter 20, formulas in circulation.

Every reference value follows from claims or from `diffcourse.diffusion`; none is typed in.
"""

from collections.abc import Callable
from functools import cache
from itertools import product
from types import SimpleNamespace
from typing import Any

import sympy as sp
import torch
from sympy import Expr, Rational
from torch import Tensor

from diffcourse.algebra import CLAIMS
from diffcourse.algebra.errata import plain
from diffcourse.algebra.forward_process import alpha, as_products, at, bar, beta, in_betas, t, x
from diffcourse.algebra.latex import read
from diffcourse.diffusion import process
from diffcourse.diffusion.exact import GaussianMixture
from diffcourse.diffusion.process import standard_normal_like
from diffcourse.diffusion.schedule import Schedule, linear
from diffcourse.practice.check import Exercise, Mistake, call, compare
from diffcourse.practice.expression import Domain, judge

# By hand

ALPHA, BAR, P, R = sp.symbols("alpha_t alpha_bar_t p r", positive=True)
STEP = Domain(
    tuple({ALPHA: a, BAR: b} for a, b in ((Rational(9, 10), Rational(1, 2)), (Rational(3, 4), Rational(1, 3)), (Rational(1, 2), Rational(1, 5)))),
    {ALPHA: 1 / (1 + P), BAR: 1 / (1 + P + R)},
)
BETA_0, BETA_1 = sp.symbols("beta_0 beta_1", positive=True)
TWO_BETAS = Domain(
    tuple({BETA_0: a, BETA_1: b} for a, b in ((Rational(1, 10), Rational(1, 4)), (Rational(1, 3), Rational(1, 5)), (Rational(2, 3), Rational(1, 2)))),
    {BETA_0: 1 / (1 + P), BETA_1: 1 / (1 + R)},
)

Reference = tuple[Expr, dict[str, Expr]]
"""The truth, and known wrong answers under the sentences that name the mistake."""


@cache
def factor_reference() -> Reference:
    right = CLAIMS["eq-erratum-unit"].statement()[0].terms[1]
    (printed,) = (miss.latex for miss in CLAIMS["eq-erratum-unit"].near_misses if miss.mistake == "the bar forgotten below")

    def of(expression: Expr) -> Expr:
        return sp.simplify((expression / x[t]).subs({alpha[t]: ALPHA, bar[t]: BAR}))

    truth = of(read(printed)[0].terms[1])
    suspects = {
        "this is what the right step comes to; put the printed one in": of(right),
        "the stretching at the end is missing: every step divides by the root of α_t": sp.simplify(truth * sp.sqrt(ALPHA)),
        "the best guess of the noise has a root: what is it for data N(0, 1)?": (1 - sp.sqrt(1 - ALPHA) * (1 - BAR)) / sp.sqrt(ALPHA),
        "the predicted noise is not x_t itself; how large is it, when part of x_t is data?": (1 - sp.sqrt(1 - ALPHA)) / sp.sqrt(ALPHA),
        "a number over its own root is the root": (1 - (1 - ALPHA) * sp.sqrt(1 - BAR)) / sp.sqrt(ALPHA),
    }
    return truth, suspects


def factor(answer: Any) -> str:
    how = judge(answer, *factor_reference(), STEP)
    return f"this is what the printed step makes of x_t when the data are N(0, 1), for every schedule ({how})"


@cache
def extra_beta_reference() -> Reference:
    product_of = CLAIMS["eq-alpha-bar"].statement()[0].rhs
    (from_0,) = (miss.latex for miss in CLAIMS["eq-alpha-bar"].near_misses if "s = 0" in miss.mistake)

    def noise(expression: Expr) -> Expr:
        return sp.expand(1 - in_betas(at(expression, t=1))).subs({beta[0]: BETA_0, beta[1]: BETA_1})

    truth = noise(read(from_0)[0].rhs)
    suspects = {
        "this is what one step of this book adds; here a factor for β_0 has come in": noise(as_products(product_of)),
        "variances of two steps do not simply add: the second step shrinks what the first has added": BETA_0 + BETA_1,
        "this is what is left of the data; the noise is what is missing to one": sp.expand((1 - BETA_0) * (1 - BETA_1)),
        "this is the noise of the superfluous factor alone": BETA_0,
        "a product of two betas would be tiny; it is the alphas that are multiplied": BETA_0 * BETA_1,
    }
    return truth, suspects


def extra_beta(answer: Any) -> str:
    how = judge(answer, *extra_beta_reference(), TWO_BETAS)
    return f"this much noise is in x_1 when a table counts from zero ({how})"


def _near_miss(label: str, mistake: str) -> str:
    (latex,) = (miss.latex for miss in CLAIMS[label].near_misses if miss.mistake == mistake)
    return latex


PRINTED: dict[str, tuple[str, str | None]] = {
    "A": (_near_miss("eq-forward-kernel", "the variance squared"), "which power of β_t is a variance?"),
    "B": (CLAIMS["eq-predict-x0"].latex, None),
    "C": (_near_miss("eq-jump", "the difference of the ᾱ: a variance seen from x_0, not from x_s"), "put t = s + 1: does it give the noise of one step?"),
    "D": (CLAIMS["eq-merge-variance"].latex, None),
    "E": (_near_miss("eq-which-point", "the standard deviation in place of the variance"), "let ᾱ_t be small: how certain can a guess be?"),
    "F": (CLAIMS["eq-best-noise"].latex, None),
    "G": (_near_miss("eq-linear", "counting from 0: the first step is not β_1"), "put t = 1"),
}
"""Seven formulas, each with the question that exposes it, or with None when it is right."""


def printed_formulas() -> str:
    """The seven formulas in plain letters, for the sheet."""
    return "\n".join(f"{letter}   {plain(latex)}" for letter, (latex, _) in PRINTED.items())


def seven(answer: Any) -> str:
    if isinstance(answer, str):
        answer = [letter for letter in answer if letter not in " ,;"]
    try:
        chosen = {str(letter).strip().upper() for letter in answer}
    except TypeError:
        raise Mistake(f"give letters, such as 'AB'; this is of type {type(answer).__name__}") from None
    if unknown := sorted(chosen - set(PRINTED)):
        raise Mistake(f"there is no formula {', '.join(unknown)[:40]}; give letters from A to G")
    if not chosen:
        raise Mistake("at least one of them is right")
    for letter, (_, question) in PRINTED.items():
        if letter in chosen and question:
            raise Mistake(f"{letter} is wrong: {question}")
    missing = sum(question is None for _, question in PRINTED.values()) - len(chosen)
    if missing:
        raise Mistake(f"all you chose is right, but {missing} more {'is' if missing == 1 else 'are'} right too")
    return "you have kept what is right and stopped what is wrong"


# In code


def _humps(left: float) -> GaussianMixture:
    weight = torch.tensor([left, 1 - left], dtype=torch.float64)
    return GaussianMixture(weight, torch.tensor([[-1.0], [1.0]], dtype=torch.float64), 0.3)


def _walk(schedule: Schedule, predict_eps: Callable, x: Tensor, noises: list[Tensor], *, bar: bool, root: bool, last: bool, rescale: bool = True) -> Tensor:
    """Algorithm 2 with one mistake for each flag that is off."""
    for t in range(schedule.T, 0 if last else 1, -1):
        eps = predict_eps(x, t)
        mean, variance = process.q_posterior(schedule, process.predict_x0(schedule, x, t, eps), x, t)
        if not (bar and rescale):
            below = 1 - (schedule.alpha_bar(t) if bar else schedule.alpha(t))
            mean = (x - schedule.beta(t) / below.sqrt() * eps) / (schedule.alpha(t).sqrt() if rescale else 1)
        x = mean + (variance.sqrt() if root else variance) * noises[t - 1]
    return x


def repaired(function: Any) -> str:
    data, generator = _humps(0.2), torch.Generator().manual_seed(5)
    sentences = {
        "bar": "the prediction is divided by the root of 1 - α_t: the bar is still missing",
        "root": "the noise is multiplied by its variance",
        "last": "x_0 is never reached: the loop stops one step early",
    }
    for schedule in (linear(8, 0.02, 0.4), linear(30, 0.01, 0.2)):
        x_T = torch.randn(6, 1, generator=generator, dtype=torch.float64)
        noises = [standard_normal_like(x_T, generator) for _ in range(schedule.T)]

        def predict(x: Tensor, t: int) -> Tensor:
            return data.predict_eps(schedule, x, int(t))

        suspects = {}
        for flags in product((True, False), repeat=3):
            off = [sentences[name] for name, on in zip(sentences, flags) if not on]
            if off:
                suspects["; and ".join(off)] = _walk(schedule, predict, x_T, noises, **dict(zip(sentences, flags)))
        suspects["the noises are used in the wrong order: step t has the noise with the index t - 1"] = _walk(
            schedule, predict, x_T, noises[::-1], bar=True, root=True, last=True
        )
        suspects["the image is not rescaled after the noise has been removed"] = _walk(
            schedule, predict, x_T, noises, bar=True, root=True, last=True, rescale=False
        )
        suspects["no fresh noise has been added"] = _walk(schedule, predict, x_T, [0 * z for z in noises], bar=True, root=True, last=True)
        expected = _walk(schedule, predict, x_T, noises, bar=True, root=True, last=True)
        got = call(function, schedule, predict, x_T, noises)
        compare(got, expected, f"for T = {schedule.T}", suspects, rtol=1e-8, atol=1e-8)
    return "all three mistakes are gone, on two schedules"


def _coupling(kept: int, scale: float) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    def layer(h: Tensor) -> tuple[Tensor, Tensor]:
        a, b = h[..., kept], h[..., 1 - kept]
        log_scale = scale * torch.tanh(2 * a)
        changed = b * log_scale.exp() + torch.sin(a)
        return torch.stack([a, changed] if kept == 0 else [changed, a], dim=-1), log_scale

    return layer


def log_det(function: Any) -> str:
    layers = [_coupling(0, 0.7), _coupling(1, -0.9), _coupling(0, 1.1)]
    points = torch.tensor([[0.7, -0.4], [-1.2, 0.3], [0.1, 2.0]], dtype=torch.float64)

    def flow(x: Tensor) -> Tensor:
        for layer in layers:
            x = layer(x)[0]
        return x

    expected = torch.stack([torch.autograd.functional.jacobian(flow, x).det().abs().log() for x in points])
    inputs = [points]
    for layer in layers:
        inputs.append(layer(inputs[-1])[0])
    each = [layer(h)[1] for layer, h in zip(layers, inputs)]
    backwards, h = torch.zeros(()), points
    for layer in layers[::-1]:
        h, one = layer(h)
        backwards = backwards + one
    suspects = {
        "all layers are evaluated at x; feed each with the output of the one before": sum(layer(points)[1] for layer in layers),
        "each layer is evaluated at its own output": sum(layer(h)[1] for layer, h in zip(layers, inputs[1:])),
        "this is the log-determinant of the inverse: the sign": -sum(each),
        "only the last layer counts here; add them all up": each[-1],
        "logarithms of factors are added, not multiplied": each[0] * each[1] * each[2],
        "the layers are applied from the last to the first": backwards,
    }
    compare(call(function, points, layers), expected, "for three points and three layers", suspects, rtol=1e-9, atol=1e-9)
    got = call(function, points[0], layers[:1])
    compare(got, expected.new_tensor(float(each[0][0])), "for one point and one layer", {}, rtol=1e-9, atol=1e-9)
    return "the same as the numerical Jacobian, for one layer and for three"


SHORT = linear(100, 1e-3, 0.2)
DRAWS = 2000


def _sampler(seed: int, **slips: bool) -> Callable[[Any], Tensor]:
    """A sampler of any one-dimensional mixture, right or with a slip."""
    flags = {"bar": True, "root": True, "last": True} | {key: value for key, value in slips.items() if key != "trained"}

    def draw(data: Any) -> Tensor:
        if not isinstance(data, GaussianMixture) or data.mean.shape[1] != 1:
            raise TypeError("the sampler wants a GaussianMixture in one dimension")
        seen: Any = SHORT if slips.get("trained", True) else SimpleNamespace(alpha_bar=SHORT.alpha)
        generator = torch.Generator().manual_seed(seed)
        x_T = torch.randn(DRAWS, 1, generator=generator, dtype=torch.float64)
        noises = [standard_normal_like(x_T, generator) for _ in range(SHORT.T)]
        return _walk(SHORT, lambda x, t: data.predict_eps(seen, x, t), x_T, noises, **flags)

    return draw


SLIPPED: dict[str, dict[str, bool]] = {
    "forgets the bar under the root": {"bar": False},
    "multiplies the fresh noise by its variance": {"root": False},
    "does not rescale": {"rescale": False},
    "was trained with α_t in place of ᾱ_t": {"trained": False},
}


def exam(function: Any) -> str:
    def verdict(sampler: Callable) -> bool:
        got = call(function, sampler)
        try:
            return bool(got)
        except (RuntimeError, ValueError, TypeError):
            raise Mistake("return True or False, one for the whole sampler") from None

    for seed in (1, 2, 3):
        if not verdict(_sampler(seed)):
            raise Mistake(f"your test turns away a sampler that is right: mind that {DRAWS} draws and {SHORT.T} steps are not exact")
    passed = [name for name, slip in SLIPPED.items() if verdict(_sampler(1, **slip))]
    if passed:
        raise Mistake(f"your test accepts {len(passed)} of {len(SLIPPED)} wrong samplers, such as one that {passed[0]}: what would that change in the draws?")
    return f"the right sampler passes with three seeds, and all {len(SLIPPED)} wrong ones are caught"


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        "erratum-seven",
        seven,
        (
            "Try a case that you know: t = 1, or α_t close to one, or data of variance one that must keep it.",
            "Two of the wrong ones confuse a variance with something else. One works at t = T and fails at t = 1.",
            "Three are right. One of them is nothing but multiplying out, and two say the same equation solved for different letters.",
        ),
    ),
    Exercise(
        "erratum-factor",
        factor,
        (
            "For data N(0, 1) the best guess of the noise in x_t is a multiple of x_t. The chapter's first section has it.",
            "Put it into the printed step. Nothing cancels, so keep both roots.",
            "You get x_t times (one minus a product of two roots), divided by a third root.",
        ),
    ),
    Exercise(
        "erratum-extra-beta",
        extra_beta,
        (
            "The noise in x_1 is what is missing from ᾱ_1 to one. Which factors does ᾱ_1 have in this program?",
            "Two factors, each one minus a beta. Multiply them and subtract from one.",
        ),
    ),
    Exercise(
        "erratum-repair",
        repaired,
        (
            "Go through the three things a step does: remove noise, rescale, add noise. And ask where the loop ends.",
            "By what is a standard normal number multiplied to have a given variance?",
            "`range(T, 1, -1)` ends with 2.",
        ),
    ),
    Exercise(
        "erratum-log-det",
        log_det,
        (
            "A layer returns its output and the log-determinant at the point that you gave it. Which point does it see within the flow?",
            "Carry two things through a loop: the present point and the sum so far.",
        ),
    ),
    Exercise(
        "erratum-exam",
        exam,
        (
            "Which data does a sampler without the bar get right? Do not take those.",
            "Unequal weights show whether rare data are drawn; a width that is not zero shows whether the spread is right.",
            "Compare two numbers with what the data say: the share of draws on one side, and the spread within the larger hump. "
            "Leave room for chance, about four standard errors.",
        ),
    ),
)
"""The exercises of chapter 20 in the order of the sheet."""
