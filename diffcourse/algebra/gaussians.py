"""The claims of chapter 2, Gaussians, in the order of the chapter.

The proofs rest on integrals. `mean_of` knows the moments of the standard Gaussian from SymPy's own integrator;
`integrate_gaussian` completes the square; what they have in common is only the density.
"""

from collections.abc import Callable
from functools import cache, reduce
from typing import Literal

import sympy as sp
from sympy import Expr

from diffcourse.algebra.claim import Claim, NearMiss, Refuted, Statement
from diffcourse.algebra.latex import Grad, Int, Over, Relation, Slope, Transposed
from diffcourse.algebra.notation import family, function, matrix, symbol
from diffcourse.algebra.proving import gaussian_density, integrate_gaussian, only, plain, require, require_equal, require_positive

mus, sigmas, xs = family(r"\mu"), family(r"\sigma"), family("x")
x, y, a, b, mu, sigma, eps = (symbol(name) for name in ("x", "y", "a", "b", r"\mu", r"\sigma", r"\epsilon"))
i, d = symbol("i"), symbol("d")
p, q, N, E, Var, KL, H, f = (
    function(name) for name in ("p", "q", r"\mathcal{N}", r"\mathbb{E}", r"\operatorname{Var}", r"D_{\mathrm{KL}}", "H", "f")
)
GAUSSIAN = "diffcourse.diffusion.gaussian"
half = sp.Rational(1, 2)


@cache
def standard_moment(n: int) -> Expr:
    """E[z^n] of a standard Gaussian z, by SymPy's integrator."""
    z = sp.Symbol("z", real=True)
    return sp.integrate(z**n * sp.exp(-(z**2) / 2), (z, -sp.oo, sp.oo)) / sp.sqrt(2 * sp.pi)


def mean_of(expression: Expr, variable: Expr, mean: Expr, deviation: Expr) -> Expr:
    """E[expression], a polynomial in the variable, for variable ~ N(mean, deviation^2)."""
    z = sp.Dummy("z")
    polynomial = sp.Poly(sp.expand(expression.subs(variable, mean + deviation * z)), z)
    return sum(k * standard_moment(n) for (n,), k in polynomial.terms())


def log_density(at: Expr, mean: Expr, deviation: Expr) -> Expr:
    """log N(at; mean, deviation^2)."""
    return -((at - mean) ** 2) / (2 * deviation**2) - sp.log(deviation) - sp.log(2 * sp.pi) / 2


def divergence(first: tuple[Expr, Expr], second: tuple[Expr, Expr]) -> Expr:
    """D_KL between two Gaussians, each (mean, deviation): log q - log p, averaged over q."""
    return mean_of(log_density(x, *first) - log_density(x, *second), x, *first)


def law(relation: Relation) -> tuple[Expr, Expr]:
    """Mean and variance on the right of .. ~ N(mean, variance), one component."""
    require(relation.ops == ("~",) and relation.rhs.func == N and len(relation.rhs.args) == 2, "not the law of one number")
    return relation.rhs.args


def equation(statement: Statement, lhs: Expr) -> Expr:
    """The right side of lhs = ..."""
    relation = only(statement)
    require(relation.ops == ("=",) and relation.lhs == lhs, f"the left side is not {lhs}")
    return relation.rhs


def require_density(relation: Relation, density: Expr) -> None:
    """Require that a law on the right has this density, given at `relation.lhs`."""
    require_equal(sp.log(density), sp.log(gaussian_density(relation.lhs, *law(relation))), "the logarithms of the densities")


# The density


def gauss_density(statement: Statement) -> None:
    density = equation(statement, N(x, mu, sigma**2))
    require_equal(sp.diff(sp.expand_log(sp.log(density), force=True), x, 3), 0, "the third derivative of the logarithm and 0")
    require_equal(integrate_gaussian(density, x), 1, "the area and 1")
    require_equal(integrate_gaussian(x * density, x), mu, "the mean and mu")
    require_equal(integrate_gaussian((x - mu) ** 2 * density, x), sigma**2, "the variance and sigma^2")


