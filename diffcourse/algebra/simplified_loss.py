"""The claims of chapter 10, the simplified loss.

The proofs know the posterior through `posterior`, which multiplies two Gaussians of the chain, and the divergence through
`divergence`, which is integrated. Everything that a network predicts is put down to its one answer about the noise.
"""

from functools import cache
from typing import Literal

import sympy as sp
from sympy import Expr, Symbol, sqrt

from diffcourse.algebra.claim import Claim, NearMiss, Statement
from diffcourse.algebra.forward_process import EXACT, PROCESS, SNR, E, T, Var, alpha, bar, beta, f, q, t, x
from diffcourse.algebra.latex import Grad, Norm, Over, Relation
from diffcourse.algebra.notation import family, function, symbol
from diffcourse.algebra.proving import (
    gaussian_density,
    in_betas,
    integrate_gaussian,
    law_of,
    only,
    require,
    require_equal,
    require_positive,
)

a, v, v_hat, y = (symbol(name) for name in ("a", "v", r"\hat v", "y"))
eps, gamma, theta = symbol(r"\epsilon"), symbol(r"\gamma"), symbol(r"\theta")
x_hat, beta_tilde, sigma = family(r"\hat x"), family(r"\tilde\beta"), family(r"\sigma")
A, B, C = symbol("A"), family("B"), symbol("C")
network, L_simple, KL = function(r"\epsilon_\theta"), function(r"L_{\mathrm{simple}}"), function(r"D_{\mathrm{KL}}")
mu_tilde, mu_theta, p_theta = function(r"\tilde\mu"), function(r"\mu_\theta"), function(r"p_\theta")
LOSS = "diffcourse.diffusion.loss"

ASKED = network(x[t], t)
GUESS = Symbol("guess", real=True)
"""What the network says about the noise."""


# What the proofs stand on


def noisy(start: Expr, noise: Expr) -> Expr:
    """x_t."""
    return sqrt(bar[t]) * start + sqrt(1 - bar[t]) * noise


def image(noise: Expr) -> Expr:
    """The x_0 that goes with x_t and this noise."""
    return (x[t] - sqrt(1 - bar[t]) * noise) / sqrt(bar[t])


def turned(start: Expr, noise: Expr) -> Expr:
    """The velocity of a pair (x_0, noise): a quarter turn further along the circle on which x_t lies."""
    angle = Symbol("angle", real=True)
    along = sp.diff(sp.cos(angle) * start + sp.sin(angle) * noise, angle)
    return along.subs({sp.cos(angle): sqrt(bar[t]), sp.sin(angle): sqrt(1 - bar[t])})


def posterior(start: Expr) -> tuple[Expr, Expr]:
    """Mean and variance of x_{t-1} given x_t and x_0 = start: the product of the step to x_t and the law of x_{t-1}."""
    here = Symbol("here", real=True)
    exponent = -((x[t] - sqrt(alpha[t]) * here) ** 2) / (2 * (1 - alpha[t]))
    exponent -= (here - sqrt(bar[t - 1]) * start) ** 2 / (2 * (1 - bar[t - 1]))
    square, linear = (sp.expand(exponent).coeff(here, n) for n in (2, 1))
    return -linear / (2 * square), -1 / (2 * square)


@cache
def divergence(mean: Expr, other: Expr, variance: Expr) -> Expr:
    """D_KL(N(mean, variance) || N(other, variance)) of one component, by integration."""
    here, m, n, spread = Symbol("here", real=True), Symbol("m", real=True), Symbol("n", real=True), Symbol("spread", positive=True)
    log_ratio = ((here - n) ** 2 - (here - m) ** 2) / (2 * spread)
    integral = sp.factor(sp.simplify(integrate_gaussian(gaussian_density(here, m, spread) * log_ratio, here)))
    return integral.subs({m: mean, n: other, spread: variance})


STEP = KL(q(x[t - 1], sp.Tuple(x[t], x[0])), p_theta(x[t - 1], sp.Tuple(x[t])))


def rational(expression: Expr) -> Expr:
    """The expression without roots: sqrt(abar_t) and sqrt(1 - abar_t) lie on a circle, which fractions can walk along.

    Then SymPy decides an identity by cancelling, in a fraction of the time that it needs with roots.
    """
    k, r = Symbol("k", positive=True), Symbol("r", positive=True)
    along, up = (k**2 + 2 * k) / (k**2 + 2 * k + 2), 2 * (k + 1) / (k**2 + 2 * k + 2)  # along^2 + up^2 = 1, both positive
    expression = in_betas(expression.subs(x[t], noisy(x[0], eps))).subs(beta[t], 1 - r**2)
    return expression.subs({sqrt(1 - bar[t]): up, sqrt(bar[t]): along}).subs({bar[t]: along**2, bar[t - 1]: along**2 / r**2}).doit()


@cache
def known() -> dict[Expr, Expr]:
    """What every name means that stands for a prediction or a truth, in terms of x_0, eps and the network's guess of eps."""
    (mean, variance), (guessed, _) = (map(sp.cancel, map(rational, posterior(start))) for start in (x[0], image(GUESS)))
    return {
        # The model's step has the posterior's variance, and its mean at the guess.
        STEP: sp.cancel(divergence(sp.cancel(mean - guessed), sp.Integer(0), variance)),
        mu_tilde(t, x[t], x[0]): mean,
        mu_theta(x[t], t): guessed,
        beta_tilde[t]: variance,
        ASKED: GUESS,
        x_hat[0]: sp.cancel(rational(image(GUESS))),
        v_hat: sp.cancel(rational(turned(image(GUESS), GUESS))),
        v: rational(turned(x[0], eps)),
    }


def put_in(expression: Expr) -> Expr:
    """The expression with what is `known`. Squared lengths become squares, which is what they are for one component."""
    expression = expression.replace(lambda e: e.is_Pow and e.base.func == Norm and e.exp == 2, lambda e: e.base.args[0] ** 2)
    require(not expression.has(Norm), "a length that is not squared")
    return rational(expression.replace(SNR, lambda n: bar[n] / (1 - bar[n])).subs(known()))


