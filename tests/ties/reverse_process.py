"""Ties of chapter 8."""

import math
from collections.abc import Iterator

import sympy as sp
import torch
from torch import Tensor

from diffcourse.algebra import CLAIMS
from diffcourse.algebra.latex import Lim
from diffcourse.algebra.notation import family, function, symbol
from diffcourse.algebra.proving import gaussian_density
from diffcourse.diffusion import exact, process
from diffcourse.diffusion.schedule import Schedule
from ties import ALPHA, BETA, MERGED, SOME, Pairs, Ties, X, constant, gaussian, number, rhs, tensor

t, k, K = symbol("t"), symbol("k"), symbol("K")
q, N, E, Var = (function(name) for name in ("q", r"\mathcal{N}", r"\mathbb{E}", r"\operatorname{Var}"))
mu, beta_tilde = function(r"\tilde\mu"), family(r"\tilde\beta")
x = family("x")
STEP = 5
X0, BEFORE, NOW = X[0], X[STEP - 1], X[STEP]
BAR = [math.prod(ALPHA[:n]) for n in range(len(ALPHA) + 1)]


# Data: any mixture, its special cases, and what the formulas call them

WEIGHT, PLACE, WIDTH = [0.2, 0.5, 0.3], [-1.1, 0.3, 1.6], 0.4
MIXTURE = exact.GaussianMixture(torch.tensor(WEIGHT, dtype=torch.float64), torch.tensor(PLACE, dtype=torch.float64)[:, None], WIDTH)


def one_gaussian(mean: float, std: float) -> exact.GaussianMixture:
    return exact.GaussianMixture(torch.ones(1, dtype=torch.float64), torch.tensor([[mean]], dtype=torch.float64), std)


def points(places: list[float]) -> exact.GaussianMixture:
    share = torch.full((len(places),), 1 / len(places), dtype=torch.float64)
    return exact.GaussianMixture(share, torch.tensor(places, dtype=torch.float64)[:, None], std=0.0)


def reverse(data: exact.GaussianMixture, n: int = STEP, now: float = NOW) -> exact.ReverseConditional:
    return data.reverse_conditional(SOME, torch.tensor([[now]], dtype=torch.float64), n)


def density(data: exact.GaussianMixture, n: int = STEP) -> Tensor:
    """q(x_{n-1} | x_n) at the numbers X."""
    return reverse(data, n, X[n]).log_prob(torch.tensor([[X[n - 1]]], dtype=torch.float64)).exp()


def filled(expression: sp.Expr, n: int = STEP) -> sp.Expr:
    """The data's numbers, the posterior's mean and variance by the claims' own formulas, and every N(...) written out."""
    mean_formula, variance_formula = rhs("eq-posterior-mean"), rhs("eq-beta-tilde")
    expression = expression.subs(K, len(WEIGHT)).doit().subs(t, n)
    expression = expression.replace(mu, lambda m, now, start: mean_formula.subs({x[t]: now, x[0]: start}, simultaneous=True).subs(t, m))
    expression = expression.replace(lambda e: isinstance(e, sp.Indexed) and e.base == beta_tilde, lambda e: variance_formula.subs(t, e.indices[0]))
    expression = expression.subs({family("m")[i + 1]: place for i, place in enumerate(PLACE)})
    expression = expression.subs({family("w")[i + 1]: share for i, share in enumerate(WEIGHT)})
    expression = expression.subs({symbol("m"): PLACE[0], symbol("c"): WIDTH})  # after m_k: SymPy would put it there too
    spread = rhs("eq-component-variance").subs(symbol("c"), WIDTH)
    expression = expression.replace(lambda e: isinstance(e, sp.Indexed) and e.base == family("V"), lambda e: spread.subs(t, e.indices[0]))
    return expression.subs(symbol("I"), 1).replace(N, gaussian_density)


def value(expression: sp.Expr, n: int = STEP) -> float:
    return number(filled(expression, n), t=n)


# One step backwards


