"""The claims of chapter 4, variational autoencoders, in the order of the chapter.

Statements about densities in general are worked out in a finite world (`finite`), where the image x and the latent z take two values
each and every density is a table of random fractions. Statements about Gaussians follow from integrals.
"""

import itertools
import math
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import Literal

import sympy as sp
from sympy import Expr

from diffcourse.algebra.claim import Claim, NearMiss, Statement
from diffcourse.algebra.finite import VALUES, Number, World
from diffcourse.algebra.gaussians import log_density, mean_of, standard_moment
from diffcourse.algebra.latex import Grad, Over, Relation, Span
from diffcourse.algebra.notation import family, function, symbol
from diffcourse.algebra.proving import gaussian_density, integrate_gaussian, only, require, require_equal

x, y, z, a, m, c, d, k, K = (symbol(name) for name in ("x", "y", "z", "a", "m", "c", "d", "k", "K"))
mu, sigma, tau, beta = (symbol(name) for name in (r"\mu", r"\sigma", r"\tau", r"\beta"))
zs, places, bound = family("z"), family("x"), family(r"\mathcal{L}")
q, p, p_theta, N, f = (function(name) for name in ("q", "p", r"p_\theta", r"\mathcal{N}", "f"))
E, Var, KL = (function(name) for name in (r"\mathbb{E}", r"\operatorname{Var}", r"D_{\mathrm{KL}}"))
VAE = "diffcourse.families.vae.VAE"
ENCODER = q(z, sp.Tuple(x))
JOINT = p_theta(x, z)
WORLD = World(1)


def equation(statement: Statement, left: Expr) -> Expr:
    """The right side of left = right."""
    relation = only(statement)
    require(relation.ops == ("=",) and relation.lhs == left, f"the left side is not {left}")
    return relation.rhs


# Noise and the way back


def denoise(statement: Statement) -> None:
    right = equation(statement, E(x, sp.Tuple(y)))
    slope = sp.Symbol("slope", real=True)
    formula = sp.expand(right.subs(Grad(sp.log(q(y)), y), slope))
    require(formula.has(slope), "the gradient of log q(y) does not occur")
    require_equal(sp.diff(formula, slope, 2), 0, "the second derivative in the gradient and 0")
    # Data that are points m_k with weights w_k: E[x | y] q(y) = sum of m_k w_k N(y; m_k, sigma^2), and (log q)' q = q'. All of it
    # is linear in the weights, so what holds for one point holds for all, and for the densities that are limits of points.
    for place in sp.symbols("m_1:3", real=True):
        part = gaussian_density(y, place, sigma**2)
        said = formula.coeff(slope, 0) * part + formula.coeff(slope, 1) * sp.diff(part, y)
        require_equal(sp.simplify(said / part), place, "what one point contributes and its place")


DENOISING = (
    Claim(
        "eq-denoise",
        r"\mathbb{E}[x \mid y] = y + \sigma^2\, \nabla_{y} \log q(y)",
        "Bayes' rule for each of any number of data points",
        denoise,
        (
            NearMiss(r"\mathbb{E}[x \mid y] = y + \sigma\, \nabla_{y} \log q(y)", "the standard deviation in place of the variance"),
            NearMiss(r"\mathbb{E}[x \mid y] = y - \sigma^2\, \nabla_{y} \log q(y)", "downhill: away from the data"),
            NearMiss(r"\mathbb{E}[x \mid y] = \sigma^2\, \nabla_{y} \log q(y)", "the step without the place it starts from"),
        ),
    ),
)


# A model with a hidden cause


def finite(expression: Expr) -> Expr:
    """The same about the finite world's variables: x stands for its x_0 and z for its x_1."""
    return expression.subs({x: places[0], z: places[1]}, simultaneous=True)


def require_same(left: Expr, right: Expr, free: tuple[int, ...], what: str) -> None:
    """Refute unless both sides agree in the finite world; free says which of x (0) and z (1) no side sums over."""
    WORLD.require_equal(finite(left), finite(right), free, what)


def joint(statement: Statement) -> None:
    right = equation(statement, JOINT)
    require_same(JOINT, right, (0, 1), "the joint density and the product")
    require(right.atoms(p, p_theta, q) == {p(z), p_theta(x, sp.Tuple(z))}, "a factor that is no part of the model")


def marginal(statement: Statement) -> None:
    right = equation(statement, p_theta(x))
    require(right.atoms(p, p_theta, q) == {p(z), p_theta(x, sp.Tuple(z))}, "not the prior and the decoder")
    require_same(p_theta(x), right, (0,), "the marginal density and the integral")


def posterior(statement: Statement) -> None:
    right = equation(statement, p_theta(z, sp.Tuple(x)))
    require_same(p_theta(z, sp.Tuple(x)), right, (0, 1), "the density of z given x and the fraction")


