"""A finite world, in which a statement about densities in general can be worked out without rounding.

Every x_t takes two values. q(x_0), each step q(x_t | x_{t-1}), p(x_T) and each step p_theta(x_{t-1} | x_t) are tables of random fractions.
Integrals are sums, conditional densities are quotients of sums over whole paths, and a logarithm is taken prime by prime. Two
expressions are therefore either exactly equal or not. Nothing is known of the tables but that q steps forwards and p_theta backwards, so
a formula that holds in several such worlds by accident would have to be very lucky; one that fails in one of them is refuted.
"""

import itertools
import random
from fractions import Fraction

import sympy as sp
from sympy import Expr

from diffcourse.algebra.claim import Refuted
from diffcourse.algebra.latex import Int, Over, Span
from diffcourse.algebra.notation import family, function
from diffcourse.algebra.proving import require

x = family("x")
q, p, p_theta = function("q"), function("p"), function(r"p_\theta")
E, KL = function(r"\mathbb{E}"), function(r"D_{\mathrm{KL}}")
VALUES = (0, 1)
State = dict[int, int]
"""Which value each of the variables x_t has, as far as they have one: {t: value}."""


class Number:
    """A fraction plus fractions of logarithms of primes, {1: .., 2: .., 3: ..}; these are linearly independent over the fractions."""

    def __init__(self, parts: dict[int, Fraction]) -> None:
        self.parts = {key: part for key, part in parts.items() if part}

    @classmethod
    def fraction(cls, value: Fraction | int) -> "Number":
        return cls({1: Fraction(value)})

    @classmethod
    def log(cls, value: Fraction) -> "Number":
        require(value > 0, f"the logarithm of {value}")
        parts = {prime: Fraction(n) for prime, n in sp.factorint(value.numerator).items()}
        for prime, n in sp.factorint(value.denominator).items():
            parts[prime] = parts.get(prime, Fraction(0)) - n
        return cls({prime: n for prime, n in parts.items() if prime != 1})

    def rational(self) -> Fraction:
        require(set(self.parts) <= {1}, "a logarithm where a fraction is needed")
        return self.parts.get(1, Fraction(0))

    def __add__(self, other: "Number") -> "Number":
        return Number({k: self.parts.get(k, Fraction(0)) + other.parts.get(k, Fraction(0)) for k in {*self.parts, *other.parts}})

    def __mul__(self, factor: "Number") -> "Number":
        one, other = (self, factor) if set(factor.parts) <= {1} else (factor, self)
        return Number({k: part * other.rational() for k, part in one.parts.items()})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Number) and self.parts == other.parts

    def __hash__(self) -> int:
        return hash(tuple(sorted(self.parts.items())))

    def __repr__(self) -> str:
        value = sum((part * (sp.log(key) if key > 1 else 1) for key, part in self.parts.items()), sp.Integer(0))
        return str(sp.N(value, 6))