def reverse_bayes() -> Pairs:
    before, now = (torch.tensor([[X[n]]], dtype=torch.float64) for n in (STEP - 1, STEP))
    kernel = gaussian_density(X[STEP], math.sqrt(ALPHA[STEP - 1]) * X[STEP - 1], BETA[STEP - 1])
    known = {
        q(x[t], sp.Tuple(x[t - 1])): kernel,
        q(x[t - 1]): MIXTURE.log_prob(SOME, before, STEP - 1).exp().item(),
        q(x[t]): MIXTURE.log_prob(SOME, now, STEP).exp().item(),
    }
    yield float(rhs("eq-reverse-bayes").subs(known, simultaneous=True)), density(MIXTURE)


def toy_reverse() -> Pairs:
    conditional = reverse(one_gaussian(0.0, 1.0))
    mean, variance = gaussian("eq-toy-reverse")
    yield value(mean), conditional.mean
    yield value(variance), conditional.variance


def marginal() -> Pairs:
    now = torch.tensor([[NOW]], dtype=torch.float64)
    closed_form = rhs("eq-closed-form").subs(symbol("I"), 1).replace(N, gaussian_density)
    integrand = rhs("eq-marginal").args[0].subs(q(x[t], sp.Tuple(x[0])), closed_form)
    prior = sum(w * gaussian_density(x[0], place, WIDTH**2) for w, place in zip(WEIGHT, PLACE))
    integrand = integrand.subs(q(x[0]), prior).subs(t, STEP).subs({x[STEP]: NOW, family(r"\bar\alpha")[STEP]: BAR[STEP]})
    grid = torch.linspace(-6, 6, 2001, dtype=torch.float64)  # the rule's error is far below 1e-12 for a bell
    values = sp.lambdify(x[0], integrand, modules=[{"exp": torch.exp, "sqrt": math.sqrt, "pi": math.pi}, "math"])(grid)
    yield float(values.sum() * (grid[1] - grid[0])), MIXTURE.log_prob(SOME, now, STEP).exp()


def data_sum() -> Pairs:
    for n in (1, STEP):
        yield value(rhs("eq-data-sum"), n), points(PLACE).log_prob(SOME, torch.tensor([[X[n]]], dtype=torch.float64), n).exp()


# With x_0


def log_posterior(n: int = STEP) -> Tensor:
    mean, variance = process.q_posterior(SOME, tensor(X0), tensor(X[n]), n)
    return torch.distributions.Normal(mean, variance.sqrt()).log_prob(tensor(X[n - 1]))


def bayes_x0() -> Pairs:
    kernel = gaussian_density(X[STEP], math.sqrt(ALPHA[STEP - 1]) * BEFORE, BETA[STEP - 1])
    known = {q(x[t], sp.Tuple(x[t - 1])): kernel, q(x[t], sp.Tuple(x[t - 1], x[0])): kernel}
    for n, name in ((STEP, t), (STEP - 1, t - 1)):
        known[q(x[name], sp.Tuple(x[0]))] = gaussian_density(X[n], math.sqrt(BAR[n]) * X0, 1 - BAR[n])
    for term in CLAIMS["eq-bayes-x0"].statement()[0].terms[1:]:
        yield float(term.subs(known, simultaneous=True)), log_posterior().exp()


def posterior_exponent() -> Pairs:
    yield from ((value(rhs("eq-posterior-exponent"), n), -2 * log_posterior(n)) for n in (2, STEP))


def posterior(n: int) -> process.Gaussian:
    return process.q_posterior(SOME, tensor(X0), tensor(X[n]), n)


def posterior_precision() -> Pairs:
    for term in CLAIMS["eq-posterior-precision"].statement()[0].terms[1:]:
        yield value(term), 1 / posterior(STEP).variance


def posterior_variance() -> Pairs:
    yield from ((value(rhs("eq-beta-tilde"), n), posterior(n).variance) for n in (1, 2, STEP))
    # From t to any earlier s it is the same formula for the chain that takes both steps as one.
    merged = Schedule(torch.tensor([1 - BAR[2], 1 - BAR[6] / BAR[2]], dtype=torch.float64))
    long, short = (process.q_posterior(*arguments) for arguments in ((SOME, tensor(X0), tensor(NOW), 6, 2), (merged, tensor(X0), tensor(NOW), 2)))
    yield from ((one.item(), other) for one, other in zip(short, long))