def polar(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",) * 3, "three equalities, please")
    square, plane, rings, value = relation.terms
    line, exponent = square.as_base_exp()
    require(exponent == 2 and line.func == Int and line.args[1] == x, "the left side is not the square of an integral over x")
    curve = line.args[0]
    inner, outer = plane.args
    require(plane.func == Int and inner.func == Int and (inner.args[1], outer) == (x, y), "not an integral over the plane")
    hill = inner.args[0]
    require_equal(hill, curve * curve.subs(x, y), "the integrand in the plane and the product of two curves")
    r, phi = symbol("r"), symbol(r"\phi")
    require(rings.func == sp.Integral and len(rings.limits) == 2, "not a double integral")
    require(rings.limits[0] == sp.Tuple(r, 0, sp.oo), "the radius does not run from 0 to infinity")
    require(rings.limits[1] == sp.Tuple(phi, 0, 2 * sp.pi), "the angle does not go once round")
    place = sp.Matrix([r * sp.cos(phi), r * sp.sin(phi)])
    area = sp.simplify(place.jacobian([r, phi]).det())
    require_equal(rings.function, sp.simplify(hill.subs({x: place[0], y: place[1]})) * area, "the integrand in polar coordinates")
    require_equal(value, rings.doit(), "the value and the integral over the rings")
    require_equal(value, sp.integrate(curve, (x, -sp.oo, sp.oo)) ** 2, "the value and the square of SymPy's integral")


def gauss_normalised(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",) and relation.lhs == Int(N(x, mu, sigma**2), x), "not the integral of the density")
    density = gaussian_density(mu + sigma * y, mu, sigma**2) * sigma  # x = mu + sigma y
    require_equal(relation.rhs, sp.integrate(sp.simplify(density), (y, -sp.oo, sp.oo)), "the area")


def gauss_moments(statement: Statement) -> None:
    require(len(statement) == 2, "mean and variance, please")
    for relation, name in zip(statement, (E(x), Var(x))):
        require(relation.ops == ("=", "=") and relation.lhs == name, f"the left side is not {name}")
        body, variable = relation.terms[1].args
        require(relation.terms[1].func == Int and variable == x, "not an integral over x")
        require(body.atoms(N) == {N(x, mu, sigma**2)}, "the density is not N(x; mu, sigma^2)")
        require_equal(relation.rhs, integrate_gaussian(body.replace(N, gaussian_density), x), "the moment and the integral")
    mean = mean_of(x, x, mu, sigma)
    require_equal(statement[0].rhs, mean, "the mean")
    require_equal(statement[1].rhs, mean_of((x - mean) ** 2, x, mu, sigma), "the variance")


DENSITY = (
    Claim(
        "eq-gauss-density",
        r"\mathcal{N}(x; \mu, \sigma^2) = \frac{1}{\sqrt{2\pi\sigma^2}} \exp\Big(-\frac{(x-\mu)^2}{2\sigma^2}\Big)",
        "the one density with a quadratic logarithm, mean μ and variance σ²",
        gauss_density,
        (
            NearMiss(
                r"\mathcal{N}(x; \mu, \sigma^2) = \frac{1}{\sqrt{2\pi\sigma}} \exp\Big(-\frac{(x-\mu)^2}{2\sigma^2}\Big)",
                "σ in place of σ² under the root: the area is not one",
            ),
            NearMiss(
                r"\mathcal{N}(x; \mu, \sigma^2) = \frac{1}{\sqrt{2\pi\sigma^2}} \exp\Big(-\frac{(x-\mu)^2}{\sigma^2}\Big)",
                "the 2 in the exponent lost",
            ),
            NearMiss(
                r"\mathcal{N}(x; \mu, \sigma^2) = \frac{1}{\sqrt{2\pi\sigma}} \exp\Big(-\frac{(x-\mu)^2}{2\sigma}\Big)",
                "the standard deviation in place of the variance: area one, variance wrong",
            ),
        ),
        f"{GAUSSIAN}.log_density",
    ),
    Claim(
        "eq-polar",
        r"\begin{aligned}"
        r" \Big(\int \exp\Big(-\frac{x^2}{2}\Big)\, \mathrm{d}x\Big)^2"
        r" &= \int \int \exp\Big(-\frac{x^2+y^2}{2}\Big)\, \mathrm{d}x\, \mathrm{d}y \\"
        r" &= \int_0^{2\pi} \int_0^\infty \exp\Big(-\frac{r^2}{2}\Big)\, r\, \mathrm{d}r\, \mathrm{d}\phi = 2\pi"
        r" \end{aligned}",
        "polar coordinates with their Jacobian, and SymPy's integrals",
        polar,
        (
            NearMiss(
                r"\begin{aligned}"
                r" \Big(\int \exp\Big(-\frac{x^2}{2}\Big)\, \mathrm{d}x\Big)^2"
                r" &= \int \int \exp\Big(-\frac{x^2+y^2}{2}\Big)\, \mathrm{d}x\, \mathrm{d}y \\"
                r" &= \int_0^{2\pi} \int_0^\infty \exp\Big(-\frac{r^2}{2}\Big)\, \mathrm{d}r\, \mathrm{d}\phi = 2\pi"
                r" \end{aligned}",
                "the r lost: rings do not all have the same area",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" \Big(\int \exp\Big(-\frac{x^2}{2}\Big)\, \mathrm{d}x\Big)^2"
                r" &= \int \int \exp\Big(-\frac{x^2+y^2}{2}\Big)\, \mathrm{d}x\, \mathrm{d}y \\"
                r" &= \int_0^{\pi} \int_0^\infty \exp\Big(-\frac{r^2}{2}\Big)\, r\, \mathrm{d}r\, \mathrm{d}\phi = \pi"
                r" \end{aligned}",
                "half a turn",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" \int \exp\Big(-\frac{x^2}{2}\Big)\, \mathrm{d}x"
                r" &= \int \int \exp\Big(-\frac{x^2+y^2}{2}\Big)\, \mathrm{d}x\, \mathrm{d}y \\"
                r" &= \int_0^{2\pi} \int_0^\infty \exp\Big(-\frac{r^2}{2}\Big)\, r\, \mathrm{d}r\, \mathrm{d}\phi = 2\pi"
                r" \end{aligned}",
                "the square forgotten",
            ),
        ),
    ),
    Claim(
        "eq-gauss-normalised",
        r"\int \mathcal{N}(x; \mu, \sigma^2)\, \mathrm{d}x = 1",
        "SymPy's integral after x = μ + σ y",
        gauss_normalised,
        (
            NearMiss(r"\int \mathcal{N}(x; \mu, \sigma^2)\, \mathrm{d}x = \sqrt{2\pi}", "the constant forgotten"),
            NearMiss(r"\int \mathcal{N}(x; \mu, \sigma^2)\, \mathrm{d}x = \sigma", "the dx not stretched"),
        ),
        f"{GAUSSIAN}.log_density",
    ),
    Claim(
        "eq-gauss-moments",
        r"\begin{aligned}"
        r" \mathbb{E}[x] &= \int x\, \mathcal{N}(x; \mu, \sigma^2)\, \mathrm{d}x = \mu \\"
        r" \operatorname{Var}[x] &= \int (x-\mu)^2\, \mathcal{N}(x; \mu, \sigma^2)\, \mathrm{d}x = \sigma^2"
        r" \end{aligned}",
        "both integrals, by completing the square and by the standard moments",
        gauss_moments,
        (
            NearMiss(
                r"\begin{aligned}"
                r" \mathbb{E}[x] &= \int x\, \mathcal{N}(x; \mu, \sigma^2)\, \mathrm{d}x = \mu \\"
                r" \operatorname{Var}[x] &= \int (x-\mu)^2\, \mathcal{N}(x; \mu, \sigma^2)\, \mathrm{d}x = \sigma"
                r" \end{aligned}",
                "the standard deviation in place of the variance",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" \mathbb{E}[x] &= \int x\, \mathcal{N}(x; \mu, \sigma^2)\, \mathrm{d}x = \mu \\"
                r" \operatorname{Var}[x] &= \int x^2\, \mathcal{N}(x; \mu, \sigma^2)\, \mathrm{d}x = \sigma^2"
                r" \end{aligned}",
                "the second moment in place of the variance",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" \mathbb{E}[x] &= \int x\, \mathcal{N}(x; \mu, \sigma^2)\, \mathrm{d}x = 0 \\"
                r" \operatorname{Var}[x] &= \int (x-\mu)^2\, \mathcal{N}(x; \mu, \sigma^2)\, \mathrm{d}x = \sigma^2"
                r" \end{aligned}",
                "a mean of zero",
            ),
        ),
        f"{GAUSSIAN}.log_density",
    ),
)


# Maps


def change_of_variables(statement: Statement) -> None:
    rhs = equation(statement, p(f(x)))
    below = 1 / (1 + sp.exp(-x))  # the chance of a smaller value: a law that has nothing to do with Gaussians
    for curve, inverse in (
        (a * x + b, (y - b) / a),
        (-a * x + b, (b - y) / a),
        (sp.exp(x), sp.log(y)),
        (sp.exp(-x), -sp.log(y)),
    ):
        rising = sp.diff(curve, x).subs({x: half, a: half}) > 0
        chance = below.subs(x, inverse) if rising else 1 - below.subs(x, inverse)
        density = sp.diff(chance, y).subs(y, curve)
        said = rhs.replace(Slope, lambda e: sp.diff(curve, x).subs(x, e.args[0])).replace(q, lambda e: sp.diff(below, x).subs(x, e))
        require_equal(said.replace(f, lambda e: curve.subs(x, e)), density, f"for y = {curve}, the formula and the slope of the chance")


def mapped(relation: Relation, variable: Expr, mean: Expr, variance: Expr) -> Expr:
    """Density of the number on the left, affine in a Gaussian variable, by the change of variables."""
    slope = sp.diff(relation.lhs, variable)
    require(slope != 0 and not slope.has(variable), f"{relation.lhs} is not affine in {variable}")
    return gaussian_density(variable, mean, variance) / sp.sqrt(slope**2)


def affine(statement: Statement) -> None:
    require(len(statement) == 2, "two laws, please")
    before, after = statement
    require(before.lhs == x and law(before) == (mu, sigma**2), "x is not N(mu, sigma^2)")
    require({a, b} <= after.lhs.free_symbols, "the map needs a factor and a shift")
    for factor in (a, -a):
        turned = Relation(tuple(term.subs(a, factor) for term in after.terms), after.ops)
        require_density(turned, mapped(turned, x, mu, sigma**2))


def standardise(statement: Statement) -> None:
    require(len(statement) == 2, "two laws, please")
    before, after = statement
    require(before.lhs == x and law(before) == (mu, sigma**2), "x is not N(mu, sigma^2)")
    require(law(after) == (0, 1), "not the standard Gaussian")
    require_density(after, mapped(after, x, mu, sigma**2))
    require_positive(sp.diff(after.lhs, x), "the slope")


def reparameterise(statement: Statement) -> None:
    require(len(statement) == 2, "the draw and the noise's law, please")
    draw, noise = statement
    require(noise.lhs == eps and law(noise) == (0, 1), "the noise is not standard")
    require(draw.lhs == x and draw.ops == ("=",), "the left side is not x")
    there = Relation((draw.rhs, N(mu, sigma**2)), ("~",))
    require_density(there, mapped(there, eps, sp.Integer(0), sp.Integer(1)))
    require_positive(sp.diff(draw.rhs, eps), "the noise's factor")


def sum_of_two(statement: Statement) -> None:
    relation = only(statement)
    mean, variance = law(relation)
    first, second = (sp.expand(relation.lhs).coeff(xs[n]) for n in (1, 2))
    require_equal(relation.lhs, first * xs[1] + second * xs[2], "the left side and a sum of x_1 and x_2")
    z = sp.Symbol("z", real=True)
    parts = gaussian_density(y, first * mus[1], first**2 * sigmas[1] ** 2), gaussian_density(z - y, second * mus[2], second**2 * sigmas[2] ** 2)
    convolution = integrate_gaussian(parts[0] * parts[1], y)
    require_equal(sp.log(convolution), sp.log(gaussian_density(z, mean, variance)), "the logarithms of the densities")


MAPS = (
    Claim(
        "eq-change-of-variables",
        r"p\big(f(x)\big) = \frac{q(x)}{\lvert f'(x) \rvert}",
        "the slope of the chance to stay below y, for rising and falling f and a law that is not Gaussian",
        change_of_variables,
        (
            NearMiss(r"p\big(f(x)\big) = q(x)", "the stretching forgotten"),
            NearMiss(r"p\big(f(x)\big) = q(x)\, \lvert f'(x) \rvert", "multiplied in place of divided"),
            NearMiss(r"p\big(f(x)\big) = \frac{q(x)}{f'(x)}", "a negative density where f falls"),
        ),
    ),
    Claim(
        "eq-affine",
        r"x \sim \mathcal{N}(\mu, \sigma^2), \qquad a x + b \sim \mathcal{N}(a \mu + b, a^2 \sigma^2)",
        "the change of variables, for a and for -a",
        affine,
        (
            NearMiss(r"x \sim \mathcal{N}(\mu, \sigma^2), \qquad a x + b \sim \mathcal{N}(a \mu + b, a \sigma^2)", "the factor not squared"),
            NearMiss(r"x \sim \mathcal{N}(\mu, \sigma^2), \qquad a x + b \sim \mathcal{N}(a \mu + b, a^2 \sigma^2 + b)", "the shift widens"),
            NearMiss(r"x \sim \mathcal{N}(\mu, \sigma^2), \qquad a x + b \sim \mathcal{N}(\mu + b, a^2 \sigma^2)", "the mean not stretched"),
        ),
        f"{GAUSSIAN}.log_density",
    ),
    Claim(
        "eq-standardise",
        r"x \sim \mathcal{N}(\mu, \sigma^2), \qquad \frac{x - \mu}{\sigma} \sim \mathcal{N}(0, 1)",
        "the change of variables",
        standardise,
        (
            NearMiss(r"x \sim \mathcal{N}(\mu, \sigma^2), \qquad \frac{x - \mu}{\sigma^2} \sim \mathcal{N}(0, 1)", "divided by the variance"),
            NearMiss(r"x \sim \mathcal{N}(\mu, \sigma^2), \qquad \frac{x}{\sigma} - \mu \sim \mathcal{N}(0, 1)", "shifted after the scaling"),
        ),
        f"{GAUSSIAN}.log_density",
    ),
    Claim(
        "eq-reparameterise",
        r"x = \mu + \sigma\, \epsilon, \qquad \epsilon \sim \mathcal{N}(0, 1)",
        "the change of variables gives back N(μ, σ²)",
        reparameterise,
        (
            NearMiss(r"x = \mu + \sigma^2\, \epsilon, \qquad \epsilon \sim \mathcal{N}(0, 1)", "the variance in place of the standard deviation"),
            NearMiss(r"x = \mu + \sigma\, \epsilon, \qquad \epsilon \sim \mathcal{N}(0, \sigma^2)", "noise that has been scaled already"),
            NearMiss(r"x = \sigma (\mu + \epsilon), \qquad \epsilon \sim \mathcal{N}(0, 1)", "shifted before the scaling"),
        ),
        f"{GAUSSIAN}.reparameterise",
    ),
    Claim(
        "eq-sum",
        r"x_1 + x_2 \sim \mathcal{N}(\mu_1 + \mu_2, \sigma_1^2 + \sigma_2^2)",
        "the convolution of the two densities",
        sum_of_two,
        (
            NearMiss(r"x_1 + x_2 \sim \mathcal{N}\big(\mu_1 + \mu_2, (\sigma_1 + \sigma_2)^2\big)", "adding standard deviations"),
            NearMiss(r"x_1 - x_2 \sim \mathcal{N}(\mu_1 - \mu_2, \sigma_1^2 - \sigma_2^2)", "a difference with a difference of variances"),
            NearMiss(r"x_1 + x_2 \sim \mathcal{N}\Big(\frac{\mu_1 + \mu_2}{2}, \sigma_1^2 + \sigma_2^2\Big)", "the mean of an average"),
        ),
        f"{GAUSSIAN}.reparameterise",
    ),
)


# The product of two densities


def square(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",), "not an equation")
    left, right = relation.terms
    (lowest,) = sp.solve(sp.diff(left, x), x)
    # A parabola is its lowest value and half its bend times the squared distance from the lowest point.
    require_equal(right, left.subs(x, lowest) + sp.diff(left, x, 2) / 2 * (x - lowest) ** 2, "the right side and the parabola's Taylor series")
    require_equal(sp.diff(left, x, 2), 2 * a, "the bend and 2a")
    require_equal(lowest, b / a, "the lowest point and b/a")
    require(right.func == sp.Add and sum(term.has(x) for term in right.args) == 1, "the square is not completed")


def read_off(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",), "not an equation")
    left, right = (term.replace(N, gaussian_density) for term in relation.terms)
    require(len(relation.rhs.atoms(N)) == 1, "no Gaussian on the right")
    require_equal(sp.log(left), sp.log(right), "the logarithms")
    require_equal(integrate_gaussian(left, x), relation.rhs.replace(N, lambda *_: sp.Integer(1)), "the area and the factor")
    require_equal(sp.log(left), b * x - a * x**2 / 2, "the exponent and b x - a x^2 / 2")


@cache
def product_of_two() -> tuple[Expr, Expr, Expr]:
    """Area, mean and variance of the product of two densities, by integration."""
    product = sp.Mul(*(gaussian_density(x, mus[n], sigmas[n] ** 2) for n in (1, 2)))
    area = integrate_gaussian(product, x)
    mean = sp.factor(integrate_gaussian(x * product, x) / area)
    return area, mean, sp.factor(integrate_gaussian((x - mean) ** 2 * product, x) / area)


def product_exponent(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",), "not an equation")
    exponent = sum(2 * (log_density(mus[n], mus[n], sigmas[n]) - log_density(x, mus[n], sigmas[n])) for n in (1, 2))
    left, right = relation.terms
    require_equal(left, exponent, "the left side and the exponent")
    require_equal(right, exponent, "the right side and the exponent")
    powers = [sp.degree(term, x) for term in right.args]
    require(sorted(powers) == [0, 0, 1, 2], "the powers of x are not collected")


def precision(statement: Statement) -> None:
    require(len(statement) == 2, "variance and mean, please")
    first, second = statement
    _, mean, variance = product_of_two()
    require_equal(first.lhs, 1 / sigma**2, "the left side and the precision")
    require(second.lhs == mu, "the left side is not the mean")
    require_equal(first.rhs, 1 / variance, "the precision and that of the product")
    require_equal(plain(second.rhs).subs(sigma, plain(sp.sqrt(variance))), plain(mean), "the mean and that of the product")


def gauss_product(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",), "not an equation")
    area, mean, variance = product_of_two()
    left, right = (term.replace(N, gaussian_density) for term in relation.terms)
    require(N(x, mu, sigma**2) in relation.rhs.args, "the right side has no density N(x; mu, sigma^2)")
    require_equal(integrate_gaussian(left, x), area, "the areas")
    left, right = plain(left), plain(right).subs({mu: plain(mean), sigma: plain(sp.sqrt(variance))})
    require_equal(sp.log(left), sp.log(right), "the logarithms of the two sides")


def weights(statement: Statement) -> None:
    relation = only(statement)
    _, mean, _ = product_of_two()
    require(relation.ops == ("=",) and relation.lhs == mu, "the left side is not the mean")
    require_equal(relation.rhs, mean, "the mean and that of the product")


PRODUCT = (
    Claim(
        "eq-square",
        r"a x^2 - 2 b x = a \Big(x - \frac{b}{a}\Big)^2 - \frac{b^2}{a}",
        "the Taylor series of the parabola around its lowest point",
        square,
        (
            NearMiss(r"a x^2 - 2 b x = a \Big(x - \frac{b}{a}\Big)^2 - \frac{b^2}{a^2}", "the remainder not multiplied by a"),
            NearMiss(r"a x^2 - 2 b x = a (x - b)^2 - \frac{b^2}{a}", "the centre not divided by a"),
            NearMiss(r"a x^2 - 2 b x = a \Big(x - \frac{b}{a}\Big)^2 + \frac{b^2}{a}", "the remainder with the wrong sign"),
        ),
    ),
    Claim(
        "eq-read-off",
        r"\exp\Big(b x - \frac{a}{2}\, x^2\Big) ="
        r" \sqrt{\frac{2\pi}{a}}\, \exp\Big(\frac{b^2}{2a}\Big)\, \mathcal{N}\Big(x; \frac{b}{a}, \frac{1}{a}\Big)",
        "equal logarithms, and the area by integration",
        read_off,
        (
            NearMiss(
                r"\exp\Big(b x - \frac{a}{2}\, x^2\Big) ="
                r" \sqrt{\frac{2\pi}{a}}\, \exp\Big(\frac{b^2}{2a}\Big)\, \mathcal{N}\Big(x; b, \frac{1}{a}\Big)",
                "b taken for the mean",
            ),
            NearMiss(
                r"\exp\Big(b x - \frac{a}{2}\, x^2\Big) ="
                r" \sqrt{\frac{2\pi}{a}}\, \exp\Big(\frac{b^2}{2a}\Big)\, \mathcal{N}\Big(x; \frac{b}{a}, a\Big)",
                "the precision taken for the variance",
            ),
            NearMiss(
                r"\exp\Big(b x - \frac{a}{2}\, x^2\Big) ="
                r" \sqrt{\frac{2\pi}{a}}\, \exp\Big(\frac{b^2}{2a}\Big)\, \mathcal{N}\Big(x; \frac{b}{2 a}, \frac{1}{2 a}\Big)",
                "the half in front of x² forgotten",
            ),
        ),
    ),
    Claim(
        "eq-product-exponent",
        r"\begin{aligned}"
        r" &\frac{(x-\mu_1)^2}{\sigma_1^2} + \frac{(x-\mu_2)^2}{\sigma_2^2} \\"
        r" &= \Big(\frac{1}{\sigma_1^2} + \frac{1}{\sigma_2^2}\Big) x^2 - 2 \Big(\frac{\mu_1}{\sigma_1^2} + \frac{\mu_2}{\sigma_2^2}\Big) x"
        r" + \frac{\mu_1^2}{\sigma_1^2} + \frac{\mu_2^2}{\sigma_2^2}"
        r" \end{aligned}",
        "both sides are the exponent of the two densities, the right one by powers of x",
        product_exponent,
        (
            NearMiss(
                r"\begin{aligned}"
                r" &\frac{(x-\mu_1)^2}{\sigma_1^2} + \frac{(x-\mu_2)^2}{\sigma_2^2} \\"
                r" &= \Big(\frac{1}{\sigma_1^2} + \frac{1}{\sigma_2^2}\Big) x^2 - \Big(\frac{\mu_1}{\sigma_1^2} +"
                r" \frac{\mu_2}{\sigma_2^2}\Big) x + \frac{\mu_1^2}{\sigma_1^2} + \frac{\mu_2^2}{\sigma_2^2}"
                r" \end{aligned}",
                "the 2 of the mixed term lost",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &\frac{(x-\mu_1)^2}{\sigma_1^2} + \frac{(x-\mu_2)^2}{\sigma_2^2} \\"
                r" &= \frac{1}{\sigma_1^2 + \sigma_2^2}\, x^2 - 2 \Big(\frac{\mu_1}{\sigma_1^2} + \frac{\mu_2}{\sigma_2^2}\Big) x +"
                r" \frac{\mu_1^2}{\sigma_1^2} + \frac{\mu_2^2}{\sigma_2^2}"
                r" \end{aligned}",
                "adding variances in place of precisions",
            ),
        ),
    ),
    Claim(
        "eq-precision",
        r"\frac{1}{\sigma^2} = \frac{1}{\sigma_1^2} + \frac{1}{\sigma_2^2}, \qquad"
        r" \mu = \sigma^2 \Big(\frac{\mu_1}{\sigma_1^2} + \frac{\mu_2}{\sigma_2^2}\Big)",
        "mean and variance of the product by integration",
        precision,
        (
            NearMiss(
                r"\frac{1}{\sigma^2} = \frac{1}{\sigma_1^2 + \sigma_2^2}, \qquad"
                r" \mu = \sigma^2 \Big(\frac{\mu_1}{\sigma_1^2} + \frac{\mu_2}{\sigma_2^2}\Big)",
                "adding variances in place of precisions",
            ),
            NearMiss(
                r"\frac{1}{\sigma^2} = \frac{1}{\sigma_1^2} + \frac{1}{\sigma_2^2}, \qquad \mu = \frac{\mu_1 + \mu_2}{2}",
                "the plain average of the means",
            ),
            NearMiss(
                r"\frac{1}{\sigma^2} = \frac{1}{\sigma_1^2} + \frac{1}{\sigma_2^2}, \qquad"
                r" \mu = \sigma^2 \Big(\frac{\mu_1}{\sigma_2^2} + \frac{\mu_2}{\sigma_1^2}\Big)",
                "the weights exchanged",
            ),
        ),
        f"{GAUSSIAN}.product",
    ),
    Claim(
        "eq-weights",
        r"\mu = \frac{\sigma_2^2}{\sigma_1^2 + \sigma_2^2}\, \mu_1 + \frac{\sigma_1^2}{\sigma_1^2 + \sigma_2^2}\, \mu_2",
        "the mean of the product by integration",
        weights,
        (
            NearMiss(
                r"\mu = \frac{\sigma_1^2}{\sigma_1^2 + \sigma_2^2}\, \mu_1 + \frac{\sigma_2^2}{\sigma_1^2 + \sigma_2^2}\, \mu_2",
                "each weighed by its own variance",
            ),
            NearMiss(
                r"\mu = \frac{\sigma_2}{\sigma_1 + \sigma_2}\, \mu_1 + \frac{\sigma_1}{\sigma_1 + \sigma_2}\, \mu_2",
                "standard deviations in place of variances",
            ),
        ),
        f"{GAUSSIAN}.product",
    ),
    Claim(
        "eq-gauss-product",
        r"\mathcal{N}(x; \mu_1, \sigma_1^2)\, \mathcal{N}(x; \mu_2, \sigma_2^2) ="
        r" \mathcal{N}(\mu_1; \mu_2, \sigma_1^2 + \sigma_2^2)\, \mathcal{N}(x; \mu, \sigma^2)",
        "equal logarithms, with mean, variance and area of the product by integration",
        gauss_product,
        (
            NearMiss(
                r"\mathcal{N}(x; \mu_1, \sigma_1^2)\, \mathcal{N}(x; \mu_2, \sigma_2^2) = \mathcal{N}(x; \mu, \sigma^2)",
                "the area taken for one",
            ),
            NearMiss(
                r"\mathcal{N}(x; \mu_1, \sigma_1^2)\, \mathcal{N}(x; \mu_2, \sigma_2^2) ="
                r" \mathcal{N}(\mu_1; \mu_2, \sigma^2)\, \mathcal{N}(x; \mu, \sigma^2)",
                "the small variance for the disagreement of the means",
            ),
            NearMiss(
                r"\mathcal{N}(x; \mu_1, \sigma_1^2)\, \mathcal{N}(x; \mu_2, \sigma_2^2) ="
                r" \mathcal{N}(0; \mu_1 + \mu_2, \sigma_1^2 + \sigma_2^2)\, \mathcal{N}(x; \mu, \sigma^2)",
                "the sum of the means for their difference",
            ),
        ),
        f"{GAUSSIAN}.product",
    ),
)


# Entropy and divergence


def at_power(s: Expr, first: tuple[Expr, Expr], second: tuple[Expr, Expr] | None = None) -> Expr:
    """The integral of q^s p^{1-s}, or of q^s alone; its slope at s = 1 is the divergence, or the entropy turned round."""
    exponent = s * log_density(x, *first) + ((1 - s) * log_density(x, *second) if second else 0)
    c2, c1, c0 = (sp.expand(exponent).coeff(x, n) for n in (2, 1, 0))
    return integrate_gaussian(sp.exp(c2 * x**2 + c1 * x), x) * sp.exp(c0)


def entropy(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=", "=") and relation.lhs == H(N(mu, sigma**2)), "the left side is not the entropy of N(mu, sigma^2)")
    _, integral, value = relation.terms
    (inner,) = integral.atoms(Int)
    density, variable = inner.args
    require(variable == x and integral == -inner and density == N(x, mu, sigma**2) * sp.log(N(x, mu, sigma**2)), "not minus the mean logarithm")
    require_equal(value, -mean_of(log_density(x, mu, sigma), x, mu, sigma), "the value and the mean surprise")
    s = sp.Symbol("s", positive=True)
    require_equal(value, -sp.diff(at_power(s, (mu, sigma)), s).subs(s, 1), "the value and the slope of the integral of N^s")


def kl(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=", "=") and relation.lhs == KL(q(x), p(x)), "the left side is not the divergence of q from p")
    first, second = (mus[1], sigmas[1]), (mus[2], sigmas[2])
    s = sp.Symbol("s", positive=True)
    slope = sp.diff(at_power(s, first, second), s).subs(s, 1)

    def average(body: Expr) -> Expr:
        """Over q, with every logarithm of a density written out."""
        body = sp.expand_log(body.subs({q(x): sp.Symbol("q", positive=True), p(x): sp.Symbol("p", positive=True)}), force=True)
        body = body.subs({sp.log(sp.Symbol("q", positive=True)): log_density(x, *first), sp.log(sp.Symbol("p", positive=True)): log_density(x, *second)})
        return mean_of(body, x, *first)

    _, integral, expectation = relation.terms
    require(integral.func == Int and integral.args[1] == x, "not an integral over x")
    require_equal(average(integral.args[0] / q(x)), slope, "for two Gaussians, the integral and the slope at s = 1 of the integral of q^s p^(1-s)")
    require(expectation.func == E and expectation.args[1] == Over(q(x)), "not an expectation under q")
    require_equal(average(expectation.args[0]), slope, "for two Gaussians, the expectation and the slope at s = 1 of the integral of q^s p^(1-s)")


def touches(gap: Expr, variable: Expr) -> None:
    """Require of the gap in log z <= z - 1: zero and flat at z = 1, and bent upwards everywhere."""
    require_equal(gap.subs(variable, 1), 0, "the gap at 1 and 0")
    require_equal(sp.diff(gap, variable).subs(variable, 1), 0, "the gap's slope at 1 and 0")
    require_equal(sp.diff(gap, variable, 2), 1 / variable**2, "the gap's bend and 1/y^2, which is positive")


def log_bound(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("<=",) and relation.lhs == sp.log(y), "the left side is not log y")
    touches(relation.rhs - relation.lhs, y)


def kl_positive(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=", "<=", "=", "="), "one inequality and three equalities, please")
    Q, P, ratio = sp.symbols("Q P y", positive=True)

    def bodies(term: Expr) -> Expr:
        """Integrals over x by their integrands: equal integrands have equal integrals."""
        return term.replace(Int, lambda body, variable: body if variable == x else sp.nan).subs({q(x): Q, p(x): P})

    minus, integral, above, split, zero = relation.terms
    require(minus == -KL(q(x), p(x)), "the left side is not minus the divergence of q from p")
    require_equal(bodies(integral), -Q * sp.log(Q / P), "the integrand and that of minus the divergence")
    touches(sp.simplify(sp.expand_log((bodies(above) - bodies(integral)).subs(P, ratio * Q) / Q, force=True)), ratio)
    require_equal(bodies(split), bodies(above), "the integrands")
    require(all(e.args in ((p(x), x), (q(x), x)) for e in split.atoms(Int)), "more than the densities is left")
    require_equal(zero, split.replace(Int, lambda *_: sp.Integer(1)), "the last term, both densities having area one")


ENTROPY = (
    Claim(
        "eq-entropy",
        r"H\big(\mathcal{N}(\mu, \sigma^2)\big) = -\int \mathcal{N}(x; \mu, \sigma^2) \log \mathcal{N}(x; \mu, \sigma^2)\, \mathrm{d}x"
        r" = \tfrac{1}{2} \log(2 \pi \sigma^2) + \tfrac{1}{2}",
        "the integral, and the slope of the integral of a power of the density",
        entropy,
        (
            NearMiss(
                r"H\big(\mathcal{N}(\mu, \sigma^2)\big) = -\int \mathcal{N}(x; \mu, \sigma^2) \log \mathcal{N}(x; \mu, \sigma^2)\, \mathrm{d}x"
                r" = \tfrac{1}{2} \log(2 \pi \sigma^2)",
                "the half lost that comes from the exponent",
            ),
            NearMiss(
                r"H\big(\mathcal{N}(\mu, \sigma^2)\big) = -\int \mathcal{N}(x; \mu, \sigma^2) \log \mathcal{N}(x; \mu, \sigma^2)\, \mathrm{d}x"
                r" = \tfrac{1}{2} \log(2 \pi \sigma) + \tfrac{1}{2}",
                "the standard deviation in place of the variance",
            ),
            NearMiss(
                r"H\big(\mathcal{N}(\mu, \sigma^2)\big) = \int \mathcal{N}(x; \mu, \sigma^2) \log \mathcal{N}(x; \mu, \sigma^2)\, \mathrm{d}x"
                r" = -\tfrac{1}{2} \log(2 \pi \sigma^2) - \tfrac{1}{2}",
                "the sign turned round",
            ),
        ),
        f"{GAUSSIAN}.entropy",
    ),
    Claim(
        "eq-kl",
        r"D_{\mathrm{KL}}\big(q(x) \,\big\|\, p(x)\big) = \int q(x) \log \frac{q(x)}{p(x)}\, \mathrm{d}x"
        r" = \mathbb{E}_{q(x)}\big[\log q(x) - \log p(x)\big]",
        "for any two Gaussians both are the slope at s = 1 of the integral of q^s p^(1-s)",
        kl,
        (
            NearMiss(
                r"D_{\mathrm{KL}}\big(q(x) \,\big\|\, p(x)\big) = \int p(x) \log \frac{q(x)}{p(x)}\, \mathrm{d}x"
                r" = \mathbb{E}_{p(x)}\big[\log q(x) - \log p(x)\big]",
                "averaged over the wrong density",
            ),
            NearMiss(
                r"D_{\mathrm{KL}}\big(q(x) \,\big\|\, p(x)\big) = \int q(x) \log \frac{p(x)}{q(x)}\, \mathrm{d}x"
                r" = \mathbb{E}_{q(x)}\big[\log p(x) - \log q(x)\big]",
                "the ratio upside down: never positive",
            ),
            NearMiss(
                r"D_{\mathrm{KL}}\big(p(x) \,\big\|\, q(x)\big) = \int q(x) \log \frac{q(x)}{p(x)}\, \mathrm{d}x"
                r" = \mathbb{E}_{q(x)}\big[\log q(x) - \log p(x)\big]",
                "the two densities exchanged",
            ),
        ),
        f"{GAUSSIAN}.kl_gaussians",
    ),
    Claim(
        "eq-log-bound",
        r"\log y \le y - 1",
        "equal and of equal slope at y = 1, and the gap bends upwards",
        log_bound,
        (
            NearMiss(r"\log y \ge y - 1", "the wrong way round"),
            NearMiss(r"\log y \le y - 2", "a line that cuts the curve"),
            NearMiss(r"\log y \le 1 - y", "a falling line"),
        ),
    ),
    Claim(
        "eq-kl-positive",
        r"\begin{aligned}"
        r" -D_{\mathrm{KL}}\big(q(x) \,\big\|\, p(x)\big) &= \int q(x) \log \frac{p(x)}{q(x)}\, \mathrm{d}x \\"
        r" &\le \int q(x) \Big(\frac{p(x)}{q(x)} - 1\Big)\, \mathrm{d}x \\"
        r" &= \int p(x)\, \mathrm{d}x - \int q(x)\, \mathrm{d}x = 0"
        r" \end{aligned}",
        "for any two densities: integrand by integrand, and each density has area one",
        kl_positive,
        (
            NearMiss(
                r"\begin{aligned}"
                r" -D_{\mathrm{KL}}\big(q(x) \,\big\|\, p(x)\big) &= \int q(x) \log \frac{p(x)}{q(x)}\, \mathrm{d}x \\"
                r" &\ge \int q(x) \Big(\frac{p(x)}{q(x)} - 1\Big)\, \mathrm{d}x \\"
                r" &= \int p(x)\, \mathrm{d}x - \int q(x)\, \mathrm{d}x = 0"
                r" \end{aligned}",
                "the inequality turned round",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" D_{\mathrm{KL}}\big(q(x) \,\big\|\, p(x)\big) &= \int q(x) \log \frac{p(x)}{q(x)}\, \mathrm{d}x \\"
                r" &\le \int q(x) \Big(\frac{p(x)}{q(x)} - 1\Big)\, \mathrm{d}x \\"
                r" &= \int p(x)\, \mathrm{d}x - \int q(x)\, \mathrm{d}x = 0"
                r" \end{aligned}",
                "the sign lost: a divergence that is never positive",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" -D_{\mathrm{KL}}\big(q(x) \,\big\|\, p(x)\big) &= \int q(x) \log \frac{p(x)}{q(x)}\, \mathrm{d}x \\"
                r" &\le \int q(x) \Big(\frac{p(x)}{q(x)} - 1\Big)\, \mathrm{d}x \\"
                r" &= \int p(x)\, \mathrm{d}x - 1 = 1"
                r" \end{aligned}",
                "an area forgotten",
            ),
        ),
        f"{GAUSSIAN}.kl_gaussians",
    ),
)


# The divergence between Gaussians


def log_ratio(statement: Statement) -> None:
    rhs = equation(statement, sp.log(q(x)) - sp.log(p(x)))
    require_equal(rhs, log_density(x, mus[1], sigmas[1]) - log_density(x, mus[2], sigmas[2]), "the difference of the logarithms")


def second_moment(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",) and relation.lhs.func == E and relation.lhs.args[1] == Over(q(x)), "not an expectation under q")
    body = relation.lhs.args[0]
    require_equal(body, (x - mus[2]) ** 2, "the body and the squared distance from mu_2")
    density = gaussian_density(x, mus[1], sigmas[1] ** 2)
    require_equal(relation.rhs, integrate_gaussian(body * density, x), "the value and the integral")


def kl_univariate(statement: Statement) -> None:
    rhs = equation(statement, KL(N(mus[1], sigmas[1] ** 2), N(mus[2], sigmas[2] ** 2)))
    density = gaussian_density(x, mus[1], sigmas[1] ** 2)
    gap = log_density(x, mus[1], sigmas[1]) - log_density(x, mus[2], sigmas[2])
    require_equal(rhs, integrate_gaussian(gap * density, x), "the value and the integral")


def kl_equal(statement: Statement) -> None:
    rhs = equation(statement, KL(N(mus[1], sigma**2), N(mus[2], sigma**2)))
    require_equal(rhs, divergence((mus[1], sigma), (mus[2], sigma)), "the value and the integral")


def over_all(gap: Expr, count: int) -> Expr:
    """Average over independent x_1 .. x_count, x_n ~ N(mu_n, sigma_n^2)."""
    for n in range(1, count + 1):
        gap = mean_of(gap, xs[n], mus[n], sigmas[n])
    return gap


def kl_diagonal(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",), "not an equation")
    other = [(sp.Symbol(f"m_{n}", real=True), sp.Symbol(f"s_{n}", positive=True)) for n in range(4)]

    def log_of(density: Expr) -> Expr:
        """The logarithm of a product of q's and p's of single components."""
        total = sp.Integer(0)
        for factor in sp.Mul.make_args(density):
            require(factor.func in (q, p) and factor.args[0].base == xs, f"{factor} is no density of one component")
            n = int(factor.args[0].indices[0])
            total += log_density(xs[n], mus[n], sigmas[n]) if factor.func == q else log_density(xs[n], *other[n])
        return total

    for count in (1, 2, 3):

        def together(first: Expr, second: Expr) -> Expr:
            require(first.has(q) and not first.has(p) and second.has(p) and not second.has(q), "not the divergence of q from p")
            return over_all(log_of(first) - log_of(second), count)

        left, right = (term.subs(d, count).replace(lambda e: isinstance(e, sp.Product | sp.Sum), lambda e: e.doit()) for term in relation.terms)
        require(len(left.atoms(xs[0].func)) == count, f"not {count} components")
        require(left.func == KL, "the left side is not a divergence")
        expected = sum(divergence((mus[n], sigmas[n]), other[n]) for n in range(1, count + 1))
        require_equal(together(*left.args), expected, f"the left side for d = {count} and the integral")
        require_equal(right.replace(KL, together), expected, f"the right side for d = {count} and the integral")


def kl_standard(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",) and relation.lhs.func == KL, "not the value of a divergence")
    posterior, prior = relation.lhs.args
    require(posterior == sp.Product(N(xs[i], mus[i], sigmas[i] ** 2), (i, 1, d)), "the first is not the product of N(x_i; mu_i, sigma_i^2)")
    require(prior == sp.Product(N(xs[i], 0, 1), (i, 1, d)), "the second is not standard")
    for count in (1, 2, 3):
        gap = sum(log_density(xs[n], mus[n], sigmas[n]) - log_density(xs[n], 0, 1) for n in range(1, count + 1))
        require_equal(relation.rhs.subs(d, count).doit(), over_all(gap, count), f"the value for d = {count} and the integral")


class _Matrices:
    """Evaluates a formula with named vectors and matrices, keeping the order of products."""

    def __init__(self, values: dict[Expr, sp.Matrix]) -> None:
        self.values = values

    def __call__(self, expression: Expr) -> Expr | sp.Matrix:
        if expression in self.values:
            return self.values[expression]
        if expression.func in (function(r"\det"), function(r"\operatorname{tr}")):
            inside = self(expression.args[0])
            require(isinstance(inside, sp.MatrixBase) and inside.is_square, f"{expression.args[0]} is not square")
            return sp.cancel(inside.det() if expression.func == function(r"\det") else inside.trace())
        if expression.func == Transposed:
            return self(expression.args[0]).T
        if not expression.args:
            return expression
        if isinstance(expression, sp.Pow) and not expression.args[0].is_commutative:
            require(expression.args[1] == -1, "of matrices only the inverse is known")
            return self(expression.args[0]).inv().applyfunc(sp.cancel)
        parts = [self(part) for part in expression.args]
        if isinstance(expression, sp.Mul):
            return self.joined(lambda one, other: one * other, parts, expression)
        if len({getattr(part, "shape", ()) for part in parts}) > 1:  # a 1 x 1 matrix is a number among numbers
            parts = [part[0] if isinstance(part, sp.MatrixBase) and part.shape == (1, 1) else part for part in parts]
        if isinstance(expression, sp.Add):
            return self.joined(lambda one, other: one + other, parts, expression)
        require(not any(isinstance(part, sp.MatrixBase) for part in parts), f"{expression} makes no sense for matrices")
        return expression.func(*parts)

    @staticmethod
    def joined(operation: Callable[..., Expr | sp.Matrix], parts: list[Expr | sp.Matrix], expression: Expr) -> Expr | sp.Matrix:
        """The parts put together from left to right."""
        try:
            return reduce(operation, parts)
        except (sp.matrices.exceptions.ShapeError, TypeError) as error:
            raise Refuted(f"{expression} has parts that do not fit") from error


def kl_full(statement: Statement) -> None:
    means, covariances = ([matrix(name, n) for n in (1, 2)] for name in (r"\boldsymbol\mu", r"\Sigma"))
    rhs = equation(statement, KL(N(means[0], covariances[0]), N(means[1], covariances[1])))
    sizes: list[tuple[int, bool]] = [(1, True), (3, False), (2, True)]
    for size, mixed in sizes:
        # x = m + L z with standard z has covariance L L^T; off the diagonal only where `mixed`.
        roots, centres = [], []
        for name in "LM":
            roots.append(sp.Matrix(size, size, lambda r, c: sp.Symbol(f"{name}_{r}{c}", positive=True) if r == c or (mixed and r > c) else 0))
            centres.append(sp.Matrix([sp.Symbol(f"{name.lower()}_{r}", real=True) for r in range(size)]))
        z = sp.Matrix([sp.Symbol(f"z_{r}", real=True) for r in range(size)])
        back = roots[1].inv() * (centres[0] + roots[0] * z - centres[1])  # the noise that p would have needed
        gap = sum(log_density(z[n], 0, 1) - sp.log(roots[0][n, n]) - log_density(back[n], 0, 1) + sp.log(roots[1][n, n]) for n in range(size))
        for n in range(size):
            gap = mean_of(gap, z[n], sp.Integer(0), sp.Integer(1))
        values = dict(zip(means, centres)) | {c: root * root.T for c, root in zip(covariances, roots)}
        value = _Matrices(values)(rhs.subs(d, size))
        require(not isinstance(value, sp.MatrixBase), "a divergence is a number")
        require_equal(value, gap, f"the value and the average in {size} dimensions")


DIVERGENCE = (
    Claim(
        "eq-log-ratio",
        r"\log q(x) - \log p(x) = \log \frac{\sigma_2}{\sigma_1} - \frac{(x-\mu_1)^2}{2\sigma_1^2} + \frac{(x-\mu_2)^2}{2\sigma_2^2}",
        "the difference of the two logarithms, for q = N(μ₁, σ₁²) and p = N(μ₂, σ₂²)",
        log_ratio,
        (
            NearMiss(
                r"\log q(x) - \log p(x) = \log \frac{\sigma_1}{\sigma_2} - \frac{(x-\mu_1)^2}{2\sigma_1^2} + \frac{(x-\mu_2)^2}{2\sigma_2^2}",
                "the ratio of the widths upside down",
            ),
            NearMiss(
                r"\log q(x) - \log p(x) = \log \frac{\sigma_2^2}{\sigma_1^2} - \frac{(x-\mu_1)^2}{2\sigma_1^2} + \frac{(x-\mu_2)^2}{2\sigma_2^2}",
                "the root in the constant forgotten",
            ),
        ),
        f"{GAUSSIAN}.log_density",
    ),
    Claim(
        "eq-second-moment",
        r"\mathbb{E}_{q(x)}\big[(x-\mu_2)^2\big] = \sigma_1^2 + (\mu_1 - \mu_2)^2",
        "the integral",
        second_moment,
        (
            NearMiss(r"\mathbb{E}_{q(x)}\big[(x-\mu_2)^2\big] = \sigma_1^2", "the distance of the means forgotten"),
            NearMiss(r"\mathbb{E}_{q(x)}\big[(x-\mu_2)^2\big] = \sigma_2^2 + (\mu_1 - \mu_2)^2", "the variance of the wrong density"),
            NearMiss(r"\mathbb{E}_{q(x)}\big[(x-\mu_2)^2\big] = (\mu_1 - \mu_2)^2 - \sigma_1^2", "the wrong sign"),
        ),
    ),
    Claim(
        "eq-kl-univariate",
        r"D_{\mathrm{KL}}\big(\mathcal{N}(\mu_1, \sigma_1^2) \,\big\|\, \mathcal{N}(\mu_2, \sigma_2^2)\big) ="
        r" \log \frac{\sigma_2}{\sigma_1} + \frac{\sigma_1^2 + (\mu_1-\mu_2)^2}{2\sigma_2^2} - \frac{1}{2}",
        "the integral",
        kl_univariate,
        (
            NearMiss(
                r"D_{\mathrm{KL}}\big(\mathcal{N}(\mu_1, \sigma_1^2) \,\big\|\, \mathcal{N}(\mu_2, \sigma_2^2)\big) ="
                r" \log \frac{\sigma_1}{\sigma_2} + \frac{\sigma_2^2 + (\mu_1-\mu_2)^2}{2\sigma_1^2} - \frac{1}{2}",
                "the divergence the other way round",
            ),
            NearMiss(
                r"D_{\mathrm{KL}}\big(\mathcal{N}(\mu_1, \sigma_1^2) \,\big\|\, \mathcal{N}(\mu_2, \sigma_2^2)\big) ="
                r" \log \frac{\sigma_2}{\sigma_1} + \frac{\sigma_1^2 + (\mu_1-\mu_2)^2}{2\sigma_2^2}",
                "the half lost: not zero for equal densities",
            ),
            NearMiss(
                r"D_{\mathrm{KL}}\big(\mathcal{N}(\mu_1, \sigma_1^2) \,\big\|\, \mathcal{N}(\mu_2, \sigma_2^2)\big) ="
                r" \log \frac{\sigma_2^2}{\sigma_1^2} + \frac{\sigma_1^2 + (\mu_1-\mu_2)^2}{2\sigma_2^2} - \frac{1}{2}",
                "variances inside the logarithm without the factor ½",
            ),
        ),
        f"{GAUSSIAN}.kl_gaussians",
    ),
    Claim(
        "eq-kl-equal",
        r"D_{\mathrm{KL}}\big(\mathcal{N}(\mu_1, \sigma^2) \,\big\|\, \mathcal{N}(\mu_2, \sigma^2)\big) = \frac{(\mu_1-\mu_2)^2}{2\sigma^2}",
        "the integral with one variance",
        kl_equal,
        (
            NearMiss(
                r"D_{\mathrm{KL}}\big(\mathcal{N}(\mu_1, \sigma^2) \,\big\|\, \mathcal{N}(\mu_2, \sigma^2)\big) = \frac{(\mu_1-\mu_2)^2}{\sigma^2}",
                "the factor ½ lost",
            ),
            NearMiss(
                r"D_{\mathrm{KL}}\big(\mathcal{N}(\mu_1, \sigma^2) \,\big\|\, \mathcal{N}(\mu_2, \sigma^2)\big) = \frac{(\mu_1-\mu_2)^2}{2\sigma}",
                "the standard deviation in place of the variance",
            ),
        ),
        f"{GAUSSIAN}.kl_gaussians",
    ),
    Claim(
        "eq-kl-diagonal",
        r"D_{\mathrm{KL}}\Big(\prod_{i=1}^{d} q(x_i) \,\Big\|\, \prod_{i=1}^{d} p(x_i)\Big) ="
        r" \sum_{i=1}^{d} D_{\mathrm{KL}}\big(q(x_i) \,\big\|\, p(x_i)\big)",
        "the average of the logarithms over 1, 2, 3 components, each with a Gaussian of its own",
        kl_diagonal,
        (
            NearMiss(
                r"D_{\mathrm{KL}}\Big(\prod_{i=1}^{d} q(x_i) \,\Big\|\, \prod_{i=1}^{d} p(x_i)\Big) ="
                r" \prod_{i=1}^{d} D_{\mathrm{KL}}\big(q(x_i) \,\big\|\, p(x_i)\big)",
                "a product of divergences",
            ),
            NearMiss(
                r"D_{\mathrm{KL}}\Big(\prod_{i=1}^{d} q(x_i) \,\Big\|\, \prod_{i=1}^{d} p(x_i)\Big) ="
                r" \frac{1}{d} \sum_{i=1}^{d} D_{\mathrm{KL}}\big(q(x_i) \,\big\|\, p(x_i)\big)",
                "the mean over the components",
            ),
        ),
        f"{GAUSSIAN}.kl_gaussians",
    ),
    Claim(
        "eq-kl-standard",
        r"\begin{aligned}"
        r" &D_{\mathrm{KL}}\Big(\prod_{i=1}^{d} \mathcal{N}(x_i; \mu_i, \sigma_i^2) \,\Big\|\, \prod_{i=1}^{d} \mathcal{N}(x_i; 0, 1)\Big) \\"
        r" &= \frac{1}{2} \sum_{i=1}^{d} \big(\mu_i^2 + \sigma_i^2 - 1 - \log \sigma_i^2\big)"
        r" \end{aligned}",
        "the average of the logarithms over 1, 2, 3 components",
        kl_standard,
        (
            NearMiss(
                r"\begin{aligned}"
                r" &D_{\mathrm{KL}}\Big(\prod_{i=1}^{d} \mathcal{N}(x_i; \mu_i, \sigma_i^2) \,\Big\|\,"
                r" \prod_{i=1}^{d} \mathcal{N}(x_i; 0, 1)\Big) \\"
                r" &= \frac{1}{2} \sum_{i=1}^{d} \big(\mu_i^2 + \sigma_i^2 - 1 - \log \sigma_i\big)"
                r" \end{aligned}",
                "the logarithm of the standard deviation",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &D_{\mathrm{KL}}\Big(\prod_{i=1}^{d} \mathcal{N}(x_i; \mu_i, \sigma_i^2) \,\Big\|\,"
                r" \prod_{i=1}^{d} \mathcal{N}(x_i; 0, 1)\Big) \\"
                r" &= \frac{1}{2} \sum_{i=1}^{d} \big(1 + \log \sigma_i^2 - \mu_i^2 - \sigma_i^2\big)"
                r" \end{aligned}",
                "the sign with which it enters the bound",
            ),
        ),
        f"{GAUSSIAN}.kl_gaussians",
    ),
    Claim(
        "eq-kl-full",
        r"\begin{aligned}"
        r" &D_{\mathrm{KL}}\big(\mathcal{N}(\boldsymbol\mu_1, \Sigma_1) \,\big\|\, \mathcal{N}(\boldsymbol\mu_2, \Sigma_2)\big) \\"
        r" &= \frac{1}{2} \Big[\log \frac{\det(\Sigma_2)}{\det(\Sigma_1)} + \operatorname{tr}(\Sigma_2^{-1} \Sigma_1)"
        r" + (\boldsymbol\mu_1 - \boldsymbol\mu_2)^\top \Sigma_2^{-1} (\boldsymbol\mu_1 - \boldsymbol\mu_2) - d\Big]"
        r" \end{aligned}",
        "the average of the logarithms, with any covariance in 1 and 2 dimensions and a diagonal one in 3",
        kl_full,
        (
            NearMiss(
                r"\begin{aligned}"
                r" &D_{\mathrm{KL}}\big(\mathcal{N}(\boldsymbol\mu_1, \Sigma_1) \,\big\|\, \mathcal{N}(\boldsymbol\mu_2, \Sigma_2)\big) \\"
                r" &= \frac{1}{2} \Big[\log \frac{\det(\Sigma_2)}{\det(\Sigma_1)} + \operatorname{tr}(\Sigma_2^{-1} \Sigma_1)"
                r" + (\boldsymbol\mu_1 - \boldsymbol\mu_2)^\top \Sigma_1^{-1} (\boldsymbol\mu_1 - \boldsymbol\mu_2) - d\Big]"
                r" \end{aligned}",
                "the distance measured with the wrong covariance",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &D_{\mathrm{KL}}\big(\mathcal{N}(\boldsymbol\mu_1, \Sigma_1) \,\big\|\, \mathcal{N}(\boldsymbol\mu_2, \Sigma_2)\big) \\"
                r" &= \frac{1}{2} \Big[\log \frac{\det(\Sigma_2)}{\det(\Sigma_1)} + \operatorname{tr}(\Sigma_2^{-1} \Sigma_1)"
                r" + (\boldsymbol\mu_1 - \boldsymbol\mu_2)^\top \Sigma_2^{-1} (\boldsymbol\mu_1 - \boldsymbol\mu_2) - 1\Big]"
                r" \end{aligned}",
                "1 in place of the number of components",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &D_{\mathrm{KL}}\big(\mathcal{N}(\boldsymbol\mu_1, \Sigma_1) \,\big\|\, \mathcal{N}(\boldsymbol\mu_2, \Sigma_2)\big) \\"
                r" &= \frac{1}{2} \Big[\log \frac{\det(\Sigma_1)}{\det(\Sigma_2)} + \operatorname{tr}(\Sigma_2^{-1} \Sigma_1)"
                r" + (\boldsymbol\mu_1 - \boldsymbol\mu_2)^\top \Sigma_2^{-1} (\boldsymbol\mu_1 - \boldsymbol\mu_2) - d\Big]"
                r" \end{aligned}",
                "the determinants exchanged",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &D_{\mathrm{KL}}\big(\mathcal{N}(\boldsymbol\mu_1, \Sigma_1) \,\big\|\, \mathcal{N}(\boldsymbol\mu_2, \Sigma_2)\big) \\"
                r" &= \frac{1}{2} \Big[\log \frac{\det(\Sigma_2)}{\det(\Sigma_1)} + \operatorname{tr}(\Sigma_1^{-1} \Sigma_2)"
                r" + (\boldsymbol\mu_1 - \boldsymbol\mu_2)^\top \Sigma_2^{-1} (\boldsymbol\mu_1 - \boldsymbol\mu_2) - d\Big]"
                r" \end{aligned}",
                "the trace of the inverse",
            ),
        ),
        f"{GAUSSIAN}.kl_full",
    ),
)


# Gradients of expectations


c = sp.symbols("c_0:5", real=True)


def any_polynomial(at: Expr) -> Expr:
    """The polynomial of degree four with free coefficients that stands for f."""
    return sum(k * at**n for n, k in enumerate(c))


def with_polynomial(body: Expr) -> Expr:
    """f and f' carried out."""
    z = sp.Dummy("z")
    body = body.replace(Slope, lambda e: sp.diff(any_polynomial(z), z).subs(z, e.args[0]))
    return body.replace(f, any_polynomial)


def expectation(term: Expr) -> Expr:
    """E over q(x) = N(x; mu, sigma^2), or over epsilon, of an expression with f in it."""
    require(term.func == E and term.args[-1] in (Over(q(x)), Over(eps)), f"{term} is not an expectation over q(x) or over the noise")
    body = term.args[0]

    def gradient(inner: Expr, variable: Expr) -> Expr:
        require(inner == sp.log(q(x)), "only the gradient of log q(x) is known")
        return sp.diff(log_density(x, mu, sigma), variable)

    body = with_polynomial(body.replace(Grad, gradient))
    if term.args[-1] == Over(q(x)):
        require(not body.has(eps), "noise in an expectation over q(x)")
        return mean_of(body, x, mu, sigma)
    require(not body.has(x), "x in an expectation over the noise")
    return mean_of(body, eps, sp.Integer(0), sp.Integer(1))


def gradients(statement: Statement, over: Expr) -> None:
    require(len(statement) == 2, "the gradients in mu and in sigma, please")
    objective = E(f(x), Over(q(x)))
    for relation, parameter in zip(statement, (mu, sigma)):
        require(relation.ops == ("=",) and relation.lhs == Grad(objective, parameter), f"the left side is not the gradient in {parameter}")
        require(relation.rhs.func == E and relation.rhs.args[-1] == over, "the wrong expectation")
        draw = x if over == Over(q(x)) else mu + sigma * eps
        require(all(call.args[0] == draw for call in relation.rhs.atoms(f)), f"f is not taken at {draw}")
        require_equal(expectation(relation.rhs), sp.diff(expectation(objective), parameter), f"the expectation and the slope in {parameter}")


def reparameterised_gradient(statement: Statement) -> None:
    gradients(statement, Over(eps))


def score_gradient(statement: Statement) -> None:
    gradients(statement, Over(q(x)))


def gauss_score(statement: Statement) -> None:
    require(len(statement) == 3, "the gradients in x, mu and sigma, please")
    for relation, variable in zip(statement, (x, mu, sigma)):
        require(relation.ops == ("=",) and relation.lhs == Grad(sp.log(N(x, mu, sigma**2)), variable), f"not the gradient in {variable}")
        require_equal(relation.rhs, sp.diff(log_density(x, mu, sigma), variable), f"the gradient in {variable}")


def stein(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",) and relation.lhs == E(eps * f(eps), Over(eps)), "the left side is not the mean of the noise times f")
    require_equal(expectation(relation.lhs), expectation(relation.rhs), "the two expectations")
    require(relation.rhs.has(Slope), "no slope")


def gradient_variance(statement: Statement) -> None:
    require(len(statement) == 2, "two variances, please")
    draws = (Slope(f(x)), f(x) * (x - mu) / sigma**2)  # one draw of each estimator, for f(x) = x^2
    for relation, draw in zip(statement, draws):
        draw = draw.replace(Slope, lambda e: 2 * e.args[0]).replace(f, lambda e: e**2)
        require(relation.ops == ("=",) and relation.lhs.func == Var and len(relation.lhs.args) == 1, "not a variance")
        require_equal(relation.lhs.args[0], draw, "what is drawn and the estimator for f(x) = x^2")
        mean = mean_of(draw, x, mu, sigma)
        require_equal(mean, 2 * mu, "the mean of the draws and the gradient")
        require_equal(relation.rhs, mean_of(draw**2, x, mu, sigma) - mean**2, "the variance")


GRADIENTS = (
    Claim(
        "eq-reparameterised-gradient",
        r"\nabla_{\mu}\, \mathbb{E}_{q(x)}[f(x)] = \mathbb{E}_{\epsilon}\big[f'(\mu + \sigma \epsilon)\big], \qquad"
        r" \nabla_{\sigma}\, \mathbb{E}_{q(x)}[f(x)] = \mathbb{E}_{\epsilon}\big[\epsilon\, f'(\mu + \sigma \epsilon)\big]",
        "both sides integrated, for any polynomial of degree four",
        reparameterised_gradient,
        (
            NearMiss(
                r"\nabla_{\mu}\, \mathbb{E}_{q(x)}[f(x)] = \mathbb{E}_{\epsilon}\big[f'(\mu + \sigma \epsilon)\big], \qquad"
                r" \nabla_{\sigma}\, \mathbb{E}_{q(x)}[f(x)] = \mathbb{E}_{\epsilon}\big[f'(\mu + \sigma \epsilon)\big]",
                "the inner derivative ε forgotten",
            ),
            NearMiss(
                r"\nabla_{\mu}\, \mathbb{E}_{q(x)}[f(x)] = \mathbb{E}_{\epsilon}\big[f(\mu + \sigma \epsilon)\big], \qquad"
                r" \nabla_{\sigma}\, \mathbb{E}_{q(x)}[f(x)] = \mathbb{E}_{\epsilon}\big[\epsilon\, f(\mu + \sigma \epsilon)\big]",
                "f in place of its derivative",
            ),
            NearMiss(
                r"\nabla_{\mu}\, \mathbb{E}_{q(x)}[f(x)] = \mathbb{E}_{\epsilon}\big[\sigma\, f'(\mu + \sigma \epsilon)\big], \qquad"
                r" \nabla_{\sigma}\, \mathbb{E}_{q(x)}[f(x)] = \mathbb{E}_{\epsilon}\big[\epsilon\, f'(\mu + \sigma \epsilon)\big]",
                "an inner derivative too many",
            ),
        ),
        f"{GAUSSIAN}.reparameterised_gradient",
    ),
    Claim(
        "eq-score-gradient",
        r"\begin{aligned}"
        r" \nabla_{\mu}\, \mathbb{E}_{q(x)}[f(x)] &= \mathbb{E}_{q(x)}\big[f(x)\, \nabla_{\mu} \log q(x)\big] \\"
        r" \nabla_{\sigma}\, \mathbb{E}_{q(x)}[f(x)] &= \mathbb{E}_{q(x)}\big[f(x)\, \nabla_{\sigma} \log q(x)\big]"
        r" \end{aligned}",
        "both sides integrated, for any polynomial of degree four",
        score_gradient,
        (
            NearMiss(
                r"\begin{aligned}"
                r" \nabla_{\mu}\, \mathbb{E}_{q(x)}[f(x)] &= \mathbb{E}_{q(x)}\big[f'(x)\, \nabla_{\mu} \log q(x)\big] \\"
                r" \nabla_{\sigma}\, \mathbb{E}_{q(x)}[f(x)] &= \mathbb{E}_{q(x)}\big[f'(x)\, \nabla_{\sigma} \log q(x)\big]"
                r" \end{aligned}",
                "the derivative of f as well",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" \nabla_{\mu}\, \mathbb{E}_{q(x)}[f(x)] &= \mathbb{E}_{q(x)}\big[f(x)\, \nabla_{x} \log q(x)\big] \\"
                r" \nabla_{\sigma}\, \mathbb{E}_{q(x)}[f(x)] &= \mathbb{E}_{q(x)}\big[f(x)\, \nabla_{\sigma} \log q(x)\big]"
                r" \end{aligned}",
                "the gradient in x: the wrong sign",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" \nabla_{\mu}\, \mathbb{E}_{q(x)}[f(x)] &= \mathbb{E}_{q(x)}\big[\nabla_{\mu} \log q(x)\big] \\"
                r" \nabla_{\sigma}\, \mathbb{E}_{q(x)}[f(x)] &= \mathbb{E}_{q(x)}\big[\nabla_{\sigma} \log q(x)\big]"
                r" \end{aligned}",
                "f forgotten: the mean of the score is zero",
            ),
        ),
        f"{GAUSSIAN}.score_gradient",
    ),
    Claim(
        "eq-gauss-score",
        r"\begin{aligned}"
        r" \nabla_{x} \log \mathcal{N}(x; \mu, \sigma^2) &= -\frac{x-\mu}{\sigma^2} \\"
        r" \nabla_{\mu} \log \mathcal{N}(x; \mu, \sigma^2) &= \frac{x-\mu}{\sigma^2} \\"
        r" \nabla_{\sigma} \log \mathcal{N}(x; \mu, \sigma^2) &= \frac{(x-\mu)^2 - \sigma^2}{\sigma^3}"
        r" \end{aligned}",
        "the derivatives of the logarithm",
        gauss_score,
        (
            NearMiss(
                r"\begin{aligned}"
                r" \nabla_{x} \log \mathcal{N}(x; \mu, \sigma^2) &= -\frac{x-\mu}{\sigma} \\"
                r" \nabla_{\mu} \log \mathcal{N}(x; \mu, \sigma^2) &= \frac{x-\mu}{\sigma} \\"
                r" \nabla_{\sigma} \log \mathcal{N}(x; \mu, \sigma^2) &= \frac{(x-\mu)^2 - \sigma^2}{\sigma^3}"
                r" \end{aligned}",
                "the standard deviation in place of the variance",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" \nabla_{x} \log \mathcal{N}(x; \mu, \sigma^2) &= \frac{x-\mu}{\sigma^2} \\"
                r" \nabla_{\mu} \log \mathcal{N}(x; \mu, \sigma^2) &= \frac{x-\mu}{\sigma^2} \\"
                r" \nabla_{\sigma} \log \mathcal{N}(x; \mu, \sigma^2) &= \frac{(x-\mu)^2 - \sigma^2}{\sigma^3}"
                r" \end{aligned}",
                "uphill away from the mean",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" \nabla_{x} \log \mathcal{N}(x; \mu, \sigma^2) &= -\frac{x-\mu}{\sigma^2} \\"
                r" \nabla_{\mu} \log \mathcal{N}(x; \mu, \sigma^2) &= \frac{x-\mu}{\sigma^2} \\"
                r" \nabla_{\sigma} \log \mathcal{N}(x; \mu, \sigma^2) &= \frac{(x-\mu)^2}{\sigma^3}"
                r" \end{aligned}",
                "the constant in front of the exponential forgotten",
            ),
        ),
        f"{GAUSSIAN}.score",
    ),
    Claim(
        "eq-stein",
        r"\mathbb{E}_{\epsilon}\big[\epsilon\, f(\epsilon)\big] = \mathbb{E}_{\epsilon}\big[f'(\epsilon)\big]",
        "both sides integrated, for any polynomial of degree four",
        stein,
        (
            NearMiss(r"\mathbb{E}_{\epsilon}\big[\epsilon\, f(\epsilon)\big] = -\mathbb{E}_{\epsilon}\big[f'(\epsilon)\big]", "the wrong sign"),
            NearMiss(
                r"\mathbb{E}_{\epsilon}\big[\epsilon\, f(\epsilon)\big] = \mathbb{E}_{\epsilon}\big[\epsilon\, f'(\epsilon)\big]",
                "the noise left where it has been used",
            ),
        ),
    ),
    Claim(
        "eq-gradient-variance",
        r"\operatorname{Var}[2 x] = 4 \sigma^2, \qquad"
        r" \operatorname{Var}\Big[x^2\, \frac{x - \mu}{\sigma^2}\Big] = \frac{\mu^4}{\sigma^2} + 14 \mu^2 + 15 \sigma^2",
        "the moments up to the sixth, by integration",
        gradient_variance,
        (
            NearMiss(
                r"\operatorname{Var}[2 x] = 4 \sigma^2, \qquad"
                r" \operatorname{Var}\Big[x^2\, \frac{x - \mu}{\sigma^2}\Big] = \frac{\mu^4}{\sigma^2} + 18 \mu^2 + 15 \sigma^2",
                "the squared mean not taken off",
            ),
            NearMiss(
                r"\operatorname{Var}[2 x] = 2 \sigma^2, \qquad"
                r" \operatorname{Var}\Big[x^2\, \frac{x - \mu}{\sigma^2}\Big] = \frac{\mu^4}{\sigma^2} + 14 \mu^2 + 15 \sigma^2",
                "a factor not squared",
            ),
            NearMiss(
                r"\operatorname{Var}[2 x] = 4 \sigma^2, \qquad"
                r" \operatorname{Var}\Big[x^2\, \frac{x - \mu}{\sigma^2}\Big] = \mu^4 \sigma^2 + 14 \mu^2 + 15 \sigma^2",
                "multiplied in place of divided",
            ),
        ),
        f"{GAUSSIAN}.score_gradient",
    ),
)

CLAIMS: tuple[Claim, ...] = DENSITY + MAPS + PRODUCT + ENTROPY + DIVERGENCE + GRADIENTS

IN_TEXT: dict[str, Literal["true", "setting"]] = {
    r"\mu_1^2 \sigma_2^2 (\sigma_1^2 + \sigma_2^2) - \mu_1^2 \sigma_2^4 = \mu_1^2 \sigma_1^2 \sigma_2^2": "true",
    r"\tfrac{1}{4} + 1 = \tfrac{5}{4}": "true",
    r"x - \mu_2 = (x - \mu_1) + (\mu_1 - \mu_2)": "true",
    r"(\mu_1 - \mu_2)^2 / (\sigma_1^2 + \sigma_2^2)": "setting",
    r"(\sigma_1^2 + \sigma_2^2)\, \sigma^2": "setting",
    r"(x - \boldsymbol\mu_2)^\top \Sigma_2^{-1} (x - \boldsymbol\mu_2)": "setting",
    r"(x-\mu)/\sigma^2": "setting",
    r"(x-\mu)^2": "setting",
    r"(x-\mu_1)^2": "setting",
    r"-(y - a \mu - b)^2/(2 a^2 \sigma^2)": "setting",
    r"-\exp(-r^2/2)": "setting",
    r"-\tfrac{1}{2} x^2": "setting",
    r"-\tfrac{1}{2}": "setting",
    r"-b^2/a": "setting",
    r"-z^2/2": "setting",
    r"1 - \rho^2": "setting",
    r"1/(2\pi \sigma_1 \sigma_2)": "setting",
    r"1/(\sigma_1^2 + \sigma_2^2)": "setting",
    r"L^\top \Sigma_2^{-1} L": "setting",
    r"\Sigma_1 = L L^\top": "setting",
    r"\Sigma_2^{-1} \Sigma_1": "setting",
    r"\epsilon/\sigma": "setting",
    r"\exp(-x^2/2)": "setting",
    r"\log 2": "setting",
    r"\log \tfrac{1/2}{1/4}": "setting",
    r"\log \tfrac{1/2}{3/4}": "setting",
    r"\log q": "setting",
    r"\mathcal{N}(\mu_1; \mu_2, \sigma_1^2 + \sigma_2^2)": "setting",
    r"\mathrm{d}x = \sigma\, \mathrm{d}z": "setting",
    r"\mu = 0": "setting",
    r"\mu = 3": "setting",
    r"\mu^2 + \sigma^2": "setting",
    r"\mu_1 + \mu_2": "setting",
    r"\sigma = 1": "setting",
    r"\sigma f'(\mu + \sigma \epsilon)": "setting",
    r"\sigma_1 \epsilon_1 + \sigma_2 \epsilon_2": "setting",
    r"\sigma_1^2 + \sigma_2^2": "setting",
    r"\sigma_1^2 \sigma_2^2 (\sigma_1^2 + \sigma_2^2)": "setting",
    r"\sqrt{2\pi\sigma^2}": "setting",
    r"\sqrt{2\pi}": "setting",
    r"\tfrac{1}{2}": "setting",
    r"\tfrac{1}{4}": "setting",
    r"\tfrac{4}{5}": "setting",
    r"a = 1/\sigma_1^2 + 1/\sigma_2^2": "setting",
    r"a > 0": "setting",
    r"b = \mu_1/\sigma_1^2 + \mu_2/\sigma_2^2": "setting",
    r"f(\mu + \sigma \epsilon)": "setting",
    r"f(x) = a x + b": "setting",
    r"f(x) = x^2": "setting",
    r"p(x) = \mathcal{N}(x; \mu_2, \sigma_2^2)": "setting",
    r"q(\log y)": "setting",
    r"q(x) = \mathcal{N}(x; \mu_1, \sigma_1^2)": "setting",
    r"q(x)/p(x)": "setting",
    r"r \exp(-r^2/2)": "setting",
    r"x = (y - b)/a": "setting",
    r"x = \boldsymbol\mu_1 + L z": "setting",
    r"x = \mu + \sigma \epsilon": "setting",
    r"x = \mu + \sigma z": "setting",
    r"x \sim \mathcal{N}(\mu, \sigma^2)": "setting",
    r"x^2 (x-\mu)/\sigma^2": "setting",
    r"x_1 \sim \mathcal{N}(\mu_1, \sigma_1^2)": "setting",
    r"x_2 \sim \mathcal{N}(\mu_2, \sigma_2^2)": "setting",
    r"y - 1": "setting",
    r"y = 1": "setting",
    r"y = \exp(x)": "setting",
    r"y = f(x)": "setting",
    r"y = p(x)/q(x)": "setting",
    r"z \cdot z\, \varphi(z) = -z\, \varphi'(z)": "setting",
    r"z\, \varphi(z) = -\varphi'(z)": "setting",
    r"z^\top L^\top \Sigma_2^{-1} L z": "setting",
}
"""See `forward_process.IN_TEXT`."""
