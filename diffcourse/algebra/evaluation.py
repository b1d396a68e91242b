"""The claims of chapter 14, evaluation, in the order of the chapter.

The Frechet distance is a smallest cost over all ways to pair two sets of points. Its proofs have two halves: one pairing has
this cost, and an inequality that knows nothing of the pairing shows that none is cheaper.
"""

from typing import Literal

import sympy as sp
from sympy import Expr

from diffcourse.algebra.claim import Claim, NearMiss, Refuted, Statement
from diffcourse.algebra.elbo import slack
from diffcourse.algebra.gaussians import _Matrices, law, mapped, mean_of, require_density
from diffcourse.algebra.latex import Norm
from diffcourse.algebra.notation import family, function, matrix, symbol
from diffcourse.algebra.proving import law_of, only, require, require_equal

xs, mus, sigmas = family("x"), family(r"\mu"), family(r"\sigma")
a, d, k, n, u, x, y, mu, sigma, F = (symbol(name) for name in ("a", "d", "k", "n", "u", "x", "y", r"\mu", r"\sigma", "F"))
N, E, p, p_mix, p_noise = (function(name) for name in (r"\mathcal{N}", r"\mathbb{E}", "p", r"p_{\mathrm{mix}}", r"p_{\mathrm{noise}}"))
means, covariances = ([matrix(name, number) for number in (1, 2)] for name in (r"\boldsymbol\mu", r"\Sigma"))
FRECHET = "diffcourse.evaluation.frechet"
half = sp.Rational(1, 2)


# Likelihood


def noise_mixture(statement: Statement) -> None:
    require(len(statement) == 2, "the mixture and the inequality, please")
    mixture, bits = statement
    require(mixture.ops == ("=",) and mixture.lhs == p_mix(x), "the first line does not say what the mixture is")
    good, noise, odds = sp.symbols("good noise odds", positive=True)  # a = 1 / (1 + odds) lies between 0 and 1
    density = mixture.rhs.subs({p(x): good, p_noise(x): noise})
    require_equal(density.subs({noise: good}), good, "the mixture of a density with itself and that density")
    require_equal(sp.diff(density, good), a, "the share of the good model and a")

    require(bits.ops == ("<=",) and bits.lhs == -sp.log(p_mix(x)) / (d * sp.log(2)), "the left side is not a rate in bits")
    allowed = bits.rhs.subs(p(x), good)
    # The bound is reached where the noise has no density, and more density can only make the image cheaper.
    require_equal(allowed, -sp.log(density.subs(noise, 0)) / (d * sp.log(2)), "the bound and the rate without any noise")
    require_equal(sp.diff(density, noise).subs(a, 1 / (1 + odds)), odds / (1 + odds), "what the noise adds, which is positive,")


def dequantise(statement: Statement) -> None:
    relation = only(statement)
    chance = sp.Integral(p(k + u), (u, 0, 1))
    require(relation.ops == ("<=",) and relation.lhs == -sp.log(chance), "the left side is not minus the log of the level's probability")
    # A density that takes three values on parts of the interval, with any shares: integrals are limits of such sums.
    values, (first, second) = sp.symbols("y_1:4", positive=True), sp.symbols("w_1:3", positive=True)
    shares = (first, second, 1 - first - second)

    def integrate(integral: Expr) -> Expr:
        require(integral.limits == chance.limits, "the noise does not run from 0 to 1")
        return sum(share * integral.function.subs(p(k + u), value) for share, value in zip(shares, values))

    less, greater = (term.replace(lambda e: isinstance(e, sp.Integral), integrate) for term in relation.terms)
    require(not greater.has(p), "the density outside of an integral")
    mean = sum(share * value for share, value in zip(shares, values))
    require_equal(greater - less, sum(share * slack(value / mean) for share, value in zip(shares, values)), "the gap and an average slack")
    require_equal(slack(y).subs(y, 1), 0, "the slack at 1 and 0")
    require_equal(sp.diff(slack(y), y), (y - 1) / y, "the slack's slope, which changes its sign at 1")