MODEL = (
    Claim(
        "eq-vae-joint",
        r"p_\theta(x, z) = p(z)\, p_\theta(x \mid z)",
        "exactly, in a finite world of tables with random fractions",
        joint,
        (
            NearMiss(r"p_\theta(x, z) = p(z)\, p_\theta(z \mid x)", "the decoder the wrong way round"),
            NearMiss(r"p_\theta(x, z) = p_\theta(x)\, p(z)", "image and latent taken to be independent"),
            NearMiss(r"p_\theta(x, z) = p_\theta(x)\, p_\theta(z \mid x)", "true, but not what the model is made of"),
        ),
    ),
    Claim(
        "eq-vae-marginal",
        r"p_\theta(x) = \int p(z)\, p_\theta(x \mid z)\, \mathrm{d}z",
        "the sum over all latents, exactly, in a finite world",
        marginal,
        (
            NearMiss(r"p_\theta(x) = \int p_\theta(x \mid z)\, \mathrm{d}z", "latents not weighted by the prior"),
            NearMiss(r"p_\theta(x) = \int p(z)\, p_\theta(x \mid z)\, \mathrm{d}x", "the integral over x, which leaves the prior"),
        ),
    ),
    Claim(
        "eq-vae-posterior",
        r"p_\theta(z \mid x) = \frac{p(z)\, p_\theta(x \mid z)}{p_\theta(x)}",
        "Bayes' rule, exactly, in a finite world",
        posterior,
        (
            NearMiss(r"p_\theta(z \mid x) = p(z)\, p_\theta(x \mid z)", "not divided by the evidence: no density of z"),
            NearMiss(r"p_\theta(z \mid x) = \frac{p_\theta(x)\, p_\theta(x \mid z)}{p(z)}", "prior and evidence exchanged"),
        ),
    ),
)


# A model in which everything is known: p(z) = N(0, 1), p_theta(x | z) = N(a z + m, sigma^2), q(z | x) = N(mu, tau^2)

TRUE_MEAN, TRUE_VARIANCE = a * (x - m) / (a**2 + sigma**2), sigma**2 / (a**2 + sigma**2)


@cache
def linear_evidence() -> Expr:
    """p_theta(x), by the integral over z."""
    return integrate_gaussian(gaussian_density(z, sp.Integer(0), sp.Integer(1)) * gaussian_density(x, a * z + m, sigma**2), z)


def require_equal_logs(left: Expr, right: Expr, what: str) -> None:
    """Refute unless the logarithms of two densities agree."""
    left, right = (sp.expand_log(sp.log(side), force=True) for side in (left, right))
    require_equal(sp.expand(left), sp.expand(right), what)


def linear_marginal(statement: Statement) -> None:
    right = equation(statement, p_theta(x))
    require(right.func == N and right.args[0] == x, "not a Gaussian density of x")
    require_equal_logs(gaussian_density(*right.args), linear_evidence(), "the logarithms of the density and of the integral")


def linear_posterior(statement: Statement) -> None:
    right = equation(statement, p_theta(z, sp.Tuple(x)))
    require(right.func == N and right.args[0] == z, "not a Gaussian density of z")
    both = gaussian_density(z, sp.Integer(0), sp.Integer(1)) * gaussian_density(x, a * z + m, sigma**2)
    require_equal_logs(gaussian_density(*right.args), both / linear_evidence(), "the logarithms of the density and of Bayes' fraction")


EXACT = (
    Claim(
        "eq-linear-marginal",
        r"p_\theta(x) = \mathcal{N}(x; m, a^2 + \sigma^2)",
        "the integral over z, by completing the square",
        linear_marginal,
        (
            NearMiss(r"p_\theta(x) = \mathcal{N}(x; m, a + \sigma^2)", "the factor of z not squared"),
            NearMiss(r"p_\theta(x) = \mathcal{N}(x; m, \sigma^2)", "what z contributes forgotten"),
            NearMiss(r"p_\theta(x) = \mathcal{N}\big(x; m, (a + \sigma)^2\big)", "standard deviations added up"),
        ),
    ),
    Claim(
        "eq-linear-posterior",
        r"p_\theta(z \mid x) = \mathcal{N}\Big(z; \frac{a (x - m)}{a^2 + \sigma^2}, \frac{\sigma^2}{a^2 + \sigma^2}\Big)",
        "prior times decoder over the evidence, logarithm by logarithm",
        linear_posterior,
        (
            NearMiss(
                r"p_\theta(z \mid x) = \mathcal{N}\Big(z; \frac{x - m}{a}, \frac{\sigma^2}{a^2 + \sigma^2}\Big)",
                "the decoder inverted: the prior has no say",
            ),
            NearMiss(
                r"p_\theta(z \mid x) = \mathcal{N}\Big(z; \frac{a (x - m)}{a^2 + \sigma^2}, \frac{\sigma^2}{a^2}\Big)",
                "the variance that the decoder alone would leave",
            ),
            NearMiss(
                r"p_\theta(z \mid x) = \mathcal{N}\Big(z; \frac{a (x - m)}{a^2 + \sigma^2}, \frac{a^2}{a^2 + \sigma^2}\Big)",
                "what is known taken for what is left open",
            ),
        ),
    ),
)


# The bound

ELBO = E(sp.log(JOINT / ENCODER), Over(ENCODER))


def slack(u: Expr) -> Expr:
    """u - 1 - log u, what the tangent of the logarithm at 1 lies above it: never negative, and zero at u = 1 alone (eq-log-bound)."""
    return u - 1 - sp.log(u)


