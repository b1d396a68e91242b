"""The claims of chapter 5, generative adversarial networks, in the order of the chapter.

Statements about two densities are proved under the integral, point by point: q(x) and p_theta(x) become two positive numbers. Two
integrals are equal where their integrands are; what a constant contributes is spread over both densities, whose areas are one.
"""

from collections.abc import Callable
from typing import Literal

import sympy as sp
from sympy import Expr

from diffcourse.algebra.claim import Claim, NearMiss, Statement
from diffcourse.algebra.elbo import slack
from diffcourse.algebra.gaussians import log_density
from diffcourse.algebra.latex import Grad, Int, Over, Relation
from diffcourse.algebra.notation import family, function, symbol
from diffcourse.algebra.proving import law_of, normal, only, require, require_equal

xs, ys, zs, mus = family("x"), family("y"), family("z"), family(r"\mu")
x, y, z, u, a, b, n, V, V_best = (symbol(name) for name in ("x", "y", "z", "u", "a", "b", "n", "V", r"V_{\mathrm{best}}"))
sigma, eta, gamma, phi = (symbol(name) for name in (r"\sigma", r"\eta", r"\gamma", r"\phi"))
q, p_theta, p_mix = (function(name) for name in ("q", r"p_\theta", r"p_{\mathrm{mix}}"))
D, D_best, G, E, KL, JS, g = (
    function(name) for name in ("D", r"D_{\mathrm{best}}", "G", r"\mathbb{E}", r"D_{\mathrm{KL}}", r"D_{\mathrm{JS}}", "g")
)
FAMILY = "diffcourse.families.gan"
half = sp.Rational(1, 2)

Q, P = sp.symbols("Q P", positive=True)
"""The two densities at one point."""


def logistic(score: Expr) -> Expr:
    """1 / (1 + exp(-score))."""
    return 1 / (1 + sp.exp(-score))


def sides(relation: Relation, lhs: Expr, *ops: str) -> tuple[Expr, ...]:
    """What stands right of lhs, with these relation signs in between."""
    require(relation.ops == ops, f"the relation signs are not {' '.join(ops)}")
    require(relation.lhs == lhs, f"the left side is not {lhs}")
    return relation.terms[1:]


# The game


class _Draws:
    """A world of three points, of which real ones and ones that a generator makes of two kinds of z have any probabilities."""

    REAL, LATENT = sp.symbols("w_1:4", positive=True), sp.symbols("v_1:3", positive=True)
    MAKES = (0, 2)
    """The point that comes of each z."""
    TRUST = sp.symbols("t_1:4", positive=True)
    """What D says of each point."""

    def at(self, body: Expr, point: int) -> Expr:
        """The body for this x."""
        made = sum(chance for chance, end in zip(self.LATENT, self.MAKES) if end == point)
        return body.subs({D(x): self.TRUST[point], q(x): self.REAL[point], p_theta(x): made})

    def mean(self, body: Expr, over: Expr) -> Expr:
        """An expectation over real points or over z."""
        if over == Over(q(x)):
            return sum(chance * self.at(body, point) for point, chance in enumerate(self.REAL))
        require(over == Over(z), f"{over} is neither real points nor z")
        return sum(chance * body.subs(D(G(z)), self.TRUST[end]) for chance, end in zip(self.LATENT, self.MAKES))

    def total(self, body: Expr, variable: Expr) -> Expr:
        """An integral over all points."""
        require(variable == x, f"an integral over {variable}")
        return sum(self.at(body, point) for point in range(len(self.REAL)))

    def game(self) -> Expr:
        """Twice the mean logarithm of the probability that D gives to the right label, where a fair coin chooses real or made."""
        deck = [(half * chance, self.TRUST[point]) for point, chance in enumerate(self.REAL)]
        deck += [(half * chance, 1 - self.TRUST[end]) for chance, end in zip(self.LATENT, self.MAKES)]
        return 2 * sum(chance * sp.log(right) for chance, right in deck)


def value(statement: Statement) -> None:
    (averages,) = sides(only(statement), V, "=")
    world = _Draws()
    require_equal(averages.replace(E, world.mean), world.game(), "the value and twice the mean logarithm of the right label's probability")


def value_integral(statement: Statement) -> None:
    (integral,) = sides(only(statement), V, "=")
    world = _Draws()
    require(integral.func == Int, "not an integral")
    require_equal(world.total(*integral.args), world.game(), "the integral and twice the mean logarithm of the right label's probability")