def require_same(left: Expr, right: Expr, what: str) -> None:
    """Require that both sides say the same once everything is put in."""
    difference = put_in(left) - put_in(right)
    somewhere = {v: sp.Rational(n, n + 3) for n, v in enumerate(sorted(difference.free_symbols, key=str), start=1)}
    require_equal(difference if difference.subs(somewhere) else sp.cancel(difference), 0, what)


def all_equal(relation: Relation, what: str = "neighbouring terms") -> None:
    """Require an equation all of whose terms say the same."""
    require(set(relation.ops) == {"="}, "not an equation")
    for left, right in zip(relation.terms, relation.terms[1:]):
        require_same(left, right, what)


def average(values: list[Expr], weights: list[Expr]) -> Expr:
    return sum(weight * value for weight, value in zip(weights, values))


# From the mean to the noise


def mean_of_the_model(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == mu_theta(x[t], t) and relation.ops == ("=",), "the left side is not mu_theta(x_t, t)")
    require(relation.rhs.has(ASKED), "the network is not asked")
    require_same(relation.rhs, known()[mu_theta(x[t], t)], "the mean and that of the posterior at the guess")


def mean_gap(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == mu_tilde(t, x[t], x[0]) - mu_theta(x[t], t), "the left side is not the difference of the means")
    all_equal(relation, "the difference of the means and the formula")


def b_weight(statement: Statement) -> None:
    relation = only(statement)
    # The variances are given; all that theta can change in the divergence is this, with sigma_t^2 for the model's variance.
    changing = divergence(mu_tilde(t, x[t], x[0]), mu_theta(x[t], t), sigma[t] ** 2)
    require_same(relation.lhs, changing, "the left side and what theta changes in the divergence")
    error = Norm(eps - ASKED) ** 2
    require(not (relation.rhs / error).has(ASKED, eps, x), "the right side is not a multiple of the squared error of the noise")
    all_equal(relation)


def bound_gradient(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == Grad(A + sp.Sum(B[t], (t, 2, T)) + C, theta) and relation.ops == ("=",), "the left side is not the bound's gradient")
    require(relation.rhs.func == sp.Sum and relation.rhs.limits == (sp.Tuple(t, 1, T),), "not a sum over the steps t = 1 .. T")
    error = Norm(eps - ASKED) ** 2
    weight = relation.rhs.function / Grad(E(error, Over(eps)), theta)
    require(not weight.has(Grad, E, Norm), "not a multiple of the gradient of the noise's squared error, averaged over the noise")
    # An average over x_t given x_0 is one over eps, and A has no theta. So it is enough to look inside the averages: B_t for t > 1,
    changing = divergence(mu_tilde(t, x[t], x[0]), mu_theta(x[t], t), sigma[t] ** 2)
    require_same(weight * error, changing, "a term and what theta changes in the divergence")
    # and C for t = 1, where abar_0 = 1: minus the logarithm of the model's density at x_0, less what it is at its lowest.
    here, mean, spread = Symbol("here", real=True), Symbol("mean", real=True), Symbol("spread", positive=True)
    lack = sp.simplify(sp.log(gaussian_density(here, here, spread) / gaussian_density(here, mean, spread)))
    lack = lack.subs({here: x[0], mean: mu_theta(x[t], t), spread: sigma[t] ** 2})
    k, r = Symbol("k", positive=True), Symbol("r", positive=True)  # of `rational`
    first = (put_in(weight * error) - put_in(lack)).subs(r, (k**2 + 2 * k) / (k**2 + 2 * k + 2))
    require_equal(sp.cancel(first), 0, "the first term, less what theta changes in C")


def x0_loss(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == Norm(eps - ASKED) ** 2, "the left side is not the squared error of the noise")
    require(relation.rhs.has(x_hat[0]), "the guess of the image does not occur")
    all_equal(relation)


def weight_snr(statement: Statement) -> None:
    relation = only(statement)
    require(len(relation.terms) == 3, "three terms, please")
    require(set(relation.ops) == {"="}, "not an equation")
    for term in relation.terms:
        require_same(term * (eps - GUESS) ** 2, STEP, "this times the squared error, and the divergence")


def b_snr(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == B[t] and relation.ops == ("=",), "the left side is not B_t")
    require(relation.rhs.func == E and relation.rhs.args[1:] == (Over(q(x[t], sp.Tuple(x[0]))),), "not an expectation over x_t given x_0")
    require_same(relation.rhs.args[0], STEP, "the inside and the divergence")


