"""The claims of chapter 9, the variational bound, in the order of the chapter.

Statements about densities in general are worked out in finite worlds (`finite`), where q is any Markov chain forwards and p_theta any
Markov chain backwards, or by algebra with the densities as positive unknowns. Statements about Gaussians follow from integrals.
"""

from functools import cache
from typing import Literal

import sympy as sp
from sympy import Expr, sqrt

from diffcourse.algebra.claim import Claim, NearMiss, Statement
from diffcourse.algebra.finite import World
from diffcourse.algebra.forward_process import alpha, bar, beta, noises, t, T, walk, x
from diffcourse.algebra.latex import Over, Relation, Span
from diffcourse.algebra.notation import family, function, symbol
from diffcourse.algebra.proving import (
    at,
    gaussian_density,
    integrate_gaussian,
    law_of,
    normal,
    only,
    plain,
    require,
    require_equal,
)

q, p, p_theta, N = function("q"), function("p"), function(r"p_\theta"), function(r"\mathcal{N}")
E, KL, Phi = function(r"\mathbb{E}"), function(r"D_{\mathrm{KL}}"), function(r"\Phi")
mu_theta, mu_tilde = function(r"\mu_\theta"), function(r"\tilde\mu")
sigma, beta_tilde, V, M, S = (family(name) for name in (r"\sigma", r"\tilde\beta", "V", "M", "S"))
A, B, C = symbol("A"), family("B"), symbol("C")
m, z, k = symbol("m"), symbol("z"), symbol("k")
cut = family("e")
BOUND = "diffcourse.diffusion.bound"
WORLDS = {n: World(n) for n in (1, 2, 3, 4)}
HALF = sp.Rational(1, 2)


# A model that runs backwards


def in_every_world(left: Expr, right: Expr, free: tuple[int, ...], what: str, lengths: tuple[int, ...] = (1, 2, 3, 4)) -> None:
    """Refute unless both sides agree in the finite worlds of these numbers of steps."""
    for n in lengths:
        WORLDS[n].require_equal(at(left, T=n), at(right, T=n), free, what)


def equation(statement: Statement, left: Expr) -> Expr:
    """The right side of left = right."""
    relation = only(statement)
    require(relation.ops == ("=",) and relation.lhs == left, f"the left side is not {left}")
    return relation.rhs


def model_chain(statement: Statement) -> None:
    joint = p_theta(Span(x, 0, T))
    right = equation(statement, joint)
    for n, world in WORLDS.items():
        world.require_equal(at(joint, T=n), at(right, T=n), tuple(range(n + 1)), "the joint density and the product")
        # Nothing but the prior and steps back: each factor is something that the model is made of.
        made_of = {p(x[n]), *(p_theta(x[i - 1], sp.Tuple(x[i])) for i in range(1, n + 1))}
        require(at(right, T=n).atoms(p, p_theta, q) == made_of, "a factor that is no part of the model")


def model_step(statement: Statement) -> None:
    right = equation(statement, p_theta(x[t - 1], sp.Tuple(x[t])))
    mean, variance = normal(right, x[t - 1])
    drawn_mean, drawn_variance = law_of(mu_theta(x[t], t) + sigma[t] * z, [z])  # what a sampler does
    require(mean == drawn_mean, "the mean is not the one that a sampler adds its noise to")
    require_equal(variance, drawn_variance, "the variance and that of the sampler's noise")


def likelihood(statement: Statement) -> None:
    right = equation(statement, p_theta(x[0]))
    require(right.has(p_theta(Span(x, 0, T))), "the whole paths' density does not occur")
    in_every_world(p_theta(x[0]), right, (0,), "the marginal density and the integral")


def importance(statement: Statement) -> None:
    right = equation(statement, p_theta(x[0]))
    require(right.func == E, "not an expectation")
    in_every_world(p_theta(x[0]), right, (0,), "the likelihood and the expectation")


MODEL = (
    Claim(
        "eq-model-chain",
        r"p_\theta(x_{0:T}) = p(x_T) \prod_{t=1}^{T} p_\theta(x_{t-1} \mid x_t)",
        "the joint density of any chain that steps backwards, exactly, for T = 1, 2, 3, 4 in finite worlds",
        model_chain,
        (
            NearMiss(r"p_\theta(x_{0:T}) = \prod_{t=1}^{T} p_\theta(x_{t-1} \mid x_t)", "the start p(x_T) missing"),
            NearMiss(r"p_\theta(x_{0:T}) = p(x_T) \prod_{t=2}^{T} p_\theta(x_{t-1} \mid x_t)", "the last step, to x_0, missing"),
            NearMiss(r"p_\theta(x_{0:T}) = p(x_T) \prod_{t=1}^{T} p_\theta(x_t \mid x_{t-1})", "steps in the wrong direction"),
            NearMiss(r"p_\theta(x_{0:T}) = p_\theta(x_0) \prod_{t=1}^{T} p_\theta(x_t \mid x_{t-1})", "true, but not what the model is made of"),
        ),
    ),
    Claim(
        "eq-model-step",
        r"p_\theta(x_{t-1} \mid x_t) = \mathcal{N}\big(x_{t-1}; \mu_\theta(x_t, t), \sigma_t^2 I\big)",
        "the law of a sampler's step, the mean plus σ_t times standard noise",
        model_step,
        (
            NearMiss(r"p_\theta(x_{t-1} \mid x_t) = \mathcal{N}\big(x_{t-1}; \mu_\theta(x_t, t), \sigma_t I\big)", "the standard deviation as the variance"),
            NearMiss(r"p_\theta(x_{t-1} \mid x_t) = \mathcal{N}\big(x_{t-1}; x_t, \sigma_t^2 I\big)", "noise without denoising"),
            NearMiss(r"p_\theta(x_{t-1} \mid x_t) = \mathcal{N}\big(x_t; \mu_\theta(x_t, t), \sigma_t^2 I\big)", "a density of x_t"),
        ),
        f"{BOUND}.reverse_step",
    ),
    Claim(
        "eq-likelihood",
        r"p_\theta(x_0) = \int p_\theta(x_{0:T})\, \mathrm{d}x_{1:T}",
        "exact sums over all paths of finite worlds, T = 1, 2, 3, 4",
        likelihood,
        (
            NearMiss(r"p_\theta(x_0) = \int p_\theta(x_{0:T})\, \mathrm{d}x_{0:T}", "an integral over x_0 as well, which gives one"),
            NearMiss(r"p_\theta(x_0) = \int p_\theta(x_{0:T})\, \mathrm{d}x_T", "x_1 .. x_{T-1} left over"),
            NearMiss(r"p_\theta(x_0) = \int p_\theta(x_{0:T})\, q(x_{1:T} \mid x_0)\, \mathrm{d}x_{1:T}", "weighted with q"),
        ),
    ),
    Claim(
        "eq-importance",
        r"p_\theta(x_0) = \mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\frac{p_\theta(x_{0:T})}{q(x_{1:T} \mid x_0)}\Big]",
        "exact sums in finite worlds, T = 1, 2, 3, 4",
        importance,
        (
            NearMiss(r"p_\theta(x_0) = \mathbb{E}_{q(x_{1:T} \mid x_0)}\big[p_\theta(x_{0:T})\big]", "not divided by q"),
            NearMiss(r"p_\theta(x_0) = \mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\frac{q(x_{1:T} \mid x_0)}{p_\theta(x_{0:T})}\Big]", "upside down"),
            NearMiss(r"p_\theta(x_0) = \mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\frac{p_\theta(x_{1:T} \mid x_0)}{q(x_{1:T} \mid x_0)}\Big]", "a conditional density above: this is one"),
        ),
    ),
)


# Jensen's inequality and the gap

PATH = q(Span(x, 1, T), sp.Tuple(x[0]))


def slack(u: Expr) -> Expr:
    """u - 1 - log u, what the tangent of the logarithm at 1 lies above it. Never negative, zero at u = 1 alone."""
    return u - 1 - sp.log(u)


def require_slack(greater: Expr, less: Expr) -> None:
    """Refute unless greater - less is an average of slacks, and so never negative.

    The average is that of slack(r / E[r]) under q, where r is the path's density under the model over that under q.
    """
    u = sp.Symbol("u", positive=True)
    require_equal(slack(u).subs(u, 1), 0, "the slack at 1 and 0")
    require_equal(sp.diff(slack(u), u), (u - 1) / u, "the slack's slope, which changes its sign at 1")
    average = E(slack(p_theta(Span(x, 0, T)) / PATH / p_theta(x[0])), Over(PATH))
    in_every_world(greater - less, average, (0,), "the gap and the average slack")