def pointwise(statement: Statement) -> None:
    relation = only(statement)
    (best,) = sides(relation, a * sp.log(y) + b * sp.log(1 - y), "<=")
    trust = 1 / (1 + sp.Symbol("r", positive=True))  # between 0 and 1
    gap = (best - relation.lhs).subs(y, trust)
    allowed = a * slack(y * (a + b) / a) + b * slack((1 - y) * (a + b) / b)
    require_equal(gap, allowed.subs(y, trust), "the gap and a sum of slacks, each of which is zero at y = a/(a + b) alone,")


def best(statement: Statement) -> None:
    (ratio,) = sides(only(statement), D_best(x), "=")
    ratio = ratio.subs({q(x): Q, p_theta(x): P})
    pays = Q * sp.log(y) + P * sp.log(1 - y)
    require_equal(sp.diff(pays, y).subs(y, ratio), 0, "the slope of the integrand there and 0")
    bend = sp.diff(pays, y, 2).subs(y, ratio)
    require_equal(bend, -((Q + P) ** 3) / (Q * P), "the bend of the integrand there and a negative number")


def logit(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",), "not an equation")
    score, log_ratio = (term.subs({D_best(x): Q / (Q + P), q(x): Q, p_theta(x): P}) for term in relation.terms)
    require(relation.lhs == sp.log(D_best(x)) - sp.log(1 - D_best(x)), "the left side is not the logarithm of the odds")
    require_equal(sp.exp(sp.expand_log(log_ratio, force=True)), sp.exp(sp.log(Q) - sp.log(P)), "the right side's exponential and the ratio")
    require_equal(sp.simplify(sp.exp(score)), Q / P, "the odds and the ratio of the densities")


def line(statement: Statement) -> None:
    (straight,) = sides(only(statement), sp.log(q(x)) - sp.log(p_theta(x)), "=")
    expected = log_density(x, mus[1], sigma) - log_density(x, mus[2], sigma)
    require_equal(straight, expected, "the line and the difference of the logarithms")
    require_equal(sp.diff(straight, x, 2), 0, "its bend and 0")


GAME = (
    Claim(
        "eq-gan-value",
        r"V = \mathbb{E}_{q(x)}\big[\log D(x)\big] + \mathbb{E}_{z}\big[\log(1 - D(G(z)))\big]",
        "twice the mean logarithm of what D gives to the right label, counted in a world of three points",
        value,
        (
            NearMiss(
                r"V = \mathbb{E}_{q(x)}\big[\log D(x)\big] + \mathbb{E}_{z}\big[\log D(G(z))\big]",
                "D is paid for taking drawn images for real ones",
            ),
            NearMiss(
                r"V = \mathbb{E}_{q(x)}\big[\log D(x)\big] - \mathbb{E}_{z}\big[\log(1 - D(G(z)))\big]",
                "the sign: D would gain by taking drawn images for real ones",
            ),
            NearMiss(
                r"V = \mathbb{E}_{q(x)}\big[\log(1 - D(x))\big] + \mathbb{E}_{z}\big[\log D(G(z))\big]",
                "the labels exchanged",
            ),
        ),
        f"{FAMILY}.discriminator_loss",
    ),
    Claim(
        "eq-gan-integral",
        r"V = \int \big(q(x) \log D(x) + p_\theta(x) \log(1 - D(x))\big)\, \mathrm{d}x",
        "the same sum over points, with the density of what G draws",
        value_integral,
        (
            NearMiss(
                r"V = \int \big(q(x) \log D(x) + q(x) \log(1 - D(x))\big)\, \mathrm{d}x",
                "as if drawn images had the density of the data",
            ),
            NearMiss(
                r"V = \int \big(p_\theta(x) \log D(x) + q(x) \log(1 - D(x))\big)\, \mathrm{d}x",
                "the densities exchanged",
            ),
            NearMiss(
                r"V = \int \big(\log D(x) + \log(1 - D(x))\big)\, \mathrm{d}x",
                "every point counted alike, however rare it is",
            ),
        ),
    ),
    Claim(
        "eq-gan-pointwise",
        r"a \log y + b \log(1 - y) \le a \log \frac{a}{a + b} + b \log \frac{b}{a + b}",
        "the gap is a sum of two slacks of the bound on the logarithm, both zero at y = a/(a+b)",
        pointwise,
        (
            NearMiss(
                r"a \log y + b \log(1 - y) \ge a \log \frac{a}{a + b} + b \log \frac{b}{a + b}",
                "the wrong way round",
            ),
            NearMiss(
                r"a \log y + b \log(1 - y) \le a \log \frac{b}{a + b} + b \log \frac{a}{a + b}",
                "the two shares exchanged: too low, and so no bound",
            ),
            NearMiss(
                r"a \log y + b \log(1 - y) \le -(a + b) \log 2",
                "what y = 1/2 gives: the best only where a = b",
            ),
        ),
    ),
    Claim(
        "eq-gan-best",
        r"D_{\mathrm{best}}(x) = \frac{q(x)}{q(x) + p_\theta(x)}",
        "the integrand is flat there and bends downwards",
        best,
        (
            NearMiss(r"D_{\mathrm{best}}(x) = \frac{p_\theta(x)}{q(x) + p_\theta(x)}", "how probable it is that x was drawn by G"),
            NearMiss(r"D_{\mathrm{best}}(x) = \frac{q(x)}{p_\theta(x)}", "the ratio of the densities, which may exceed one"),
            NearMiss(r"D_{\mathrm{best}}(x) = \frac{q(x)^2}{q(x)^2 + p_\theta(x)^2}", "too sure of itself on both sides"),
        ),
    ),
    Claim(
        "eq-gan-logit",
        r"\log D_{\mathrm{best}}(x) - \log(1 - D_{\mathrm{best}}(x)) = \log q(x) - \log p_\theta(x)",
        "the odds of the best discriminator are the ratio of the densities",
        logit,
        (
            NearMiss(
                r"\log D_{\mathrm{best}}(x) - \log(1 - D_{\mathrm{best}}(x)) = \log p_\theta(x) - \log q(x)",
                "the ratio upside down",
            ),
            NearMiss(
                r"\log D_{\mathrm{best}}(x) - \log(1 - D_{\mathrm{best}}(x)) = \log q(x)",
                "the density alone: no discriminator knows it",
            ),
        ),
    ),
    Claim(
        "eq-gan-line",
        r"\log q(x) - \log p_\theta(x) = \frac{\mu_1 - \mu_2}{\sigma^2} \Big(x - \frac{\mu_1 + \mu_2}{2}\Big)",
        "the difference of two parabolas of the same width, q = N(μ₁, σ²) and p = N(μ₂, σ²)",
        line,
        (
            NearMiss(
                r"\log q(x) - \log p_\theta(x) = \frac{\mu_1 - \mu_2}{\sigma^2} \big(x - (\mu_1 + \mu_2)\big)",
                "zero at the sum of the means in place of halfway between them",
            ),
            NearMiss(
                r"\log q(x) - \log p_\theta(x) = \frac{\mu_2 - \mu_1}{\sigma^2} \Big(x - \frac{\mu_1 + \mu_2}{2}\Big)",
                "the slope turned round",
            ),
            NearMiss(
                r"\log q(x) - \log p_\theta(x) = \frac{\mu_1 - \mu_2}{\sigma} \Big(x - \frac{\mu_1 + \mu_2}{2}\Big)",
                "the standard deviation in place of the variance",
            ),
        ),
    ),
)


# What the game is about

AVERAGES = (Int, E, KL, JS)


def js_integrand(first: Expr, second: Expr) -> Expr:
    """Of the Jensen-Shannon divergence: what learning the label takes away from the surprise, on average."""
    middle = (first + second) / 2
    return -middle * sp.log(middle) + half * (first * sp.log(first) + second * sp.log(second))


def integrand(term: Expr) -> Expr:
    """Of a sum of averages over x and constants, at a point where the data have the density Q and the model P."""

    def inside(average: Expr) -> Expr:
        body, *rest = average.args
        if average.func == Int:
            require(rest == [x], "not an integral over x")
        elif average.func == E:
            require(rest == [Over(q(x))], "not an average over the data")
            body = q(x) * body
        elif average.func == KL:
            body = body * sp.log(body / rest[0])
        else:
            body = js_integrand(body, rest[0])
        return body.subs({D_best(x): Q / (Q + P), p_mix(x): (Q + P) / 2, q(x): Q, p_theta(x): P})

    total = sp.Integer(0)
    for part in sp.Add.make_args(sp.expand_mul(term, deep=False)):
        averages = [factor for factor in sp.Mul.make_args(part) if factor.func in AVERAGES]
        require(len(averages) <= 1, f"{part} is no multiple of an average")
        weight = part / averages[0] if averages else part
        require(weight.is_number, f"{weight} depends on x outside of every average")
        total += weight * (inside(averages[0]) if averages else (Q + P) / 2)
    return total


def jensen_shannon(statement: Statement) -> None:
    require(len(statement) == 2, "the divergence and the mixture, please")
    (averages,) = sides(statement[0], JS(q(x), p_theta(x)), "=")
    (mixture,) = sides(statement[1], p_mix(x), "=")
    mixture = mixture.subs({q(x): Q, p_theta(x): P})
    require_equal(mixture, (Q + P) / 2, "the mixture and the density of a deck that is half real, half drawn")
    require_equal(integrand(averages), js_integrand(Q, P), "the integrand and what learning the label takes away from the surprise")


def js_value(statement: Statement) -> None:
    integral, shifted = sides(only(statement), V_best, "=", "=")
    most = Q * sp.log(Q / (Q + P)) + P * sp.log(P / (Q + P))  # eq-gan-pointwise
    require_equal(integrand(integral), most, "the integrand and the most that a discriminator can get at a point")
    require_equal(integrand(shifted), most, "the integrand of the divergence and the most that a discriminator can get at a point")


def js_bounds(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("<=", "<=") and relation.terms[1] == JS(q(x), p_theta(x)), "the divergence between two bounds, please")
    low, divergence, high = (integrand(term) for term in relation.terms)
    middle = (Q + P) / 2
    slacks = half * (Q * slack(middle / Q) + P * slack(middle / P))
    require_equal(divergence - low, slacks, "the divergence above its lower bound and a sum of slacks, zero where Q = P alone,")
    rest = half * (Q * sp.log(1 + P / Q) + P * sp.log(1 + Q / P))
    require_equal(high - divergence, rest, "what is missing to the upper bound and logarithms of numbers above one")


def js_disjoint(statement: Statement) -> None:
    require(len(statement) == 2, "where the densities are, and the divergence, please")
    (nothing,) = sides(statement[0], q(x) * p_theta(x), "=")
    require(nothing == 0, "the product of the densities is not zero: they overlap somewhere")
    (constant,) = sides(statement[1], JS(q(x), p_theta(x)), "=")
    require(constant.is_number, "not the same at every distance")
    here = integrand(JS(q(x), p_theta(x)))
    there = integrand(constant)
    for gone, left in ((P, Q), (Q, P)):
        alone = sp.limit(here, gone, 0)
        require_equal(sp.expand_log(alone, force=True), there.subs(gone, 0), f"where only {left} is, the divergence and the constant")


DIVERGENCE = (
    Claim(
        "eq-js",
        r"\begin{aligned}"
        r" D_{\mathrm{JS}}\big(q(x) \,\big\|\, p_\theta(x)\big) &="
        r" \tfrac{1}{2} D_{\mathrm{KL}}\big(q(x) \,\big\|\, p_{\mathrm{mix}}(x)\big)"
        r" + \tfrac{1}{2} D_{\mathrm{KL}}\big(p_\theta(x) \,\big\|\, p_{\mathrm{mix}}(x)\big) \\"
        r" p_{\mathrm{mix}}(x) &= \tfrac{1}{2} q(x) + \tfrac{1}{2} p_\theta(x)"
        r" \end{aligned}",
        "both are what learning the label of a number takes away from its surprise, point by point",
        jensen_shannon,
        (
            NearMiss(
                r"\begin{aligned}"
                r" D_{\mathrm{JS}}\big(q(x) \,\big\|\, p_\theta(x)\big) &="
                r" \tfrac{1}{2} D_{\mathrm{KL}}\big(q(x) \,\big\|\, p_\theta(x)\big)"
                r" + \tfrac{1}{2} D_{\mathrm{KL}}\big(p_\theta(x) \,\big\|\, q(x)\big) \\"
                r" p_{\mathrm{mix}}(x) &= \tfrac{1}{2} q(x) + \tfrac{1}{2} p_\theta(x)"
                r" \end{aligned}",
                "each measured from the other in place of the mixture: infinite where the two do not overlap",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" D_{\mathrm{JS}}\big(q(x) \,\big\|\, p_\theta(x)\big) &="
                r" \tfrac{1}{2} D_{\mathrm{KL}}\big(p_{\mathrm{mix}}(x) \,\big\|\, q(x)\big)"
                r" + \tfrac{1}{2} D_{\mathrm{KL}}\big(p_{\mathrm{mix}}(x) \,\big\|\, p_\theta(x)\big) \\"
                r" p_{\mathrm{mix}}(x) &= \tfrac{1}{2} q(x) + \tfrac{1}{2} p_\theta(x)"
                r" \end{aligned}",
                "the divergences taken in the other direction",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" D_{\mathrm{JS}}\big(q(x) \,\big\|\, p_\theta(x)\big) &="
                r" \tfrac{1}{2} D_{\mathrm{KL}}\big(q(x) \,\big\|\, p_{\mathrm{mix}}(x)\big)"
                r" + \tfrac{1}{2} D_{\mathrm{KL}}\big(p_\theta(x) \,\big\|\, p_{\mathrm{mix}}(x)\big) \\"
                r" p_{\mathrm{mix}}(x) &= q(x) + p_\theta(x)"
                r" \end{aligned}",
                "a mixture whose area is two",
            ),
        ),
    ),
    Claim(
        "eq-gan-js",
        r"\begin{aligned}"
        r" V_{\mathrm{best}} &= \int \big(q(x) \log D_{\mathrm{best}}(x) + p_\theta(x) \log(1 - D_{\mathrm{best}}(x))\big)\, \mathrm{d}x \\"
        r" &= 2\, D_{\mathrm{JS}}\big(q(x) \,\big\|\, p_\theta(x)\big) - \log 4"
        r" \end{aligned}",
        "integrand by integrand, and each density has area one",
        js_value,
        (
            NearMiss(
                r"\begin{aligned}"
                r" V_{\mathrm{best}} &= \int \big(q(x) \log D_{\mathrm{best}}(x) + p_\theta(x) \log(1 - D_{\mathrm{best}}(x))\big)\, \mathrm{d}x \\"
                r" &= 2\, D_{\mathrm{JS}}\big(q(x) \,\big\|\, p_\theta(x)\big) - \log 2"
                r" \end{aligned}",
                "one of the two halves of the mixture forgotten",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" V_{\mathrm{best}} &= \int \big(q(x) \log D_{\mathrm{best}}(x) + p_\theta(x) \log(1 - D_{\mathrm{best}}(x))\big)\, \mathrm{d}x \\"
                r" &= D_{\mathrm{JS}}\big(q(x) \,\big\|\, p_\theta(x)\big) - \log 4"
                r" \end{aligned}",
                "the factor 2 lost: the value is a sum, the divergence an average",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" V_{\mathrm{best}} &= \int \big(q(x) \log D_{\mathrm{best}}(x) + p_\theta(x) \log(1 - D_{\mathrm{best}}(x))\big)\, \mathrm{d}x \\"
                r" &= 2\, D_{\mathrm{JS}}\big(q(x) \,\big\|\, p_\theta(x)\big) + \log 4"
                r" \end{aligned}",
                "the sign: no value of this game is above zero",
            ),
        ),
        f"{FAMILY}.discriminator_loss",
    ),
    Claim(
        "eq-js-bounds",
        r"0 \le D_{\mathrm{JS}}\big(q(x) \,\big\|\, p_\theta(x)\big) \le \log 2",
        "below a sum of slacks, above logarithms of numbers larger than one",
        js_bounds,
        (
            NearMiss(r"0 \le D_{\mathrm{JS}}\big(q(x) \,\big\|\, p_\theta(x)\big) \le \tfrac{1}{2} \log 2", "half of what disjoint densities reach"),
            NearMiss(r"0 \ge D_{\mathrm{JS}}\big(q(x) \,\big\|\, p_\theta(x)\big) \ge -\log 2", "the sign turned round"),
            NearMiss(
                r"\tfrac{1}{2} \log 2 \le D_{\mathrm{JS}}\big(q(x) \,\big\|\, p_\theta(x)\big) \le \log 2",
                "equal densities are at distance zero",
            ),
        ),
    ),
    Claim(
        "eq-js-disjoint",
        r"q(x)\, p_\theta(x) = 0, \qquad D_{\mathrm{JS}}\big(q(x) \,\big\|\, p_\theta(x)\big) = \log 2",
        "the integrand where only one of the two densities is left",
        js_disjoint,
        (
            NearMiss(
                r"q(x)\, p_\theta(x) = 0, \qquad D_{\mathrm{JS}}\big(q(x) \,\big\|\, p_\theta(x)\big) = 2 \log 2",
                "twice the largest value that there is",
            ),
            NearMiss(
                r"q(x)\, p_\theta(x) = 0, \qquad D_{\mathrm{JS}}\big(q(x) \,\big\|\, p_\theta(x)\big) = 0",
                "the smallest value in place of the largest",
            ),
            NearMiss(
                r"q(x)\, p_\theta(x) = 1, \qquad D_{\mathrm{JS}}\big(q(x) \,\big\|\, p_\theta(x)\big) = \log 2",
                "densities that overlap everywhere",
            ),
        ),
    ),
)


# How the players move


def saturation(statement: Statement) -> None:
    require(len(statement) == 2, "two slopes, please")
    losses = (sp.log(1 - g(u)), -sp.log(g(u)))
    for relation, loss, name in zip(statement, losses, ("original", "non-saturating")):
        (said,) = sides(relation, Grad(loss, u), "=")
        slope = sp.diff(loss.replace(g, logistic), u)
        require_equal(said.replace(g, logistic), slope, f"the slope of the {name} loss")


def dirac(statement: Statement) -> None:
    exact, near = sides(only(statement), V, "=", "~~")
    exact = exact.replace(g, logistic)
    real, fake = (logistic(-y * place) for place in (0, x))  # a score that falls along a line of slope -y, at 0 and at x
    require_equal(exact, sp.log(real) + sp.log(1 - fake), "the value and what the discriminator gets")
    product = sp.Symbol("w", real=True)
    curve = sp.simplify(exact.subs(x, product / y))
    taylor = curve.subs(product, 0) + sp.diff(curve, product).subs(product, 0) * product
    require_equal(near, taylor.subs(product, x * y), "the approximation and the tangent in xy")


def step_of(relation: Relation, mover: sp.IndexedBase) -> Expr:
    """The right side of mover_{n+1} = ..."""
    return sides(relation, mover[n + 1], "=")[0]


def gradient_steps(statement: Statement) -> None:
    require(len(statement) == 2, "two steps, please")
    at_n = {x: xs[n], y: ys[n]}
    down = xs[n] - eta * sp.diff(x * y, x).subs(at_n)
    up = ys[n] + eta * sp.diff(x * y, y).subs(at_n)
    require_equal(step_of(statement[0], xs), down, "the first player's step and one down the slope of xy")
    require_equal(step_of(statement[1], ys), up, "the second player's step and one up the slope of xy")


def conserved(relation: Relation, after: dict[Expr, Expr], form: Expr) -> Expr:
    """The factor by which a step multiplies a quadratic form of x_n and y_n."""
    require(relation.ops == ("=",), "not an equation")
    expected = form.subs({x: xs[n + 1], y: ys[n + 1]})
    require(sp.expand(relation.lhs - expected) == 0, f"the left side is not {expected}")
    later = relation.lhs.subs({ys[n + 1]: after[ys[n + 1]]}).subs({xs[n + 1]: after[xs[n + 1]]})
    require_equal(relation.rhs, later, "the right side and the left side after the step")
    factor = sp.cancel(relation.rhs / form.subs({x: xs[n], y: ys[n]}))
    require(not factor.has(xs[n], ys[n]), "the right side is no multiple of the same form before the step")
    return factor


DOWN = xs[n] - eta * ys[n]
"""The generator's step in the game of xy."""


def spiral(statement: Statement) -> None:
    factor = conserved(only(statement), {xs[n + 1]: DOWN, ys[n + 1]: ys[n] + eta * xs[n]}, x**2 + y**2)
    turn = sp.Matrix([[1, -eta], [eta, 1]])
    require_equal(factor, turn.det(), "the factor and the determinant of the step")


def alternating(statement: Statement) -> None:
    require(len(statement) == 2, "the second player's step and what is kept, please")
    later = step_of(statement[0], ys)
    require_equal(later, ys[n] + eta * xs[n + 1], "the second player's step and one that knows the first player's move")
    factor = conserved(statement[1], {xs[n + 1]: DOWN, ys[n + 1]: later}, x**2 - eta * x * y + y**2)
    require_equal(factor, 1, "the factor and 1")


def damped(statement: Statement) -> None:
    require(len(statement) == 2, "the second player's step and what shrinks, please")
    later = step_of(statement[0], ys)
    fined = sp.diff(x * y - gamma / 2 * y**2, y).subs({x: xs[n], y: ys[n]})
    require_equal(later, ys[n] + eta * fined, "the second player's step and one up the slope of xy with the fine")
    factor = conserved(statement[1], {xs[n + 1]: DOWN, ys[n + 1]: later}, x**2 - gamma * x * y + y**2)
    step = sp.Matrix([[1, -eta], [eta, 1 - eta * gamma]])
    require_equal(factor, sp.prod(step.eigenvals(multiple=True)), "the factor and the product of the step's two eigenvalues")


MOVES = (
    Claim(
        "eq-gan-saturation",
        r"\nabla_{u} \log(1 - g(u)) = -g(u), \qquad \nabla_{u} \big(-\log g(u)\big) = g(u) - 1",
        "SymPy's derivatives of both losses",
        saturation,
        (
            NearMiss(
                r"\nabla_{u} \log(1 - g(u)) = g(u) - 1, \qquad \nabla_{u} \big(-\log g(u)\big) = -g(u)",
                "exchanged: as if the original loss were the steep one",
            ),
            NearMiss(
                r"\nabla_{u} \log(1 - g(u)) = -g(u), \qquad \nabla_{u} \big(-\log g(u)\big) = 1 - g(u)",
                "the sign: a generator that wants to be found out",
            ),
            NearMiss(
                r"\nabla_{u} \log(1 - g(u)) = -\frac{1}{1 - g(u)}, \qquad \nabla_{u} \big(-\log g(u)\big) = -\frac{1}{g(u)}",
                "the slopes with respect to D; the chain rule goes on to the score",
            ),
        ),
        f"{FAMILY}.generator_loss",
    ),
    Claim(
        "eq-gan-dirac",
        r"V = \log g(0) + \log(1 - g(-x y)) \approx -\log 4 + \frac{x y}{2}",
        "the tangent in the product of x and y",
        dirac,
        (
            NearMiss(
                r"V = \log g(0) + \log(1 - g(-x y)) \approx -\log 4 - \frac{x y}{2}",
                "the sign: the discriminator gains when its score falls towards the drawn point",
            ),
            NearMiss(
                r"V = \log g(0) + \log(1 - g(-x y)) \approx -\log 4 + x y",
                "the slope 1/2 of the logarithm lost",
            ),
            NearMiss(
                r"V = \log g(0) + \log(1 - g(-x y)) \approx -\log 2 + \frac{x y}{2}",
                "one of the two players' halves lost",
            ),
        ),
    ),
    Claim(
        "eq-gan-steps",
        r"x_{n+1} = x_n - \eta\, y_n, \qquad y_{n+1} = y_n + \eta\, x_n",
        "one step down and one step up the slopes of xy",
        gradient_steps,
        (
            NearMiss(r"x_{n+1} = x_n - \eta\, y_n, \qquad y_{n+1} = y_n - \eta\, x_n", "both players pull in the same direction"),
            NearMiss(r"x_{n+1} = x_n - \eta\, x_n, \qquad y_{n+1} = y_n + \eta\, y_n", "each takes the slope of the other"),
            NearMiss(
                r"x_{n+1} = x_n - \eta\, y_n, \qquad y_{n+1} = y_n + \eta\, x_{n+1}",
                "the second player already knows the first one's move",
            ),
        ),
    ),
    Claim(
        "eq-gan-spiral",
        r"x_{n+1}^2 + y_{n+1}^2 = (1 + \eta^2) (x_n^2 + y_n^2)",
        "multiplied out, and the factor is the determinant of the step",
        spiral,
        (
            NearMiss(r"x_{n+1}^2 + y_{n+1}^2 = x_n^2 + y_n^2", "a circle: true of infinitely small steps alone"),
            NearMiss(r"x_{n+1}^2 + y_{n+1}^2 = (1 - \eta^2) (x_n^2 + y_n^2)", "inwards in place of outwards"),
            NearMiss(r"x_{n+1}^2 + y_{n+1}^2 = (1 + \eta) (x_n^2 + y_n^2)", "the square lost: far too fast for small steps"),
        ),
    ),
    Claim(
        "eq-gan-alternating",
        r"y_{n+1} = y_n + \eta\, x_{n+1}, \qquad x_{n+1}^2 - \eta\, x_{n+1} y_{n+1} + y_{n+1}^2 = x_n^2 - \eta\, x_n y_n + y_n^2",
        "multiplied out: an ellipse that no step leaves",
        alternating,
        (
            NearMiss(
                r"y_{n+1} = y_n + \eta\, x_n, \qquad x_{n+1}^2 - \eta\, x_{n+1} y_{n+1} + y_{n+1}^2 = x_n^2 - \eta\, x_n y_n + y_n^2",
                "simultaneous steps, which do leave it",
            ),
            NearMiss(
                r"y_{n+1} = y_n + \eta\, x_{n+1}, \qquad x_{n+1}^2 + y_{n+1}^2 = x_n^2 + y_n^2",
                "a circle in place of an ellipse",
            ),
            NearMiss(
                r"y_{n+1} = y_n + \eta\, x_{n+1}, \qquad x_{n+1}^2 + \eta\, x_{n+1} y_{n+1} + y_{n+1}^2 = x_n^2 + \eta\, x_n y_n + y_n^2",
                "the ellipse leans to the other side",
            ),
        ),
    ),
    Claim(
        "eq-gan-damped",
        r"\begin{aligned}"
        r" y_{n+1} &= y_n + \eta\, (x_n - \gamma\, y_n) \\"
        r" x_{n+1}^2 - \gamma\, x_{n+1} y_{n+1} + y_{n+1}^2 &= (1 - \eta\, \gamma + \eta^2) (x_n^2 - \gamma\, x_n y_n + y_n^2)"
        r" \end{aligned}",
        "multiplied out, and the factor is the product of the step's two eigenvalues",
        damped,
        (
            NearMiss(
                r"\begin{aligned}"
                r" y_{n+1} &= y_n + \eta\, (x_n + \gamma\, y_n) \\"
                r" x_{n+1}^2 + \gamma\, x_{n+1} y_{n+1} + y_{n+1}^2 &= (1 + \eta\, \gamma + \eta^2) (x_n^2 + \gamma\, x_n y_n + y_n^2)"
                r" \end{aligned}",
                "the fine paid out in place of taken",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" y_{n+1} &= y_n + \eta\, (x_n - \gamma\, y_n) \\"
                r" x_{n+1}^2 - \gamma\, x_{n+1} y_{n+1} + y_{n+1}^2 &= (1 - \eta\, \gamma) (x_n^2 - \gamma\, x_n y_n + y_n^2)"
                r" \end{aligned}",
                "what the rotation adds is forgotten",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" y_{n+1} &= y_n + \eta\, (x_n - \gamma\, y_n) \\"
                r" x_{n+1}^2 - \gamma\, x_{n+1} y_{n+1} + y_{n+1}^2 &= (1 - \gamma + \eta^2) (x_n^2 - \gamma\, x_n y_n + y_n^2)"
                r" \end{aligned}",
                "the fine not multiplied by the length of the step",
            ),
        ),
    ),
)


# The way between two latents


def noise_law(relation: Relation) -> tuple[Expr, Expr]:
    """The variances of the combination of z_1 and z_2 on the left and of the law on the right."""
    require(relation.ops == ("~",), "not a law")
    mean, variance = normal(relation.rhs)
    require_equal(mean, 0, "the mean and 0")
    centre, spread = law_of(relation.lhs, [zs[1], zs[2]])
    require_equal(centre, 0, "what is left without noise and 0")
    require(all(sp.expand(relation.lhs).has(zs[k]) for k in (1, 2)), "one of the two latents is missing")
    return spread, variance


def along(where: Expr, ends: tuple[Expr, Expr]) -> Callable[[Statement], None]:
    """A proof for a way from z_1 to z_2, as `where` runs between its two ends."""

    def way(statement: Statement) -> None:
        relation = only(statement)
        spread, variance = noise_law(relation)
        for end, latent in zip(ends, (zs[1], zs[2])):
            require_equal(relation.lhs.subs(where, end), latent, f"the way at {end} and a latent")
        require_equal(variance, spread, "the variance and the sum of those of the two parts")

    return way


chord = along(a, (sp.Integer(0), sp.Integer(1)))
arc = along(phi, (sp.Integer(0), sp.pi / 2))

WAYS = (
    Claim(
        "eq-gan-chord",
        r"(1 - a)\, z_1 + a\, z_2 \sim \mathcal{N}\big(0, ((1 - a)^2 + a^2) I\big)",
        "variances of independent noises add up",
        chord,
        (
            NearMiss(r"(1 - a)\, z_1 + a\, z_2 \sim \mathcal{N}(0, I)", "as if the middle of the way were as far out as its ends"),
            NearMiss(r"(1 - a)\, z_1 + a\, z_2 \sim \mathcal{N}\big(0, ((1 - a) + a) I\big)", "the factors not squared"),
            NearMiss(r"(1 - a)\, z_1 + a\, z_2 \sim \mathcal{N}\big(0, ((1 - a)^2 - a^2) I\big)", "variances subtracted"),
        ),
    ),
    Claim(
        "eq-gan-arc",
        r"\cos(\phi)\, z_1 + \sin(\phi)\, z_2 \sim \mathcal{N}(0, I)",
        "squares of cosine and sine add up to one",
        arc,
        (
            NearMiss(r"\cos(\phi)\, z_1 + \sin(\phi)\, z_2 \sim \mathcal{N}(0, 2 I)", "as if both parts kept their variance"),
            NearMiss(r"\cos^2(\phi)\, z_1 + \sin^2(\phi)\, z_2 \sim \mathcal{N}(0, I)", "shares that add up to one, but not their squares"),
        ),
        f"{FAMILY}.slerp",
    ),
)

CLAIMS: tuple[Claim, ...] = GAME + DIVERGENCE + MOVES + WAYS

IN_TEXT: dict[str, Literal["true", "setting"]] = {
    r"(1 - y)(a + b) - b": "setting",
    r"(1 - y)(a + b)/b": "setting",
    r"-\log g(u)": "setting",
    r"1 - y": "setting",
    r"V = -\log 4": "setting",
    r"\gamma < 2": "setting",
    r"g(u) = 1/(1 + \exp(-u))": "setting",
    r"\gamma = 0": "setting",
    r"\log 2": "setting",
    r"\log D(x)": "setting",
    r"\log(1 - D(G(z)))": "setting",
    r"\log(1 - g(u))": "setting",
    r"\tfrac{\gamma}{2} y^2": "setting",
    r"a = q(x)": "setting",
    r"a \log y + b \log(1 - y)": "setting",
    r"a/y - b/(1-y)": "setting",
    r"b = p_\theta(x)": "setting",
    r"x - \gamma y": "setting",
    r"x = y = 0": "setting",
    r"y = a/(a + b)": "setting",
    r"y\, (a + b) - a": "setting",
    r"y\, (a + b)/a": "setting",
}
"""See `forward_process.IN_TEXT`."""