def snr_sum(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",) and relation.lhs.func == sp.Sum, "the left side is not a sum")
    change = SNR(t - 1) - SNR(t)
    require(relation.lhs.args == (change, sp.Tuple(t, 2, T)), "not the sum of the weights of B_2 .. B_T")
    require_equal(relation.rhs.subs(T, 2), change.subs(t, 2), "the sum for T = 2")
    require_equal(relation.rhs - relation.rhs.subs(T, T - 1), change.subs(t, T), "what one step more adds")


FROM_MEAN_TO_NOISE = (
    Claim(
        "eq-mu-theta",
        r"\mu_\theta(x_t, t) = \frac{1}{\sqrt{\alpha_t}} \Big(x_t - \frac{\beta_t}{\sqrt{1-\bar\alpha_t}}\, \epsilon_\theta(x_t, t)\Big)",
        "the posterior's mean, with the x_0 that the network's noise implies",
        mean_of_the_model,
        (
            NearMiss(
                r"\mu_\theta(x_t, t) = \frac{1}{\sqrt{\alpha_t}} \Big(x_t - \frac{\beta_t}{\sqrt{1-\alpha_t}}\, \epsilon_\theta(x_t, t)\Big)",
                "the bar forgotten below",
            ),
            NearMiss(
                r"\mu_\theta(x_t, t) = \frac{1}{\sqrt{\bar\alpha_t}} \Big(x_t - \frac{\beta_t}{\sqrt{1-\bar\alpha_t}}\, \epsilon_\theta(x_t, t)\Big)",
                "a bar too many in front: rescaled as if to x_0",
            ),
            NearMiss(
                r"\mu_\theta(x_t, t) = \frac{1}{\sqrt{\alpha_t}} \Big(x_t - \frac{\beta_t}{1-\bar\alpha_t}\, \epsilon_\theta(x_t, t)\Big)",
                "the variance in place of the standard deviation",
            ),
        ),
        f"{PROCESS}.predict_mean",
    ),
    Claim(
        "eq-mean-gap",
        r"\tilde\mu_t(x_t, x_0) - \mu_\theta(x_t, t) ="
        r" \frac{\beta_t}{\sqrt{\alpha_t}\, \sqrt{1-\bar\alpha_t}}\, \big(\epsilon_\theta(x_t, t) - \epsilon\big)",
        "both means are the posterior's, one with the true noise, one with the guess",
        mean_gap,
        (
            NearMiss(
                r"\tilde\mu_t(x_t, x_0) - \mu_\theta(x_t, t) ="
                r" \frac{\beta_t}{\sqrt{\alpha_t}\, \sqrt{1-\bar\alpha_t}}\, \big(\epsilon - \epsilon_\theta(x_t, t)\big)",
                "the wrong sign: noise is subtracted",
            ),
            NearMiss(
                r"\tilde\mu_t(x_t, x_0) - \mu_\theta(x_t, t) ="
                r" \frac{\beta_t}{\sqrt{1-\bar\alpha_t}}\, \big(\epsilon_\theta(x_t, t) - \epsilon\big)",
                "the image not rescaled",
            ),
        ),
        f"{PROCESS}.predict_mean",
    ),
    Claim(
        "eq-b-weight",
        r"\frac{1}{2 \sigma_t^2}\, \big\lVert \tilde\mu_t(x_t, x_0) - \mu_\theta(x_t, t) \big\rVert^2 ="
        r" \frac{\beta_t^2}{2 \sigma_t^2 \alpha_t (1-\bar\alpha_t)}\, \big\lVert \epsilon - \epsilon_\theta(x_t, t) \big\rVert^2",
        "what θ changes in the divergence, with both means put in",
        b_weight,
        (
            NearMiss(
                r"\frac{1}{2 \sigma_t^2}\, \big\lVert \tilde\mu_t(x_t, x_0) - \mu_\theta(x_t, t) \big\rVert^2 ="
                r" \frac{\beta_t}{2 \sigma_t^2 \alpha_t (1-\bar\alpha_t)}\, \big\lVert \epsilon - \epsilon_\theta(x_t, t) \big\rVert^2",
                "the factor of the noise not squared",
            ),
            NearMiss(
                r"\frac{1}{2 \sigma_t^2}\, \big\lVert \tilde\mu_t(x_t, x_0) - \mu_\theta(x_t, t) \big\rVert^2 ="
                r" \frac{\beta_t^2}{2 \sigma_t^2 \alpha_t (1-\alpha_t)}\, \big\lVert \epsilon - \epsilon_\theta(x_t, t) \big\rVert^2",
                "α in place of ᾱ",
            ),
            NearMiss(
                r"\frac{1}{\sigma_t^2}\, \big\lVert \tilde\mu_t(x_t, x_0) - \mu_\theta(x_t, t) \big\rVert^2 ="
                r" \frac{\beta_t^2}{\sigma_t^2 \alpha_t (1-\bar\alpha_t)}\, \big\lVert \epsilon - \epsilon_\theta(x_t, t) \big\rVert^2",
                "the divergence without its factor of one half",
            ),
        ),
        f"{LOSS}.weight",
    ),
    Claim(
        "eq-bound-gradient",
        r"\begin{aligned}"
        r" &\nabla_{\theta} \Big(A + \sum_{t=2}^{T} B_t + C\Big) \\"
        r" &= \sum_{t=1}^{T} \frac{\beta_t^2}{2 \sigma_t^2 \alpha_t (1-\bar\alpha_t)}\, \nabla_{\theta}\,"
        r" \mathbb{E}_{\epsilon}\Big[\big\lVert \epsilon - \epsilon_\theta(x_t, t) \big\rVert^2\Big]"
        r" \end{aligned}",
        "what θ changes in each divergence, and for t = 1 in the last Gaussian",
        bound_gradient,
        (
            NearMiss(
                r"\begin{aligned}"
                r" &\nabla_{\theta} \Big(A + \sum_{t=2}^{T} B_t + C\Big) \\"
                r" &= \sum_{t=2}^{T} \frac{\beta_t^2}{2 \sigma_t^2 \alpha_t (1-\bar\alpha_t)}\, \nabla_{\theta}\,"
                r" \mathbb{E}_{\epsilon}\Big[\big\lVert \epsilon - \epsilon_\theta(x_t, t) \big\rVert^2\Big]"
                r" \end{aligned}",
                "the reconstruction forgotten: C depends on θ as well",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &\nabla_{\theta} \Big(A + \sum_{t=2}^{T} B_t + C\Big) \\"
                r" &= \sum_{t=1}^{T} \frac{\beta_t^2}{2 \sigma_t^2 \alpha_t (1-\bar\alpha_{t-1})}\, \nabla_{\theta}\,"
                r" \mathbb{E}_{\epsilon}\Big[\big\lVert \epsilon - \epsilon_\theta(x_t, t) \big\rVert^2\Big]"
                r" \end{aligned}",
                "an index off by one: infinite in the first step",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &\nabla_{\theta} \Big(A + \sum_{t=2}^{T} B_t + C\Big) \\"
                r" &= \sum_{t=1}^{T} \nabla_{\theta}\, \mathbb{E}_{\epsilon}\Big[\big\lVert \epsilon - \epsilon_\theta(x_t, t) \big\rVert^2\Big]"
                r" \end{aligned}",
                "the weights left out: that is another loss",
            ),
        ),
        f"{LOSS}.weight",
    ),
)

AS_SNR = (
    Claim(
        "eq-x0-loss",
        r"\big\lVert \epsilon - \epsilon_\theta(x_t, t) \big\rVert^2 = \operatorname{SNR}(t)\, \lVert x_0 - \hat x_0 \rVert^2",
        "noise and image share x_t, so an error of one is an error of the other",
        x0_loss,
        (
            NearMiss(
                r"\big\lVert \epsilon - \epsilon_\theta(x_t, t) \big\rVert^2 = \frac{1}{\operatorname{SNR}(t)}\, \lVert x_0 - \hat x_0 \rVert^2",
                "upside down",
            ),
            NearMiss(
                r"\big\lVert \epsilon - \epsilon_\theta(x_t, t) \big\rVert^2 = \sqrt{\operatorname{SNR}(t)}\, \lVert x_0 - \hat x_0 \rVert^2",
                "amplitudes in place of powers",
            ),
        ),
        f"{LOSS}.error_scale",
    ),
    Claim(
        "eq-weight-snr",
        r"\frac{\beta_t^2}{2 \tilde\beta_t \alpha_t (1-\bar\alpha_t)} = \frac{\beta_t}{2 \alpha_t (1-\bar\alpha_{t-1})} ="
        r" \frac{1}{2} \Big(\frac{\operatorname{SNR}(t-1)}{\operatorname{SNR}(t)} - 1\Big)",
        "each is the integrated divergence over the squared error of the noise",
        weight_snr,
        (
            NearMiss(
                r"\frac{\beta_t^2}{2 \tilde\beta_t \alpha_t (1-\bar\alpha_t)} = \frac{\beta_t}{2 \alpha_t (1-\bar\alpha_t)} ="
                r" \frac{1}{2} \Big(\frac{\operatorname{SNR}(t-1)}{\operatorname{SNR}(t)} - 1\Big)",
                "in the middle β_t, where β̃_t is meant",
            ),
            NearMiss(
                r"\frac{\beta_t^2}{2 \tilde\beta_t \alpha_t (1-\bar\alpha_t)} = \frac{\beta_t}{2 \alpha_t (1-\bar\alpha_{t-1})} ="
                r" \frac{1}{2} \Big(1 - \frac{\operatorname{SNR}(t)}{\operatorname{SNR}(t-1)}\Big)",
                "divided by the SNR of the wrong step",
            ),
        ),
        f"{LOSS}.weight",
    ),
    Claim(
        "eq-b-snr",
        r"B_t = \mathbb{E}_{q(x_t \mid x_0)}\Big[\frac{\operatorname{SNR}(t-1) - \operatorname{SNR}(t)}{2}\, \lVert x_0 - \hat x_0 \rVert^2\Big]",
        "the divergence, integrated, for the two means at x_0 and at its guess",
        b_snr,
        (
            NearMiss(
                r"B_t = \mathbb{E}_{q(x_t \mid x_0)}\Big[\frac{\operatorname{SNR}(t) - \operatorname{SNR}(t-1)}{2}\, \lVert x_0 - \hat x_0 \rVert^2\Big]",
                "the wrong sign: the SNR falls",
            ),
            NearMiss(
                r"B_t = \mathbb{E}_{q(x_t \mid x_0)}\Big[\frac{\operatorname{SNR}(t)}{2}\, \lVert x_0 - \hat x_0 \rVert^2\Big]",
                "the SNR in place of its difference",
            ),
            NearMiss(
                r"B_t = \mathbb{E}_{q(x_t \mid x_0)}\big[(\operatorname{SNR}(t-1) - \operatorname{SNR}(t))\, \lVert x_0 - \hat x_0 \rVert^2\big]",
                "a factor of one half lost",
            ),
            NearMiss(
                r"B_t = \mathbb{E}_{q(x_t \mid x_0)}\Big[\frac{\operatorname{SNR}(t-1) - \operatorname{SNR}(t)}{2}\, \big\lVert \epsilon - \epsilon_\theta(x_t, t) \big\rVert^2\Big]",
                "the error of the noise with the weight that belongs to the image",
            ),
        ),
        f"{LOSS}.weighted_loss",
    ),
    Claim(
        "eq-snr-sum",
        r"\sum_{t=2}^{T} \big(\operatorname{SNR}(t-1) - \operatorname{SNR}(t)\big) = \operatorname{SNR}(1) - \operatorname{SNR}(T)",
        "a telescope: true for T = 2, and one step more adds its own term",
        snr_sum,
        (
            NearMiss(
                r"\sum_{t=2}^{T} \big(\operatorname{SNR}(t-1) - \operatorname{SNR}(t)\big) = \operatorname{SNR}(2) - \operatorname{SNR}(T)",
                "an index off by one",
            ),
            NearMiss(
                r"\sum_{t=2}^{T} \big(\operatorname{SNR}(t-1) - \operatorname{SNR}(t)\big) = \operatorname{SNR}(T) - \operatorname{SNR}(1)",
                "the ends exchanged",
            ),
        ),
        f"{LOSS}.weight",
    ),
)


# Three targets


def velocity(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == v and relation.ops == ("=",), "the left side is not v")
    require_equal(relation.rhs, turned(x[0], eps), "the formula and the derivative along the circle")


def x0_from_v(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == x[0] and relation.rhs.has(v), "not x_0 from v")
    all_equal(relation)


def eps_from_v(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == eps and relation.rhs.has(v), "not eps from v")
    all_equal(relation)


def v_loss(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == Norm(v - v_hat) ** 2, "the left side is not the squared error of v")
    require(len(relation.terms) == 3 and relation.terms[1].has(x_hat[0]) and relation.rhs.has(ASKED), "by way of the image to the noise, please")
    all_equal(relation)


def three_weights(statement: Statement) -> None:
    relation = only(statement)
    errors = (Norm(x[0] - x_hat[0]) ** 2, Norm(eps - ASKED) ** 2, Norm(v - v_hat) ** 2)
    require(len(relation.terms) == 4 and set(relation.ops) == {"="}, "the divergence and three errors, please")
    first, *rest = relation.terms
    require(first == STEP, "the left side is not the divergence")
    for term, error in zip(rest, errors):
        require(not (term / error).has(Norm), f"not a multiple of {error}")
    all_equal(relation)


def min_snr(statement: Statement) -> None:
    relation = only(statement)
    errors = (Norm(x[0] - x_hat[0]) ** 2, Norm(eps - ASKED) ** 2, Norm(v - v_hat) ** 2)
    require(len(relation.terms) == 3 and set(relation.ops) == {"="}, "three errors, please")
    cut = sp.Min(SNR(t), gamma)
    for term, error in zip(relation.terms, errors):
        require(not (term / error).has(Norm), f"not a multiple of {error}")
        # Noisy steps count as in L_simple, clean ones as the error of the image times gamma, whatever is predicted.
        require_same(term.subs(cut, SNR(t)), errors[1], "this, below gamma, and the error of the noise")
        require_same(term.subs(cut, gamma), gamma * errors[0], "this, above gamma, and gamma times the error of the image")
    require_equal(relation.lhs.subs(SNR(t), 3 * gamma), gamma * errors[0], "the smaller of the two and gamma")


THREE_TARGETS = (
    Claim(
        "eq-velocity",
        r"v = \sqrt{\bar\alpha_t}\, \epsilon - \sqrt{1-\bar\alpha_t}\, x_0",
        "the direction in which x_t moves along its circle",
        velocity,
        (
            NearMiss(r"v = \sqrt{\bar\alpha_t}\, x_0 - \sqrt{1-\bar\alpha_t}\, \epsilon", "image and noise exchanged"),
            NearMiss(r"v = \sqrt{\bar\alpha_t}\, \epsilon + \sqrt{1-\bar\alpha_t}\, x_0", "a plus: not across x_t"),
            NearMiss(r"v = \bar\alpha_t\, \epsilon - (1-\bar\alpha_t)\, x_0", "the roots lost"),
        ),
        f"{PROCESS}.velocity",
    ),
    Claim(
        "eq-x0-from-v",
        r"x_0 = \sqrt{\bar\alpha_t}\, x_t - \sqrt{1-\bar\alpha_t}\, v",
        "x_t and v put in",
        x0_from_v,
        (
            NearMiss(r"x_0 = \sqrt{\bar\alpha_t}\, x_t + \sqrt{1-\bar\alpha_t}\, v", "the turn in the wrong direction"),
            NearMiss(r"x_0 = \frac{x_t - \sqrt{1-\bar\alpha_t}\, v}{\sqrt{\bar\alpha_t}}", "v taken for the noise"),
        ),
        f"{PROCESS}.x0_from_v",
    ),
    Claim(
        "eq-eps-from-v",
        r"\epsilon = \sqrt{1-\bar\alpha_t}\, x_t + \sqrt{\bar\alpha_t}\, v",
        "x_t and v put in",
        eps_from_v,
        (
            NearMiss(r"\epsilon = \sqrt{1-\bar\alpha_t}\, x_t - \sqrt{\bar\alpha_t}\, v", "the turn in the wrong direction"),
            NearMiss(r"\epsilon = \sqrt{\bar\alpha_t}\, x_t + \sqrt{1-\bar\alpha_t}\, v", "the factors exchanged"),
        ),
        f"{PROCESS}.eps_from_v",
    ),
    Claim(
        "eq-v-loss",
        r"\lVert v - \hat v \rVert^2 = \big(\operatorname{SNR}(t) + 1\big)\, \lVert x_0 - \hat x_0 \rVert^2 ="
        r" \frac{1}{\bar\alpha_t}\, \big\lVert \epsilon - \epsilon_\theta(x_t, t) \big\rVert^2",
        "the guess of v turns with the guess of the noise",
        v_loss,
        (
            NearMiss(
                r"\lVert v - \hat v \rVert^2 = \operatorname{SNR}(t)\, \lVert x_0 - \hat x_0 \rVert^2 ="
                r" \frac{1}{\bar\alpha_t}\, \big\lVert \epsilon - \epsilon_\theta(x_t, t) \big\rVert^2",
                "the share of the image forgotten",
            ),
            NearMiss(
                r"\lVert v - \hat v \rVert^2 = \big(\operatorname{SNR}(t) + 1\big)\, \lVert x_0 - \hat x_0 \rVert^2 ="
                r" \bar\alpha_t\, \big\lVert \epsilon - \epsilon_\theta(x_t, t) \big\rVert^2",
                "upside down in the last step",
            ),
        ),
        f"{LOSS}.error_scale",
    ),
    Claim(
        "eq-eps-weights",
        r"\begin{aligned}"
        r" &D_{\mathrm{KL}}\big(q(x_{t-1} \mid x_t, x_0) \,\big\|\, p_\theta(x_{t-1} \mid x_t)\big) \\"
        r" &= \frac{\operatorname{SNR}(t-1) - \operatorname{SNR}(t)}{2}\, \lVert x_0 - \hat x_0 \rVert^2 \\"
        r" &= \frac{\operatorname{SNR}(t-1) - \operatorname{SNR}(t)}{2 \operatorname{SNR}(t)}\,"
        r" \big\lVert \epsilon - \epsilon_\theta(x_t, t) \big\rVert^2 \\"
        r" &= \frac{\operatorname{SNR}(t-1) - \operatorname{SNR}(t)}{2 (\operatorname{SNR}(t) + 1)}\, \lVert v - \hat v \rVert^2"
        r" \end{aligned}",
        "each line is the integrated divergence",
        three_weights,
        (
            NearMiss(
                r"\begin{aligned}"
                r" &D_{\mathrm{KL}}\big(q(x_{t-1} \mid x_t, x_0) \,\big\|\, p_\theta(x_{t-1} \mid x_t)\big) \\"
                r" &= \frac{\operatorname{SNR}(t-1) - \operatorname{SNR}(t)}{2}\, \lVert x_0 - \hat x_0 \rVert^2 \\"
                r" &= \frac{\operatorname{SNR}(t-1) - \operatorname{SNR}(t)}{2 \operatorname{SNR}(t-1)}\,"
                r" \big\lVert \epsilon - \epsilon_\theta(x_t, t) \big\rVert^2 \\"
                r" &= \frac{\operatorname{SNR}(t-1) - \operatorname{SNR}(t)}{2 (\operatorname{SNR}(t) + 1)}\, \lVert v - \hat v \rVert^2"
                r" \end{aligned}",
                "an index off by one where errors of the noise are counted",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &D_{\mathrm{KL}}\big(p_\theta(x_{t-1} \mid x_t) \,\big\|\, q(x_{t-1} \mid x_t, x_0)\big) \\"
                r" &= \frac{\operatorname{SNR}(t-1) - \operatorname{SNR}(t)}{2}\, \lVert x_0 - \hat x_0 \rVert^2 \\"
                r" &= \frac{\operatorname{SNR}(t-1) - \operatorname{SNR}(t)}{2 \operatorname{SNR}(t)}\,"
                r" \big\lVert \epsilon - \epsilon_\theta(x_t, t) \big\rVert^2 \\"
                r" &= \frac{\operatorname{SNR}(t-1) - \operatorname{SNR}(t)}{2 (\operatorname{SNR}(t) + 1)}\, \lVert v - \hat v \rVert^2"
                r" \end{aligned}",
                "the divergence the wrong way round",
            ),
        ),
        f"{LOSS}.weighted_loss",
    ),
    Claim(
        "eq-min-snr",
        r"\begin{aligned}"
        r" &\min\big(\operatorname{SNR}(t), \gamma\big)\, \lVert x_0 - \hat x_0 \rVert^2 \\"
        r" &= \frac{\min(\operatorname{SNR}(t), \gamma)}{\operatorname{SNR}(t)}\, \big\lVert \epsilon - \epsilon_\theta(x_t, t) \big\rVert^2 \\"
        r" &= \frac{\min(\operatorname{SNR}(t), \gamma)}{\operatorname{SNR}(t) + 1}\, \lVert v - \hat v \rVert^2"
        r" \end{aligned}",
        "below γ the error of the noise, above it γ times that of the image",
        min_snr,
        (
            NearMiss(
                r"\begin{aligned}"
                r" &\min\big(\operatorname{SNR}(t), \gamma\big)\, \lVert x_0 - \hat x_0 \rVert^2 \\"
                r" &= \min(\operatorname{SNR}(t), \gamma)\, \big\lVert \epsilon - \epsilon_\theta(x_t, t) \big\rVert^2 \\"
                r" &= \frac{\min(\operatorname{SNR}(t), \gamma)}{\operatorname{SNR}(t) + 1}\, \lVert v - \hat v \rVert^2"
                r" \end{aligned}",
                "the image's weight on the noise's error",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &\min\big(\operatorname{SNR}(t), \gamma\big)\, \lVert x_0 - \hat x_0 \rVert^2 \\"
                r" &= \frac{\min(\operatorname{SNR}(t), \gamma)}{\operatorname{SNR}(t)}\,"
                r" \big\lVert \epsilon - \epsilon_\theta(x_t, t) \big\rVert^2 \\"
                r" &= \frac{\min(\operatorname{SNR}(t), \gamma)}{\operatorname{SNR}(t)}\, \lVert v - \hat v \rVert^2"
                r" \end{aligned}",
                "v weighed like the noise",
            ),
        ),
        f"{LOSS}.weight",
    ),
)


# Without the weight


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


def reweighting(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == Norm(eps - ASKED) ** 2, "the left side is not the squared error of the noise")
    all_equal(relation)


WITHOUT_WEIGHT = (
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
            NearMiss(
                r"L_{\mathrm{simple}}(\theta) = \sum_{t=2}^{T} \mathbb{E}_{t, x_0, \epsilon}\Big[\big\lVert \epsilon -"
                r" \epsilon_\theta\big(\sqrt{\bar\alpha_t}\, x_0 + \sqrt{1-\bar\alpha_t}\, \epsilon, t\big) \big\rVert^2\Big]",
                "summed over t and averaged over t at once",
            ),
        ),
        f"{LOSS}.simple_loss",
    ),
    Claim(
        "eq-reweighting",
        r"\begin{aligned}"
        r" &\big\lVert \epsilon - \epsilon_\theta(x_t, t) \big\rVert^2 \\"
        r" &= \frac{2 \alpha_t (1-\bar\alpha_{t-1})}{\beta_t}\, D_{\mathrm{KL}}\big(q(x_{t-1} \mid x_t, x_0) \,\big\|\,"
        r" p_\theta(x_{t-1} \mid x_t)\big)"
        r" \end{aligned}",
        "the squared error over the integrated divergence",
        reweighting,
        (
            NearMiss(
                r"\begin{aligned}"
                r" &\big\lVert \epsilon - \epsilon_\theta(x_t, t) \big\rVert^2 \\"
                r" &= \frac{\beta_t}{2 \alpha_t (1-\bar\alpha_{t-1})}\, D_{\mathrm{KL}}\big(q(x_{t-1} \mid x_t, x_0) \,\big\|\,"
                r" p_\theta(x_{t-1} \mid x_t)\big)"
                r" \end{aligned}",
                "the weight of the bound in place of its inverse",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &\big\lVert \epsilon - \epsilon_\theta(x_t, t) \big\rVert^2 \\"
                r" &= \frac{2 \alpha_t (1-\bar\alpha_t)}{\beta_t}\, D_{\mathrm{KL}}\big(q(x_{t-1} \mid x_t, x_0) \,\big\|\,"
                r" p_\theta(x_{t-1} \mid x_t)\big)"
                r" \end{aligned}",
                "an index off by one",
            ),
        ),
        f"{LOSS}.weight",
    ),
)


