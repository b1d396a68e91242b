"""What proofs are made of: equality with a counterexample, Gaussian densities, and the law of an affine combination."""

import random

import sympy as sp
from sympy import Expr, Indexed, Symbol

from diffcourse.algebra.claim import Refuted, Statement
from diffcourse.algebra.latex import Relation
from diffcourse.algebra.notation import family, function, symbol

_TRIES, _DIGITS, _TOLERANCE = 3, 40, sp.Float("1e-25")


def require(condition: bool, otherwise: str) -> None:
    """Refute the formula unless the condition holds."""
    if not condition:
        raise Refuted(otherwise)


def require_equal(left: Expr, right: Expr, what: str = "the two sides") -> None:
    """Refute unless left - right simplifies to zero.

    Numbers come first: one point where the sides differ settles the matter, quickly and with an answer that a reader can
    check. Agreement in numbers is not enough; the difference must also vanish symbolically.

    Raises:
        Refuted: with a counterexample, or because the difference would not simplify to zero.
    """
    difference = plain(sp.sympify(left) - sp.sympify(right))
    variables = sorted(difference.free_symbols, key=str)
    rng = random.Random(0)
    for _ in range(_TRIES):
        point = {v: sp.Rational(rng.randint(1, 99), 100) for v in variables}
        value = difference.subs(point).evalf(_DIGITS)
        if not (value.is_number and abs(value) < _TOLERANCE):
            where = ", ".join(f"{v} = {value}" for v, value in point.items()) or "every point"
            raise Refuted(f"{what} differ by {sp.N(value, 4)} at {where}")
    if not vanishes(difference):
        raise Refuted(f"{what} could not be shown equal: {difference}")


def require_positive(expression: Expr, what: str) -> None:
    """Refute unless the expression is positive at a point where every variable lies between 0 and 1."""
    expression = plain(expression)
    value = expression.subs({v: sp.Rational(1, 3) for v in expression.free_symbols})
    require(bool(value > 0), f"{what}, {expression}, is not positive")


def vanishes(expression: Expr) -> bool:
    """Whether the expression simplifies to zero."""
    expression = plain(expression)
    return sp.expand(expression) == 0 or sp.simplify(sp.expand(sp.expand_log(expression, force=True))) == 0


def plain(expression: Expr) -> Expr:
    """The expression with each x[t - 1] replaced by one symbol x_{t-1} of the same sign, which SymPy handles better."""

    def flat(item: Indexed) -> Symbol:
        assumptions = {"positive": True} if item.is_positive else {"real": True}
        return Symbol(f"{item.base.label}_{{{'_'.join(str(i) for i in item.indices)}}}".replace(" ", ""), **assumptions)

    return expression.subs({item: flat(item) for item in expression.atoms(Indexed)})


def gaussian_density(x: Expr, mean: Expr, variance: Expr) -> Expr:
    """N(x; mean, variance) of one component, written out."""
    return sp.exp(-((x - mean) ** 2) / (2 * variance)) / sp.sqrt(2 * sp.pi * variance)


def integrate_gaussian(integrand: Expr, y: Symbol) -> Expr:
    """The integral over the real line of (polynomial in y) exp(quadratic in y), by completing the square.

    SymPy's general integrator needs seconds for what this does in milliseconds.

    Raises:
        Refuted: if the exponent is not quadratic in y with a negative leading coefficient at the tested point.
    """
    exponent = sp.Integer(0)
    rest = sp.Integer(1)
    for factor in sp.Mul.make_args(sp.powsimp(integrand, combine="exp")):
        if isinstance(factor, sp.exp):
            exponent += factor.args[0]
        else:
            rest *= factor
    a, b, c = (sp.expand(exponent).coeff(y, n) for n in (2, 1, 0))
    require(sp.expand(exponent - a * y**2 - b * y - c) == 0 and a != 0, f"the exponent {exponent} is not quadratic in {y}")
    centre, variance = -b / (2 * a), -1 / (2 * a)
    # After y = centre + z: odd moments vanish and E[z^2n] = (2n - 1)!! variance^n.
    z = sp.Dummy("z")
    polynomial = sp.Poly(sp.expand(rest.subs(y, centre + z)), z)
    moments = sum(k * sp.factorial2(n - 1) * variance ** sp.Rational(n, 2) for (n,), k in polynomial.terms() if n % 2 == 0)
    return moments * sp.sqrt(2 * sp.pi * variance) * sp.exp(c - b**2 / (4 * a))