def jensen(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=", ">=") and relation.lhs == sp.log(p_theta(x[0])), "log p = .. ≥ .., please")
    _, outside, inside = relation.terms
    require(isinstance(outside, sp.log) and outside.args[0].func == E, "the middle is not the logarithm of an expectation")
    require(inside.func == E and isinstance(inside.args[0], sp.log), "the right side is not the expectation of a logarithm")
    in_every_world(relation.lhs, outside, (0,), "the logarithms")
    require_slack(outside, inside)


def gap(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",) and relation.rhs.func == KL, "the right side is not a divergence")
    require(relation.lhs.has(sp.log(p_theta(x[0]))), "the likelihood does not occur")
    in_every_world(relation.lhs, relation.rhs, (0,), "the gap and the divergence")
    # The left side is what Jensen gives away.
    in_every_world(relation.lhs, sp.log(p_theta(x[0])) - E(sp.log(p_theta(Span(x, 0, T)) / PATH), Over(PATH)), (0,), "the gap")


def bound(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("<=",) and relation.lhs == -sp.log(p_theta(x[0])), "-log p ≤ .., please")
    require(relation.rhs.func == E, "the right side is not an expectation")
    require_slack(relation.rhs, relation.lhs)


JENSEN = (
    Claim(
        "eq-jensen",
        r"\log p_\theta(x_0) = \log \mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\frac{p_\theta(x_{0:T})}{q(x_{1:T} \mid x_0)}\Big]"
        r" \ge \mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\log \frac{p_\theta(x_{0:T})}{q(x_{1:T} \mid x_0)}\Big]",
        "the two differ by an average of u - 1 - log u, which is never negative; exactly, in finite worlds",
        jensen,
        (
            NearMiss(
                r"\log p_\theta(x_0) = \log \mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\frac{p_\theta(x_{0:T})}{q(x_{1:T} \mid x_0)}\Big]"
                r" \le \mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\log \frac{p_\theta(x_{0:T})}{q(x_{1:T} \mid x_0)}\Big]",
                "the wrong way round",
            ),
            NearMiss(
                r"\log p_\theta(x_0) = \log \mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\frac{p_\theta(x_{0:T})}{q(x_{1:T} \mid x_0)}\Big]"
                r" = \mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\log \frac{p_\theta(x_{0:T})}{q(x_{1:T} \mid x_0)}\Big]",
                "the logarithm of a mean as the mean of logarithms",
            ),
            NearMiss(
                r"\log p_\theta(x_0) = \log \mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\frac{p_\theta(x_{0:T})}{q(x_{1:T} \mid x_0)}\Big]"
                r" \ge \mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\log \frac{q(x_{1:T} \mid x_0)}{p_\theta(x_{0:T})}\Big]",
                "the fraction upside down",
            ),
        ),
    ),
    Claim(
        "eq-gap",
        r"\begin{aligned}"
        r" &\log p_\theta(x_0) - \mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\log \frac{p_\theta(x_{0:T})}{q(x_{1:T} \mid x_0)}\Big] \\"
        r" &= D_{\mathrm{KL}}\big(q(x_{1:T} \mid x_0) \,\big\|\, p_\theta(x_{1:T} \mid x_0)\big)"
        r" \end{aligned}",
        "exact sums in finite worlds, T = 1, 2, 3, 4",
        gap,
        (
            NearMiss(
                r"\begin{aligned}"
                r" &\log p_\theta(x_0) - \mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\log \frac{p_\theta(x_{0:T})}{q(x_{1:T} \mid x_0)}\Big] \\"
                r" &= D_{\mathrm{KL}}\big(p_\theta(x_{1:T} \mid x_0) \,\big\|\, q(x_{1:T} \mid x_0)\big)"
                r" \end{aligned}",
                "the divergence the wrong way round",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &\log p_\theta(x_0) - \mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\log \frac{p_\theta(x_{0:T})}{q(x_{1:T} \mid x_0)}\Big] \\"
                r" &= D_{\mathrm{KL}}\big(q(x_{1:T} \mid x_0) \,\big\|\, p_\theta(x_{1:T})\big)"
                r" \end{aligned}",
                "the model's paths without x_0 given",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &\log p_\theta(x_0) + \mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\log \frac{p_\theta(x_{0:T})}{q(x_{1:T} \mid x_0)}\Big] \\"
                r" &= D_{\mathrm{KL}}\big(q(x_{1:T} \mid x_0) \,\big\|\, p_\theta(x_{1:T} \mid x_0)\big)"
                r" \end{aligned}",
                "a wrong sign",
            ),
        ),
    ),
    Claim(
        "eq-bound",
        r"-\log p_\theta(x_0) \le \mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\log \frac{q(x_{1:T} \mid x_0)}{p_\theta(x_{0:T})}\Big]",
        "right minus left is an average of u - 1 - log u, which is never negative; exactly, in finite worlds",
        bound,
        (
            NearMiss(
                r"-\log p_\theta(x_0) \ge \mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\log \frac{q(x_{1:T} \mid x_0)}{p_\theta(x_{0:T})}\Big]",
                "the wrong way round",
            ),
            NearMiss(
                r"-\log p_\theta(x_0) \le \mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\log \frac{p_\theta(x_{0:T})}{q(x_{1:T} \mid x_0)}\Big]",
                "the sign turned on one side only",
            ),
            NearMiss(
                r"-\log p_\theta(x_0) \le \mathbb{E}_{p_\theta(x_{1:T} \mid x_0)}\Big[\log \frac{q(x_{1:T} \mid x_0)}{p_\theta(x_{0:T})}\Big]",
                "paths drawn from the model, which nobody can do for a given x_0",
            ),
        ),
    ),
)


# Sorting by steps


def unknowns(expression: Expr) -> Expr:
    """The expression with each density replaced by a positive unknown of its own."""

    def name(density: Expr) -> sp.Symbol:
        return sp.Symbol(str(density).replace(" ", ""), positive=True)

    return expression.replace(lambda e: e.func in (q, p, p_theta), name)


def by_bayes(expression: Expr, T: Expr) -> Expr:
    """Each posterior q(x_{n-1} | x_n, x_0) written as q(x_n | x_{n-1}) q(x_{n-1} | x_0) / q(x_n | x_0): chapter 8's eq-bayes-x0.

    q(x_n | x_{n-1}) needs no x_0, because the chain is Markov. At n = 1 there is no posterior: x_0 is given.
    """

    def posterior(*arguments: Expr) -> Expr:
        of, given = arguments[0], arguments[-1]
        if not (isinstance(given, sp.Tuple) and len(given) == 2):
            return q(*arguments)
        n = given[0].indices[0]
        require(of == x[n - 1] and given[1] == x[0], f"{q(*arguments)} is not the posterior of a step")
        require(n != 1, "the posterior of x_0 given x_0")
        return q(x[n], sp.Tuple(x[n - 1])) * q(x[n - 1], sp.Tuple(x[0])) / q(x[n], sp.Tuple(x[0]))

    return expression.replace(q, posterior)


def require_equal_logs(left: Expr, right: Expr, what: str) -> None:
    """Refute unless both sides agree, with the densities for positive unknowns and posteriors written by Bayes' rule."""
    left, right = (unknowns(by_bayes(side, T)) for side in (left, right))
    require_equal(sp.expand_log(left), sp.expand_log(right), what)


def grown(expression: Expr) -> Expr:
    """What the expression for T steps has more than for T - 1: each sum that ends at T loses all but its last term."""

    def last(body: Expr, limits: sp.Tuple) -> Expr:
        index, first, end = limits
        require(end == T, f"a sum that ends at {end}")
        require(first == 2, f"a sum that begins at {first}")  # one at t = 1 asks for a posterior that does not exist
        return body.subs(index, T)

    sums = expression.replace(sp.Sum, last)
    before = expression.replace(sp.Sum, lambda *_: sp.Integer(0)).subs(T, T - 1)
    return sums - before


def chains() -> tuple[Expr, Expr]:
    """What log q(x_{1:T} | x_0) and log p_theta(x_{0:T}) have more for T steps than for T - 1, by the two chains."""
    forwards = sp.log(q(x[T], sp.Tuple(x[T - 1])))
    backwards = sp.log(p(x[T])) + sp.log(p_theta(x[T - 1], sp.Tuple(x[T]))) - sp.log(p(x[T - 1]))
    return forwards, backwards


def bound_steps(statement: Statement) -> None:
    right = equation(statement, E(sp.log(PATH / p_theta(Span(x, 0, T))), Over(PATH)))
    require(right.func == E and right.args[1] == Over(PATH), "the right side is not the same expectation")
    body = right.args[0]
    for n in (1, 2, 3, 4):
        path = sum(sp.log(q(x[i], sp.Tuple(x[i - 1]))) - sp.log(p_theta(x[i - 1], sp.Tuple(x[i]))) for i in range(1, n + 1))
        require_equal(sp.expand_log(unknowns(at(body, T=n))), unknowns(path - sp.log(p(x[n]))), f"the logarithms for T = {n}")
    in_every_world(only(statement).lhs, right, (0,), "the expectations")


def bound_bayes(statement: Statement) -> None:
    left, right = only(statement).terms
    require(only(statement).ops == ("=",), "an equation, please")
    steps = sp.Sum(sp.log(q(x[t], sp.Tuple(x[t - 1])) / p_theta(x[t - 1], sp.Tuple(x[t]))), (t, 2, T))
    require(left == steps, "the left side is not the steps t = 2 .. T of the bound")
    require(right.has(q(x[t - 1], sp.Tuple(x[t], x[0]))), "no posterior on the right")
    require_equal_logs(at(right, T=1), sp.Integer(0), "the sums for T = 1 and 0")
    require_equal_logs(grown(right), grown(left), "the last terms")


def telescope(statement: Statement) -> None:
    left, right = only(statement).terms
    require(only(statement).ops == ("=",) and isinstance(left, sp.Product), "a product on the left, please")
    (index, first, last) = left.limits[0]
    require((index, first, last) == (t, 2, T), "the product does not run from t = 2 to T")
    require(left.function == q(x[t - 1], sp.Tuple(x[0])) / q(x[t], sp.Tuple(x[0])), "not the factors of the bound")
    # By induction: for T = 1 there is no factor, and a step more multiplies both sides by the same.
    require_equal(unknowns(at(right, T=1)), 1, "the right side for T = 1 and the product of no factors")
    require_equal(unknowns(right / right.subs(T, T - 1)), unknowns(left.function.subs(t, T)), "what a step more multiplies by")
    in_every_world(left, right, (0, 1, 2), "both sides", (2,))
    in_every_world(left, right, (0, 1, 2, 3), "both sides", (3,))


def bound_terms(statement: Statement) -> None:
    right = equation(statement, E(sp.log(PATH / p_theta(Span(x, 0, T))), Over(PATH)))
    require(right.func == E and right.args[1] == Over(PATH), "the right side is not the same expectation")
    body = right.args[0]
    # By induction, inside the expectation and so for every path: T = 1, and what a step more adds.
    one = sp.log(q(x[1], sp.Tuple(x[0]))) - sp.log(p(x[1])) - sp.log(p_theta(x[0], sp.Tuple(x[1])))
    require_equal_logs(at(body, T=1), one, "both sides for T = 1")
    forwards, backwards = chains()
    require_equal_logs(grown(body), forwards - backwards, "what a step more adds")
    in_every_world(only(statement).lhs, right, (0,), "the expectations")