# What the best network says


def best_guess(statement: Statement) -> None:
    relation = only(statement)
    given = sp.Tuple(x[t])
    require(relation.ops == ("=",) and relation.lhs == E((y - f(x[t])) ** 2, given), "the left side is not the squared error given x_t")
    # Any law of y given x_t: three values with any weights that sum to one. f(x_t) is a number once x_t is given.
    values, (first, second), said = sp.symbols("y_1:4", real=True), sp.symbols("p_1:3", positive=True), Symbol("said", real=True)
    weights = [first, second, 1 - first - second]
    mean = average(list(values), weights)
    centred = average([(value - mean) ** 2 for value in values], weights)
    model = {E(y, given): mean, Var(y, given): centred, f(x[t]): said}
    error = average([(value - said) ** 2 for value in values], weights)
    require_equal(relation.rhs.subs(model), error, "the right side and the average of the squared errors")


def best_noise(statement: Statement) -> None:
    relation = only(statement)
    guess = E(x[0], sp.Tuple(x[t]))
    require(relation.lhs == E(eps, sp.Tuple(x[t])) and relation.ops == ("=",), "the left side is not E[eps | x_t]")
    # Given x_t, taking expectations on both sides of eq-sample leaves x_t = sqrt(abar) E[x_0|x_t] + sqrt(1-abar) E[eps|x_t].
    rebuilt = sqrt(bar[t]) * guess + sqrt(1 - bar[t]) * relation.rhs
    require_equal(rebuilt.subs(guess, sp.Symbol("guess", real=True)), x[t], "x_t put together again and x_t")


