"""Ties of chapter 2."""

import math

import sympy as sp
import torch

from diffcourse.algebra import CLAIMS
from diffcourse.algebra.gaussians import _Matrices, any_polynomial, c, expectation
from diffcourse.algebra.latex import Int
from diffcourse.algebra.notation import family, function, matrix, symbol
from diffcourse.algebra.proving import gaussian_density
from diffcourse.diffusion import gaussian
from ties import Pairs, Ties, rhs

MU, SIGMA, X, EPS, A, B = 0.7, 1.3, -0.4, 1.1, 1.7, 0.45
MUS, SIGMAS = {1: 0.7, 2: -1.1, 3: 0.2}, {1: 1.3, 2: 0.6, 3: 2.1}
POINT = {"x": X, r"\mu": MU, r"\sigma": SIGMA, r"\epsilon": EPS, "a": A, "b": B}
x = symbol("x")
N, KL = function(r"\mathcal{N}"), function(r"D_{\mathrm{KL}}")


def value(expression: sp.Expr, **at: float) -> float:
    """The expression at the numbers above; `at` names others."""
    families = {family(r"\mu"): MUS, family(r"\sigma"): SIGMAS}
    numbers = {item: families[item.base][int(item.indices[0])] for item in expression.atoms(sp.Indexed)}
    expression = expression.xreplace(numbers)
    return float(expression.xreplace({symbol(name): sp.Float(number, 40) for name, number in (POINT | at).items()}).evalf(30))