LIKELIHOOD = (
    Claim(
        "eq-noise-mixture",
        r"\begin{aligned}"
        r" p_{\mathrm{mix}}(x) &= a\, p(x) + (1-a)\, p_{\mathrm{noise}}(x) \\"
        r" -\frac{\log p_{\mathrm{mix}}(x)}{d \log 2} &\le -\frac{\log p(x)}{d \log 2} + \frac{\log(1/a)}{d \log 2}"
        r" \end{aligned}",
        "equal where the noise has no density, and the logarithm grows",
        noise_mixture,
        (
            NearMiss(
                r"\begin{aligned}"
                r" p_{\mathrm{mix}}(x) &= a\, p(x) + (1-a)\, p_{\mathrm{noise}}(x) \\"
                r" -\frac{\log p_{\mathrm{mix}}(x)}{d \log 2} &\le -\frac{\log p(x)}{d \log 2} + \frac{\log(a)}{d \log 2}"
                r" \end{aligned}",
                "the wrong sign: as if noise made images cheaper",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" p_{\mathrm{mix}}(x) &= a\, p(x) + (1-a)\, p_{\mathrm{noise}}(x) \\"
                r" -\frac{\log p_{\mathrm{mix}}(x)}{d \log 2} &\le -\frac{\log p(x)}{d \log 2} + \frac{\log(1/(1-a))}{d \log 2}"
                r" \end{aligned}",
                "the share of the noise in place of that of the model",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" p_{\mathrm{mix}}(x) &= a\, p(x) + (1-a)\, p_{\mathrm{noise}}(x) \\"
                r" -\frac{\log p_{\mathrm{mix}}(x)}{d \log 2} &\le -\frac{\log p(x)}{d \log 2} + \log(1/a)"
                r" \end{aligned}",
                "true, but in nats for the whole image: far more than it costs",
            ),
        ),
    ),
    Claim(
        "eq-dequantise",
        r"-\log \int_0^1 p(k+u)\, \mathrm{d}u \le -\int_0^1 \log p(k+u)\, \mathrm{d}u",
        "the two differ by an average of z - 1 - log z, which is never negative",
        dequantise,
        (
            NearMiss(
                r"-\log \int_0^1 p(k+u)\, \mathrm{d}u \ge -\int_0^1 \log p(k+u)\, \mathrm{d}u",
                "the wrong way round",
            ),
            NearMiss(
                r"-\log \int_0^1 p(k+u)\, \mathrm{d}u \le \int_0^1 \log p(k+u)\, \mathrm{d}u",
                "a minus lost",
            ),
            NearMiss(
                r"-\log \int_0^1 p(k+u)\, \mathrm{d}u \le -\log p(k)",
                "the density at one point in place of the average over the level",
            ),
            NearMiss(
                r"-\log \int_0^1 p(k+u)\, \mathrm{d}u \le -\int_0^2 \log p(k+u)\, \mathrm{d}u",
                "the next level taken along",
            ),
        ),
    ),
)


# The Frechet distance in one dimension


def pairing(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("<=",), "not an upper bound")
    square = (sigmas[2] * x - sigmas[1] * y) ** 2 / (sigmas[1] * sigmas[2])
    require_equal(relation.rhs - relation.lhs, square, "the gap and a square, which is zero where y is sigma_2/sigma_1 x,")


def transport(statement: Statement) -> None:
    require(len(statement) == 2, "two laws, please")
    before, after = statement
    require(before.lhs == x and law(before) == (mus[1], sigmas[1] ** 2), "x is not N(mu_1, sigma_1^2)")
    require(law(after) == (mus[2], sigmas[2] ** 2), "the second law is not N(mu_2, sigma_2^2)")
    require_density(after, mapped(after, x, mus[1], sigmas[1] ** 2))
    slope = sp.diff(after.lhs, x).subs({sigmas[1]: 1, sigmas[2]: 1})
    require(slope == 1, f"the map does not keep the order: its slope is {slope} where both deviations are one")


def cost_of_transport() -> Expr:
    """E[(x - y)^2] for the order-keeping pairing y = mu_2 + sigma_2/sigma_1 (x - mu_1), by the moments of a Gaussian."""
    partner = mus[2] + sigmas[2] / sigmas[1] * (x - mus[1])
    return mean_of((x - partner) ** 2, x, mus[1], sigmas[1])


def least_cost() -> Expr:
    """What (x - y)^2 costs at least: E[2 x y] of the centred pair replaced by eq-pairing, which needs the two variances alone."""
    bound = (sigmas[2] / sigmas[1]) * sigmas[1] ** 2 + (sigmas[1] / sigmas[2]) * sigmas[2] ** 2
    return (mus[1] - mus[2]) ** 2 + sigmas[1] ** 2 + sigmas[2] ** 2 - bound


