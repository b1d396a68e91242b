"""Ties of chapter 9.

Averages over the data and the noise of a quadratic function are exact with a few nodes of Gauss-Hermite quadrature.
"""

import math
from collections.abc import Callable

import numpy
import sympy as sp
import torch
from torch import Tensor

from diffcourse.algebra import CLAIMS
from diffcourse.algebra.notation import family, function, symbol
from diffcourse.diffusion import bound, exact
from ties import ALPHA, BETA, EPS, SOME, Pairs, Ties, X, constant, number, rhs, tensor

GUESS = 0.7  # what a silly network always says
MEAN, SPREAD = 0.4, 0.3  # of Gaussian data
DATA = exact.GaussianMixture(torch.ones(1, dtype=torch.float64), torch.full((1, 1), MEAN, dtype=torch.float64), math.sqrt(SPREAD))
CHOICES = ("posterior", "beta", torch.tensor([0.02, 0.05, 0.03, 0.4, 0.1, 0.2, 0.6], dtype=torch.float64))
T = len(BETA)


def bar(n: int) -> float:
    return math.prod(ALPHA[:n])


def silly(x: Tensor, t: Tensor) -> Tensor:
    return torch.full_like(x, GUESS)


def perfect(x: Tensor, t: Tensor) -> Tensor:
    return DATA.predict_eps(SOME, x, t)


def tilde(n: int) -> float:
    return (1 - bar(n - 1)) / (1 - bar(n)) * BETA[n - 1]


def variance(n: int, sigma: bound.Sigma) -> float:
    """sigma_n^2, worked out here: beta-tilde_2 in place of beta-tilde_1."""
    if isinstance(sigma, Tensor):
        return sigma[n - 1].item()
    return BETA[n - 1] if sigma == "beta" else tilde(max(n, 2))


def target(n: int, x: float, x0: float) -> float:
    """The mean of q(x_{n-1} | x_n, x_0), by precisions: the step forwards and the closed form each have a say."""
    forwards, before = ALPHA[n - 1] / BETA[n - 1], 1 / (1 - bar(n - 1)) if n > 1 else math.inf
    if n == 1:
        return x0
    return (math.sqrt(ALPHA[n - 1]) / BETA[n - 1] * x + math.sqrt(bar(n - 1)) * before * x0) / (forwards + before)


def guessed(n: int, x: float) -> float:
    """The model's mean when the network says GUESS."""
    return target(n, x, (x - math.sqrt(1 - bar(n)) * GUESS) / math.sqrt(bar(n)))


def filled(expression: sp.Expr, sigma: bound.Sigma = "posterior", x: list[float] = X, **at: float) -> float:
    """`number` for the formulas of this chapter."""
    expression = expression.subs({symbol(name): value for name, value in at.items()}).doit()
    expression = expression.replace(function(r"\tilde\mu"), lambda n, now, start: sp.Float(target(int(n), x[now.indices[0]], x[0])))
    expression = expression.replace(function(r"\mu_\theta"), lambda now, n: sp.Float(guessed(int(n), x[now.indices[0]])))
    families = {
        family(r"\sigma"): lambda n: math.sqrt(variance(n, sigma)),
        family(r"\tilde\beta"): tilde,
        family("V"): lambda n: bar(n) * SPREAD + 1 - bar(n),
    }
    values = {i: families[i.base](int(i.indices[0])) for i in expression.atoms(sp.Indexed) if i.base in families}
    return number(expression.subs(values).subs({symbol("m"): MEAN}), x)