def pair(statement: Statement) -> None:
    left, right = only(statement).terms
    require(only(statement).ops == ("=",), "an equation, please")
    require(left.has(PATH) and right.has(q(x[t - 1], sp.Tuple(x[t], x[0]))), "not the path and the posterior")
    for n in (2, 3, 4):
        for step in range(2, n + 1):
            one, other = (at(side, T=n, t=step) for side in (left, right))
            WORLDS[n].require_equal(one, other, (0, step - 1, step), f"both sides at t = {step}")


def marginalise(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",) and relation.lhs.func == E and relation.rhs.func == E, "two expectations, please")
    require(relation.lhs.args[1] == Over(PATH), "the left side is not an expectation over whole paths")
    require(relation.lhs.args[0] == sp.log(q(x[t - 1], sp.Tuple(x[t], x[0])) / p_theta(x[t - 1], sp.Tuple(x[t]))), "not the sum's term")
    require(relation.rhs.args[0].func == KL, "no divergence on the right")
    for n in (2, 3, 4):
        for step in range(2, n + 1):
            one, other = (at(side, T=n, t=step) for side in relation.terms)
            WORLDS[n].require_equal(one, other, (0,), f"both sides at t = {step}")


def bound_abc(statement: Statement) -> None:
    require(len(statement) == 4, "the bound and its three terms, please")
    relation, *definitions = statement
    require(relation.ops == ("<=",) and relation.lhs == -sp.log(p_theta(x[0])), "-log p ≤ .., please")
    require([d.lhs for d in definitions] == [A, B[t], C] and all(d.ops == ("=",) for d in definitions), "A, B_t and C, please")
    a, b, c = (d.rhs for d in definitions)
    require(a.func == KL and b.func == E and b.args[0].func == KL, "A and B_t are divergences")
    average = E(slack(p_theta(Span(x, 0, T)) / PATH / p_theta(x[0])), Over(PATH))
    for n, world in WORLDS.items():
        total = at(relation.rhs, T=n)
        total = total.subs({A: at(a, T=n), C: c, **{B[i]: at(b, t=i, T=n) for i in range(2, n + 1)}})
        require(all(item.base != B for item in total.atoms(sp.Indexed)), "a term B_t without t in 2 .. T")
        world.require_equal(total - relation.lhs, at(average, T=n), (0,), "the gap and the average slack")


STEPS = (
    Claim(
        "eq-bound-steps",
        r"\begin{aligned}"
        r" &\mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\log \frac{q(x_{1:T} \mid x_0)}{p_\theta(x_{0:T})}\Big] \\"
        r" &= \mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[-\log p(x_T) + \sum_{t=1}^{T} \log \frac{q(x_t \mid x_{t-1})}{p_\theta(x_{t-1} \mid x_t)}\Big]"
        r" \end{aligned}",
        "both chains put in, for T = 1, 2, 3, 4",
        bound_steps,
        (
            NearMiss(
                r"\begin{aligned}"
                r" &\mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\log \frac{q(x_{1:T} \mid x_0)}{p_\theta(x_{0:T})}\Big] \\"
                r" &= \mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\log p(x_T) + \sum_{t=1}^{T} \log"
                r" \frac{q(x_t \mid x_{t-1})}{p_\theta(x_{t-1} \mid x_t)}\Big]"
                r" \end{aligned}",
                "the prior's sign",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &\mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\log \frac{q(x_{1:T} \mid x_0)}{p_\theta(x_{0:T})}\Big] \\"
                r" &= \mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[-\log p(x_T) + \sum_{t=2}^{T} \log"
                r" \frac{q(x_t \mid x_{t-1})}{p_\theta(x_{t-1} \mid x_t)}\Big]"
                r" \end{aligned}",
                "the first step missing",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &\mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\log \frac{q(x_{1:T} \mid x_0)}{p_\theta(x_{0:T})}\Big] \\"
                r" &= \mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[-\log p(x_T) + \prod_{t=1}^{T} \log"
                r" \frac{q(x_t \mid x_{t-1})}{p_\theta(x_{t-1} \mid x_t)}\Big]"
                r" \end{aligned}",
                "a product of logarithms",
            ),
        ),
    ),
    Claim(
        "eq-bound-bayes",
        r"\sum_{t=2}^{T} \log \frac{q(x_t \mid x_{t-1})}{p_\theta(x_{t-1} \mid x_t)}"
        r" = \sum_{t=2}^{T} \log \frac{q(x_{t-1} \mid x_t, x_0)}{p_\theta(x_{t-1} \mid x_t)}"
        r" - \sum_{t=2}^{T} \log \frac{q(x_{t-1} \mid x_0)}{q(x_t \mid x_0)}",
        "Bayes' rule with x_0 in each term, for every T",
        bound_bayes,
        (
            NearMiss(
                r"\sum_{t=2}^{T} \log \frac{q(x_t \mid x_{t-1})}{p_\theta(x_{t-1} \mid x_t)}"
                r" = \sum_{t=2}^{T} \log \frac{q(x_{t-1} \mid x_t, x_0)}{p_\theta(x_{t-1} \mid x_t)}"
                r" + \sum_{t=2}^{T} \log \frac{q(x_{t-1} \mid x_0)}{q(x_t \mid x_0)}",
                "Bayes' ratio upside down",
            ),
            NearMiss(
                r"\sum_{t=2}^{T} \log \frac{q(x_t \mid x_{t-1})}{p_\theta(x_{t-1} \mid x_t)}"
                r" = \sum_{t=2}^{T} \log \frac{q(x_{t-1} \mid x_t, x_0)}{p_\theta(x_{t-1} \mid x_t)}",
                "Bayes' ratio forgotten",
            ),
            NearMiss(
                r"\sum_{t=1}^{T} \log \frac{q(x_t \mid x_{t-1})}{p_\theta(x_{t-1} \mid x_t)}"
                r" = \sum_{t=1}^{T} \log \frac{q(x_{t-1} \mid x_t, x_0)}{p_\theta(x_{t-1} \mid x_t)}"
                r" - \sum_{t=1}^{T} \log \frac{q(x_{t-1} \mid x_0)}{q(x_t \mid x_0)}",
                "from t = 1, where there is no posterior",
            ),
        ),
    ),
    Claim(
        "eq-telescope",
        r"\prod_{t=2}^{T} \frac{q(x_{t-1} \mid x_0)}{q(x_t \mid x_0)} = \frac{q(x_1 \mid x_0)}{q(x_T \mid x_0)}",
        "by induction: no factor for T = 1, and one more on both sides for each step",
        telescope,
        (
            NearMiss(r"\prod_{t=2}^{T} \frac{q(x_{t-1} \mid x_0)}{q(x_t \mid x_0)} = \frac{q(x_T \mid x_0)}{q(x_1 \mid x_0)}", "upside down"),
            NearMiss(r"\prod_{t=2}^{T} \frac{q(x_{t-1} \mid x_0)}{q(x_t \mid x_0)} = \frac{1}{q(x_T \mid x_0)}", "q(x_1 | x_0) lost"),
            NearMiss(r"\prod_{t=1}^{T} \frac{q(x_{t-1} \mid x_0)}{q(x_t \mid x_0)} = \frac{q(x_1 \mid x_0)}{q(x_T \mid x_0)}", "from t = 1"),
            NearMiss(r"\prod_{t=2}^{T} \frac{q(x_{t-1} \mid x_0)}{q(x_t \mid x_0)} = \frac{q(x_2 \mid x_0)}{q(x_T \mid x_0)}", "an index off by one"),
        ),
    ),
    Claim(
        "eq-bound-terms",
        r"\begin{aligned}"
        r" &\mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\log \frac{q(x_{1:T} \mid x_0)}{p_\theta(x_{0:T})}\Big] \\"
        r" &= \mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\log \frac{q(x_T \mid x_0)}{p(x_T)} \\"
        r" &\quad + \sum_{t=2}^{T} \log \frac{q(x_{t-1} \mid x_t, x_0)}{p_\theta(x_{t-1} \mid x_t)} - \log p_\theta(x_0 \mid x_1)\Big]"
        r" \end{aligned}",
        "by induction for every T and every path, with Bayes' rule for the posteriors",
        bound_terms,
        (
            NearMiss(
                r"\begin{aligned}"
                r" &\mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\log \frac{q(x_{1:T} \mid x_0)}{p_\theta(x_{0:T})}\Big] \\"
                r" &= \mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\log \frac{q(x_T \mid x_0)}{p(x_T)} \\"
                r" &\quad + \sum_{t=1}^{T} \log \frac{q(x_{t-1} \mid x_t, x_0)}{p_\theta(x_{t-1} \mid x_t)} - \log p_\theta(x_0 \mid x_1)\Big]"
                r" \end{aligned}",
                "from t = 1: the reconstruction counted twice",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &\mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\log \frac{q(x_{1:T} \mid x_0)}{p_\theta(x_{0:T})}\Big] \\"
                r" &= \mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\log \frac{q(x_T \mid x_0)}{p(x_T)} \\"
                r" &\quad + \sum_{t=0}^{T} \log \frac{q(x_{t-1} \mid x_t, x_0)}{p_\theta(x_{t-1} \mid x_t)} - \log p_\theta(x_0 \mid x_1)\Big]"
                r" \end{aligned}",
                "from t = 0: two terms that do not exist",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &\mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\log \frac{q(x_{1:T} \mid x_0)}{p_\theta(x_{0:T})}\Big] \\"
                r" &= \mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\log \frac{q(x_T \mid x_0)}{p(x_T)} \\"
                r" &\quad + \sum_{t=2}^{T} \log \frac{q(x_{t-1} \mid x_t, x_0)}{p_\theta(x_{t-1} \mid x_t)} + \log p_\theta(x_0 \mid x_1)\Big]"
                r" \end{aligned}",
                "the reconstruction's sign",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &\mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\log \frac{q(x_{1:T} \mid x_0)}{p_\theta(x_{0:T})}\Big] \\"
                r" &= \mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[-\log p(x_T) \\"
                r" &\quad + \sum_{t=2}^{T} \log \frac{q(x_{t-1} \mid x_t, x_0)}{p_\theta(x_{t-1} \mid x_t)} - \log p_\theta(x_0 \mid x_1)\Big]"
                r" \end{aligned}",
                "what the telescope leaves at its end forgotten",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &\mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\log \frac{q(x_{1:T} \mid x_0)}{p_\theta(x_{0:T})}\Big] \\"
                r" &= \mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\log \frac{q(x_T \mid x_0)}{p(x_T)} \\"
                r" &\quad + \sum_{t=2}^{T} \log \frac{q(x_t \mid x_{t-1})}{p_\theta(x_{t-1} \mid x_t)} - \log p_\theta(x_0 \mid x_1)\Big]"
                r" \end{aligned}",
                "the step forwards where its posterior belongs",
            ),
        ),
    ),
    Claim(
        "eq-pair",
        r"\int \int q(x_{1:T} \mid x_0)\, \mathrm{d}x_{1:t-2}\, \mathrm{d}x_{t+1:T} = q(x_{t-1} \mid x_t, x_0)\, q(x_t \mid x_0)",
        "exact sums in finite worlds for every t = 2 .. T, T = 2, 3, 4",
        pair,
        (
            NearMiss(
                r"\int \int q(x_{1:T} \mid x_0)\, \mathrm{d}x_{1:t-1}\, \mathrm{d}x_{t+1:T} = q(x_{t-1} \mid x_t, x_0)\, q(x_t \mid x_0)",
                "x_{t-1} integrated away as well",
            ),
            NearMiss(
                r"\int \int q(x_{1:T} \mid x_0)\, \mathrm{d}x_{0:t-2}\, \mathrm{d}x_{t+1:T} = q(x_{t-1} \mid x_t, x_0)\, q(x_t \mid x_0)",
                "an integral over x_0, which is given",
            ),
            NearMiss(
                r"\int \int q(x_{1:T} \mid x_0)\, \mathrm{d}x_{1:t-2}\, \mathrm{d}x_{t+1:T} = q(x_{t-1} \mid x_t, x_0)\, q(x_{t-1} \mid x_0)",
                "the law of x_{t-1} twice",
            ),
        ),
    ),
    Claim(
        "eq-marginalise",
        r"\begin{aligned}"
        r" &\mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\log \frac{q(x_{t-1} \mid x_t, x_0)}{p_\theta(x_{t-1} \mid x_t)}\Big] \\"
        r" &= \mathbb{E}_{q(x_t \mid x_0)}\Big[D_{\mathrm{KL}}\big(q(x_{t-1} \mid x_t, x_0) \,\big\|\, p_\theta(x_{t-1} \mid x_t)\big)\Big]"
        r" \end{aligned}",
        "exact sums in finite worlds for every t = 2 .. T, T = 2, 3, 4",
        marginalise,
        (
            NearMiss(
                r"\begin{aligned}"
                r" &\mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\log \frac{q(x_{t-1} \mid x_t, x_0)}{p_\theta(x_{t-1} \mid x_t)}\Big] \\"
                r" &= \mathbb{E}_{q(x_t \mid x_0)}\Big[D_{\mathrm{KL}}\big(p_\theta(x_{t-1} \mid x_t) \,\big\|\, q(x_{t-1} \mid x_t, x_0)\big)\Big]"
                r" \end{aligned}",
                "the divergence the wrong way round",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &\mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\log \frac{q(x_{t-1} \mid x_t, x_0)}{p_\theta(x_{t-1} \mid x_t)}\Big] \\"
                r" &= \mathbb{E}_{q(x_t)}\Big[D_{\mathrm{KL}}\big(q(x_{t-1} \mid x_t, x_0) \,\big\|\, p_\theta(x_{t-1} \mid x_t)\big)\Big]"
                r" \end{aligned}",
                "averaged over x_t without x_0 given",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &\mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\log \frac{q(x_{t-1} \mid x_t, x_0)}{p_\theta(x_{t-1} \mid x_t)}\Big] \\"
                r" &= \int \mathbb{E}_{q(x_t \mid x_0)}\Big[D_{\mathrm{KL}}\big(q(x_{t-1} \mid x_t, x_0) \,\big\|\,"
                r" p_\theta(x_{t-1} \mid x_t)\big)\Big]\, \mathrm{d}x_0"
                r" \end{aligned}",
                "an integral over x_0, which is given",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &\mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\log \frac{q(x_{t-1} \mid x_t, x_0)}{p_\theta(x_{t-1} \mid x_t)}\Big] \\"
                r" &= D_{\mathrm{KL}}\big(q(x_{t-1} \mid x_t, x_0) \,\big\|\, p_\theta(x_{t-1} \mid x_t)\big)"
                r" \end{aligned}",
                "no average over x_t",
            ),
        ),
    ),
    Claim(
        "eq-bound-abc",
        r"\begin{aligned}"
        r" -\log p_\theta(x_0) &\le A + \sum_{t=2}^{T} B_t + C \\"
        r" A &= D_{\mathrm{KL}}\big(q(x_T \mid x_0) \,\big\|\, p(x_T)\big) \\"
        r" B_t &= \mathbb{E}_{q(x_t \mid x_0)}\Big[D_{\mathrm{KL}}\big(q(x_{t-1} \mid x_t, x_0) \,\big\|\, p_\theta(x_{t-1} \mid x_t)\big)\Big] \\"
        r" C &= -\mathbb{E}_{q(x_1 \mid x_0)}\big[\log p_\theta(x_0 \mid x_1)\big]"
        r" \end{aligned}",
        "right minus left is an average of u - 1 - log u; exactly, in finite worlds, T = 1, 2, 3, 4",
        bound_abc,
        (
            NearMiss(
                r"\begin{aligned}"
                r" -\log p_\theta(x_0) &\le A + \sum_{t=1}^{T} B_t + C \\"
                r" A &= D_{\mathrm{KL}}\big(q(x_T \mid x_0) \,\big\|\, p(x_T)\big) \\"
                r" B_t &= \mathbb{E}_{q(x_t \mid x_0)}\Big[D_{\mathrm{KL}}\big(q(x_{t-1} \mid x_t, x_0) \,\big\|\, p_\theta(x_{t-1} \mid x_t)\big)\Big] \\"
                r" C &= -\mathbb{E}_{q(x_1 \mid x_0)}\big[\log p_\theta(x_0 \mid x_1)\big]"
                r" \end{aligned}",
                "the sum from t = 1",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" -\log p_\theta(x_0) &\le A + \sum_{t=2}^{T} B_t + C \\"
                r" A &= D_{\mathrm{KL}}\big(p(x_T) \,\big\|\, q(x_T \mid x_0)\big) \\"
                r" B_t &= \mathbb{E}_{q(x_t \mid x_0)}\Big[D_{\mathrm{KL}}\big(q(x_{t-1} \mid x_t, x_0) \,\big\|\, p_\theta(x_{t-1} \mid x_t)\big)\Big] \\"
                r" C &= -\mathbb{E}_{q(x_1 \mid x_0)}\big[\log p_\theta(x_0 \mid x_1)\big]"
                r" \end{aligned}",
                "the prior's divergence the wrong way round",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" -\log p_\theta(x_0) &\le A + \sum_{t=2}^{T} B_t + C \\"
                r" A &= D_{\mathrm{KL}}\big(q(x_T \mid x_0) \,\big\|\, p(x_T)\big) \\"
                r" B_t &= \mathbb{E}_{q(x_t \mid x_0)}\Big[D_{\mathrm{KL}}\big(q(x_{t-1} \mid x_t, x_0) \,\big\|\, p_\theta(x_{t-1} \mid x_t)\big)\Big] \\"
                r" C &= \mathbb{E}_{q(x_1 \mid x_0)}\big[\log p_\theta(x_0 \mid x_1)\big]"
                r" \end{aligned}",
                "the reconstruction's sign",
            ),
        ),
        f"{BOUND}.variational_bound",
    ),
)


