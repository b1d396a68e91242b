"""Answers by hand: a SymPy expression is compared with the truth, first in numbers and then by a proof."""

from dataclasses import dataclass
from typing import Any

import sympy as sp
from sympy import Expr, Rational, Symbol

from diffcourse.algebra.proving import vanishes
from diffcourse.practice.check import Mistake

_DIGITS, _TOLERANCE = 30, sp.Float("1e-12")  # the tolerance lets numbers such as math.log(2) pass
_LARGEST_DENOMINATOR = 10**6


@dataclass(frozen=True)
class Domain:
    """The symbols an answer may contain, and the values they take.

    Args:
        points: where two expressions are compared in numbers.
        positive: each symbol in terms of positive numbers that range over the whole domain, such as 1 / (1 + p) for a
            number between 0 and 1. Then SymPy knows the sign of every difference and can prove more.
    """

    points: tuple[dict[Symbol, Expr], ...]
    positive: dict[Symbol, Expr]

    def read(self, answer: Any) -> Expr:
        """The student's expression in the domain's own symbols: names count, assumptions do not.

        Raises:
            Mistake: if it is no expression in these symbols.
        """
        if isinstance(answer, str):
            raise Mistake("this is text; write the expression without quotation marks")
        if isinstance(answer, (sp.Equality, tuple, list)):
            raise Mistake("give one expression: only the right side, without `Eq`, brackets or a comma")
        try:
            expression = sp.sympify(answer, strict=True)
        except sp.SympifyError:
            expression = None
        if not isinstance(expression, Expr):
            raise Mistake(f"this is of type {type(answer).__name__}; write a SymPy expression, with sp.sqrt for a root")
        own = {symbol.name: symbol for symbol in self.positive}
        if unknown := sorted(str(s) for s in expression.free_symbols if getattr(s, "name", None) not in own):
            raise Mistake(f"your answer contains {', '.join(unknown)}; it should need nothing but {', '.join(own)}")
        return sp.nsimplify(expression.xreplace({s: own[s.name] for s in expression.free_symbols}), rational=True)

    def gap(self, left: Expr, right: Expr, point: dict[Symbol, Expr]) -> Expr:
        """|left - right| at a point, infinite where that is no number."""
        value = sp.sympify(left - right).subs(point).evalf(_DIGITS)
        return abs(value) if value.is_number and value.is_finite else sp.oo

    def same(self, left: Expr, right: Expr) -> bool:
        """Whether two expressions have the same value at every point."""
        return all(self.gap(left, right, point) < _TOLERANCE for point in self.points)

    def proves(self, left: Expr, right: Expr) -> bool:
        """Whether the difference vanishes symbolically. With rounded numbers SymPy would try for minutes."""
        rounded = any(number.q > _LARGEST_DENOMINATOR for number in left.atoms(Rational))
        return not rounded and vanishes((left - right).subs(self.positive, simultaneous=True))


def judge(answer: Any, truth: Expr, suspects: dict[str, Expr], domain: Domain) -> str:
    """How the answer was found to be right; suspects are known wrong answers under the sentences that name the mistake.

    Raises:
        Mistake: with the mistake's name, or with the point where the answer is off.
    """
    got = domain.read(answer)
    if domain.same(got, truth):
        return "proved" if domain.proves(got, truth) else "equal to twelve digits; no proof was found for this form"
    for sentence, wrong in suspects.items():
        if domain.same(got, wrong):
            raise Mistake(sentence)
    for point in domain.points:
        gap = domain.gap(got, truth, point)
        if gap >= _TOLERANCE:
            where = ", ".join(f"{symbol} = {value}" for symbol, value in point.items())
            size = f"off by {sp.N(gap, 2)}" if gap.is_finite else "no number"
            raise Mistake(f"at {where} your answer is {size}")
    raise AssertionError("unequal, but equal at every point")


def between_0_and_1(name: str, *values: Rational) -> Domain:
    """The domain of one symbol with values strictly between 0 and 1."""
    symbol, p = Symbol(name, positive=True), Symbol("p", positive=True)
    return Domain(tuple({symbol: value} for value in values), {symbol: 1 / (1 + p)})
