"""The claims of chapter 12, training: averages of weights, parts of a batch, and the learning rate.

Here n counts steps of the optimiser and theta_n are the weights after step n; t stays the time of the diffusion.
"""

from typing import Literal

import sympy as sp
from sympy import Expr

from diffcourse.algebra.claim import Claim, NearMiss, Statement
from diffcourse.algebra.forward_process import Var, f
from diffcourse.algebra.latex import Lim, Norm
from diffcourse.algebra.notation import family, symbol
from diffcourse.algebra.proving import at, only, require, require_equal

kappa, kappas = symbol(r"\kappa"), family(r"\kappa")
weights, average = family(r"\theta"), family(r"\bar\theta")
L = family("L")
j, k, n, K, u, b = (symbol(name) for name in ("j", "k", "n", "K", "u", "b"))
sigma, x = symbol(r"\sigma"), symbol("x")
EMA, LOOP = "diffcourse.training.ema", "diffcourse.training.loop"


def update(before: Expr, new: Expr) -> Expr:
    """The average after one more step: the definition of the moving average."""
    return kappa * before + (1 - kappa) * new


def only_sum(expression: Expr) -> tuple[Expr, sp.Sum]:
    """(factor, sum) of an expression that is a factor times one sum."""
    sums = expression.atoms(sp.Sum)
    require(len(sums) == 1, f"{expression} should hold one sum")
    (total,), place = sums, sp.Dummy()
    return sp.expand(expression.subs(total, place)).coeff(place), total


# The moving average of the weights


def ema(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == average[n] and relation.ops == ("=",), "the left side is not the average after step n")
    require_equal(relation.rhs.coeff(average[n - 1]), kappa, "the old average's share and kappa")
    still = relation.rhs.subs({average[n - 1]: x, weights[n]: x})
    require_equal(still, x, "the average of weights that never change, and these weights")


def ema_weights(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == average[n] and relation.ops == ("=",), "the left side is not the average after step n")
    here = average[0]
    for step in (1, 2, 3):
        here = update(here, weights[step])
        require_equal(at(relation.rhs, n=sp.Integer(step)), here, f"the average after {step} steps")
    # And from n - 1 to n: the start and every summand are multiplied by kappa, and the newest weights join.
    factor, total = only_sum(relation.rhs)
    start = relation.rhs.subs(total, 0)
    require(total.limits == ((k, 1, n),), "the sum does not run over all steps")
    require_equal(start, kappa * start.subs(n, n - 1), "the start's share and its recursion")
    require_equal(total.function, kappa * total.function.subs(n, n - 1), "a summand and its recursion")
    require_equal(factor * total.function.subs(k, n), (1 - kappa) * weights[n], "the newest weights and their share")