SEEN, KEPT = Symbol("seen", real=True), Symbol("kept", positive=True)
"""x_t and alpha_bar_t, as plain symbols that can be differentiated by."""


def points() -> tuple[list[Expr], list[Expr]]:
    """Three points of data with any weights, and for each the weight times the density of x_t that it leads to.

    The density is linear in the weights, and so are its derivative and the numerator of E[x_0 | x_t]: what holds for each
    point of three holds for any number of them, and for every distribution that sums or integrals of points make up.
    """
    places, weights = sp.symbols("m_1:4", real=True), sp.symbols("w_1:4", positive=True)
    return list(places), [w * gaussian_density(SEEN, sqrt(KEPT) * m, 1 - KEPT) for m, w in zip(places, weights)]


def tweedie(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == E(x[0], sp.Tuple(x[t])) and relation.ops == ("=",), "the left side is not E[x_0 | x_t]")
    places, joint = points()
    slope = Symbol("slope")
    formula = relation.rhs.subs(Grad(sp.log(q(x[t])), x[t]), slope).subs({x[t]: SEEN, bar[t]: KEPT})
    require(formula.has(slope), "the gradient of log q(x_t) does not occur")
    # Bayes: E[x_0 | x_t] q(x_t) = sum of m_k w_k N_k, and (log q)' q = q'.
    for place, part in zip(places, joint):
        scaled = sp.expand(formula).coeff(slope, 0) * part + sp.expand(formula).coeff(slope, 1) * sp.diff(part, SEEN)
        require_equal(sp.simplify(scaled / part), place, "what one point contributes and its place")
    require_equal(sp.diff(formula, slope, 2), 0, "the second derivative in the gradient and 0")