class World:
    """Random tables for T steps."""

    def __init__(self, T: int) -> None:
        self.T = T
        rng = random.Random(T)

        def law() -> list[Fraction]:
            weights = rng.sample(range(1, 12), len(VALUES))
            return [Fraction(weight, sum(weights)) for weight in weights]

        start, end = law(), law()
        forwards = [[law() for _ in VALUES] for _ in range(T)]
        backwards = [[law() for _ in VALUES] for _ in range(T)]
        self._joint: dict[str, dict[tuple[int, ...], Fraction]] = {"q": {}, "p": {}}
        for path in itertools.product(VALUES, repeat=T + 1):
            weight_q, weight_p = start[path[0]], end[path[T]]
            for n in range(1, T + 1):
                weight_q *= forwards[n - 1][path[n - 1]][path[n]]
                weight_p *= backwards[n - 1][path[n]][path[n - 1]]
            self._joint["q"][path], self._joint["p"][path] = weight_q, weight_p
        self._seen: dict[tuple, Fraction] = {}

    def _probability(self, name: str, fixed: State) -> Fraction:
        key = (name, *sorted(fixed.items()))
        if key not in self._seen:
            joint = self._joint[name]
            self._seen[key] = sum(w for path, w in joint.items() if all(path[n] == v for n, v in fixed.items()))
        return self._seen[key]

    def _steps(self, variables: tuple[Expr, ...]) -> list[int]:
        """[0, 1, 2] for x_{0:2}, [3] for x_3."""
        steps: list[int] = []
        for variable in variables:
            if variable.func == Span:
                base, first, last = variable.args
                found = list(range(int(first), int(last) + 1))
            else:
                require(isinstance(variable, sp.Indexed), f"{variable} is no variable")
                base, found = variable.base, [int(variable.indices[0])]
            require(base == x and all(0 <= n <= self.T for n in found), f"{variable} is none of x_0 .. x_{self.T}")
            steps += found
        require(len(set(steps)) == len(steps), f"{variables} names a variable twice")
        return steps

    def _sides(self, density: Expr) -> tuple[str, list[int], list[int]]:
        """Of a density: whose it is, of which steps, given which."""
        require(density.func in (q, p, p_theta), f"{density} is no density")
        of, given = list(density.args), ()
        if isinstance(of[-1], sp.Tuple):
            given = tuple(of.pop())
        of, given = self._steps(tuple(of)), self._steps(tuple(given))
        require(bool(of or given) and not set(of) & set(given), f"{density} has a variable on both sides")
        require(density.func != p or (of, given) == ([self.T], []), f"{density}: only the prior p(x_T) goes without a theta")
        return ("q" if density.func == q else "p"), of, given

    def _density(self, density: Expr, state: State) -> Fraction:
        name, of, given = self._sides(density)
        for n in (*of, *given):
            require(n in state, f"x_{n} has no value in {density}")
        below = self._probability(name, {n: state[n] for n in given})
        return self._probability(name, {n: state[n] for n in (*of, *given)}) / below

    def _sum(self, steps: list[int], state: State, body: "object") -> Number:
        """The sum of body(state) over all values of the variables of these steps."""
        for n in steps:
            require(n not in state, f"x_{n} is given and cannot be summed over")
        total = Number({})
        for values in itertools.product(VALUES, repeat=len(steps)):
            total += body({**state, **dict(zip(steps, values))})
        return total

    def value(self, expression: Expr, state: State) -> Number:
        """The expression's value where x_t = state[t].

        Raises:
            Refuted: if it makes no sense there: a variable without a value, or one that is given and summed over.
        """
        if expression.is_Rational:
            return Number.fraction(Fraction(int(expression.p), int(expression.q)))
        if expression.is_Add:
            total = Number({})
            for term in expression.args:
                total += self.value(term, state)
            return total
        if expression.is_Mul:
            result = Number.fraction(1)
            for factor in expression.args:
                result = result * self.value(factor, state)
            return result
        if expression.is_Pow and expression.exp.is_Integer:
            return Number.fraction(self.value(expression.base, state).rational() ** int(expression.exp))
        if isinstance(expression, sp.log):
            return Number.log(self.value(expression.args[0], state).rational())
        if expression.func in (q, p, p_theta):
            return Number.fraction(self._density(expression, state))
        if expression.func == Int:
            body, variable = expression.args
            return self._sum(self._steps((variable,)), state, lambda now: self.value(body, now))
        if expression.func == E:
            return self._expectation(expression, state)
        if expression.func == KL:
            first, second = expression.args
            steps = self._sides(first)[1]
            require(set(steps) == set(self._sides(second)[1]), f"{first} and {second} are densities of different things")
            ratio = sp.log(first / second)
            return self._sum(steps, state, lambda now: self.value(first, now) * self.value(ratio, now))
        raise Refuted(f"{expression} means nothing in a finite world")

    def _expectation(self, expression: Expr, state: State) -> Number:
        body, over = expression.args
        require(over.func == Over and len(over.args) == 1, f"{over} is not one law")
        (law,) = over.args
        return self._sum(self._sides(law)[1], state, lambda now: self.value(law, now) * self.value(body, now))

    def require_equal(self, left: Expr, right: Expr, free: tuple[int, ...], what: str) -> None:
        """Refute unless both sides agree for all values of the free variables, which no side may sum over."""
        for values in itertools.product(VALUES, repeat=len(free)):
            state = dict(zip(free, values))
            one, other = self.value(left, state), self.value(right, state)
            require(one == other, f"{what}: {one} and {other} in a finite world with T = {self.T} at {state}")