# Each term in closed form


SPREAD_Q, SPREAD_P = sp.symbols("spread_q spread_p", positive=True)
CENTRE_Q, CENTRE_P = sp.symbols("centre_q centre_p", real=True)


@cache
def general_divergence() -> Expr:
    """D_KL of two Gaussians, by integrating q log(q / p)."""
    y = sp.Symbol("y", real=True)
    density_q, density_p = gaussian_density(y, CENTRE_Q, SPREAD_Q), gaussian_density(y, CENTRE_P, SPREAD_P)
    integral = integrate_gaussian(density_q * sp.expand_log(sp.log(density_q / density_p), force=True), y)
    return sp.expand(sp.expand_log(sp.simplify(integral), force=True))


def divergence(mean_q: Expr, variance_q: Expr, mean_p: Expr, variance_p: Expr) -> Expr:
    """D_KL(q || p) for these means and variances."""
    values = {CENTRE_Q: mean_q, SPREAD_Q: variance_q, CENTRE_P: mean_p, SPREAD_P: variance_p}
    return general_divergence().subs(values, simultaneous=True)


def step_divergence(variance: Expr) -> Expr:
    """D_KL of the posterior q(x_{t-1} | x_t, x_0) (eq-posterior) from a model step (eq-model-step) of this variance."""
    return divergence(mu_tilde(t, x[t], x[0]), beta_tilde[t], mu_theta(x[t], t), variance)


def means_as_symbols(expression: Expr) -> Expr:
    """The two means as real unknowns; any other argument than theirs leaves a function that no proof can compare."""
    target, guess, last = sp.symbols("target guess last", real=True)
    return expression.subs({mu_tilde(t, x[t], x[0]): target, mu_theta(x[t], t): guess, mu_theta(x[1], 1): last})


STEP = KL(q(x[t - 1], sp.Tuple(x[t], x[0])), p_theta(x[t - 1], sp.Tuple(x[t])))


