"""Ties of chapter 7."""

import math

import sympy as sp
import torch

from diffcourse.algebra import CLAIMS
from diffcourse.algebra.notation import family, function, symbol
from diffcourse.algebra.proving import gaussian_density
from diffcourse.diffusion import exact, process, schedule
from ties import ALPHA, BETA, EPS, MERGED, SOME, Pairs, Ties, X, constant, gaussian, number, rhs, tensor

T, t = symbol("T"), symbol("t")


def two_steps(n: int) -> torch.Tensor:
    """x_n by two calls of q_step from x_{n-2}."""
    x = process.q_step(SOME, tensor(X[n - 2]), n - 1, tensor(EPS[n - 2]))
    return process.q_step(SOME, x, n, tensor(EPS[n - 1]))


def toy_step() -> Pairs:
    step = rhs("eq-toy-step").subs(symbol(r"\beta"), 0.1)
    yield number(step, t=5), process.q_step(constant(0.1, 7), tensor(X[4]), 5, tensor(EPS[4]))


def toy_moments() -> Pairs:
    moments = process.q_moments(constant(0.1, 7), tensor(X[0]), 5)
    for relation, value in enumerate(moments):
        yield number(rhs("eq-toy-moments", relation).subs(symbol(r"\beta"), 0.1), t=5), value


def forward_kernel() -> Pairs:
    for n in (2, 5):
        moments = process.q_step_moments(SOME, tensor(X[n - 1]), n)
        yield from ((number(formula, t=n), value) for formula, value in zip(gaussian("eq-forward-kernel"), moments))


def forward_chain() -> Pairs:
    path = [X[0]]
    for n in (1, 2, 3):
        path.append(process.q_step(SOME, tensor(path[-1]), n, tensor(EPS[n - 1])).item())

    def kernel(after: sp.Expr, given: sp.Tuple) -> sp.Expr:
        assert given == sp.Tuple(family("x")[after.indices[0] - 1])
        return gaussian_density(*rhs("eq-forward-kernel").subs(t, after.indices[0]).args)

    joint = rhs("eq-forward-chain").subs(T, 3).doit().replace(function("q"), kernel)
    noise = torch.distributions.Normal(0, 1).log_prob(torch.tensor(EPS[:3], dtype=torch.float64)).sum().exp()
    yield number(joint, x=path), noise / math.sqrt(math.prod(BETA[:3]))


def alpha() -> Pairs:
    yield from ((number(rhs("eq-alpha"), t=n), SOME.alpha(n)) for n in (1, 4, 7))


def forward_step() -> Pairs:
    yield number(rhs("eq-forward-step"), t=4), process.q_step(SOME, tensor(X[3]), 4, tensor(EPS[3]))


def two_steps_in_one() -> Pairs:
    yield number(rhs("eq-two-steps"), t=5), two_steps(5)


def complete_square() -> Pairs:
    a, b = (math.sqrt(v) for v in (ALPHA[4] * (1 - ALPHA[3]), 1 - ALPHA[4]))
    jump = process.q_jump(SOME, tensor(0.0), 3, 5)
    # At the square's centre only the remainder is left: the exponent of the jump's density.
    values = {"a": a, "b": b, "z": 1.7, "y": a**2 * 1.7 / (a**2 + b**2)}
    for side in CLAIMS["eq-complete-square"].statement()[0].terms:
        yield number(side, **values), 1.7**2 / jump.variance


def merge() -> Pairs:
    mean, covariance = rhs("eq-merge").args
    factors = {"a": math.sqrt(ALPHA[4] * (1 - ALPHA[3])), "b": math.sqrt(1 - ALPHA[4])}
    jump = process.q_jump(SOME, tensor(0.0), 3, 5)
    yield number(mean, **factors), jump.mean
    yield number(covariance, **factors), jump.variance


def merge_variance() -> Pairs:
    for side in CLAIMS["eq-merge-variance"].statement()[0].terms:
        yield number(side, t=5), process.q_jump(SOME, tensor(0.0), 3, 5).variance


def two_steps_merged() -> Pairs:
    mean, variance = process.q_jump(SOME, tensor(X[3]), 3, 5)
    yield number(rhs("eq-two-steps-merged"), t=5), mean + variance.sqrt() * MERGED


def alpha_bar() -> Pairs:
    yield from ((number(rhs("eq-alpha-bar"), t=n), SOME.alpha_bar(n)) for n in (1, 4, 7))


def induction() -> Pairs:
    before = process.q_sample(SOME, tensor(X[0]), 4, tensor(MERGED))
    after = process.q_step(SOME, before, 5, tensor(EPS[4]))
    _, first, second, third = CLAIMS["eq-induction"].statement()[0].terms
    yield number(first, x=[*X[:4], before.item()], t=5), after
    yield number(second, t=5), after
    yield number(third, t=5), after


def induction_variance() -> Pairs:
    for side in CLAIMS["eq-induction-variance"].statement()[0].terms:
        yield number(side, t=5), process.q_moments(SOME, tensor(X[0]), 5).variance


def closed_form() -> Pairs:
    for n in (1, 5):
        moments = process.q_moments(SOME, tensor(X[0]), n)
        yield from ((number(formula, t=n), value) for formula, value in zip(gaussian("eq-closed-form"), moments))


def one_jump() -> Pairs:
    yield from ((number(rhs("eq-sample"), t=n), process.q_sample(SOME, tensor(X[0]), n, tensor(MERGED))) for n in (1, 5))


def jump() -> Pairs:
    moments = process.q_jump(SOME, tensor(X[2]), 2, 6)
    yield from ((number(formula, s=2, t=6), value) for formula, value in zip(gaussian("eq-jump"), moments))