def posterior_mean() -> Pairs:
    yield from ((value(rhs("eq-posterior-mean"), n), posterior(n).mean) for n in (1, 2, STEP))


def normaliser() -> Pairs:
    integral, right = CLAIMS["eq-normaliser"].statement()[0].terms
    grid = torch.linspace(-9, 9, 4001, dtype=torch.float64)
    written = {
        q(x[t], sp.Tuple(x[t - 1])): gaussian_density(NOW, math.sqrt(ALPHA[STEP - 1]) * x[t - 1], BETA[STEP - 1]),
        q(x[t - 1], sp.Tuple(x[0])): gaussian_density(x[t - 1], math.sqrt(BAR[STEP - 1]) * X0, 1 - BAR[STEP - 1]),
    }
    integrand = integral.args[0].subs(written, simultaneous=True).subs(integral.args[1], symbol("y"))
    values = sp.lambdify(symbol("y"), integrand, modules=[{"exp": torch.exp, "sqrt": math.sqrt, "pi": math.pi}, "math"])(grid)
    assert right == q(x[t], sp.Tuple(x[0]))
    here = process.q_moments(SOME, tensor(X0), STEP)
    density = torch.distributions.Normal(here.mean, here.variance.sqrt()).log_prob(tensor(NOW)).exp()
    yield float(values.sum() * (grid[1] - grid[0])), density


def posterior_law() -> Pairs:
    yield from ((value(rhs("eq-posterior"), n), log_posterior(n).exp()) for n in (2, STEP))


# In other words


def mean_in_eps() -> Pairs:
    for n in (1, STEP):
        start = process.predict_x0(SOME, tensor(X[n]), n, tensor(MERGED))
        yield value(rhs("eq-posterior-mean-eps"), n), process.q_posterior(SOME, start, tensor(X[n]), n).mean


def mean_in_v() -> Pairs:
    for n in (1, STEP):
        start = process.x0_from_v(SOME, tensor(X[n]), n, tensor(0.7))
        yield value(rhs("eq-posterior-mean-v").subs(symbol("v"), sp.Rational(7, 10)), n), process.q_posterior(SOME, start, tensor(X[n]), n).mean


def ratio() -> Pairs:
    first, last = CLAIMS["eq-beta-tilde-ratio"].statement()
    assert last.lhs.func == Lim
    yield number(first.rhs), posterior(1).variance / SOME.beta(1)
    long = constant(0.1, 400)
    yield number(last.rhs), process.q_posterior(long, tensor(X0), tensor(NOW), 400).variance / long.beta(400)


# The truth


def component_variance() -> Pairs:
    yield from ((value(rhs("eq-component-variance"), n), process.q_variance(SOME, n, WIDTH**2)) for n in (1, STEP))


def reverse_gaussian() -> Pairs:
    mean, variance = gaussian("eq-reverse-gaussian")
    for n in (1, STEP):
        conditional = reverse(one_gaussian(PLACE[0], WIDTH), n, X[n])
        yield value(mean, n), conditional.mean
        yield value(variance, n), conditional.variance


def reverse_two_points() -> Pairs:
    for n in (2, STEP):
        guess = number(rhs("eq-which-point"), t=n)
        yield value(rhs("eq-reverse-two-points").subs(E(x[0], sp.Tuple(x[t])), guess), n), density(exact.two_points(), n)


def shares(n: int = STEP) -> list[float]:
    return [value(rhs("eq-which-component").subs(k, i + 1), n) for i in range(len(WEIGHT))]


def which_component() -> Pairs:
    for n in (1, STEP):
        truth = MIXTURE.responsibility(SOME, torch.tensor([[X[n]]], dtype=torch.float64), n)[0]
        yield from zip(shares(n), truth)