def term_a(statement: Statement) -> None:
    right = equation(statement, A)
    for n in (1, 2, 3):
        mean, variance = law_of(walk(0, n), noises(n))
        formula = at(right, T=n).replace(
            lambda e: isinstance(e, sp.Indexed) and e.base == bar, lambda e: sp.prod([alpha[i] for i in range(1, e.indices[0] + 1)])
        )
        require_equal(formula, divergence(mean, sp.expand(variance), 0, 1), f"the formula and the integral after {n} steps")


def term_b(statement: Statement) -> None:
    right = equation(statement, STEP)
    require_equal(means_as_symbols(right), means_as_symbols(step_divergence(sigma[t] ** 2)), "the formula and the integral")


def term_b_equal(statement: Statement) -> None:
    right = equation(statement, STEP)
    require_equal(means_as_symbols(right), means_as_symbols(step_divergence(beta_tilde[t])), "the formula and the integral for equal variances")


def term_c(statement: Statement) -> None:
    right = equation(statement, -sp.log(p_theta(x[0], sp.Tuple(x[1]))))
    density = gaussian_density(x[0], mu_theta(x[1], 1), sigma[1] ** 2)
    require_equal(means_as_symbols(right), sp.expand_log(-sp.log(means_as_symbols(density)), force=True), "the formula and minus the logarithm")


def distribution(value: Expr) -> Expr:
    """The standard Gaussian's distribution function."""
    return (1 + sp.erf(value / sp.sqrt(2))) / 2


def level(number: Expr) -> Expr:
    """Grey level 0 .. 255 of an image, where images live: 0 at -1 and 255 at 1."""
    return -1 + number * (1 - sp.Integer(-1)) / 255


def cuts(statement: Statement) -> None:
    require(len(statement) == 3 and all(r.ops == ("=",) for r in statement), "e_k, e_0 and e_256, please")
    inner, first, last = statement
    require([r.lhs for r in statement] == [cut[k], cut[0], cut[256]], "e_k, e_0 and e_256, please")
    require_equal(inner.rhs, (level(k - 1) + level(k)) / 2, "the cut and the middle between two levels")
    require(first.rhs == -sp.oo and last.rhs == sp.oo, "the outer levels leave something over")