def law_of(expression: Expr, noises: list[Expr]) -> tuple[Expr, Expr]:
    """Mean and variance of an expression that is affine in independent standard normals.

    That the sum is Gaussian again, with the variances added, is what eq-merge proves by integration.

    Raises:
        Refuted: if the expression is not affine in the noises.
    """
    mean = expression.subs({noise: 0 for noise in noises})
    coefficients = [sp.expand(expression).coeff(noise, 1) for noise in noises]
    rebuilt = mean + sum(k * noise for k, noise in zip(coefficients, noises))
    require(vanishes(expression - rebuilt), f"{expression} is not a sum of independent noises")
    return mean, sum(k**2 for k in coefficients)


def normal(expression: Expr, x: Expr | None = None) -> tuple[Expr, Expr]:
    """Mean and variance of one component, from N(x; mean, variance I) or, without x, from N(mean, variance I).

    Raises:
        Refuted: if this is no Gaussian, is one of another variable, or its covariance is not a multiple of I.
    """
    require(expression.func == function(r"\mathcal{N}"), f"{expression} is not a Gaussian")
    arguments = list(expression.args)
    if x is not None:
        require(arguments[0] == x, f"the density is one of {arguments[0]}, not of {x}")
        arguments = arguments[1:]
    require(len(arguments) == 2, f"{expression} needs a mean and a covariance")
    mean, covariance = arguments
    identity = symbol("I")
    variance = sp.expand(covariance).coeff(identity, 1)
    require(vanishes(covariance - variance * identity) and variance != 0, f"the covariance {covariance} is no multiple of I")
    require(not mean.has(identity), f"the mean {mean} is not a vector")
    return mean, sp.simplify(variance)


def only(statement: Statement) -> Relation:
    """The statement's single relation."""
    require(len(statement) == 1, "the statement should be one relation")
    return statement[0]


def conditional(relation: Relation, of: Expr, given: Expr) -> tuple[Expr, Expr]:
    """Mean and variance on the right of q(of | given) = N(of; mean, variance I)."""
    require(relation.ops == ("=",) and relation.lhs == function("q")(of, sp.Tuple(given)), f"the left side is not q({of} | {given})")
    return normal(relation.rhs, of)


def standard_noise(relation: Relation, noise: Expr) -> None:
    """Require noise ~ N(0, I)."""
    require(relation.ops == ("~",), f"{' '.join(relation.ops)} says nothing about a law")
    require(relation.lhs == noise, f"the law is one of {relation.lhs}, not of {noise}")
    mean, variance = normal(relation.rhs)
    require_equal(mean, 0, "the noise's mean and 0")
    require_equal(variance, 1, "the noise's variance and 1")


def in_betas(expression: Expr) -> Expr:
    """Write alpha_t as 1 - beta_t everywhere."""
    alpha, beta = family(r"\alpha"), family(r"\beta")
    return expression.replace(lambda e: isinstance(e, Indexed) and e.base == alpha, lambda e: 1 - beta[e.indices[0]])


def at(expression: Expr, **indices: Expr) -> Expr:
    """The same formula at another step: `at(formula, t=3)` puts 3 for t in every index and carries out the products."""
    return expression.subs({symbol(name): value for name, value in indices.items()}, simultaneous=True).doit()


def as_products(expression: Expr) -> Expr:
    """Write alpha_bar_n, for each number n, as the product alpha_1 ... alpha_n."""
    alpha, bar = family(r"\alpha"), family(r"\bar\alpha")

    def product(item: Indexed) -> Expr:
        n = item.indices[0]
        return sp.prod([alpha[i] for i in range(1, int(n) + 1)])

    return expression.replace(lambda e: isinstance(e, Indexed) and e.base == bar, product)


def split_last(expression: Expr, step: Expr) -> Expr:
    """Write alpha_bar_step as alpha_step alpha_bar_{step - 1}: what one step more multiplies by."""
    alpha, bar = family(r"\alpha"), family(r"\bar\alpha")
    return expression.subs(bar[step], alpha[step] * bar[step - 1])