def score_noise(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == Grad(sp.log(q(x[t])), x[t]) and relation.ops == ("=",), "the left side is not the gradient of log q(x_t)")
    places, joint = points()
    guess = Symbol("guess", real=True)
    formula = relation.rhs.subs(E(eps, sp.Tuple(x[t])), guess).subs({x[t]: SEEN, bar[t]: KEPT})
    require_equal(formula - formula.subs(guess, 1) * guess, 0, "the formula and a multiple of the best noise")
    for place, part in zip(places, joint):
        noise = (SEEN - sqrt(KEPT) * place) / sqrt(1 - KEPT)  # of this point, given x_t
        require_equal(sp.simplify(sp.diff(part, SEEN) / part), formula.subs(guess, noise), "the slope that one point contributes and its noise")


def smallest_loss(statement: Statement) -> None:
    relation = only(statement)
    guess = E(eps, sp.Tuple(x[t]))
    require(relation.ops == ("=",) and relation.lhs == E((eps - guess) ** 2), "the left side is not the loss of the best guess")
    # Two values of x_t, and for each two values of the noise, with any probabilities. Their mean square is put in for 1.
    share, chance = Symbol("share", positive=True), sp.symbols("c_1 c_2", positive=True)
    values = [sp.symbols(names, real=True) for names in ("e_1 e_2", "e_3 e_4")]
    weights = [[p * c, p * (1 - c)] for p, c in zip((share, 1 - share), chance)]
    means = [c * high + (1 - c) * low for c, (high, low) in zip(chance, values)]

    def expect(expression: Expr) -> Expr:
        terms = [(w, e, m) for ws, es, m in zip(weights, values, means) for w, e in zip(ws, es)]
        return sum(w * expression.subs(guess, m).subs(eps, e) for w, e, m in terms)

    model = [side.replace(lambda e: e.func == E and len(e.args) == 1, lambda e: expect(e.args[0])) for side in relation.terms]
    require(not any(side.has(eps) for side in model), "something random is left")
    require_equal(model[0] - model[1], expect(eps**2) - 1, "the difference of the sides and what E[eps^2] lacks to 1")


