"""The claims of chapter 12, training."""

from typing import Literal

import sympy as sp
from sympy import sqrt

from diffcourse.algebra.claim import Claim, NearMiss, Statement
from diffcourse.algebra.forward_process import bar, t, x
from diffcourse.algebra.latex import Norm, Over
from diffcourse.algebra.notation import function, symbol
from diffcourse.algebra.proving import law_of, only, require, require_equal, require_positive

eps, theta = symbol(r"\epsilon"), symbol(r"\theta")
E, network, L_simple = function(r"\mathbb{E}"), function(r"\epsilon_\theta"), function(r"L_{\mathrm{simple}}")


def simplified_loss(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == L_simple(theta) and relation.ops == ("=",), "the left side is not L_simple(theta)")
    require(relation.rhs.func == E and relation.rhs.args[1:] == (Over(t, x[0], eps),), "not an expectation over t, x_0 and eps")
    error = relation.rhs.args[0]
    require(error.is_Pow and error.exp == 2 and error.base.func == Norm, "not a squared length")
    inside = error.base.args[0]
    calls = inside.atoms(network)
    require(len(calls) == 1, "the network must be asked once")
    call = calls.pop()
    # What the network sees has the law of x_t: mean and variance of the closed form.
    require(call.args[1] == t, "the network is not told t")
    mean, variance = law_of(call.args[0], [eps])
    require_equal(mean, sqrt(bar[t]) * x[0], "the mean of what the network sees and that of x_t")
    require_equal(variance, 1 - bar[t], "the variance of what the network sees and that of x_t")
    require_positive(call.args[0].coeff(eps), "the noise's factor")
    # A network that returns the noise has no error, one that returns nothing has the noise itself.
    require_equal(inside.subs(call, eps), 0, "the error of a perfect network and 0")
    require_equal(inside.subs(call, 0) ** 2, eps**2, "the error of a silent network and the noise")


def best_noise(statement: Statement) -> None:
    relation = only(statement)
    guess = E(x[0], sp.Tuple(x[t]))
    require(relation.lhs == E(eps, sp.Tuple(x[t])) and relation.ops == ("=",), "the left side is not E[eps | x_t]")
    # Given x_t, taking expectations on both sides of eq-sample leaves x_t = sqrt(abar) E[x_0|x_t] + sqrt(1-abar) E[eps|x_t].
    rebuilt = sqrt(bar[t]) * guess + sqrt(1 - bar[t]) * relation.rhs
    require_equal(rebuilt.subs(guess, sp.Symbol("guess", real=True)), x[t], "x_t put together again and x_t")


CLAIMS: tuple[Claim, ...] = (
    Claim(
        "eq-l-simple",
        r"L_{\mathrm{simple}}(\theta) = \mathbb{E}_{t, x_0, \epsilon}\Big[\big\lVert \epsilon -"
        r" \epsilon_\theta\big(\sqrt{\bar\alpha_t}\, x_0 + \sqrt{1-\bar\alpha_t}\, \epsilon, t\big) \big\rVert^2\Big]",
        "the network sees x_t, and only the true noise has no error",
        simplified_loss,
        (
            NearMiss(
                r"L_{\mathrm{simple}}(\theta) = \mathbb{E}_{t, x_0, \epsilon}\Big[\big\lVert \epsilon -"
                r" \epsilon_\theta\big(\sqrt{\alpha_t}\, x_0 + \sqrt{1-\alpha_t}\, \epsilon, t\big) \big\rVert^2\Big]",
                "α in place of ᾱ: the network sees a single step's noise",
            ),
            NearMiss(
                r"L_{\mathrm{simple}}(\theta) = \mathbb{E}_{t, x_0, \epsilon}\Big[\big\lVert x_0 -"
                r" \epsilon_\theta\big(\sqrt{\bar\alpha_t}\, x_0 + \sqrt{1-\bar\alpha_t}\, \epsilon, t\big) \big\rVert^2\Big]",
                "the image as the target of a network that predicts noise",
            ),
            NearMiss(
                r"L_{\mathrm{simple}}(\theta) = \mathbb{E}_{t, x_0, \epsilon}\Big[\big\lVert \epsilon -"
                r" \epsilon_\theta\big(\sqrt{\bar\alpha_t}\, x_0 + (1-\bar\alpha_t)\, \epsilon, t\big) \big\rVert^2\Big]",
                "the noise without its root",
            ),
        ),
        "diffcourse.diffusion.loss.simple_loss",
    ),
    Claim(
        "eq-best-noise",
        r"\mathbb{E}[\epsilon \mid x_t] = \frac{x_t - \sqrt{\bar\alpha_t}\, \mathbb{E}[x_0 \mid x_t]}{\sqrt{1-\bar\alpha_t}}",
        "both guesses together give x_t back",
        best_noise,
        (
            NearMiss(
                r"\mathbb{E}[\epsilon \mid x_t] = \frac{x_t - \bar\alpha_t\, \mathbb{E}[x_0 \mid x_t]}{\sqrt{1-\bar\alpha_t}}",
                "the signal without its root",
            ),
            NearMiss(
                r"\mathbb{E}[\epsilon \mid x_t] = \frac{x_t - \sqrt{\bar\alpha_t}\, \mathbb{E}[x_0 \mid x_t]}{1-\bar\alpha_t}",
                "the variance in place of the standard deviation",
            ),
        ),
        "diffcourse.diffusion.exact.GaussianMixture.predict_eps",
    ),
)

IN_TEXT: dict[str, Literal["true", "setting"]] = {}
"""See `forward_process.IN_TEXT`."""