def nodes(count: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    """Standard nodes for x_0 and eps, [count^2, 1] each, and their weights, [count^2]."""
    at, weight = (torch.tensor(v) for v in numpy.polynomial.hermite_e.hermegauss(count))
    weight = weight / weight.sum()
    start, noise = torch.cartesian_prod(at, at).T
    return start[:, None], noise[:, None], torch.outer(weight, weight).flatten()


def over_data(term: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The expectation of term(x_0, eps)."""
    start, noise, weight = nodes()
    return weight @ term(MEAN + math.sqrt(SPREAD) * start, noise)


def model_step() -> Pairs:
    _, mean, covariance = rhs("eq-model-step").args
    for n in (1, 2, 5):
        for sigma in CHOICES:
            step = bound.reverse_step(SOME, silly, tensor(X[n])[None], n, sigma)
            yield filled(mean, sigma, t=n), step.mean
            yield filled(covariance, sigma, t=n), step.variance


def noisy(n: int, eps: float) -> list[float]:
    """X with the x_n that this noise makes of x_0."""
    return [math.sqrt(bar(n)) * X[0] + math.sqrt(1 - bar(n)) * eps if i == n else value for i, value in enumerate(X)]


def term_a() -> Pairs:
    yield filled(rhs("eq-term-a"), T=T), bound.prior_term(SOME, tensor(X[0])[None])


def term_b() -> Pairs:
    for n in (2, 3, 7):
        for sigma in CHOICES:
            term = bound.denoising_term(SOME, silly, tensor(X[0])[None], n, tensor(EPS[n - 1])[None], sigma)
            yield filled(rhs("eq-term-b"), sigma, noisy(n, EPS[n - 1]), t=n), term


def term_b_equal() -> Pairs:
    for n in (2, 3, 7):
        term = bound.denoising_term(SOME, silly, tensor(X[0])[None], n, tensor(EPS[n - 1])[None], "posterior")
        yield filled(rhs("eq-term-b-equal"), "posterior", noisy(n, EPS[n - 1]), t=n), term


def term_c() -> Pairs:
    for sigma in CHOICES:
        term = bound.reconstruction_term(SOME, silly, tensor(X[0])[None], tensor(EPS[0])[None], sigma)
        yield filled(rhs("eq-term-c"), sigma, noisy(1, EPS[0])), term


def bound_abc() -> Pairs:
    x0 = torch.tensor([[X[0]], [X[1]]], dtype=torch.float64)
    told: list[tuple[int, int]] = []
    found = bound.variational_bound(
        SOME, silly, x0, generator=torch.Generator().manual_seed(0), progress=lambda *calls: told.append(calls)
    )
    assert told == [(n, SOME.T) for n in range(1, SOME.T + 1)]
    generator = torch.Generator().manual_seed(0)
    noise = [torch.randn(2, 1, generator=generator, dtype=torch.float64) for _ in range(T)]
    total = CLAIMS["eq-bound-abc"].statement()[0].rhs.subs(symbol("T"), T).doit()
    for i in (0, 1):
        x = [[x0[i].item()] * (T + 1) for _ in range(T + 1)]
        for n in range(1, T + 1):
            eps = noise[n - 2][i].item() if n > 1 else noise[T - 1][i].item()
            x[n][n] = math.sqrt(bar(n)) * x0[i].item() + math.sqrt(1 - bar(n)) * eps
        a = filled(rhs("eq-term-a"), x=x[0], T=T)
        b = {family("B")[n]: filled(rhs("eq-term-b"), x=x[n], t=n) for n in range(2, T + 1)}
        c = filled(rhs("eq-term-c"), x=x[1])
        yield float(total.subs({symbol("A"): a, symbol("C"): c, **b})), found.total[i]
    one = bound.variational_bound(constant(0.3, 1), silly, x0, generator=generator)  # no denoising terms
    yield 0.0, torch.tensor(one.denoising.numel(), dtype=torch.float64)


def piece(k: int, spread: float, mean: float) -> float:
    """The logarithm of the probability of level k by numbers of 40 digits."""
    low, high = cut(k), cut(k + 1)
    values = {symbol(r"\mu"): sp.Float(mean, 40), family(r"\sigma")[1]: sp.sqrt(sp.Float(spread, 40))}
    _, formula = CLAIMS["eq-decoder"].statement()[0].terms[1:]
    formula = formula.subs(symbol("k"), k).subs({family("e")[k]: low, family("e")[k + 1]: high})
    formula = formula.replace(function(r"\mu_\theta"), lambda *_: values[symbol(r"\mu")]).subs(values)
    return float(sp.log(formula.replace(function(r"\Phi"), lambda v: sp.erfc(-v / sp.sqrt(2)) / 2).evalf(40)))


def cut(k: int) -> sp.Expr:
    inner, first, last = (relation.rhs for relation in CLAIMS["eq-decoder-cuts"].statement())
    return {0: first, 256: last}.get(k, inner.subs(symbol("k"), k))


def decoder() -> Pairs:
    mean = guessed(1, X[1])
    for spread in (BETA[0], 4e-4):  # with the second one some levels lie so far away that their probability is no float64
        for k in (0, 1, 80, 174, 254, 255):
            level = torch.tensor(2 * k / 255 - 1, dtype=torch.float64)
            values = (torch.tensor(value, dtype=torch.float64) for value in (mean, spread))
            yield piece(k, spread, mean), bound.grey_level_log_prob(level, *values)
    # The same from x_1 on, as minus a logarithm.
    level = torch.tensor([[2 * 100 / 255 - 1]], dtype=torch.float64)
    x1 = math.sqrt(ALPHA[0]) * level.item() + math.sqrt(BETA[0]) * EPS[0]
    term = bound.reconstruction_term(SOME, silly, level, tensor(EPS[0])[None], "beta", "grey levels")
    yield -piece(100, BETA[0], guessed(1, x1)), term


def decoder_sum() -> Pairs:
    levels = 2 * torch.arange(256, dtype=torch.float64) / 255 - 1
    for mean, spread in ((0.1, 0.01), (-1.3, 0.5), (0.999, 1e-4)):
        mean, spread = (torch.tensor(value, dtype=torch.float64) for value in (mean, spread))
        yield float(rhs("eq-decoder-sum")), bound.grey_level_log_prob(levels, mean, spread).exp().sum()


def bits() -> Pairs:
    values = {symbol("A"): 2.0, symbol("C"): 3.0, family("B")[2]: 0.5, family("B")[3]: 0.25, symbol("d"): 12}
    formula = rhs("eq-bits").subs(symbol("T"), 3).doit().subs(values)
    yield float(formula), bound.bits_per_dim(tensor(5.75), torch.zeros(1, 3, 2, 2))


def recursion(sigma: bound.Sigma) -> tuple[float, float]:
    """M_0 and S_0 by the claim's two lines."""
    mean, spread = 0.0, 1.0
    for n in range(T, 0, -1):
        values = {family("M")[n]: mean, family("S")[n]: spread}
        mean, spread = (filled(rhs("eq-exact-model", i).subs(symbol("t"), n).subs(values), sigma) for i in (0, 1))
    return mean, spread


def exact_model() -> Pairs:
    for sigma in CHOICES:
        yield from zip(recursion(sigma), bound.affine_model(SOME, perfect, sigma))


def exact_mean() -> Pairs:
    yield filled(rhs("eq-exact-mean"), T=T), bound.affine_model(SOME, perfect).mean


def exact_likelihood() -> Pairs:
    for sigma in CHOICES:
        mean, spread = recursion(sigma)
        formula = filled(rhs("eq-exact-likelihood").subs({family("M")[0]: mean, family("S")[0]: spread}))
        law = bound.affine_model(SOME, perfect, sigma)
        normal = torch.distributions.Normal(law.mean[0], law.variance[0].sqrt())
        yield formula, over_data(lambda x0, eps: -normal.log_prob(x0)[:, 0])


def exact_a() -> Pairs:
    yield filled(rhs("eq-exact-a"), T=T), over_data(lambda x0, eps: bound.prior_term(SOME, x0))


def exact_b() -> Pairs:
    for n in (2, 4, 7):
        for sigma in CHOICES:
            term = over_data(lambda x0, eps: bound.denoising_term(SOME, perfect, x0, n, eps, sigma))
            yield filled(rhs("eq-exact-b"), sigma, t=n), term


def exact_c() -> Pairs:
    for sigma in CHOICES:
        yield filled(rhs("eq-exact-c"), sigma), over_data(lambda x0, eps: bound.reconstruction_term(SOME, perfect, x0, eps, sigma))


def exact_bound() -> Pairs:
    best = torch.tensor([filled(rhs("eq-exact-sigma"), t=n) for n in range(1, T + 1)], dtype=torch.float64)
    end = bar(T) * SPREAD + 1 - bar(T)
    distance = (bar(T) * MEAN**2 + end - 1 - math.log(end)) / 2  # of q(x_T) from the prior
    formula = filled(rhs("eq-exact-bound").replace(function(r"D_{\mathrm{KL}}"), lambda *_: sp.Float(distance)))
    x0, _, weight = nodes()
    x0 = MEAN + math.sqrt(SPREAD) * x0

    # `variational_bound` draws its noise; what it draws is replaced by the nodes of the quadrature.
    def by_nodes() -> Tensor:
        draw, bound.standard_normal_like = bound.standard_normal_like, lambda x, generator: nodes()[1]
        try:
            return weight @ bound.variational_bound(SOME, perfect, x0, generator=torch.Generator(), sigma=best).total
        finally:
            bound.standard_normal_like = draw

    yield formula, by_nodes()


TIES: Ties = {
    "eq-model-step": model_step,
    "eq-bound-abc": bound_abc,
    "eq-term-a": term_a,
    "eq-term-b": term_b,
    "eq-term-b-equal": term_b_equal,
    "eq-term-c": term_c,
    "eq-decoder-cuts": decoder,
    "eq-decoder": decoder,
    "eq-decoder-sum": decoder_sum,
    "eq-bits": bits,
    "eq-exact-model": exact_model,
    "eq-exact-mean": exact_mean,
    "eq-exact-likelihood": exact_likelihood,
    "eq-exact-a": exact_a,
    "eq-exact-b": exact_b,
    "eq-exact-c": exact_c,
    "eq-exact-bound": exact_bound,
}