def gauss_loss(statement: Statement) -> None:
    relation = only(statement)
    guess = E(eps, sp.Tuple(x[t]))
    require(relation.ops == ("=",) and relation.lhs == E((eps - guess) ** 2), "the left side is not the loss of the best guess")
    # The joint density of eps and x_t for x_0 ~ N(0, a^2), as a function of eps: its inverse bend is the variance left.
    noise = Symbol("noise", real=True)
    x0 = (SEEN - sqrt(1 - KEPT) * noise) / sqrt(KEPT)
    exponent = -(noise**2) / 2 - x0**2 / (2 * a**2)
    require_equal(relation.rhs.subs(bar[t], KEPT), -1 / sp.diff(exponent, noise, 2), "the formula and the variance of eps given x_t")


BEST = (
    Claim(
        "eq-best-guess",
        r"\mathbb{E}\big[(y - f(x_t))^2 \mid x_t\big] = \operatorname{Var}[y \mid x_t] + \big(\mathbb{E}[y \mid x_t] - f(x_t)\big)^2",
        "the square completed, for any law of y given x_t",
        best_guess,
        (
            NearMiss(
                r"\mathbb{E}\big[(y - f(x_t))^2 \mid x_t\big] = \operatorname{Var}[y \mid x_t] - \big(\mathbb{E}[y \mid x_t] - f(x_t)\big)^2",
                "a minus: as if a worse guess were better",
            ),
            NearMiss(
                r"\mathbb{E}\big[(y - f(x_t))^2 \mid x_t\big] = \big(\mathbb{E}[y \mid x_t] - f(x_t)\big)^2",
                "the floor forgotten: as if the truth could be known",
            ),
            NearMiss(
                r"\mathbb{E}\big[(y - f(x_t))^2 \mid x_t\big] = \operatorname{Var}[y] + \big(\mathbb{E}[y \mid x_t] - f(x_t)\big)^2",
                "the variance before x_t is known",
            ),
        ),
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
        f"{EXACT}.GaussianMixture.predict_eps",
    ),
    Claim(
        "eq-tweedie",
        r"\mathbb{E}[x_0 \mid x_t] = \frac{x_t + (1-\bar\alpha_t)\, \nabla_{x_t} \log q(x_t)}{\sqrt{\bar\alpha_t}}",
        "true for each point that data may consist of, and linear in them",
        tweedie,
        (
            NearMiss(
                r"\mathbb{E}[x_0 \mid x_t] = \frac{x_t + \sqrt{1-\bar\alpha_t}\, \nabla_{x_t} \log q(x_t)}{\sqrt{\bar\alpha_t}}",
                "the standard deviation in place of the variance",
            ),
            NearMiss(
                r"\mathbb{E}[x_0 \mid x_t] = \frac{x_t - (1-\bar\alpha_t)\, \nabla_{x_t} \log q(x_t)}{\sqrt{\bar\alpha_t}}",
                "downhill, away from the data",
            ),
            NearMiss(
                r"\mathbb{E}[x_0 \mid x_t] = x_t + (1-\bar\alpha_t)\, \nabla_{x_t} \log q(x_t)",
                "the shrinking not undone",
            ),
        ),
        f"{EXACT}.GaussianMixture.posterior_mean",
    ),
    Claim(
        "eq-score-noise",
        r"\nabla_{x_t} \log q(x_t) = -\frac{\mathbb{E}[\epsilon \mid x_t]}{\sqrt{1-\bar\alpha_t}}",
        "true for each point that data may consist of, and linear in them",
        score_noise,
        (
            NearMiss(
                r"\nabla_{x_t} \log q(x_t) = \frac{\mathbb{E}[\epsilon \mid x_t]}{\sqrt{1-\bar\alpha_t}}",
                "the wrong sign: noise points away from the data",
            ),
            NearMiss(
                r"\nabla_{x_t} \log q(x_t) = -\frac{\mathbb{E}[\epsilon \mid x_t]}{1-\bar\alpha_t}",
                "the variance in place of the standard deviation",
            ),
        ),
        f"{PROCESS}.score",
    ),
    Claim(
        "eq-smallest-loss",
        r"\mathbb{E}\big[(\epsilon - \mathbb{E}[\epsilon \mid x_t])^2\big] = 1 - \mathbb{E}\big[\mathbb{E}[\epsilon \mid x_t]^2\big]",
        "what the guess explains is missing from the variance of the noise",
        smallest_loss,
        (
            NearMiss(
                r"\mathbb{E}\big[(\epsilon - \mathbb{E}[\epsilon \mid x_t])^2\big] = 1 + \mathbb{E}\big[\mathbb{E}[\epsilon \mid x_t]^2\big]",
                "added, as if noise and guess were independent",
            ),
            NearMiss(
                r"\mathbb{E}\big[(\epsilon - \mathbb{E}[\epsilon \mid x_t])^2\big] = 1 - 2 \mathbb{E}\big[\mathbb{E}[\epsilon \mid x_t]^2\big]",
                "the square of the guess forgotten",
            ),
        ),
        f"{EXACT}.GaussianMixture.smallest_loss",
    ),
    Claim(
        "eq-gauss-loss",
        r"\mathbb{E}\big[(\epsilon - \mathbb{E}[\epsilon \mid x_t])^2\big] = \frac{\bar\alpha_t a^2}{\bar\alpha_t a^2 + 1 - \bar\alpha_t}",
        "the bend of the joint density's exponent",
        gauss_loss,
        (
            NearMiss(
                r"\mathbb{E}\big[(\epsilon - \mathbb{E}[\epsilon \mid x_t])^2\big] = \frac{1 - \bar\alpha_t}{\bar\alpha_t a^2 + 1 - \bar\alpha_t}",
                "the share of the noise: that is what the network does know",
            ),
            NearMiss(
                r"\mathbb{E}\big[(\epsilon - \mathbb{E}[\epsilon \mid x_t])^2\big] = \frac{\bar\alpha_t a}{\bar\alpha_t a + 1 - \bar\alpha_t}",
                "the standard deviation of the data in place of the variance",
            ),
        ),
        f"{EXACT}.GaussianMixture.smallest_loss",
    ),
)