def ema_sum(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",), "not an equation")
    factor, total = only_sum(relation.lhs)
    require(total.limits == ((k, 1, n),), "the sum does not run over all steps")
    share = (1 - kappa) * kappa ** (n - k)
    require_equal(factor * total.function, share, "a summand and the share of the weights of step k")
    require_equal(relation.rhs.subs(n, 0), 0, "the sum before the first step and 0")
    require_equal(relation.rhs, update(relation.rhs.subs(n, n - 1), 1), "the sum and its recursion")


def ema_age(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",), "not an equation")
    factor, total = only_sum(relation.lhs)
    require(total.limits == ((k, 0, sp.oo),), "the sum does not run over all ages")
    require_equal(factor * total.function, k * (1 - kappa) * kappa**k, "a summand and age times share")
    p = sp.Symbol("p", positive=True)  # kappa = 1 / (1 + p) lies between 0 and 1
    body, share, right = (part.subs(kappa, 1 / (1 + p)) for part in (total.function, factor, relation.rhs))
    mean = sp.simplify(share * sp.summation(body, (k, 0, sp.oo)))
    require_equal(mean, right, "the mean age, summed up, and the right side")


def ema_variance(statement: Statement) -> None:
    relation = only(statement)
    limit = Lim(Var(average[n]), n, sp.oo)
    require(relation.lhs == limit and relation.ops == ("=",), "the left side is not the variance's limit")
    settled = relation.rhs
    # Independent noises: squared factors times variances. The variance that does not change any more is the limit,
    # since a step multiplies any distance from it by kappa^2.
    distance = sp.Symbol("distance", real=True)
    require_equal(step_of_variance(settled), settled, "the variance after one more step and before")
    moved = step_of_variance(settled + distance) - settled
    require_equal(moved, kappa**2 * distance, "the distance from it after a step")


def step_of_variance(before: Expr) -> Expr:
    """The variance of the average after one more step, whose weights have variance sigma^2."""
    old, new = sp.Symbol("old"), sp.Symbol("new")
    combined = sp.expand(update(old, new))
    return combined.coeff(old) ** 2 * before + sp.factor(combined.coeff(new)) ** 2 * sigma**2


def ema_ramp(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == kappas[n] and relation.ops == ("=",), "the left side is not the decay of step n")
    require(relation.rhs.func == sp.Min and kappa in relation.rhs.args, "not the smaller of kappa and something")
    (rising,) = set(relation.rhs.args) - {kappa}
    require_equal(rising.subs(n, 0), sp.Rational(1, 10), "the first decay and 1/10")
    # The start's share shrinks by the ramp in each update. That its course is eq-ema-forget's fixes the ramp for all n.
    require_equal(rising, left_of_start(n + 1) / left_of_start(n), "the ramp and what it leaves of the start")


def left_of_start(updates: Expr) -> Expr:
    """1/10 of 2/11 of 3/12 of ..: the first nine denominators that no numerator cancels, over the last nine."""
    return sp.prod([i / (updates + i) for i in range(1, 10)])


def ema_forget(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",) and relation.lhs.func == sp.Product, "the left side is not a product")
    require(relation.lhs.limits == ((k, 0, n - 1),), "not the updates 0 to n - 1")
    right = relation.rhs.doit()
    require_equal(right.subs(n, 0), 1, "the start's share before the first update and 1")
    require_equal(right.subs(n, n + 1) / right, relation.lhs.function.subs(k, n), "what one update more multiplies by")


AVERAGE = (
    Claim(
        "eq-ema",
        r"\bar\theta_n = \kappa\, \bar\theta_{n-1} + (1-\kappa)\, \theta_n",
        "keeps the share κ of the old, and weights that stand still are their own average",
        ema,
        (
            NearMiss(r"\bar\theta_n = (1-\kappa)\, \bar\theta_{n-1} + \kappa\, \theta_n", "the shares exchanged: almost no averaging"),
            NearMiss(r"\bar\theta_n = \kappa\, \bar\theta_{n-1} + \theta_n", "a sum in place of an average"),
            NearMiss(r"\bar\theta_n = \kappa\, \bar\theta_{n-1} + (1-\kappa)\, \theta_{n-1}", "one step behind"),
        ),
        f"{EMA}.EMA.update",
    ),
    Claim(
        "eq-ema-weights",
        r"\bar\theta_n = \kappa^n\, \bar\theta_0 + (1-\kappa) \sum_{k=1}^{n} \kappa^{n-k}\, \theta_k",
        "three updates, one after the other, and the step from n-1 to n",
        ema_weights,
        (
            NearMiss(
                r"\bar\theta_n = \kappa^n\, \bar\theta_0 + (1-\kappa) \sum_{k=1}^{n} \kappa^{k}\, \theta_k",
                "the oldest weights count most",
            ),
            NearMiss(
                r"\bar\theta_n = \kappa^n\, \bar\theta_0 + (1-\kappa) \sum_{k=1}^{n} \kappa^{n-k+1}\, \theta_k",
                "an exponent off by one",
            ),
            NearMiss(
                r"\bar\theta_n = \bar\theta_0 + (1-\kappa) \sum_{k=1}^{n} \kappa^{n-k}\, \theta_k",
                "the start never forgotten",
            ),
        ),
        f"{EMA}.EMA.update",
    ),
    Claim(
        "eq-ema-sum",
        r"(1-\kappa) \sum_{k=1}^{n} \kappa^{n-k} = 1 - \kappa^n",
        "nothing before the first step, and each step keeps it true",
        ema_sum,
        (
            NearMiss(r"(1-\kappa) \sum_{k=1}^{n} \kappa^{n-k} = 1", "the share of the start forgotten"),
            NearMiss(r"(1-\kappa) \sum_{k=1}^{n} \kappa^{n-k} = 1 - \kappa^{n+1}", "a step too many"),
            NearMiss(r"\sum_{k=1}^{n} \kappa^{n-k} = 1 - \kappa^n", "the new weights' share forgotten"),
        ),
        f"{EMA}.EMA.update",
    ),
    Claim(
        "eq-ema-age",
        r"(1-\kappa) \sum_{k=0}^{\infty} k\, \kappa^k = \frac{\kappa}{1-\kappa}",
        "the ages 0, 1, 2, .. times their shares, summed",
        ema_age,
        (
            NearMiss(r"(1-\kappa) \sum_{k=0}^{\infty} k\, \kappa^k = \frac{1}{1-\kappa}", "the newest weights are already one step old"),
            NearMiss(r"(1-\kappa) \sum_{k=0}^{\infty} k\, \kappa^k = \frac{\kappa}{(1-\kappa)^2}", "the shares not normalised"),
        ),
    ),
    Claim(
        "eq-ema-variance",
        r"\lim_{n \to \infty} \operatorname{Var}[\bar\theta_n] = \frac{1-\kappa}{1+\kappa}\, \sigma^2",
        "a step leaves it as it is, and multiplies any distance from it by κ²",
        ema_variance,
        (
            NearMiss(
                r"\lim_{n \to \infty} \operatorname{Var}[\bar\theta_n] = (1-\kappa)\, \sigma^2",
                "as if 1/(1-κ) values counted the same",
            ),
            NearMiss(
                r"\lim_{n \to \infty} \operatorname{Var}[\bar\theta_n] = (1-\kappa)^2\, \sigma^2",
                "only the newest weights' noise",
            ),
            NearMiss(
                r"\lim_{n \to \infty} \operatorname{Var}[\bar\theta_n] = \frac{1-\kappa}{1+\kappa}\, \sigma",
                "a standard deviation, where a variance is meant",
            ),
        ),
        f"{EMA}.EMA.update",
    ),
    Claim(
        "eq-ema-ramp",
        r"\kappa_n = \min\Big(\kappa, \frac{1+n}{10+n}\Big)",
        "starts at 1/10, and each value is what it leaves of the start's share",
        ema_ramp,
        (
            NearMiss(r"\kappa_n = \min\Big(\kappa, \frac{n}{10+n}\Big)", "an index off by one: the first update keeps nothing"),
            NearMiss(r"\kappa_n = \min\Big(\kappa, \frac{1}{10+n}\Big)", "falling: soon nothing is averaged"),
            NearMiss(r"\kappa_n = \frac{1+n}{10+n}", "never stops rising: in the end nothing new comes in"),
        ),
        f"{EMA}.decay_at",
    ),
    Claim(
        "eq-ema-forget",
        r"\prod_{k=0}^{n-1} \frac{1+k}{10+k} = \prod_{k=1}^{9} \frac{k}{n+k}",
        "all there before the first update, and one more update multiplies both alike",
        ema_forget,
        (
            NearMiss(r"\prod_{k=0}^{n-1} \frac{1+k}{10+k} = \prod_{k=1}^{10} \frac{k}{n+k}", "a factor too many"),
            NearMiss(r"\prod_{k=0}^{n} \frac{1+k}{10+k} = \prod_{k=1}^{9} \frac{k}{n+k}", "an update too many"),
            NearMiss(r"\prod_{k=0}^{n-1} \frac{1+k}{10+k} = \frac{9}{n+9}", "one factor in place of nine"),
        ),
        f"{EMA}.decay_at",
    ),
)


# Parts of a batch, the size of a step


def accumulate(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",), "not an equation")
    for parts, size in ((1, 3), (3, 1), (2, 3), (4, 2)):
        sides = [side.subs({K: parts, n: size}).doit() for side in relation.terms]
        require_equal(*sides, f"the two sides for {parts} parts of {size}")
    # In general: both sides weigh each loss the same, and the parts, put one behind the other, are the whole batch.
    (whole, all_of), (outer, inner) = only_sum(relation.lhs), _nested(relation.rhs)
    require(all_of.args == (L[k], sp.Tuple(k, 1, K * n)), "the left side does not add up the losses of the batch")
    require(inner.limits == ((k, 1, n),) and outer.limits == ((j, 1, K),), "not K parts of n")
    place = inner.function.indices[0]
    factor = sp.expand(relation.rhs / outer * outer.function / inner)
    require_equal(whole * K * n, 1, "the weight of a loss in the batch, times their number,")
    require_equal(factor * K * n, 1, "the weight of a loss in its part, times their number,")
    require_equal(place.subs({j: 1, k: 1}), 1, "the first place of the first part and 1")
    require_equal(place.subs(k, k + 1) - place, 1, "the distance of neighbours in a part and 1")
    require_equal(place.subs({j: j + 1, k: 1}) - place.subs(k, n), 1, "the distance from one part to the next and 1")


def _nested(expression: Expr) -> tuple[sp.Sum, sp.Sum]:
    """The outer and the inner sum of a mean of means."""
    outer = [total for total in expression.atoms(sp.Sum) if total.function.atoms(sp.Sum)]
    require(len(outer) == 1 and len(outer[0].function.atoms(sp.Sum)) == 1, "not a mean of means")
    (inner,) = outer[0].function.atoms(sp.Sum)
    require(isinstance(inner.function, sp.Indexed) and inner.function.base == L, "the inner sum is not one of losses")
    return outer[0], inner


def clip(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",), "not an equation")
    length, p = sp.symbols("length p", positive=True)
    for sign in (1, -1):
        for limit, expected in ((length * (1 + p), length), (length / (1 + p), length / (1 + p))):
            left, right = (term.replace(Norm, sp.Abs).subs({x: sign * length, b: limit}) for term in relation.terms)
            require_equal(right, expected, "the right side and the smaller of limit and length")
            require_equal(left, expected, "the length of the clipped gradient and the smaller of limit and length")


def rate(statement: Statement) -> None:
    require(len(statement) == 2, "the factor and its mean, please")
    definition, mean = statement
    require(definition.lhs == f(u) and definition.ops == ("=",), "the first relation does not define the factor")
    integral = sp.Integral(f(u), (u, 0, 1))
    require(mean.lhs == integral and mean.ops == ("=",), "the second is not about the factor's mean")
    factor = definition.rhs
    for place, height in ((0, 1), (1, 0)):
        require_equal(factor.subs(u, place), height, f"the factor at u = {place} and {height}")
        require_equal(sp.diff(factor, u).subs(u, place), 0, f"its slope at u = {place} and 0")
    bend = -(sp.pi**2) * (factor - sp.Rational(1, 2))
    require_equal(sp.diff(factor, u, 2), bend, "its bend and that of half a cosine")
    require_equal(sp.integrate(factor, (u, 0, 1)), mean.rhs, "the integral and the mean")


STEPS = (
    Claim(
        "eq-accumulate",
        r"\frac{1}{K n} \sum_{k=1}^{K n} L_k = \frac{1}{K} \sum_{j=1}^{K} \frac{1}{n} \sum_{k=1}^{n} L_{(j-1) n + k}",
        "the parts, one behind the other, are the batch, and each loss weighs 1/(K n)",
        accumulate,
        (
            NearMiss(
                r"\frac{1}{K n} \sum_{k=1}^{K n} L_k = \sum_{j=1}^{K} \frac{1}{n} \sum_{k=1}^{n} L_{(j-1) n + k}",
                "means added up: the gradient is K times too long",
            ),
            NearMiss(
                r"\frac{1}{n+1} \sum_{k=1}^{n+1} L_k = \frac{1}{2} \Big(\frac{1}{n} \sum_{k=1}^{n} L_k + L_{n+1}\Big)",
                "parts of different size, whose means count the same",
            ),
            NearMiss(
                r"\frac{1}{K n} \sum_{k=1}^{K n} L_k = \frac{1}{K} \sum_{j=1}^{K} \frac{1}{n} \sum_{k=1}^{n} L_{j n + k}",
                "the first part left out",
            ),
        ),
        f"{LOOP}.shares",
    ),
    Claim(
        "eq-clip",
        r"\Big\lVert \min\Big(1, \frac{b}{\lVert x \rVert}\Big)\, x \Big\rVert = \min(b, \lVert x \rVert)",
        "for both signs, with the limit above the length and below it",
        clip,
        (
            NearMiss(
                r"\Big\lVert \min\Big(1, \frac{\lVert x \rVert}{b}\Big)\, x \Big\rVert = \min(b, \lVert x \rVert)",
                "upside down: short gradients are made shorter",
            ),
            NearMiss(r"\Big\lVert \frac{b}{\lVert x \rVert}\, x \Big\rVert = \min(b, \lVert x \rVert)", "every gradient stretched to the limit"),
        ),
    ),
    Claim(
        "eq-rate",
        r"f(u) = \frac{1 + \cos(\pi u)}{2}, \qquad \int_0^1 f(u)\, \mathrm{d}u = \frac{1}{2}",
        "from 1 to 0 along half a cosine, flat at both ends; integrated",
        rate,
        (
            NearMiss(r"f(u) = \frac{1 + \cos(2 \pi u)}{2}, \qquad \int_0^1 f(u)\, \mathrm{d}u = \frac{1}{2}", "a whole turn: back at the full rate"),
            NearMiss(r"f(u) = 1 - u, \qquad \int_0^1 f(u)\, \mathrm{d}u = \frac{1}{2}", "a straight line: right mean, but not flat"),
            NearMiss(r"f(u) = \frac{1 + \cos(\pi u)}{2}, \qquad \int_0^1 f(u)\, \mathrm{d}u = \frac{2}{\pi}", "the mean of the cosine's bulge"),
        ),
        f"{LOOP}.rate_factor",
    ),
)

CLAIMS: tuple[Claim, ...] = AVERAGE + STEPS

IN_TEXT: dict[str, Literal["true", "setting"]] = {
    r"(1-\kappa)^2 \sigma^2": "setting",
    r"+1": "setting",
    r"1-\bar\alpha_t": "setting",
    r"1-\kappa^n": "setting",
    r"1/(1-\kappa)": "setting",
    r"1/n": "setting",
    r"N = (1+\kappa)/(1-\kappa)": "setting",
    r"\bar\alpha_1 = 0.9999": "setting",
    r"\kappa = 0.995": "setting",
    r"\kappa = 0.9999": "setting",
    r"\log(2)/(-\log \kappa)": "setting",
    r"\sigma^2/N": "setting",
    r"n = 0": "setting",
    r"t = T": "setting",
}
"""See `forward_process.IN_TEXT`."""