def variance() -> Pairs:
    formula = rhs("eq-variance").subs(function(r"\operatorname{Var}")(family("x")[0]), 0.4)
    yield number(formula, t=5), process.q_variance(SOME, 5, 0.4)


def snr() -> Pairs:
    yield from ((number(rhs("eq-snr"), t=n), SOME.snr(n)) for n in (1, 7))


def two_points() -> Pairs:
    density = rhs("eq-two-points").replace(function(r"\mathcal{N}"), gaussian_density)
    yield number(density, t=5), exact.two_points().log_prob(SOME, tensor(X[5])[:, None], 5).exp()


def which_point() -> Pairs:
    xt = tensor(X[5])[:, None]
    yield number(rhs("eq-which-point"), t=5), exact.two_points().posterior_mean(SOME, xt, 5)
    # Blurred points: the average over a fine grid of x_0, weighed by Bayes' rule with the density of eq-closed-form.
    blurred = exact.GaussianMixture(exact.two_points().weight, exact.two_points().mean, std=0.4)
    grid = torch.linspace(-4, 4, 8001, dtype=torch.float64)
    prior = sum(torch.distributions.Normal(tensor(point), tensor(0.4)).log_prob(grid).exp() for point in (-1, 1))
    mean, variance = process.q_moments(SOME, grid, 5)
    weight = prior * torch.distributions.Normal(mean, variance.sqrt()).log_prob(xt[0]).exp()
    yield ((weight * grid).sum() / weight.sum()).item(), blurred.posterior_mean(SOME, xt, 5)


def limit_bound() -> Pairs:
    _, product, bound = CLAIMS["eq-limit-bound"].statement()[0].terms
    yield number(product, T=7), SOME.alpha_bar(7)
    assert number(bound, T=7) >= SOME.alpha_bar(7) > 0.5 * number(bound, T=7)


def limit() -> Pairs:
    moments = process.q_moments(constant(0.05, 2000), tensor(X[0]), 2000)
    yield from ((number(formula), value) for formula, value in zip(gaussian("eq-limit"), moments))


def continuous() -> Pairs:
    """With rho a straight line the product is alpha_bar of a linear schedule; 4,000 steps come close to the limit."""
    relation, u = CLAIMS["eq-continuous"].statement()[0], sp.Symbol("u")
    line = sp.Lambda(u, 1 + 2 * u)
    product, end = (side.replace(function(r"\rho"), line).doit() for side in (relation.lhs.args[0], relation.rhs))
    for steps in (7, 4000):
        made = schedule.linear(steps, (1 + 2 / steps) / steps, 3 / steps).alpha_bar(steps)
        if steps == 7:
            yield number(product, T=7), made
        else:
            assert abs(made / float(end) - 1) < 4 / steps


def linear() -> Pairs:
    ends = {family(r"\beta")[1]: 0.002, family(r"\beta")[T]: 0.3}
    made = schedule.linear(7, 0.002, 0.3)
    yield from ((number(rhs("eq-linear").subs(ends), t=n, T=7), made.beta(n)) for n in (1, 3, 7))


def beta_from_alpha_bar() -> Pairs:
    curve = [math.prod(ALPHA[:n]) for n in range(8)]
    made = schedule.from_alpha_bar(lambda u: torch.tensor(curve, dtype=torch.float64)[(u * 7).round().long()], 7)
    yield from ((number(rhs("eq-beta-from-alpha-bar"), t=n), made.beta(n)) for n in (1, 3, 7))


def cosine() -> Pairs:
    ratio, f = CLAIMS["eq-cosine"].statement()
    curve = ratio.rhs.replace(function("f"), lambda u: f.rhs.subs(symbol("u"), u)).subs(symbol(r"\delta"), sp.Rational(8, 1000))
    yield from ((number(curve, t=n, T=7), schedule.cosine_alpha_bar(n / 7)) for n in (0, 3, 6))
    yield from ((number(curve, t=n, T=7), schedule.cosine(7).alpha_bar(n)) for n in (0, 3, 6))  # 7 is capped


def sigmoid() -> Pairs:
    ratio, g = CLAIMS["eq-sigmoid"].statement()
    curve = ratio.rhs.replace(function("g"), lambda z: g.rhs.subs(symbol("z"), z))
    for tau in (1.0, 0.6):
        values = {r"\ell": -3, "r": 3, r"\tau": tau, "T": 7}
        yield from ((number(curve, t=n, **values), schedule.sigmoid_alpha_bar(n / 7, tau=tau)) for n in (0, 3, 6))
    yield number(curve, t=3, **{r"\ell": -3, "r": 3, r"\tau": 1, "T": 7}), schedule.sigmoid(7).alpha_bar(3)


TIES: Ties = {
    "eq-toy-step": toy_step,
    "eq-toy-moments": toy_moments,
    "eq-forward-kernel": forward_kernel,
    "eq-forward-chain": forward_chain,
    "eq-alpha": alpha,
    "eq-forward-step": forward_step,
    "eq-two-steps": two_steps_in_one,
    "eq-complete-square": complete_square,
    "eq-merge": merge,
    "eq-merge-variance": merge_variance,
    "eq-two-steps-merged": two_steps_merged,
    "eq-alpha-bar": alpha_bar,
    "eq-induction": induction,
    "eq-induction-variance": induction_variance,
    "eq-closed-form": closed_form,
    "eq-sample": one_jump,
    "eq-jump": jump,
    "eq-variance": variance,
    "eq-snr": snr,
    "eq-two-points": two_points,
    "eq-which-point": which_point,
    "eq-limit-bound": limit_bound,
    "eq-limit": limit,
    "eq-continuous": continuous,
    "eq-linear": linear,
    "eq-beta-from-alpha-bar": beta_from_alpha_bar,
    "eq-cosine": cosine,
    "eq-sigmoid": sigmoid,
}