CLAIMS: tuple[Claim, ...] = FROM_MEAN_TO_NOISE + AS_SNR + THREE_TARGETS + WITHOUT_WEIGHT + BEST

IN_TEXT: dict[str, Literal["true", "setting"]] = {
    r"\bar\alpha_t = \alpha_t \bar\alpha_{t-1}": "true",
    r"(1-\bar\alpha_t)/(\bar\alpha_t a^2)": "setting",
    r"-(x_t - \sqrt{\bar\alpha_t}\, m)/(1-\bar\alpha_t)": "setting",
    r"1-\alpha_t": "setting",
    r"1-\bar\alpha_t": "setting",
    r"1/\sqrt{\operatorname{SNR}(t)}": "setting",
    r"\alpha_t (1-\bar\alpha_{t-1})": "setting",
    r"\alpha_t - \bar\alpha_t": "setting",
    r"\epsilon = 0.5": "setting",
    r"\hat x_0 = (x_t - \sqrt{1-\bar\alpha_t}\, \epsilon_\theta(x_t, t))/\sqrt{\bar\alpha_t}": "setting",
    r"\log q(x_t)": "setting",
    r"\nabla_{x_t} \log q(x_t) = -(x_t - \sqrt{\bar\alpha_t}\, \mathbb{E}[x_0 \mid x_t])/(1-\bar\alpha_t)": "setting",
    r"\sigma_t^2 = \tilde\beta_t": "setting",
    r"\sqrt{1-\alpha_t}": "setting",
    r"\sqrt{1-\bar\alpha_t}": "setting",
    r"\sqrt{1-\bar\alpha_t}/\sqrt{\bar\alpha_t}": "setting",
    r"\sqrt{\bar\alpha_t}": "setting",
    r"\sqrt{\bar\alpha_t}\, m": "setting",
    r"\sqrt{\bar\alpha_t}\, x_0": "setting",
    r"\tilde\mu_1(x_1, x_0) = x_0": "setting",
    r"x_0 = 1": "setting",
    r"x_t - \sqrt{1-\bar\alpha_t}\, \epsilon": "setting",
}
"""See `forward_process.IN_TEXT`."""