def frechet_univariate(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",) and relation.lhs == F, "the left side is not F")
    require_equal(relation.rhs, cost_of_transport(), "the distance and the cost of the pairing that keeps the order")
    require_equal(relation.rhs, least_cost(), "the distance and what every pairing costs at least")


ONE_DIMENSION = (
    Claim(
        "eq-transport",
        r"x \sim \mathcal{N}(\mu_1, \sigma_1^2), \qquad \mu_2 + \frac{\sigma_2}{\sigma_1}\, (x - \mu_1) \sim \mathcal{N}(\mu_2, \sigma_2^2)",
        "the change of variables, and a positive slope",
        transport,
        (
            NearMiss(
                r"x \sim \mathcal{N}(\mu_1, \sigma_1^2), \qquad \mu_2 + \frac{\sigma_2^2}{\sigma_1^2}\, (x - \mu_1) \sim \mathcal{N}(\mu_2, \sigma_2^2)",
                "the ratio of the variances",
            ),
            NearMiss(
                r"x \sim \mathcal{N}(\mu_1, \sigma_1^2), \qquad \mu_2 - \frac{\sigma_2}{\sigma_1}\, (x - \mu_1) \sim \mathcal{N}(\mu_2, \sigma_2^2)",
                "true of the laws, but the smallest is paired with the largest: the dearest way",
            ),
            NearMiss(
                r"x \sim \mathcal{N}(\mu_1, \sigma_1^2), \qquad x + \mu_2 - \mu_1 \sim \mathcal{N}(\mu_2, \sigma_2^2)",
                "shifted without being stretched",
            ),
        ),
    ),
    Claim(
        "eq-pairing",
        r"2 x y \le \frac{\sigma_2}{\sigma_1}\, x^2 + \frac{\sigma_1}{\sigma_2}\, y^2",
        "the difference is a square",
        pairing,
        (
            NearMiss(r"2 x y \le \frac{\sigma_1}{\sigma_2}\, x^2 + \frac{\sigma_2}{\sigma_1}\, y^2", "true, but equal for the wrong partner: the ratios are exchanged"),
            NearMiss(r"2 x y \le \frac{\sigma_2}{\sigma_1}\, x^2 - \frac{\sigma_1}{\sigma_2}\, y^2", "a sign"),
            NearMiss(r"4 x y \le \frac{\sigma_2}{\sigma_1}\, x^2 + \frac{\sigma_1}{\sigma_2}\, y^2", "a factor of two too much"),
        ),
    ),
    Claim(
        "eq-frechet-1d",
        r"F = (\mu_1 - \mu_2)^2 + (\sigma_1 - \sigma_2)^2",
        "the cost of keeping the order, and a bound that holds for every pairing",
        frechet_univariate,
        (
            NearMiss(r"F = (\mu_1 - \mu_2)^2 + (\sigma_1^2 - \sigma_2^2)^2", "variances in place of standard deviations"),
            NearMiss(r"F = (\mu_1 - \mu_2)^2 + \sigma_1^2 + \sigma_2^2", "partners drawn at random"),
            NearMiss(r"F = (\mu_1 - \mu_2)^2 + (\sigma_1 + \sigma_2)^2", "the smallest paired with the largest"),
            NearMiss(r"F = (\mu_1 - \mu_2)^2 + \lvert \sigma_1^2 - \sigma_2^2 \rvert", "a difference of variances"),
        ),
        f"{FRECHET}.frechet_distance",
    ),
)


# The Frechet distance of vectors


class _Roots(_Matrices):
    """Also knows lengths of vectors, powers of matrices, and the roots that it was told: {root: its square}."""

    def __init__(self, values: dict[Expr, sp.Matrix], roots: list[sp.Matrix]) -> None:
        super().__init__(values)
        self.roots = roots

    def __call__(self, expression: Expr) -> Expr | sp.Matrix:
        if expression.func != sp.Pow or expression.args[0].is_commutative:
            return super().__call__(expression)
        base, exponent = expression.args
        if base.func == Norm:
            vector = self(base.args[0])
            require(exponent == 2 and vector.shape[1:] == (1,), "of a vector's length only the square is known")
            return (vector.T * vector)[0]
        square = self(base)
        require(isinstance(square, sp.MatrixBase) and square.is_square, f"{base} has no powers")
        if exponent == 2:
            return square * square
        require(exponent == half, f"the power {exponent} of a matrix is not known")
        for root in self.roots:
            if root.shape == square.shape and (root * root - square).applyfunc(sp.cancel).is_zero_matrix:
                return root
        raise Refuted(f"{expression} is no root that the proof can name")


def positive(name: str, size: int) -> sp.Matrix:
    """A symmetric matrix with positive eigenvalues, as general as they come: L L^T with a positive diagonal."""
    lower = sp.Matrix(size, size, lambda r, c: sp.Symbol(f"{name}_{r}{c}", positive=True) if r >= c else 0)
    return lower * lower.T


def centres(size: int) -> list[sp.Matrix]:
    return [sp.Matrix([sp.Symbol(f"{name}_{r}", real=True) for r in range(size)]) for name in "mn"]


def distance(statement: Statement, values: dict[Expr, sp.Matrix], roots: list[sp.Matrix]) -> Expr:
    """The right side of F = .., a number."""
    relation = only(statement)
    require(relation.ops == ("=",) and relation.lhs == F, "the left side is not F")
    value = _Roots(values, roots)(relation.rhs)
    require(not isinstance(value, sp.MatrixBase), "a distance is a number")
    return value


def frechet_general(statement: Statement) -> None:
    for size in (1, 2):
        # Root and map are free; any two covariances with inverses come from some root A of the first and some map M.
        root, carry, (first, second) = positive("A", size), positive("M", size), centres(size)
        before = root * root
        after = carry * before * carry  # the covariance of M (x - mean)
        values = dict(zip(means, (first, second))) | dict(zip(covariances, (before, after)))
        said = distance(statement, values, [root, root * carry * root])
        apart = ((first - second).T * (first - second))[0]
        left_over = sp.eye(size) - carry
        require_equal(said, apart + (left_over * before * left_over.T).trace(), f"the distance and the cost of the map in {size} dimensions")
        # 2 x.y <= x.M x + y.M^-1 y, averaged over any pairing.
        bound = (carry * before).trace() + sp.cancel((carry.inv() * after).trace())
        require_equal(said, apart + (before + after).trace() - bound, f"the distance and the least cost in {size} dimensions")


def frechet_commuting(statement: Statement) -> None:
    size = 2
    tangent = sp.Symbol("w", positive=True)  # of half the angle by which the common axes are turned
    turn = sp.Matrix([[1 - tangent**2, -2 * tangent], [2 * tangent, 1 - tangent**2]]) / (1 + tangent**2)
    deviations = [sp.symbols(f"{name}_1:3", positive=True) for name in "st"]
    roots = [turn * sp.diag(*each) * turn.T for each in deviations]
    first, second = centres(size)
    values = dict(zip(means, (first, second))) | {covariance: root * root for covariance, root in zip(covariances, roots)}
    said = distance(statement, values, roots)
    along = turn.T * (first - second)  # each axis for itself is eq-frechet-1d
    expected = sum(along[axis] ** 2 + (deviations[0][axis] - deviations[1][axis]) ** 2 for axis in range(size))
    require_equal(said, expected, "the distance and the sum over the common axes")


VECTORS = (
    Claim(
        "eq-frechet",
        r"F = \lVert \boldsymbol\mu_1 - \boldsymbol\mu_2 \rVert^2"
        r" + \operatorname{tr}\big(\Sigma_1 + \Sigma_2 - 2 (\Sigma_1^{1/2} \Sigma_2 \Sigma_1^{1/2})^{1/2}\big)",
        "the cost of the best map, and a bound that holds for every pairing, with matrices of one and two rows",
        frechet_general,
        (
            NearMiss(
                r"F = \lVert \boldsymbol\mu_1 - \boldsymbol\mu_2 \rVert^2"
                r" + \operatorname{tr}\big(\Sigma_1 + \Sigma_2 - (\Sigma_1^{1/2} \Sigma_2 \Sigma_1^{1/2})^{1/2}\big)",
                "the 2 forgotten: two equal Gaussians would lie apart",
            ),
            NearMiss(
                r"F = \lVert \boldsymbol\mu_1 - \boldsymbol\mu_2 \rVert^2"
                r" + \operatorname{tr}\big(\Sigma_1 + \Sigma_2 - 2 \Sigma_1^{1/2} \Sigma_2 \Sigma_1^{1/2}\big)",
                "the outer root forgotten",
            ),
            NearMiss(
                r"F = \lVert \boldsymbol\mu_1 - \boldsymbol\mu_2 \rVert^2"
                r" + \operatorname{tr}\big(\Sigma_1 + \Sigma_2\big)",
                "partners drawn at random",
            ),
        ),
        f"{FRECHET}.frechet_distance",
    ),
    Claim(
        "eq-frechet-commuting",
        r"F = \lVert \boldsymbol\mu_1 - \boldsymbol\mu_2 \rVert^2 + \operatorname{tr}\big((\Sigma_1^{1/2} - \Sigma_2^{1/2})^2\big)",
        "the one-dimensional distance along each of the common axes, whatever their angle",
        frechet_commuting,
        (
            NearMiss(
                r"F = \lVert \boldsymbol\mu_1 - \boldsymbol\mu_2 \rVert^2 + \operatorname{tr}\big((\Sigma_1 - \Sigma_2)^2\big)",
                "the roots forgotten",
            ),
            NearMiss(
                r"F = \lVert \boldsymbol\mu_1 - \boldsymbol\mu_2 \rVert^2 + \operatorname{tr}\big(\Sigma_1 - \Sigma_2\big)",
                "it could be negative",
            ),
            NearMiss(
                r"F = \lVert \boldsymbol\mu_1 - \boldsymbol\mu_2 \rVert^2 + \operatorname{tr}\big((\Sigma_1^{1/2} + \Sigma_2^{1/2})^2\big)",
                "a sign: the dearest pairing",
            ),
        ),
        f"{FRECHET}.frechet_distance",
    ),
)


# Few samples


def mean_bias(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",) and relation.lhs.func == E and len(relation.lhs.args) == 1, "the left side is not an expectation")
    error, power = relation.lhs.args[0].as_base_exp()
    require(power == 2, "not the expectation of a square")
    for count in (1, 2, 3, 5):
        noises = list(sp.symbols(f"e_1:{count + 1}", real=True))
        drawn = {xs[i]: mu + sigma * noise for i, noise in enumerate(noises, start=1)}
        mean, variance = law_of(sp.expand(error.subs(n, count).doit().subs(drawn)), noises)
        require_equal(mean, 0, f"the mean error of {count} samples and 0")
        require_equal(relation.rhs.subs(n, count), variance, f"the value and the variance of the mean of {count} samples")


FEW = (
    Claim(
        "eq-mean-bias",
        r"\mathbb{E}\Big[\Big(\frac{1}{n} \sum_{i=1}^{n} x_i - \mu\Big)^2\Big] = \frac{\sigma^2}{n}",
        "variances of independent samples add up, for n = 1, 2, 3 and 5",
        mean_bias,
        (
            NearMiss(
                r"\mathbb{E}\Big[\Big(\frac{1}{n} \sum_{i=1}^{n} x_i - \mu\Big)^2\Big] = \frac{\sigma^2}{n^2}",
                "each variance divided by n² and not added up",
            ),
            NearMiss(
                r"\mathbb{E}\Big[\Big(\frac{1}{n} \sum_{i=1}^{n} x_i - \mu\Big)^2\Big] = \frac{\sigma}{\sqrt{n}}",
                "the standard error in place of its square",
            ),
            NearMiss(
                r"\mathbb{E}\Big[\Big(\frac{1}{n} \sum_{i=1}^{n} x_i - \mu\Big)^2\Big] = \sigma^2",
                "the variance of a single sample",
            ),
        ),
    ),
)

CLAIMS: tuple[Claim, ...] = LIKELIHOOD + ONE_DIMENSION + VECTORS + FEW

IN_TEXT: dict[str, Literal["true", "setting"]] = {
    r"2\, x^\top y \le x^\top M x + y^\top M^{-1} y": "setting",
    r"M \Sigma_1 M = \Sigma_2": "setting",
    r"M^{-1} \Sigma_2": "setting",
    r"M^{1/2} x - M^{-1/2} y": "setting",
    r"\Sigma_1 + \Sigma_2 - 2 M \Sigma_1": "setting",
    r"\Sigma_1^{1/2} M \Sigma_1^{1/2}": "setting",
    r"\Sigma_1^{1/2} \Sigma_2 \Sigma_1^{1/2}": "setting",
    r"\log 2": "setting",
    r"\log_2 10": "setting",
    r"\log_2 17 = 4.09": "setting",
    r"\sigma_1^2 + \sigma_2^2": "setting",
    r"\sigma_1^2 + \sigma_2^2 - 2 \sigma_1 \sigma_2": "setting",
    r"\sigma_2/\sigma_1": "setting",
    r"a = 0.01": "setting",
    r"k + 1": "setting",
    r"k = 3": "setting",
    r"x \sim \mathcal{N}(0, 1)": "setting",
    r"x^2 + y^2 - 2 x y": "setting",
    r"y = M x": "setting",
}
"""See `forward_process.IN_TEXT`."""