def number(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def area(weight: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """The integral over a grid that reaches far out: for smooth bells the trapezoidal sum is exact to rounding."""
    return weight.sum() * (grid[1] - grid[0])


GRID = torch.linspace(-60, 60, 12_001, dtype=torch.float64)


def bell(x: torch.Tensor = GRID, n: int | None = None) -> torch.Tensor:
    """The density at x of the Gaussian of number n, or of the one without a number."""
    mean, deviation = (MUS[n], SIGMAS[n]) if n else (MU, SIGMA)
    return gaussian.log_density(x, mean, number(deviation) ** 2).exp()


def gauss_density() -> Pairs:
    for at in (X, 2.9):
        yield value(rhs("eq-gauss-density"), x=at), gaussian.log_density(at, MU, number(SIGMA) ** 2).exp()


def gauss_normalised() -> Pairs:
    yield value(rhs("eq-gauss-normalised")), area(bell(), GRID)


def gauss_moments() -> Pairs:
    yield value(rhs("eq-gauss-moments", 0)), area(GRID * bell(), GRID)
    yield value(rhs("eq-gauss-moments", 1)), area((GRID - MU) ** 2 * bell(), GRID)


def affine() -> Pairs:
    mean, variance = (value(part) for part in rhs("eq-affine", 1).args)
    there = value(CLAIMS["eq-affine"].statement()[1].lhs)
    yield math.exp(-((there - mean) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi * variance), bell(number(X)) / A


def standardise() -> Pairs:
    there = value(CLAIMS["eq-standardise"].statement()[1].lhs)
    yield math.exp(-(there**2) / 2) / math.sqrt(2 * math.pi), bell(number(X)) * SIGMA


def reparameterise() -> Pairs:
    yield value(rhs("eq-reparameterise")), gaussian.reparameterise(MU, number(SIGMA) ** 2, number(EPS))


def sum_of_two() -> Pairs:
    mean, variance = (value(part) for part in rhs("eq-sum").args)
    noise = number([1.0, -1.0])  # of mean 0 and variance 1
    first, second = (gaussian.reparameterise(MUS[n], number(SIGMAS[n]) ** 2, noise) for n in (1, 2))
    sums = first[:, None] + second[None]  # every combination: independent
    yield mean, sums.mean()
    yield variance, sums.var(correction=0)


def two(n: int) -> tuple[float, torch.Tensor]:
    return MUS[n], number(SIGMAS[n]) ** 2


def precision() -> Pairs:
    made, _ = gaussian.product(*two(1), *two(2))
    yield 1 / value(rhs("eq-precision", 0)), made.variance
    yield value(rhs("eq-precision", 1), **{r"\sigma": made.variance.sqrt().item()}), made.mean


def weights() -> Pairs:
    yield value(rhs("eq-weights")), gaussian.product(*two(1), *two(2))[0].mean


def gauss_product() -> Pairs:
    (mean, variance), log_area = gaussian.product(*two(1), *two(2))
    made = {r"\mu": mean.item(), r"\sigma": variance.sqrt().item()}
    for side in CLAIMS["eq-gauss-product"].statement()[0].terms:
        yield value(side.replace(N, gaussian_density), **made), bell(number(X), 1) * bell(number(X), 2)
        yield value(side.replace(N, gaussian_density), **made), (log_area + gaussian.log_density(X, mean, variance)).exp()


def entropy() -> Pairs:
    yield value(rhs("eq-entropy")), gaussian.entropy(number(SIGMA) ** 2)
    yield value(rhs("eq-entropy")), -area(bell() * gaussian.log_density(GRID, MU, number(SIGMA) ** 2), GRID)


def kl() -> Pairs:
    """The integral and the expectation, over a grid: the logarithms are those of the package."""
    logs = {function(name)(x): sp.Symbol(f"log_{name}") for name in "qp"}
    first, second = (gaussian.log_density(GRID, *two(n)) for n in (1, 2))
    _, integral, mean = CLAIMS["eq-kl"].statement()[0].terms
    for body in (integral.args[0] / function("q")(x), mean.args[0]):
        body = sp.expand_log(body.subs({d: sp.exp(s) for d, s in logs.items()}), force=True)
        gap = sp.lambdify(list(logs.values()), body, "math")
        yield area(first.exp() * gap(first, second), GRID).item(), gaussian.kl_gaussians(*two(1), *two(2))


def kl_positive() -> Pairs:
    """Minus the divergence and the integral that equals it; the bound above holds as well."""
    grid = GRID[(GRID > -15) & (GRID < 15)]  # where neither density is zero in float64
    first, second = (bell(grid, n) for n in (1, 2))
    divergence = gaussian.kl_gaussians(*two(1), *two(2))
    _, integral, above, split, zero = CLAIMS["eq-kl-positive"].statement()[0].terms

    def on_grid(term: sp.Expr) -> float:
        def one(body: sp.Expr, _: sp.Expr) -> sp.Expr:
            q, p = sp.symbols("q p")
            run = sp.lambdify((q, p), body.subs({function("q")(x): q, function("p")(x): p}), {"log": torch.log})
            return sp.Float(area(run(first, second), grid).item(), 40)

        return float(term.replace(Int, one))

    yield on_grid(integral), -divergence
    assert on_grid(integral) <= on_grid(above) + 1e-12
    assert abs(on_grid(split) - float(zero)) < 1e-12


def log_ratio() -> Pairs:
    yield value(rhs("eq-log-ratio")), gaussian.log_density(X, *two(1)) - gaussian.log_density(X, *two(2))


def kl_univariate() -> Pairs:
    yield value(rhs("eq-kl-univariate")), gaussian.kl_gaussians(*two(1), *two(2))


def kl_equal() -> Pairs:
    yield value(rhs("eq-kl-equal")), gaussian.kl_gaussians(MUS[1], number(SIGMA) ** 2, MUS[2], number(SIGMA) ** 2)


def three() -> tuple[torch.Tensor, torch.Tensor]:
    return number(list(MUS.values())), number(list(SIGMAS.values())) ** 2


def kl_diagonal() -> Pairs:
    """The product's divergence, from the covariance matrices, and the sum of those of the components."""
    means, variances = three()
    other = means.flip(0), variances.flip(0)
    said = rhs("eq-kl-diagonal").subs(symbol("d"), 3).doit()
    place = family("x")
    each = gaussian.kl_gaussians(means, variances, *other)
    parts = {KL(function("q")(place[n]), function("p")(place[n])): each[n - 1].item() for n in (1, 2, 3)}
    yield float(said.subs(parts)), gaussian.kl_full(means, variances.diag(), other[0], other[1].diag())


def kl_standard() -> Pairs:
    yield value(rhs("eq-kl-standard").subs(symbol("d"), 3).doit()), gaussian.kl_gaussians(*three(), 0.0, 1.0).sum()


def kl_full() -> Pairs:
    means = number([0.3, -0.8]), number([1.1, 0.4])
    covariances = number([[1.3, 0.5], [0.5, 0.7]]), number([[0.9, -0.2], [-0.2, 1.6]])
    values = {matrix(r"\boldsymbol\mu", n + 1): sp.Matrix(means[n].tolist()) for n in (0, 1)}
    values |= {matrix(r"\Sigma", n + 1): sp.Matrix(covariances[n].tolist()) for n in (0, 1)}
    said = _Matrices(values)(rhs("eq-kl-full").subs(symbol("d"), 2))
    yield float(said), gaussian.kl_full(means[0], covariances[0], means[1], covariances[1])
    many = [part.expand(3, *part.shape) for pair in zip(means, covariances) for part in pair]
    yield float(said), gaussian.kl_full(*many)[2]


COEFFICIENTS = (0.4, -0.7, 1.2, 0.3, -0.25)


def quartic(x: torch.Tensor) -> torch.Tensor:
    return sum(k * x**n for n, k in enumerate(COEFFICIENTS))


def estimate(estimator: str) -> torch.Tensor:
    """The mean of the estimator over eps, by a fine grid in place of draws."""
    grid = torch.linspace(-14, 14, 4001, dtype=torch.float64)
    draws = getattr(gaussian, estimator)(quartic, number(MU), number(SIGMA) ** 2, grid)
    return area(draws * gaussian.log_density(grid, 0.0, 1.0).exp(), grid)


def gradient(label: str, estimator: str) -> Pairs:
    expected = expectation(rhs(label, 0)).subs(dict(zip(c, COEFFICIENTS)))
    yield value(expected), estimate(estimator)


def gauss_score() -> Pairs:
    variance = number(SIGMA) ** 2
    yield value(rhs("eq-gauss-score", 0)), gaussian.score(X, MU, variance)
    leaves = [number(v).requires_grad_() for v in (X, MU, SIGMA)]
    slopes = torch.autograd.grad(gaussian.log_density(leaves[0], leaves[1], leaves[2] ** 2), leaves)
    for n, slope in enumerate(slopes):
        yield value(rhs("eq-gauss-score", n)), slope


def gradient_variance() -> Pairs:
    grid = torch.linspace(-14, 14, 4001, dtype=torch.float64)
    weight = gaussian.log_density(grid, 0.0, 1.0).exp()
    for n, estimator in enumerate((gaussian.reparameterised_gradient, gaussian.score_gradient)):
        draws = estimator(torch.square, number(MU), number(SIGMA) ** 2, grid)
        mean = area(draws * weight, grid)
        yield value(rhs("eq-gradient-variance", n)), area((draws - mean) ** 2 * weight, grid)


TIES: Ties = {
    "eq-gauss-density": gauss_density,
    "eq-gauss-normalised": gauss_normalised,
    "eq-gauss-moments": gauss_moments,
    "eq-affine": affine,
    "eq-standardise": standardise,
    "eq-reparameterise": reparameterise,
    "eq-sum": sum_of_two,
    "eq-precision": precision,
    "eq-weights": weights,
    "eq-gauss-product": gauss_product,
    "eq-entropy": entropy,
    "eq-kl": kl,
    "eq-kl-positive": kl_positive,
    "eq-log-ratio": log_ratio,
    "eq-kl-univariate": kl_univariate,
    "eq-kl-equal": kl_equal,
    "eq-kl-diagonal": kl_diagonal,
    "eq-kl-standard": kl_standard,
    "eq-kl-full": kl_full,
    "eq-reparameterised-gradient": lambda: gradient("eq-reparameterised-gradient", "reparameterised_gradient"),
    "eq-score-gradient": lambda: gradient("eq-score-gradient", "score_gradient"),
    "eq-gauss-score": gauss_score,
    "eq-gradient-variance": gradient_variance,
}