def reverse_mixture() -> Pairs:
    for n in (2, STEP):
        known = {family("r")[i + 1]: share for i, share in enumerate(shares(n))}
        formula = rhs("eq-reverse-mixture").subs(K, len(WEIGHT)).doit().subs(known)
        yield value(formula, n), density(MIXTURE, n)
    # Every image has its own t, and two dimensions share one component's weight.
    plane = exact.GaussianMixture(MIXTURE.weight, torch.cat([MIXTURE.mean, MIXTURE.mean.flip(0)], 1), WIDTH)
    now = torch.tensor([[NOW, 0.2], [X[2], -0.7]], dtype=torch.float64)
    both = plane.reverse_conditional(SOME, now, torch.tensor([STEP, 2]))
    for row, n in enumerate((STEP, 2)):
        alone = plane.reverse_conditional(SOME, now[row : row + 1], n)
        grid = torch.tensor([[0.1, 0.4]], dtype=torch.float64)
        yield alone.log_prob(grid).item(), both.log_prob(grid)[row]
        marginal = MIXTURE.reverse_conditional(SOME, now[row : row + 1, :1], n)
        yield marginal.mean[0, 1, 0].item(), both.mean[row, 1, 0]
        # The density of the second component given the first, summed by hand.
        by_hand = sum(
            w * gaussian_density(0.1, float(a), float(variance)) * gaussian_density(0.4, float(b), float(variance))
            for w, (a, b), variance in zip(both.weight[row].tolist(), both.mean[row].tolist(), both.variance.expand(2, 3)[row].tolist())
        )
        yield float(by_hand), both.log_prob(grid)[row].exp()


def of_start() -> Iterator[tuple[exact.GaussianMixture, float, float]]:
    """Data, E[x_0 | x_t] and Var[x_0 | x_t] at STEP, for points (all doubt is in the weights)."""
    for places in ([-1.0, 1.0], PLACE):
        data = points(places)
        share = data.responsibility(SOME, torch.tensor([[NOW]], dtype=torch.float64), STEP)[0].tolist()
        mean = sum(r * place for r, place in zip(share, places))
        yield data, mean, sum(r * (place - mean) ** 2 for r, place in zip(share, places))


def reverse_mean() -> Pairs:
    for data, guess, _ in of_start():
        yield value(rhs("eq-reverse-mean").subs(E(x[0], sp.Tuple(x[t])), guess)), reverse(data).moments().mean


def reverse_variance() -> Pairs:
    for data, _, doubt in of_start():
        yield value(rhs("eq-reverse-variance").subs(Var(x[0], sp.Tuple(x[t])), doubt)), reverse(data).moments().variance


def separation() -> Pairs:
    conditional = reverse(exact.two_points())
    gap = conditional.mean[0, 1] - conditional.mean[0, 0]
    for side in CLAIMS["eq-separation"].statement()[0].terms:
        yield value(side), gap.square() / conditional.variance


TIES: Ties = {
    "eq-reverse-bayes": reverse_bayes,
    "eq-toy-reverse": toy_reverse,
    "eq-marginal": marginal,
    "eq-data-sum": data_sum,
    "eq-bayes-x0": bayes_x0,
    "eq-posterior-exponent": posterior_exponent,
    "eq-posterior-precision": posterior_precision,
    "eq-beta-tilde": posterior_variance,
    "eq-posterior-mean": posterior_mean,
    "eq-normaliser": normaliser,
    "eq-posterior": posterior_law,
    "eq-posterior-mean-eps": mean_in_eps,
    "eq-posterior-mean-v": mean_in_v,
    "eq-beta-tilde-ratio": ratio,
    "eq-component-variance": component_variance,
    "eq-reverse-gaussian": reverse_gaussian,
    "eq-reverse-two-points": reverse_two_points,
    "eq-which-component": which_component,
    "eq-reverse-mixture": reverse_mixture,
    "eq-reverse-mean": reverse_mean,
    "eq-reverse-variance": reverse_variance,
    "eq-separation": separation,
}