def decoder(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=", "=") and relation.lhs == p_theta(x[0], sp.Tuple(x[1])), "not p_theta(x_0 | x_1)")
    integral, formula = relation.terms[1], relation.terms[2]
    require(isinstance(integral, sp.Integral) and len(integral.limits) == 1, "the middle is not an integral between two cuts")
    (variable, low, high) = integral.limits[0]
    require((low, high) == (cut[k], cut[k + 1]), "not the piece of level k")
    mean, variance = normal(integral.function.replace(N, lambda v, a, b: N(v, a, b * symbol("I"))), variable)
    require(mean == mu_theta(x[1], 1), "the mean is not that of the last step")
    require_equal(variance, sigma[1] ** 2, "the variance and that of the last step")
    # The formula is F(e_{k+1}) - F(e_k); F must have the density as its slope.
    written = means_as_symbols(formula).replace(Phi, distribution)
    density = means_as_symbols(gaussian_density(variable, mu_theta(x[1], 1), sigma[1] ** 2))
    for end, sign in ((cut[k + 1], 1), (cut[k], -1)):
        here = written.subs(end, variable)
        require_equal(sp.diff(here, variable), sign * density, f"the slope at {end} and the density")
    require_equal(written.subs(cut[k + 1], cut[k]), 0, "an empty piece's probability and 0")


def decoder_sum(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",) and isinstance(relation.lhs, sp.Sum), "a sum, please")
    (index, first, last) = relation.lhs.limits[0]
    require(index == k, "not a sum over the levels")
    term = means_as_symbols(relation.lhs.function)
    # The terms telescope: each is F(k + 1) - F(k), so that the sum is F at the end minus F at the beginning.
    ends = [term.subs({cut[k]: -sp.oo, cut[k + 1]: cut[j]}).replace(Phi, distribution) for j in (k, k + 1)]
    require_equal(term.replace(Phi, distribution), ends[1] - ends[0], "a term and the difference of two values")
    values = {cut[last + 1]: sp.oo} if last == 255 else {}
    total = ends[0].subs(cut[k], cut[last + 1]).subs(values)
    require(first == 0, "the lowest level is left out")
    require_equal(total, relation.rhs, "what the sum telescopes to and the right side")


def bits(statement: Statement) -> None:
    relation = only(statement)
    rate, d = symbol("R"), symbol("d")
    require(relation.lhs == rate and relation.ops == ("=",), "the left side is not R")
    total = A + sp.Sum(B[t], (t, 2, T)) + C
    for n in (1, 3):
        # An image of probability exp(-total) is one of 2^(R d) equally probable ones.
        require_equal(at(relation.rhs, T=n) * d * sp.log(2), at(total, T=n), f"R d log 2 and all the terms for T = {n}")


CLOSED = (
    Claim(
        "eq-term-a",
        r"A = \frac{1}{2} \Big(\bar\alpha_T x_0^2 - \bar\alpha_T - \log(1-\bar\alpha_T)\Big)",
        "the integral of q log(q/p) after T = 1, 2, 3 steps of the chain",
        term_a,
        (
            NearMiss(r"A = \frac{1}{2} \Big(\bar\alpha_T x_0^2 - \bar\alpha_T + \log(1-\bar\alpha_T)\Big)", "the logarithm's sign"),
            NearMiss(r"A = \bar\alpha_T x_0^2 - \bar\alpha_T - \log(1-\bar\alpha_T)", "the half missing"),
            NearMiss(r"A = \frac{1}{2} \Big(\sqrt{\bar\alpha_T} x_0^2 - \bar\alpha_T - \log(1-\bar\alpha_T)\Big)", "the mean not squared"),
            NearMiss(
                r"A = \frac{1}{2} \Big(\frac{\bar\alpha_T x_0^2 + \bar\alpha_T}{1 - \bar\alpha_T} + \log(1-\bar\alpha_T)\Big)",
                "the divergence the wrong way round",
            ),
        ),
        f"{BOUND}.prior_term",
    ),
    Claim(
        "eq-term-b",
        r"\begin{aligned}"
        r" &D_{\mathrm{KL}}\big(q(x_{t-1} \mid x_t, x_0) \,\big\|\, p_\theta(x_{t-1} \mid x_t)\big) \\"
        r" &= \frac{1}{2} \Big(\log \frac{\sigma_t^2}{\tilde\beta_t} + \frac{\tilde\beta_t"
        r" + (\tilde\mu_t(x_t, x_0) - \mu_\theta(x_t, t))^2}{\sigma_t^2} - 1\Big)"
        r" \end{aligned}",
        "the integral of q log(q/p) for two Gaussians",
        term_b,
        (
            NearMiss(
                r"\begin{aligned}"
                r" &D_{\mathrm{KL}}\big(q(x_{t-1} \mid x_t, x_0) \,\big\|\, p_\theta(x_{t-1} \mid x_t)\big) \\"
                r" &= \frac{1}{2} \Big(\log \frac{\tilde\beta_t}{\sigma_t^2} + \frac{\tilde\beta_t"
                r" + (\tilde\mu_t(x_t, x_0) - \mu_\theta(x_t, t))^2}{\sigma_t^2} - 1\Big)"
                r" \end{aligned}",
                "the logarithm's fraction upside down",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &D_{\mathrm{KL}}\big(q(x_{t-1} \mid x_t, x_0) \,\big\|\, p_\theta(x_{t-1} \mid x_t)\big) \\"
                r" &= \frac{1}{2} \Big(\log \frac{\tilde\beta_t}{\sigma_t^2} + \frac{\sigma_t^2"
                r" + (\tilde\mu_t(x_t, x_0) - \mu_\theta(x_t, t))^2}{\tilde\beta_t} - 1\Big)"
                r" \end{aligned}",
                "the divergence the wrong way round",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &D_{\mathrm{KL}}\big(q(x_{t-1} \mid x_t, x_0) \,\big\|\, p_\theta(x_{t-1} \mid x_t)\big) \\"
                r" &= \frac{1}{2} \Big(\log \frac{\sigma_t^2}{\tilde\beta_t} + \frac{\tilde\beta_t"
                r" + (\tilde\mu_t(x_t, x_0) - \mu_\theta(x_t, t))^2}{\sigma_t^2}\Big)"
                r" \end{aligned}",
                "the 1 missing: equal densities would be apart",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &D_{\mathrm{KL}}\big(q(x_{t-1} \mid x_t, x_0) \,\big\|\, p_\theta(x_{t-1} \mid x_t)\big) \\"
                r" &= \frac{1}{2} \Big(\log \frac{\sigma_t}{\tilde\beta_t} + \frac{\tilde\beta_t"
                r" + (\tilde\mu_t(x_t, x_0) - \mu_\theta(x_t, t))^2}{\sigma_t} - 1\Big)"
                r" \end{aligned}",
                "the standard deviation in place of the variance",
            ),
        ),
        f"{BOUND}.denoising_term",
    ),
    Claim(
        "eq-term-b-equal",
        r"D_{\mathrm{KL}}\big(q(x_{t-1} \mid x_t, x_0) \,\big\|\, p_\theta(x_{t-1} \mid x_t)\big)"
        r" = \frac{(\tilde\mu_t(x_t, x_0) - \mu_\theta(x_t, t))^2}{2 \tilde\beta_t}",
        "the integral of q log(q/p) for two Gaussians of the same variance",
        term_b_equal,
        (
            NearMiss(
                r"D_{\mathrm{KL}}\big(q(x_{t-1} \mid x_t, x_0) \,\big\|\, p_\theta(x_{t-1} \mid x_t)\big)"
                r" = \frac{(\tilde\mu_t(x_t, x_0) - \mu_\theta(x_t, t))^2}{\tilde\beta_t}",
                "the half missing",
            ),
            NearMiss(
                r"D_{\mathrm{KL}}\big(q(x_{t-1} \mid x_t, x_0) \,\big\|\, p_\theta(x_{t-1} \mid x_t)\big)"
                r" = \frac{(\tilde\mu_t(x_t, x_0) - \mu_\theta(x_t, t))^2}{2 \tilde\beta_t^2}",
                "the variance squared",
            ),
            NearMiss(
                r"D_{\mathrm{KL}}\big(q(x_{t-1} \mid x_t, x_0) \,\big\|\, p_\theta(x_{t-1} \mid x_t)\big)"
                r" = \frac{(x_{t-1} - \mu_\theta(x_t, t))^2}{2 \tilde\beta_t}",
                "a draw of x_{t-1} in place of its mean",
            ),
        ),
        f"{BOUND}.denoising_term",
    ),
    Claim(
        "eq-term-c",
        r"-\log p_\theta(x_0 \mid x_1) = \frac{1}{2} \log(2 \pi \sigma_1^2) + \frac{(x_0 - \mu_\theta(x_1, 1))^2}{2 \sigma_1^2}",
        "minus the logarithm of the Gaussian density",
        term_c,
        (
            NearMiss(
                r"-\log p_\theta(x_0 \mid x_1) = \frac{1}{2} \log(2 \pi \sigma_1^2) - \frac{(x_0 - \mu_\theta(x_1, 1))^2}{2 \sigma_1^2}",
                "a wrong sign: bad reconstructions rewarded",
            ),
            NearMiss(
                r"-\log p_\theta(x_0 \mid x_1) = \log(2 \pi \sigma_1^2) + \frac{(x_0 - \mu_\theta(x_1, 1))^2}{2 \sigma_1^2}",
                "the root in the normaliser forgotten",
            ),
            NearMiss(
                r"-\log p_\theta(x_0 \mid x_1) = \frac{1}{2} \log(2 \pi \sigma_1^2) + \frac{(x_0 - \mu_\theta(x_1, 1))^2}{2 \sigma_1}",
                "divided by the standard deviation",
            ),
        ),
        f"{BOUND}.reconstruction_term",
    ),
    Claim(
        "eq-decoder-cuts",
        r"e_k = \frac{2 k - 1}{255} - 1, \qquad e_0 = -\infty, \qquad e_{256} = \infty",
        "half way between neighbouring levels of [-1, 1], and nothing left over outside",
        cuts,
        (
            NearMiss(r"e_k = \frac{2 k}{255} - 1, \qquad e_0 = -\infty, \qquad e_{256} = \infty", "the levels themselves"),
            NearMiss(r"e_k = \frac{2 k - 1}{256} - 1, \qquad e_0 = -\infty, \qquad e_{256} = \infty", "256 gaps between 256 levels"),
            NearMiss(r"e_k = \frac{2 k - 1}{255} - 1, \qquad e_0 = -1, \qquad e_{256} = 1", "the tails cut off: the sum is less than one"),
        ),
        f"{BOUND}.grey_level_log_prob",
    ),
    Claim(
        "eq-decoder",
        r"\begin{aligned}"
        r" &p_\theta(x_0 \mid x_1) \\"
        r" &= \int_{e_k}^{e_{k+1}} \mathcal{N}\big(y; \mu_\theta(x_1, 1), \sigma_1^2\big)\, \mathrm{d}y \\"
        r" &= \Phi\Big(\frac{e_{k+1} - \mu_\theta(x_1, 1)}{\sigma_1}\Big) - \Phi\Big(\frac{e_k - \mu_\theta(x_1, 1)}{\sigma_1}\Big)"
        r" \end{aligned}",
        "the distribution function has the density as its slope at both ends",
        decoder,
        (
            NearMiss(
                r"\begin{aligned}"
                r" &p_\theta(x_0 \mid x_1) \\"
                r" &= \int_{e_k}^{e_{k+1}} \mathcal{N}\big(y; \mu_\theta(x_1, 1), \sigma_1^2\big)\, \mathrm{d}y \\"
                r" &= \Phi\Big(\frac{e_{k+1} - \mu_\theta(x_1, 1)}{\sigma_1^2}\Big) - \Phi\Big(\frac{e_k - \mu_\theta(x_1, 1)}{\sigma_1^2}\Big)"
                r" \end{aligned}",
                "divided by the variance",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &p_\theta(x_0 \mid x_1) \\"
                r" &= \int_{e_k}^{e_{k+1}} \mathcal{N}\big(y; \mu_\theta(x_1, 1), \sigma_1^2\big)\, \mathrm{d}y \\"
                r" &= \Phi\Big(\frac{e_k - \mu_\theta(x_1, 1)}{\sigma_1}\Big) - \Phi\Big(\frac{e_{k+1} - \mu_\theta(x_1, 1)}{\sigma_1}\Big)"
                r" \end{aligned}",
                "a negative probability",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &p_\theta(x_0 \mid x_1) \\"
                r" &= \int_{e_{k-1}}^{e_k} \mathcal{N}\big(y; \mu_\theta(x_1, 1), \sigma_1^2\big)\, \mathrm{d}y \\"
                r" &= \Phi\Big(\frac{e_k - \mu_\theta(x_1, 1)}{\sigma_1}\Big) - \Phi\Big(\frac{e_{k-1} - \mu_\theta(x_1, 1)}{\sigma_1}\Big)"
                r" \end{aligned}",
                "the piece of the level below",
            ),
        ),
        f"{BOUND}.grey_level_log_prob",
    ),
    Claim(
        "eq-decoder-sum",
        r"\sum_{k=0}^{255} \Big(\Phi\Big(\frac{e_{k+1} - \mu_\theta(x_1, 1)}{\sigma_1}\Big)"
        r" - \Phi\Big(\frac{e_k - \mu_\theta(x_1, 1)}{\sigma_1}\Big)\Big) = 1",
        "the terms telescope to the distribution function at infinity minus that at minus infinity",
        decoder_sum,
        (
            NearMiss(
                r"\sum_{k=1}^{255} \Big(\Phi\Big(\frac{e_{k+1} - \mu_\theta(x_1, 1)}{\sigma_1}\Big)"
                r" - \Phi\Big(\frac{e_k - \mu_\theta(x_1, 1)}{\sigma_1}\Big)\Big) = 1",
                "black left out",
            ),
            NearMiss(
                r"\sum_{k=0}^{254} \Big(\Phi\Big(\frac{e_{k+1} - \mu_\theta(x_1, 1)}{\sigma_1}\Big)"
                r" - \Phi\Big(\frac{e_k - \mu_\theta(x_1, 1)}{\sigma_1}\Big)\Big) = 1",
                "white left out",
            ),
            NearMiss(
                r"\sum_{k=0}^{255} \Big(\Phi\Big(\frac{e_{k+1} - \mu_\theta(x_1, 1)}{\sigma_1}\Big)"
                r" + \Phi\Big(\frac{e_k - \mu_\theta(x_1, 1)}{\sigma_1}\Big)\Big) = 1",
                "a sum where a difference belongs",
            ),
        ),
        f"{BOUND}.grey_level_log_prob",
    ),
    Claim(
        "eq-bits",
        r"R = \frac{A + \sum_{t=2}^{T} B_t + C}{d \log 2}",
        "R d log 2 is the bound in nats",
        bits,
        (
            NearMiss(r"R = \frac{(A + \sum_{t=2}^{T} B_t + C) \log 2}{d}", "multiplied by log 2"),
            NearMiss(r"R = \frac{A + \sum_{t=2}^{T} B_t + C}{\log 2}", "not per component"),
            NearMiss(r"R = \frac{\sum_{t=2}^{T} B_t + C}{d \log 2}", "the prior's term forgotten"),
        ),
        f"{BOUND}.bits_per_dim",
    ),
)


# An exactly solvable case: one component, x_0 ~ N(m, V_0), and a network that always returns E[eps | x_t]. Chapter 8 has the variance V_t
# of x_t (eq-component-variance, where V_0 is called c^2) and the reverse step q(x_{t-1} | x_t) (eq-reverse-gaussian).

KEPT, SO_FAR, DATA = sp.symbols("a g V_0", positive=True)
"""alpha_t, alpha_bar_{t-1} and V_0: everything at steps t - 1 and t follows from these three."""


def known(expression: Expr, step: Expr = t) -> Expr:
    """The schedule and the variances around a step in terms of alpha_t, alpha_bar_{t-1} and V_0."""
    now, before = KEPT * SO_FAR, SO_FAR
    return expression.subs({
        alpha[step]: KEPT,
        beta[step]: 1 - KEPT,
        bar[step]: now,
        bar[step - 1]: before,
        beta_tilde[step]: (1 - before) / (1 - now) * (1 - KEPT),
        V[0]: DATA,
        V[step]: now * DATA + 1 - now,
        V[step - 1]: before * DATA + 1 - before,
    })  # fmt: skip


def require_same(left: Expr, right: Expr, what: str) -> None:
    """Refute unless two expressions in a, g, V_0 and the rest agree; logarithms are split until only their factors count.

    With a = 1/i^2 and g = 1/j^2 everything is a rational function of positive unknowns and of logarithms of polynomials.
    """
    i, j = sp.symbols("i j", positive=True)
    difference = plain(left - right).subs({KEPT: i**-2, SO_FAR: j**-2})
    difference = difference.replace(sp.log, lambda value: sp.expand_log(sp.log(sp.factor(value)), force=True))
    for number, log in enumerate(sorted(difference.atoms(sp.log), key=str)):
        difference = difference.subs(log, sp.Symbol(f"log{number}", real=True))
    difference = sp.cancel(sp.together(difference))
    require(difference == 0, f"{what} differ by {difference}")


def known_at_1(expression: Expr) -> Expr:
    """The same around step 1, where nothing has been kept or lost before."""
    return known(expression, sp.Integer(1)).subs(SO_FAR, 1)


def condition(mean: Expr, variance: Expr, factor: Expr, noise: Expr, seen: Expr) -> tuple[Expr, Expr]:
    """Mean and variance of X ~ N(mean, variance) once factor X + noise has been seen, by completing the square in Bayes' rule."""
    value = sp.Symbol("value", real=True)
    exponent = -((value - mean) ** 2) / (2 * variance) - (seen - factor * value) ** 2 / (2 * noise)
    precision, slope_at_0 = -sp.diff(exponent, value, 2), sp.diff(exponent, value).subs(value, 0)
    return slope_at_0 / precision, 1 / precision


def posterior(seen: Expr, start: Expr) -> tuple[Expr, Expr]:
    """q(x_{t-1} | x_t, x_0)."""
    return condition(sqrt(SO_FAR) * start, 1 - SO_FAR, sqrt(KEPT), 1 - KEPT, seen)


def reverse(seen: Expr) -> tuple[Expr, Expr]:
    """q(x_{t-1} | x_t) for the Gaussian data."""
    return condition(sqrt(SO_FAR) * m, SO_FAR * DATA + 1 - SO_FAR, sqrt(KEPT), 1 - KEPT, seen)


def mean_square(expression: Expr, laws: dict[sp.Symbol, tuple[Expr, Expr]]) -> Expr:
    """E[expression^2], where the expression is affine in independent Gaussians of these means and variances."""
    factors = {variable: sp.diff(expression, variable) for variable in laws}
    require(not any(factor.has(*laws) for factor in factors.values()), f"{expression} is not affine")
    mean = expression.subs({variable: mean for variable, (mean, _) in laws.items()})
    return mean**2 + sum(factors[variable] ** 2 * variance for variable, (_, variance) in laws.items())


def in_expectation(statement: Statement, term: Expr) -> Expr:
    return equation(statement, E(term, Over(q(x[0]))))


START, NOISE = sp.symbols("start noise", real=True)
LAWS = {START: (m, DATA), NOISE: (sp.Integer(0), sp.Integer(1))}


def average_a() -> Expr:
    """E[A] in terms of alpha_bar_T, called g, m and V_0."""
    distance = sp.Symbol("distance", real=True)
    return sp.expand(divergence(distance, 1 - SO_FAR, 0, 1)).subs(distance**2, mean_square(sqrt(SO_FAR) * START, LAWS))


@cache
def wrong_by() -> Expr:
    """The mean square of what q(x_{t-1} | x_t), which does not see x_0, gets wrong about the mean of q(x_{t-1} | x_t, x_0)."""
    seen = sqrt(KEPT * SO_FAR) * START + sqrt(1 - KEPT * SO_FAR) * NOISE
    return sp.factor(mean_square(posterior(seen, START)[0] - reverse(seen)[0], LAWS))


def average_b(variance: Expr) -> Expr:
    """E[B_t] for a model whose mean is that of q(x_{t-1} | x_t)."""
    gap, target = sp.Symbol("gap", real=True), posterior(sp.Integer(0), sp.Integer(0))[1]
    return sp.expand(divergence(gap, target, 0, variance)).subs(gap**2, wrong_by())


def average_c(variance: Expr) -> Expr:
    """E[C], with alpha_1 called a."""
    seen = sqrt(KEPT) * START + sqrt(1 - KEPT) * NOISE
    square = mean_square(START - reverse(seen)[0].subs(SO_FAR, 1), LAWS)
    return sp.log(2 * sp.pi) / 2 + sp.log(variance) / 2 + square / (2 * variance)


def exact_model(statement: Statement) -> None:
    require(len(statement) == 2 and all(r.ops == ("=",) for r in statement), "M_{t-1} and S_{t-1}, please")
    require([r.lhs for r in statement] == [M[t - 1], S[t - 1]], "M_{t-1} and S_{t-1}, please")
    # Put x_t ~ N(M_t, S_t) and a step's independent noise into the step's mean, and ask for the law of the sum.
    noise_before, noise_now = sp.symbols("noise_before noise_now", real=True)
    mean, variance = law_of(
        sp.expand(reverse(M[t] + sqrt(S[t]) * noise_before)[0] + sigma[t] * noise_now), [noise_before, noise_now]
    )
    require_same(known(statement[0].rhs), mean, "the mean and that of the step")
    require_same(known(statement[1].rhs), variance, "the variance and that of the step")


def exact_mean(statement: Statement) -> None:
    right = equation(statement, M[0])
    # By induction on the deviation M_t - sqrt(abar_t) m, which starts at -sqrt(abar_T) m and shrinks by a factor in each step.
    # The same with T - 1 steps done: the start of a chain of T steps lands on a multiple of that of T - 1.
    def deviation(mean: Expr) -> Expr:
        return mean - m

    one = deviation(known_at_1(at(right, T=1)))
    start = reverse(sp.Integer(0))[0].subs(SO_FAR, 1)  # one step from M_1 = 0
    require_same(one, deviation(start), "the mean after a single step")
    landed = reverse(sp.Integer(0))[0] - sqrt(SO_FAR) * m  # the deviation at T - 1, started at M_T = 0
    fresh = -sqrt(SO_FAR) * m  # what it would be if the chain started there
    longer, shorter = (known(deviation(side).subs(T, t)) for side in (right, right.subs(T, T - 1)))
    require_same(longer * fresh, shorter * landed, "what a step more changes")


def exact_a(statement: Statement) -> None:
    right = in_expectation(statement, A)
    require_same(known(right.subs(T, t - 1)), average_a(), "the formula and the average over the data")


def exact_b(statement: Statement) -> None:
    right = in_expectation(statement, B[t])
    require_same(known(right), average_b(sigma[t] ** 2), "the formula and the average over the data and the noise")


def exact_c(statement: Statement) -> None:
    right = in_expectation(statement, C)
    require_same(known_at_1(right), average_c(sigma[1] ** 2), "the formula and the average over the data and the noise")


def exact_sigma(statement: Statement) -> None:
    right = known(equation(statement, sigma[t] ** 2))
    level = sp.Symbol("level", positive=True)
    for term, best in ((average_b(level), right), (average_c(level), right.subs(SO_FAR, 1))):
        slope = sp.diff(term, level)
        require_same(slope.subs(level, best), 0, "the term's slope at the best variance and 0")
        # The slope is (level - best) / (2 level^2): below the best variance the term falls, above it rises.
        require_same(slope * 2 * level**2, level - best, "the slope's sign")


def exact_bound(statement: Statement) -> None:
    right = equation(statement, E(A + sp.Sum(B[t], (t, 2, T)) + C, Over(q(x[0]))))
    divergences = right.atoms(KL)
    require(divergences == {KL(q(x[T]), p(x[T]))}, "the divergence is not that of q(x_T) from the prior")
    # x_T ~ N(sqrt(abar_T) m, V_T), since x_0 is Gaussian.
    closed = right.subs(divergences.pop(), divergence(sqrt(bar[T]) * m, V[T], 0, 1))
    best = known(beta[t] * V[t - 1] / V[t])
    prior_now, prior_before = average_a().subs(SO_FAR, KEPT * SO_FAR), average_a()
    one = average_a().subs(SO_FAR, KEPT) + average_c(best.subs(SO_FAR, 1))
    require_same(known_at_1(closed.subs(T, 1)), one, "both sides for T = 1")
    longer = known(closed.subs(T, t)) - known(closed.subs(T, t - 1))
    require_same(longer, prior_now - prior_before + average_b(best), "what a step more adds")


def exact_likelihood(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",), "an equation, please")
    require(relation.lhs == -E(sp.log(p_theta(x[0])), Over(q(x[0]))), "the left side is not the average of -log p")
    density = gaussian_density(START, M[0], S[0])
    away = START - M[0]
    log = sp.log(2 * sp.pi) / 2 + sp.log(S[0]) / 2
    require_same(-sp.expand_log(sp.log(density), force=True), log + away**2 / (2 * S[0]), "minus the logarithm of the density")
    require_same(known(relation.rhs), log + mean_square(away, LAWS) / (2 * S[0]), "the formula and the average over the data")


EXACT = (
    Claim(
        "eq-exact-model",
        r"\begin{aligned}"
        r" M_{t-1} &= \sqrt{\bar\alpha_{t-1}}\, m + \frac{\sqrt{\alpha_t}\, V_{t-1}}{V_t} \big(M_t - \sqrt{\bar\alpha_t}\, m\big) \\"
        r" S_{t-1} &= \frac{\alpha_t V_{t-1}^2}{V_t^2}\, S_t + \sigma_t^2"
        r" \end{aligned}",
        "the law of a step from a Gaussian x_t",
        exact_model,
        (
            NearMiss(
                r"\begin{aligned}"
                r" M_{t-1} &= \sqrt{\bar\alpha_{t-1}}\, m + \frac{\sqrt{\alpha_t}\, V_{t-1}}{V_t} \big(M_t - \sqrt{\bar\alpha_t}\, m\big) \\"
                r" S_{t-1} &= \frac{\sqrt{\alpha_t}\, V_{t-1}}{V_t}\, S_t + \sigma_t^2"
                r" \end{aligned}",
                "the factor of the variance not squared",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" M_{t-1} &= \sqrt{\bar\alpha_{t-1}}\, m + \frac{\sqrt{\alpha_t}\, V_{t-1}}{V_t} \big(M_t - \sqrt{\bar\alpha_t}\, m\big) \\"
                r" S_{t-1} &= \frac{\alpha_t V_{t-1}^2}{V_t^2}\, S_t + \sigma_t"
                r" \end{aligned}",
                "a standard deviation added to a variance",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" M_{t-1} &= \frac{\sqrt{\alpha_t}\, V_{t-1}}{V_t} \big(M_t - \sqrt{\bar\alpha_t}\, m\big) \\"
                r" S_{t-1} &= \frac{\alpha_t V_{t-1}^2}{V_t^2}\, S_t + \sigma_t^2"
                r" \end{aligned}",
                "the data's mean not added again",
            ),
        ),
        f"{BOUND}.affine_model",
    ),
    Claim(
        "eq-exact-mean",
        r"M_0 = \frac{1 - \bar\alpha_T}{V_T}\, m",
        "true for T = 1, and a step more keeps it true",
        exact_mean,
        (
            NearMiss(r"M_0 = m", "the mean of the data: the start x_T ~ N(0, I) knows nothing of m"),
            NearMiss(r"M_0 = \frac{1 - \bar\alpha_T}{V_0}\, m", "the data's variance below"),
            NearMiss(r"M_0 = \frac{\bar\alpha_T}{V_T}\, m", "signal and noise exchanged"),
        ),
        f"{BOUND}.affine_model",
    ),
    Claim(
        "eq-exact-likelihood",
        r"-\mathbb{E}_{q(x_0)}\big[\log p_\theta(x_0)\big] = \frac{1}{2} \log(2 \pi S_0) + \frac{V_0 + (m - M_0)^2}{2 S_0}",
        "minus the logarithm of N(M_0, S_0), averaged over the data",
        exact_likelihood,
        (
            NearMiss(
                r"-\mathbb{E}_{q(x_0)}\big[\log p_\theta(x_0)\big] = \frac{1}{2} \log(2 \pi S_0) + \frac{(m - M_0)^2}{2 S_0}",
                "the data's own variance forgotten",
            ),
            NearMiss(
                r"-\mathbb{E}_{q(x_0)}\big[\log p_\theta(x_0)\big] = \frac{1}{2} \log(2 \pi V_0) + \frac{S_0 + (m - M_0)^2}{2 V_0}",
                "data and model exchanged",
            ),
            NearMiss(
                r"-\mathbb{E}_{q(x_0)}\big[\log p_\theta(x_0)\big] = \frac{1}{2} \log(2 \pi S_0) + \frac{1}{2}",
                "the model's own entropy",
            ),
        ),
        f"{BOUND}.affine_model",
    ),
    Claim(
        "eq-exact-a",
        r"\mathbb{E}_{q(x_0)}[A] = \frac{1}{2} \Big(\bar\alpha_T (m^2 + V_0) - \bar\alpha_T - \log(1-\bar\alpha_T)\Big)",
        "the integral of q log(q/p), averaged over the data",
        exact_a,
        (
            NearMiss(r"\mathbb{E}_{q(x_0)}[A] = \frac{1}{2} \Big(\bar\alpha_T m^2 - \bar\alpha_T - \log(1-\bar\alpha_T)\Big)", "the data's variance forgotten"),
            NearMiss(r"\mathbb{E}_{q(x_0)}[A] = \frac{1}{2} \Big(\bar\alpha_T (m^2 + V_0) - \bar\alpha_T - \log V_T\Big)", "the variance of x_T without x_0 given"),
        ),
        f"{BOUND}.prior_term",
    ),
    Claim(
        "eq-exact-b",
        r"\mathbb{E}_{q(x_0)}[B_t] = \frac{1}{2} \Big(\log \frac{\sigma_t^2}{\tilde\beta_t} + \frac{\beta_t V_{t-1}}{\sigma_t^2 V_t} - 1\Big)",
        "the integral of q log(q/p), averaged over the data and the noise",
        exact_b,
        (
            NearMiss(
                r"\mathbb{E}_{q(x_0)}[B_t] = \frac{1}{2} \Big(\log \frac{\sigma_t^2}{\tilde\beta_t} + \frac{\tilde\beta_t}{\sigma_t^2} - 1\Big)",
                "the means taken to agree: the network does not see x_0",
            ),
            NearMiss(
                r"\mathbb{E}_{q(x_0)}[B_t] = \frac{1}{2} \Big(\log \frac{\sigma_t^2}{\tilde\beta_t} + \frac{\beta_t V_t}{\sigma_t^2 V_{t-1}} - 1\Big)",
                "the variances exchanged",
            ),
            NearMiss(
                r"\mathbb{E}_{q(x_0)}[B_t] = \frac{1}{2} \Big(\log \frac{\sigma_t^2}{\beta_t} + \frac{\beta_t V_{t-1}}{\sigma_t^2 V_t} - 1\Big)",
                "the variance of a step forwards in the logarithm",
            ),
        ),
        f"{BOUND}.denoising_term",
    ),
    Claim(
        "eq-exact-c",
        r"\mathbb{E}_{q(x_0)}[C] = \frac{1}{2} \Big(\log(2 \pi \sigma_1^2) + \frac{\beta_1 V_0}{\sigma_1^2 V_1}\Big)",
        "minus the logarithm of the density, averaged over the data and the noise",
        exact_c,
        (
            NearMiss(r"\mathbb{E}_{q(x_0)}[C] = \frac{1}{2} \Big(\log(2 \pi \sigma_1^2) + \frac{\beta_1}{\sigma_1^2}\Big)", "right only for data of variance one"),
            NearMiss(r"\mathbb{E}_{q(x_0)}[C] = \frac{1}{2} \Big(\log(2 \pi \sigma_1^2) + \frac{\beta_1 V_0}{\sigma_1^2 V_1} - 1\Big)", "the 1 of a divergence: C is none"),
        ),
        f"{BOUND}.reconstruction_term",
    ),
    Claim(
        "eq-exact-sigma",
        r"\sigma_t^2 = \frac{\beta_t V_{t-1}}{V_t}",
        "B_t and C fall until there and rise from there on",
        exact_sigma,
        (
            NearMiss(r"\sigma_t^2 = \frac{\beta_t V_t}{V_{t-1}}", "upside down"),
            NearMiss(r"\sigma_t^2 = \tilde\beta_t", "best only for data without variance"),
            NearMiss(r"\sigma_t^2 = \beta_t", "best only for data of variance one"),
        ),
    ),
    Claim(
        "eq-exact-bound",
        r"\mathbb{E}_{q(x_0)}\Big[A + \sum_{t=2}^{T} B_t + C\Big]"
        r" = \frac{1}{2} \log(2 \pi V_0) + \frac{1}{2} + D_{\mathrm{KL}}\big(q(x_T) \,\big\|\, p(x_T)\big)",
        "by induction: true for T = 1, and a step more adds the same on both sides",
        exact_bound,
        (
            NearMiss(
                r"\mathbb{E}_{q(x_0)}\Big[A + \sum_{t=2}^{T} B_t + C\Big] = \frac{1}{2} \log(2 \pi V_0) + D_{\mathrm{KL}}\big(q(x_T) \,\big\|\, p(x_T)\big)",
                "half a nat of the entropy missing",
            ),
            NearMiss(
                r"\mathbb{E}_{q(x_0)}\Big[A + \sum_{t=2}^{T} B_t + C\Big] = \frac{1}{2} \log(2 \pi V_0) + \frac{1}{2} - D_{\mathrm{KL}}\big(q(x_T) \,\big\|\, p(x_T)\big)",
                "a bound below the entropy",
            ),
            NearMiss(
                r"\mathbb{E}_{q(x_0)}\Big[A + \sum_{t=2}^{T} B_t + C\Big]"
                r" = \frac{1}{2} \log(2 \pi V_0) + \frac{1}{2} + D_{\mathrm{KL}}\big(q(x_T \mid x_0) \,\big\|\, p(x_T)\big)",
                "x_0 given: that is A itself",
            ),
        ),
        f"{BOUND}.variational_bound",
    ),
)

CLAIMS: tuple[Claim, ...] = MODEL + JENSEN + STEPS + CLOSED + EXACT

IN_TEXT: dict[str, Literal["true", "setting"]] = {
    r"(1-\bar\alpha_1)/V_1": "setting",
    r"(1-\bar\alpha_T)/V_T": "setting",
    r"(1-\bar\alpha_t)/V_t": "setting",
    r"(1-\bar\alpha_{t-1})/V_{t-1}": "setting",
    r"1 - 1/u": "setting",
    r"1-\bar\alpha_1": "setting",
    r"1-\bar\alpha_T": "setting",
    r"1-u": "setting",
    r"2^{-n}": "setting",
    r"M_T = 0": "setting",
    r"S_T = 1": "setting",
    r"T = 1": "setting",
    r"V_T - 1": "setting",
    r"\bar\alpha_T V_0 - \bar\alpha_T": "setting",
    r"\bar\alpha_T m^2 + V_T - 1 - \log V_T": "setting",
    r"\beta_t V_{t-1}/V_t": "setting",
    r"\log p_\theta(x_0)": "setting",
    r"\log q(x_1 \mid x_0) - \log p_\theta(x_0 \mid x_1)": "setting",
    r"\log q(x_T \mid x_0) - \log q(x_1 \mid x_0)": "setting",
    r"\log u \le u - 1": "setting",
    r"\sigma_t^2 = \beta_t": "setting",
    r"\sigma_t^2 = \tilde\beta_t": "setting",
    r"\sigma_t^2/\tilde\beta_t": "setting",
    r"\sqrt{\bar\alpha_T}\, m": "setting",
    r"\sqrt{\bar\alpha_T}\, x_0": "setting",
    r"\tfrac{1}{2} \log(2 \pi V_0) + \tfrac{1}{2}": "setting",
    r"\tfrac{1}{2} \log(2 \pi \beta_1 V_0/V_1) + \tfrac{1}{2}": "setting",
    r"\tilde\beta_1 = 0": "setting",
    r"\tilde\beta_t/\sigma_t^2": "setting",
    r"m^2 + V_0": "setting",
    r"p(x_T) = \mathcal{N}(x_T; 0, I)": "setting",
    r"p_\theta(x_{0:T}) = p_\theta(x_{1:T} \mid x_0)\, p_\theta(x_0)": "setting",
    r"q(x_t \mid x_{t-1}) = q(x_{t-1} \mid x_t, x_0)\, q(x_t \mid x_0)/q(x_{t-1} \mid x_0)": "setting",
    r"q(x_{T-1} \mid x_0)/q(x_T \mid x_0)": "setting",
    r"u - 1 - \log u": "setting",
    r"u - 1": "setting",
    r"u = 1": "setting",
    r"u > 0": "setting",
}
"""See `forward_process.IN_TEXT`."""