def weighted(statement: Statement) -> None:
    right = equation(statement, p_theta(x))
    require(right.func == E and right.args[1] == Over(ENCODER), "not an expectation over the encoder")
    require_same(p_theta(x), right, (0,), "the likelihood and the expectation")


def elbo(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=", ">=") and relation.lhs == sp.log(p_theta(x)), "log p = .. ≥ .., please")
    _, outside, inside = relation.terms
    require(isinstance(outside, sp.log) and outside.args[0].func == E, "the middle is not the logarithm of an expectation")
    require(inside.func == E and isinstance(inside.args[0], sp.log), "the right side is not the expectation of a logarithm")
    require_same(relation.lhs, outside, (0,), "the logarithms")
    # What Jensen's inequality gives away is an average of slacks, and so never negative.
    given_away = E(slack(JOINT / ENCODER / p_theta(x)), Over(ENCODER))
    require_same(outside - inside, given_away, (0,), "the gap and the average slack")


def elbo_gap(statement: Statement) -> None:
    right = equation(statement, sp.log(p_theta(x)))
    require(right.has(ELBO) and bool(right.atoms(KL)), "not the bound and a divergence")
    require_same(sp.log(p_theta(x)), right, (0,), "the logarithm and the sum")


def elbo_split(statement: Statement) -> None:
    right = equation(statement, ELBO)
    made_of = {p(z), p_theta(x, sp.Tuple(z)), ENCODER}
    require(right.atoms(p, p_theta, q) == made_of, "something that decoder, encoder and prior do not say")
    require_same(ELBO, right, (0,), "the bound and its two terms")


BOUND = (
    Claim(
        "eq-vae-weighted",
        r"p_\theta(x) = \mathbb{E}_{q(z \mid x)}\Big[\frac{p_\theta(x, z)}{q(z \mid x)}\Big]",
        "exactly, in a finite world",
        weighted,
        (
            NearMiss(r"p_\theta(x) = \mathbb{E}_{q(z \mid x)}\big[p_\theta(x, z)\big]", "not divided by q"),
            NearMiss(r"p_\theta(x) = \mathbb{E}_{q(z \mid x)}\Big[\frac{p_\theta(x \mid z)}{q(z \mid x)}\Big]", "the prior forgotten"),
            NearMiss(r"p_\theta(x) = \mathbb{E}_{q(z \mid x)}\Big[\frac{q(z \mid x)}{p_\theta(x, z)}\Big]", "upside down"),
        ),
    ),
    Claim(
        "eq-elbo",
        r"\log p_\theta(x) = \log \mathbb{E}_{q(z \mid x)}\Big[\frac{p_\theta(x, z)}{q(z \mid x)}\Big]"
        r" \ge \mathbb{E}_{q(z \mid x)}\Big[\log \frac{p_\theta(x, z)}{q(z \mid x)}\Big]",
        "the two differ by an average of u - 1 - log u, which is never negative; exactly, in a finite world",
        elbo,
        (
            NearMiss(
                r"\log p_\theta(x) = \log \mathbb{E}_{q(z \mid x)}\Big[\frac{p_\theta(x, z)}{q(z \mid x)}\Big]"
                r" \le \mathbb{E}_{q(z \mid x)}\Big[\log \frac{p_\theta(x, z)}{q(z \mid x)}\Big]",
                "the wrong way round",
            ),
            NearMiss(
                r"\log p_\theta(x) = \log \mathbb{E}_{q(z \mid x)}\Big[\frac{p_\theta(x, z)}{q(z \mid x)}\Big]"
                r" \ge \mathbb{E}_{q(z \mid x)}\Big[\log \frac{p_\theta(x \mid z)}{q(z \mid x)}\Big]",
                "the prior forgotten",
            ),
            NearMiss(
                r"\log p_\theta(x) = \log \mathbb{E}_{q(z \mid x)}\Big[\frac{p_\theta(x, z)}{q(z \mid x)}\Big]"
                r" \ge \mathbb{E}_{q(z \mid x)}\Big[\log \frac{q(z \mid x)}{p_\theta(x, z)}\Big]",
                "the fraction upside down",
            ),
        ),
    ),
    Claim(
        "eq-elbo-gap",
        r"\log p_\theta(x) = \mathbb{E}_{q(z \mid x)}\Big[\log \frac{p_\theta(x, z)}{q(z \mid x)}\Big]"
        r" + D_{\mathrm{KL}}\big(q(z \mid x) \,\big\|\, p_\theta(z \mid x)\big)",
        "exactly, in a finite world",
        elbo_gap,
        (
            NearMiss(
                r"\log p_\theta(x) = \mathbb{E}_{q(z \mid x)}\Big[\log \frac{p_\theta(x, z)}{q(z \mid x)}\Big]"
                r" + D_{\mathrm{KL}}\big(p_\theta(z \mid x) \,\big\|\, q(z \mid x)\big)",
                "the divergence the wrong way round",
            ),
            NearMiss(
                r"\log p_\theta(x) = \mathbb{E}_{q(z \mid x)}\Big[\log \frac{p_\theta(x, z)}{q(z \mid x)}\Big]"
                r" + D_{\mathrm{KL}}\big(q(z \mid x) \,\big\|\, p(z)\big)",
                "the prior in place of the posterior",
            ),
            NearMiss(
                r"\log p_\theta(x) = \mathbb{E}_{q(z \mid x)}\Big[\log \frac{p_\theta(x, z)}{q(z \mid x)}\Big]"
                r" - D_{\mathrm{KL}}\big(q(z \mid x) \,\big\|\, p_\theta(z \mid x)\big)",
                "a bound above the truth",
            ),
        ),
    ),
    Claim(
        "eq-elbo-split",
        r"\begin{aligned}"
        r" &\mathbb{E}_{q(z \mid x)}\Big[\log \frac{p_\theta(x, z)}{q(z \mid x)}\Big] \\"
        r" &= \mathbb{E}_{q(z \mid x)}\big[\log p_\theta(x \mid z)\big] - D_{\mathrm{KL}}\big(q(z \mid x) \,\big\|\, p(z)\big)"
        r" \end{aligned}",
        "exactly, in a finite world",
        elbo_split,
        (
            NearMiss(
                r"\begin{aligned}"
                r" &\mathbb{E}_{q(z \mid x)}\Big[\log \frac{p_\theta(x, z)}{q(z \mid x)}\Big] \\"
                r" &= \mathbb{E}_{q(z \mid x)}\big[\log p_\theta(x \mid z)\big] + D_{\mathrm{KL}}\big(q(z \mid x) \,\big\|\, p(z)\big)"
                r" \end{aligned}",
                "the divergence as a reward",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &\mathbb{E}_{q(z \mid x)}\Big[\log \frac{p_\theta(x, z)}{q(z \mid x)}\Big] \\"
                r" &= \mathbb{E}_{q(z \mid x)}\big[\log p_\theta(x \mid z)\big] - D_{\mathrm{KL}}\big(p(z) \,\big\|\, q(z \mid x)\big)"
                r" \end{aligned}",
                "the divergence the wrong way round",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &\mathbb{E}_{q(z \mid x)}\Big[\log \frac{p_\theta(x, z)}{q(z \mid x)}\Big] \\"
                r" &= \mathbb{E}_{p(z)}\big[\log p_\theta(x \mid z)\big] - D_{\mathrm{KL}}\big(q(z \mid x) \,\big\|\, p(z)\big)"
                r" \end{aligned}",
                "latents drawn from the prior: most know nothing of this image",
            ),
        ),
        f"{VAE}.elbo",
    ),
)


# The bound where everything is known


@cache
def linear_bound() -> Expr:
    """The bound for an encoder N(mu, tau^2): the logarithm of the fraction, averaged over z."""
    fraction = log_density(x, a * z + m, sigma) + log_density(z, sp.Integer(0), sp.Integer(1)) - log_density(z, mu, tau)
    return mean_of(fraction, z, mu, tau)


def linear_elbo(statement: Statement) -> None:
    right = equation(statement, bound[1])
    require_equal(right, linear_bound(), "the formula and the average over the encoder")


def linear_gap(statement: Statement) -> None:
    right = equation(statement, sp.log(p_theta(x)) - bound[1])
    require(right.func == KL and all(density.func == N for density in right.args), "not a divergence of Gaussians")
    (mean, spread), (best, least) = (density.args for density in right.args)
    gap = sp.expand_log(sp.log(linear_evidence()), force=True) - linear_bound()
    ratio = log_density(z, mean, sp.sqrt(spread)) - log_density(z, best, sp.sqrt(least))
    require_equal(mean_of(ratio, z, mean, sp.sqrt(spread)), gap, "the divergence and the gap")
    require_equal(gap.subs({mu: TRUE_MEAN, tau: sp.sqrt(TRUE_VARIANCE)}), 0, "the gap for the posterior as encoder and 0")


LINEAR = (
    Claim(
        "eq-linear-elbo",
        r"\begin{aligned}"
        r" \mathcal{L}_1 &= -\frac{1}{2} \log(2\pi\sigma^2) - \frac{(x - m - a \mu)^2 + a^2 \tau^2}{2 \sigma^2} \\"
        r" &\quad + \frac{1}{2} \big(1 + \log \tau^2 - \mu^2 - \tau^2\big)"
        r" \end{aligned}",
        "the average over the encoder, by integration",
        linear_elbo,
        (
            NearMiss(
                r"\begin{aligned}"
                r" \mathcal{L}_1 &= -\frac{1}{2} \log(2\pi\sigma^2) - \frac{(x - m - a \mu)^2}{2 \sigma^2} \\"
                r" &\quad + \frac{1}{2} \big(1 + \log \tau^2 - \mu^2 - \tau^2\big)"
                r" \end{aligned}",
                "only the mean of z decoded: what the encoder leaves open costs as well",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" \mathcal{L}_1 &= -\frac{1}{2} \log(2\pi\sigma^2) - \frac{(x - m - a \mu)^2 + a^2 \tau^2}{2 \sigma^2} \\"
                r" &\quad + \frac{1}{2} \big(\mu^2 + \tau^2 - \log \tau^2 - 1\big)"
                r" \end{aligned}",
                "the divergence with the wrong sign",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" \mathcal{L}_1 &= -\frac{1}{2} \log(2\pi\sigma^2) - \frac{(x - m - a \mu)^2 + a^2 \tau^2}{2 \sigma^2} \\"
                r" &\quad + \frac{1}{2} \big(1 + \log \tau - \mu^2 - \tau^2\big)"
                r" \end{aligned}",
                "the logarithm of the standard deviation",
            ),
        ),
    ),
    Claim(
        "eq-linear-gap",
        r"\begin{aligned}"
        r" &\log p_\theta(x) - \mathcal{L}_1 \\"
        r" &= D_{\mathrm{KL}}\Big(\mathcal{N}(\mu, \tau^2) \,\Big\|\,"
        r" \mathcal{N}\Big(\frac{a (x - m)}{a^2 + \sigma^2}, \frac{\sigma^2}{a^2 + \sigma^2}\Big)\Big)"
        r" \end{aligned}",
        "both sides integrated; they vanish when the encoder says the posterior",
        linear_gap,
        (
            NearMiss(
                r"\begin{aligned}"
                r" &\log p_\theta(x) - \mathcal{L}_1 \\"
                r" &= D_{\mathrm{KL}}\Big(\mathcal{N}(\mu, \tau^2) \,\Big\|\, \mathcal{N}(0, 1)\Big)"
                r" \end{aligned}",
                "the prior in place of the posterior: this is the second term of the bound",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &\log p_\theta(x) - \mathcal{L}_1 \\"
                r" &= D_{\mathrm{KL}}\Big("
                r" \mathcal{N}\Big(\frac{a (x - m)}{a^2 + \sigma^2}, \frac{\sigma^2}{a^2 + \sigma^2}\Big)"
                r" \,\Big\|\, \mathcal{N}(\mu, \tau^2)\Big)"
                r" \end{aligned}",
                "the divergence the wrong way round",
            ),
        ),
    ),
)


# The gradient


def latent_gradient(statement: Statement) -> None:
    require(len(statement) == 2 and all(r.ops == ("=",) and r.lhs.func == Var for r in statement), "two variances, please")
    # One draw of each estimator of the gradient of E[z_1^2 + ... + z_d^2] in the mean of z_1, where z is standard Gaussian.
    for relation, dimensions in zip(statement, ((1, 2), (1, 2, 3, 4))):
        for count in dimensions:
            draws = [zs[n] for n in range(1, count + 1)]
            square = sum(draw**2 for draw in draws)
            expected = sp.diff(square, zs[1]) if relation is statement[0] else square * zs[1]  # slope, or value times score
            said = relation.lhs.args[0].subs(d, count).doit()
            require_equal(said, expected, f"what is drawn and the estimator for d = {count}")
            require_equal(relation.rhs.subs(d, count), variance(expected, draws), f"the variance for d = {count}")


def variance(expression: Expr, draws: list[Expr]) -> Expr:
    """Of a polynomial in independent standard Gaussian draws."""

    def mean(polynomial: sp.Poly) -> Expr:
        return sum(factor * sp.prod([standard_moment(n) for n in powers]) for powers, factor in polynomial.terms())

    polynomial = sp.Poly(expression, *draws)
    return mean(polynomial**2) - mean(polynomial) ** 2


GRADIENT = (
    Claim(
        "eq-latent-gradient",
        r"\operatorname{Var}[2 z_1] = 4, \qquad \operatorname{Var}\Big[z_1 \sum_{i=1}^{d} z_i^2\Big] = (d + 2)(d + 4)",
        "the moments of independent standard Gaussians, for d = 1, 2, 3, 4",
        latent_gradient,
        (
            NearMiss(
                r"\operatorname{Var}[2 z_1] = 4, \qquad \operatorname{Var}\Big[z_1 \sum_{i=1}^{d} z_i^2\Big] = 15 d",
                "the components' variances added up: they share the factor z_1",
            ),
            NearMiss(
                r"\operatorname{Var}[2 z_1] = 2, \qquad \operatorname{Var}\Big[z_1 \sum_{i=1}^{d} z_i^2\Big] = (d + 2)(d + 4)",
                "a factor not squared",
            ),
            NearMiss(
                r"\operatorname{Var}[2 z_1] = 4, \qquad \operatorname{Var}\Big[z_1 \sum_{i=1}^{d} z_i^2\Big] = d (d + 2)",
                "the variance of the score forgotten",
            ),
        ),
    ),
)


# What the code knows


def surgery(statement: Statement) -> None:
    right = equation(statement, E(KL(ENCODER, p(z)), Over(q(x))))
    require(len(right.atoms(KL)) == 2 and right.has(q(z)), "not two divergences, with q(z) in them")
    require_same(only(statement).lhs, right, (), "the average divergence and the sum")


INFORMATION = (
    Claim(
        "eq-elbo-surgery",
        r"\begin{aligned}"
        r" &\mathbb{E}_{q(x)}\Big[D_{\mathrm{KL}}\big(q(z \mid x) \,\big\|\, p(z)\big)\Big] \\"
        r" &= \mathbb{E}_{q(x)}\Big[D_{\mathrm{KL}}\big(q(z \mid x) \,\big\|\, q(z)\big)\Big]"
        r" + D_{\mathrm{KL}}\big(q(z) \,\big\|\, p(z)\big)"
        r" \end{aligned}",
        "exactly, in a finite world",
        surgery,
        (
            NearMiss(
                r"\begin{aligned}"
                r" &\mathbb{E}_{q(x)}\Big[D_{\mathrm{KL}}\big(q(z \mid x) \,\big\|\, p(z)\big)\Big] \\"
                r" &= \mathbb{E}_{q(x)}\Big[D_{\mathrm{KL}}\big(q(z \mid x) \,\big\|\, q(z)\big)\Big]"
                r" - D_{\mathrm{KL}}\big(q(z) \,\big\|\, p(z)\big)"
                r" \end{aligned}",
                "a wrong sign",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &\mathbb{E}_{q(x)}\Big[D_{\mathrm{KL}}\big(q(z \mid x) \,\big\|\, p(z)\big)\Big] \\"
                r" &= \mathbb{E}_{q(x)}\Big[D_{\mathrm{KL}}\big(q(z \mid x) \,\big\|\, q(z)\big)\Big]"
                r" + D_{\mathrm{KL}}\big(p(z) \,\big\|\, q(z)\big)"
                r" \end{aligned}",
                "the last divergence the wrong way round",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &\mathbb{E}_{q(x)}\Big[D_{\mathrm{KL}}\big(q(z \mid x) \,\big\|\, p(z)\big)\Big] \\"
                r" &= \mathbb{E}_{q(x)}\Big[D_{\mathrm{KL}}\big(q(z) \,\big\|\, q(z \mid x)\big)\Big]"
                r" + D_{\mathrm{KL}}\big(q(z) \,\big\|\, p(z)\big)"
                r" \end{aligned}",
                "the first divergence the wrong way round",
            ),
        ),
    ),
)


# More draws, a tighter bound

DRAWS = q(Span(zs, 1, K), sp.Tuple(x))


@cache
def drawn(at: int, latent: int) -> tuple[Fraction, Fraction]:
    """The fraction p_theta(x, z) / q(z | x) where x and z have these values, and the probability q(z | x) of drawing this z."""
    return tuple(WORLD.value(finite(density), {0: at, 1: latent}).rational() for density in (JOINT / ENCODER, ENCODER))


def over_draws(count: int, at: int, value: Callable[[list[Fraction]], Number]) -> Number:
    """The average of value(fractions) over all draws of `count` latents for the image `at`, exactly."""
    total = Number({})
    for latents in itertools.product(VALUES, repeat=count):
        fractions, chances = zip(*(drawn(at, latent) for latent in latents))
        total += Number.fraction(math.prod(chances)) * value(list(fractions))
    return total


def mean(fractions: list[Fraction]) -> Fraction:
    return sum(fractions, Fraction(0)) / len(fractions)


def number_slack(fraction: Fraction) -> Number:
    """`slack` of a number."""
    return Number.fraction(fraction - 1) + Number.fraction(-1) * Number.log(fraction)


def many_draws(statement: Statement) -> None:
    right = equation(statement, bound[K])
    require(right.func == E and right.args[1] == Over(DRAWS), "not an expectation over K draws of the encoder")
    require(isinstance(right.args[0], sp.log), "not the expectation of a logarithm")
    inside = right.args[0].args[0]
    require_same(E(sp.log(inside.subs(K, 1).doit().subs(zs[1], z)), Over(ENCODER)), ELBO, (0,), "a single draw and the bound so far")
    # Inside the logarithm stands something whose average is p_theta(x), for any number of draws.
    for count, at in itertools.product((1, 2, 3), VALUES):
        shares = [p_theta(x, zs[n]) / q(zs[n], sp.Tuple(x)) for n in range(1, count + 1)]

        def carried_out(fractions: list[Fraction]) -> Number:
            known = {share: sp.Rational(one.numerator, one.denominator) for share, one in zip(shares, fractions)}
            return WORLD.value(inside.subs(K, count).doit().subs(known), {})

        average = over_draws(count, at, carried_out)
        require(average == WORLD.value(finite(p_theta(x)), {0: at}), f"the average inside the logarithm is not p_theta(x) for K = {count}")


def draws_order(statement: Statement) -> None:
    relation = only(statement)
    require(set(relation.ops) == {"<="}, "nothing but ≤, please")
    require(set(relation.terms) == {bound[1], bound[K], bound[K + 1], sp.log(p_theta(x))}, "not L_1, L_K, L_{K+1} and log p")
    for count, at in itertools.product((1, 2, 3), VALUES):
        evidence = WORLD.value(finite(p_theta(x)), {0: at}).rational()
        bounds = {n: over_draws(n, at, lambda fractions: Number.log(mean(fractions))) for n in (1, count, count + 1)}
        # log p - L_K is an average of slacks, because the mean of K fractions is p_theta(x) on average ...
        above = over_draws(count, at, lambda fractions: number_slack(mean(fractions) / evidence))
        require(bounds[count] + above == Number.log(evidence), f"log p - L_{count} is no average of slacks")

        # ... and so is L_{K+1} - L_K: leave out one of K + 1 draws after the other, and the means average to the mean of all.
        def one_left_out(fractions: list[Fraction]) -> Number:
            total, share = Number({}), Number.fraction(Fraction(1, len(fractions)))
            for n in range(len(fractions)):
                total += share * number_slack(mean(fractions[:n] + fractions[n + 1 :]) / mean(fractions))
            return total

        step = over_draws(count + 1, at, one_left_out)
        require(bounds[count] + step == bounds[count + 1], f"L_{count + 1} - L_{count} is no average of slacks")
        # The order of the terms, by their sizes.
        sizes = {bound[n]: float(str(value)) for n, value in bounds.items()} | {sp.log(p_theta(x)): float(str(Number.log(evidence)))}
        found = [sizes[term.subs(K, count)] for term in relation.terms]
        require(found == sorted(found), f"the terms do not grow from left to right for K = {count}")


IMPORTANCE = (
    Claim(
        "eq-iwae",
        r"\mathcal{L}_K = \mathbb{E}_{q(z_{1:K} \mid x)}\Big[\log\Big("
        r"\frac{1}{K} \sum_{k=1}^{K} \frac{p_\theta(x, z_k)}{q(z_k \mid x)}\Big)\Big]",
        "for one draw it is the bound so far, and the average inside the logarithm is p(x) for K = 1, 2, 3",
        many_draws,
        (
            NearMiss(
                r"\mathcal{L}_K = \mathbb{E}_{q(z_{1:K} \mid x)}\Big[\log\Big("
                r"\sum_{k=1}^{K} \frac{p_\theta(x, z_k)}{q(z_k \mid x)}\Big)\Big]",
                "a sum in place of an average: log K too much",
            ),
            NearMiss(
                r"\mathcal{L}_K = \mathbb{E}_{q(z_{1:K} \mid x)}\Big["
                r"\frac{1}{K} \sum_{k=1}^{K} \log \frac{p_\theta(x, z_k)}{q(z_k \mid x)}\Big]",
                "the logarithm inside the average: no better than one draw",
            ),
            NearMiss(
                r"\mathcal{L}_K = \mathbb{E}_{q(z_{1:K} \mid x)}\Big[\log\Big("
                r"\frac{1}{K} \sum_{k=1}^{K} p_\theta(x, z_k)\Big)\Big]",
                "not divided by the chance of the draw",
            ),
        ),
        f"{VAE}.importance_weighted_bound",
    ),
    Claim(
        "eq-iwae-order",
        r"\mathcal{L}_1 \le \mathcal{L}_K \le \mathcal{L}_{K+1} \le \log p_\theta(x)",
        "for K = 1, 2, 3 each difference is an average of u - 1 - log u; exactly, in a finite world",
        draws_order,
        (
            NearMiss(r"\mathcal{L}_1 \le \mathcal{L}_{K+1} \le \mathcal{L}_K \le \log p_\theta(x)", "more draws, a looser bound"),
            NearMiss(r"\mathcal{L}_1 \le \mathcal{L}_K \le \log p_\theta(x) \le \mathcal{L}_{K+1}", "above the truth at last"),
        ),
    ),
)


# Silence, and a weight that is a noise


def collapse(statement: Statement) -> None:
    right = equation(statement, Grad(E(sp.log(p_theta(x)), Over(q(x))), a))
    average = mean_of(log_density(x, m, sp.sqrt(a**2 + sigma**2)), x, m, c)  # of data with mean m and variance c^2
    require_equal(right, sp.diff(average, a), "the formula and the slope of the average")


def beta_noise(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",), "an equation, please")
    left, right = relation.terms
    weighted_terms = E(sp.log(N(x, f(z), sigma**2)), Over(ENCODER)) - beta * KL(ENCODER, p(z))
    require(left == weighted_terms, "the left side is not the weighted bound")
    require(right.has(KL(ENCODER, p(z))) and len(right.atoms(E)) == 1, "not a bound on the right")
    # The average of the squared error and the divergence are what they are; both sides are linear in them.
    error, distance = sp.symbols("error distance", positive=True)

    def averaged(body: Expr, over: Expr) -> Expr:
        require(over == Over(ENCODER) and isinstance(body, sp.log) and body.args[0].func == N, "not an average logarithm of a Gaussian")
        at, mean, spread = body.args[0].args
        require((at, mean) == (x, f(z)), "not the decoder's density of x")
        return -sp.log(2 * sp.pi * spread) / 2 - error / (2 * spread)

    sides = [side.replace(E, averaged).subs(KL(ENCODER, p(z)), distance) for side in (left, right)]
    require_equal(*sides, "the weighted bound and the bound with the other noise")


NOISE = (
    Claim(
        "eq-collapse",
        r"\nabla_{a}\, \mathbb{E}_{q(x)}\big[\log p_\theta(x)\big] = \frac{a (c^2 - \sigma^2 - a^2)}{(a^2 + \sigma^2)^2}",
        "the average over data of variance c², and its slope",
        collapse,
        (
            NearMiss(
                r"\nabla_{a}\, \mathbb{E}_{q(x)}\big[\log p_\theta(x)\big] = \frac{a (c^2 - \sigma^2 - a^2)}{a^2 + \sigma^2}",
                "a square lost below",
            ),
            NearMiss(
                r"\nabla_{a}\, \mathbb{E}_{q(x)}\big[\log p_\theta(x)\big] = \frac{a (c^2 - a^2)}{(a^2 + \sigma^2)^2}",
                "the noise forgotten: as if z had to explain all of the variance",
            ),
            NearMiss(
                r"\nabla_{a}\, \mathbb{E}_{q(x)}\big[\log p_\theta(x)\big] = \frac{a (a^2 + \sigma^2 - c^2)}{(a^2 + \sigma^2)^2}",
                "the wrong sign",
            ),
        ),
    ),
    Claim(
        "eq-beta-noise",
        r"\begin{aligned}"
        r" &\mathbb{E}_{q(z \mid x)}\big[\log \mathcal{N}(x; f(z), \sigma^2)\big]"
        r" - \beta\, D_{\mathrm{KL}}\big(q(z \mid x) \,\big\|\, p(z)\big) \\"
        r" &= \beta\, \Big(\mathbb{E}_{q(z \mid x)}\big[\log \mathcal{N}(x; f(z), \beta \sigma^2)\big]"
        r" - D_{\mathrm{KL}}\big(q(z \mid x) \,\big\|\, p(z)\big)\Big) \\"
        r" &\quad + \frac{\beta}{2} \log(2\pi\beta\sigma^2) - \frac{1}{2} \log(2\pi\sigma^2)"
        r" \end{aligned}",
        "term by term: both sides are linear in the mean squared error and in the divergence",
        beta_noise,
        (
            NearMiss(
                r"\begin{aligned}"
                r" &\mathbb{E}_{q(z \mid x)}\big[\log \mathcal{N}(x; f(z), \sigma^2)\big]"
                r" - \beta\, D_{\mathrm{KL}}\big(q(z \mid x) \,\big\|\, p(z)\big) \\"
                r" &= \beta\, \Big(\mathbb{E}_{q(z \mid x)}\big[\log \mathcal{N}(x; f(z), \beta^2 \sigma^2)\big]"
                r" - D_{\mathrm{KL}}\big(q(z \mid x) \,\big\|\, p(z)\big)\Big) \\"
                r" &\quad + \frac{\beta}{2} \log(2\pi\beta\sigma^2) - \frac{1}{2} \log(2\pi\sigma^2)"
                r" \end{aligned}",
                "the standard deviation multiplied by β: it is the variance that grows so",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &\mathbb{E}_{q(z \mid x)}\big[\log \mathcal{N}(x; f(z), \sigma^2)\big]"
                r" - \beta\, D_{\mathrm{KL}}\big(q(z \mid x) \,\big\|\, p(z)\big) \\"
                r" &= \beta\, \Big(\mathbb{E}_{q(z \mid x)}\big[\log \mathcal{N}(x; f(z), \beta \sigma^2)\big]"
                r" - D_{\mathrm{KL}}\big(q(z \mid x) \,\big\|\, p(z)\big)\Big)"
                r" \end{aligned}",
                "the constants forgotten",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &\mathbb{E}_{q(z \mid x)}\big[\log \mathcal{N}(x; f(z), \sigma^2)\big]"
                r" - \beta\, D_{\mathrm{KL}}\big(q(z \mid x) \,\big\|\, p(z)\big) \\"
                r" &= \beta\, \Big(\mathbb{E}_{q(z \mid x)}\Big[\log \mathcal{N}\Big(x; f(z), \frac{\sigma^2}{\beta}\Big)\Big]"
                r" - D_{\mathrm{KL}}\big(q(z \mid x) \,\big\|\, p(z)\big)\Big) \\"
                r" &\quad + \frac{\beta}{2} \log(2\pi\beta\sigma^2) - \frac{1}{2} \log(2\pi\sigma^2)"
                r" \end{aligned}",
                "divided in place of multiplied: as if a larger β asked for sharper images",
            ),
        ),
    ),
)

CLAIMS: tuple[Claim, ...] = DENOISING + MODEL + EXACT + BOUND + LINEAR + GRADIENT + INFORMATION + IMPORTANCE + NOISE

IN_TEXT: dict[str, Literal["true", "setting"]] = {
    r"(m_k - y)/\sigma^2": "setting",
    r"(x - m)/a": "setting",
    r"K + 1": "setting",
    r"K = 1": "setting",
    r"\log 2": "setting",
    r"\sigma = 1": "setting",
    r"a^2 + \sigma^2 = c^2": "setting",
    r"a^2/\sigma^2": "setting",
    r"d(d+2)(d+4)": "setting",
    r"p(z) = \mathcal{N}(z; 0, 1)": "setting",
    r"p_\theta(x \mid z) = \mathcal{N}(x; a z + m, \sigma^2)": "setting",
    r"p_\theta(x, z) = p_\theta(z \mid x)\, p_\theta(x)": "setting",
    r"y = x + \sigma \epsilon": "setting",
    r"z = \mu + \tau \epsilon": "setting",
}
"""See `forward_process.IN_TEXT`."""
