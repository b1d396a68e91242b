"""The claims of chapter 13, sampling."""

from typing import Literal

import sympy as sp
from sympy import Expr, sqrt

from diffcourse.algebra.claim import Claim, NearMiss, Statement
from diffcourse.algebra.forward_process import alpha, bar, s, t, x
from diffcourse.algebra.notation import family, function, symbol
from diffcourse.algebra.proving import law_of, only, require, require_equal, require_positive, split_last
from diffcourse.algebra.reverse_process import posterior

eps, z = symbol(r"\epsilon"), symbol("z")
sigma, x_hat = family(r"\sigma"), family(r"\hat x")
network = function(r"\epsilon_\theta")


def with_true_noise(expression: Expr) -> Expr:
    """The expression for a network that is always right about x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps."""
    return expression.subs(network(x[t], t), (x[t] - sqrt(bar[t]) * x[0]) / sqrt(1 - bar[t]))


def guess_of_x0(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == x_hat[0] and relation.ops == ("=",), "the left side is not the guess of x_0")
    require(relation.rhs.has(network(x[t], t)), "the network is not asked")
    require_equal(with_true_noise(relation.rhs), x[0], "the guess of a perfect network and x_0")


def ddpm_step(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == x[t - 1] and relation.ops == ("=",), "the left side is not x_{t-1}")
    mean, _ = law_of(relation.rhs, [z])
    require_equal(sp.expand(relation.rhs).coeff(z), sigma[t], "the factor of the fresh noise and sigma_t")
    require(mean.has(network(x[t], t)), "the network is not asked")
    require_equal(split_last(with_true_noise(mean), t), posterior()[0], "the mean for a perfect network and the posterior's")


def ddim_step(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == x[s] and relation.ops == ("=",), "the left side is not x_s")
    # For a perfect network the guess is x_0 and the prediction eps; then x_s must have the law of q(x_s | x_0).
    perfect = relation.rhs.subs({network(x[t], t): eps, x_hat[0]: x[0]})
    require(not perfect.has(x[t]) and perfect.has(eps), "the prediction does not take part")
    mean, variance = law_of(perfect, [eps, z])
    require_equal(mean, sqrt(bar[s]) * x[0], "the mean and that of q(x_s | x_0)")
    require_equal(variance, 1 - bar[s], "the variance and that of q(x_s | x_0)")
    require_equal(perfect.coeff(z, 1), sigma[t], "the factor of the fresh noise and sigma_t")
    few = {sigma[t]: 0, bar[s]: sp.Rational(1, 4)}
    require_positive(perfect.coeff(eps, 1).subs(few), "the factor of the predicted noise")


CLAIMS: tuple[Claim, ...] = (
    Claim(
        "eq-predict-x0",
        r"\hat x_0 = \frac{x_t - \sqrt{1-\bar\alpha_t}\, \epsilon_\theta(x_t, t)}{\sqrt{\bar\alpha_t}}",
        "a network that is right about the noise is right about the image",
        guess_of_x0,
        (
            NearMiss(r"\hat x_0 = \frac{x_t - (1-\bar\alpha_t)\, \epsilon_\theta(x_t, t)}{\sqrt{\bar\alpha_t}}", "the noise without its root"),
            NearMiss(r"\hat x_0 = \frac{x_t - \sqrt{1-\bar\alpha_t}\, \epsilon_\theta(x_t, t)}{\bar\alpha_t}", "the signal without its root"),
            NearMiss(r"\hat x_0 = x_t - \epsilon_\theta(x_t, t)", "subtracting the noise as it is"),
        ),
        "diffcourse.diffusion.process.predict_x0",
    ),
    Claim(
        "eq-ddpm-step",
        r"x_{t-1} = \frac{1}{\sqrt{\alpha_t}} \Big(x_t - \frac{1-\alpha_t}{\sqrt{1-\bar\alpha_t}}\, \epsilon_\theta(x_t, t)\Big) + \sigma_t z",
        "for a network that is right, the mean of x_{t-1} given x_t and x_0",
        ddpm_step,
        (
            NearMiss(
                r"x_{t-1} = \frac{1}{\sqrt{\alpha_t}} \Big(x_t - \frac{1-\alpha_t}{\sqrt{1-\alpha_t}}\, \epsilon_\theta(x_t, t)\Big) + \sigma_t z",
                "the bar forgotten below",
            ),
            NearMiss(r"x_{t-1} = x_t - \epsilon_\theta(x_t, t)", "all of the predicted noise removed, as it is"),
            NearMiss(
                r"x_{t-1} = \frac{1}{\sqrt{\alpha_t}} \Big(x_t - \sqrt{1-\bar\alpha_t}\, \epsilon_\theta(x_t, t)\Big) + \sigma_t z",
                "removing all of the noise at once",
            ),
            NearMiss(
                r"x_{t-1} = x_t - \frac{1-\alpha_t}{\sqrt{1-\bar\alpha_t}}\, \epsilon_\theta(x_t, t) + \sigma_t z",
                "the image not rescaled",
            ),
        ),
        "diffcourse.diffusion.sample.sample_ddpm",
    ),
    Claim(
        "eq-ddim-step",
        r"x_s = \sqrt{\bar\alpha_s}\, \hat x_0 + \sqrt{1-\bar\alpha_s-\sigma_t^2}\, \epsilon_\theta(x_t, t) + \sigma_t z",
        "for a network that is right, x_s has the law q(x_s | x_0), whatever σ_t",
        ddim_step,
        (
            NearMiss(
                r"x_s = \sqrt{\bar\alpha_s}\, \hat x_0 + \sqrt{1-\bar\alpha_s}\, \epsilon_\theta(x_t, t) + \sigma_t z",
                "the fresh noise on top of the old: the variance is too large",
            ),
            NearMiss(
                r"x_s = \sqrt{\bar\alpha_s}\, \hat x_0 + \sqrt{1-\bar\alpha_t-\sigma_t^2}\, \epsilon_\theta(x_t, t) + \sigma_t z",
                "the noise level of t, where s is meant",
            ),
        ),
        "diffcourse.diffusion.sample.sample_ddim",
    ),
)

IN_TEXT: dict[str, Literal["true", "setting"]] = {
    r"\sigma_t^2 = \tilde\beta_t": "setting",
    r"\sigma_t = 0": "setting",
    r"\sqrt{\bar\alpha_t}": "setting",
}
"""See `forward_process.IN_TEXT`."""
