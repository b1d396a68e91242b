"""A strict reader of the book's LaTeX: displayed formula in, SymPy out.

SymPy's own `parse_latex` silently drops what it does not know (`\\bar`, for one), so a wrong formula can read like a right
one. This reader knows little and fails loudly: an unknown name, an unknown command or a token left over is an error.

    statement := relation ((", " \\qquad | new row) relation)*
    relation  := sum (("=" | "<" | "\\le" | "\\sim" ...) sum)*
    sum       := ["-"] product (("+" | "-") product)*
    product   := power ((nothing | "\\cdot" | "/") power)*
    power     := atom ["^" group]
"""

import re
from dataclasses import dataclass

import sympy as sp
from sympy import Expr, ImmutableMatrix, Tuple

from diffcourse.algebra.notation import FUNCTIONS, INDEXED, MATRICES, SCALARS, matrix

RELATIONS = {"=": "=", "<": "<", ">": ">", r"\le": "<=", r"\ge": ">=", r"\sim": "~", r"\approx": "~~", r"\in": "in"}
_SPACING = {r"\,", r"\;", r"\:", r"\!", r"\ ", r"\quad", r"\left", r"\right", r"\displaystyle"}
_SPACING |= {rf"\{size}{side}" for size in ("big", "Big", "bigg", "Bigg") for side in ("", "l", "r")}
_DECORATIONS = {r"\bar", r"\tilde", r"\hat", r"\boldsymbol"}
_FONTS = {r"\mathcal", r"\mathbb", r"\operatorname"}
_ELEMENTARY = {r"\exp": sp.exp, r"\log": sp.log, r"\cos": sp.cos, r"\sin": sp.sin, r"\tanh": sp.tanh}
_CLOSING = {"(": ")", "[": "]"}
_TOKEN = re.compile(r"\\[a-zA-Z]+|\\.|\d+(?:\.\d+)?|\S", re.DOTALL)

Span = sp.Function("Span")
"""x_{a:b}, the steps a to b of a family, read as Span(x, a, b)."""

Int = sp.Function("Int")
"""An integral over a whole space, \\int f \\, \\mathrm{d}x_t, read as Int(f, x_t) and left for the proof to evaluate.

So is a sum over all values of a variable, \\sum_{x_t} f: what an integral is where the values can be counted."""

Grad = sp.Function("Grad")
"""\\nabla_{x} f, read as Grad(f, x)."""

Over = sp.Function("Over")
"""The subscript of an expectation: E_{t, x_0}[z] is read as E(z, Over(t, x_0))."""

Norm = sp.Function("Norm")
"""The length of a vector."""

Lim = sp.Function("Lim")
"""lim_{n -> end} of anything, read as Lim(body, n, end) and left for the proof to evaluate."""


Slope = sp.Function("Slope")
"""f'(z), read as Slope(f(z)): the derivative of f, taken at z; f'_j(z) is read as Slope(f(j, z))."""

Rate = sp.Function("Rate")
"""\\frac{\\mathrm{d}y_t}{\\mathrm{d}r_t}, read as Rate(y_t, r_t): how fast the one changes with the other; \\partial is read alike."""

Transposed = sp.Function("Transposed")
"""A vector or matrix, turned over."""


class UnreadableError(ValueError):
    """LaTeX that the reader does not understand completely."""


@dataclass(frozen=True)
class Relation:
    """terms[0] ops[0] terms[1] ops[1] terms[2] ...: `a = b = c` keeps all three terms."""

    terms: tuple[Expr, ...]
    ops: tuple[str, ...]

    @property
    def lhs(self) -> Expr:
        """The first term."""
        return self.terms[0]

    @property
    def rhs(self) -> Expr:
        """The last term."""
        return self.terms[-1]


def read(latex: str) -> tuple[Relation, ...]:
    """Read a displayed formula: one relation, or several set apart by a \\qquad or a new row.

    Raises:
        UnreadableError: on anything that is not understood; the message says what and where.
    """
    return _Reader(latex).statement()


class _Reader:
    def __init__(self, latex: str) -> None:
        self.latex = latex
        body = latex.replace(r"\begin{aligned}", "").replace(r"\end{aligned}", "")
        body = body.replace(r"\begin{pmatrix}", r"\pmatrix ").replace(r"\end{pmatrix}", r"\endpmatrix ")
        self.tokens: list[str] = []
        for token in _TOKEN.findall(body):  # an & sets the columns of a matrix apart; elsewhere it is layout
            if token not in _SPACING and (token != "&" or self.tokens.count(r"\pmatrix") > self.tokens.count(r"\endpmatrix")):
                self.tokens.append(token)
        self.position = 0

    # Moving through the tokens

    def peek(self, ahead: int = 0) -> str:
        index = self.position + ahead
        return self.tokens[index] if index < len(self.tokens) else ""

    def next(self) -> str:
        token = self.peek()
        self.position += 1
        return token

    def accept(self, token: str) -> bool:
        if self.peek() != token:
            return False
        self.position += 1
        return True

    def expect(self, token: str) -> None:
        if not self.accept(token):
            raise self.error(f"expected {token!r}")

    def error(self, problem: str) -> UnreadableError:
        read, rest = " ".join(self.tokens[: self.position]), " ".join(self.tokens[self.position :]) or "the end"
        return UnreadableError(f"{problem} at {rest!r}, after {read!r}")

    # Statements

    def statement(self) -> tuple[Relation, ...]:
        relations = [self.relation()]
        while self.peek():
            self.accept(",")
            if not (self.accept(r"\qquad") or self.accept(r"\\")):
                raise self.error("left over")
            relations.append(self.relation())
        return tuple(relations)

    def relation(self) -> Relation:
        terms, ops = [self.sum()], []
        while True:
            if self.peek() == r"\\" and self.peek(1) in RELATIONS:  # the next row goes on with this relation
                self.next()
            if self.peek() not in RELATIONS:
                break
            ops.append(RELATIONS[self.next()])
            terms.append(self.sum())
        if not ops:
            raise self.error("no relation sign")
        return Relation(tuple(terms), tuple(ops))

    # Expressions

    def sum(self) -> Expr:
        total = -self.product() if self.accept("-") else self.product()
        while True:
            if self.peek() == r"\\" and self.peek(1) == "+":  # the next row goes on with this sum
                self.next()
            if self.peek() not in ("+", "-"):
                return total
            total = total + self.product() if self.next() == "+" else total - self.product()

    def product(self) -> Expr:
        result = self.power()
        while True:
            if self.accept("/"):
                result = result / self.power()
            elif self.accept(r"\cdot") or self.starts_atom():
                result = result * self.power()
            else:
                return result

    def starts_atom(self) -> bool:
        token = self.peek()
        if token == r"\mathrm":  # the d of an integral ends its body
            return False
        return bool(token) and (
            token[0].isalnum()
            or token in _CLOSING
            or (token[0] == "\\" and token[1:].isalpha() and token not in RELATIONS and token not in (r"\qquad", r"\mid", r"\to", r"\rVert", r"\rvert", r"\endpmatrix"))
        )

    def power(self) -> Expr:
        base = self.atom()
        if not self.accept("^"):
            return base
        if self.accept(r"\top"):
            if base.is_commutative:
                raise self.error("only vectors and matrices are transposed")
            return Transposed(base)
        return base ** self.group()

    def group(self) -> Expr:
        """What follows ^ or _: one token, or a sum in braces."""
        if self.accept("{"):
            inside = self.sum()
            self.expect("}")
            return inside
        if self.peek()[:1].isdigit():
            return sp.Rational(self.next())
        return self.scalar(self.name())

    def braced(self) -> Expr:
        if self.peek() != "{":
            raise self.error("expected a group in braces")
        return self.group()

    def atom(self) -> Expr:
        token = self.peek()
        if token[:1].isdigit():
            return sp.Rational(self.next())
        if token in _CLOSING:
            self.next()
            inside = self.sum()
            self.expect(_CLOSING[token])
            return inside
        if self.accept(r"\lVert"):
            inside = self.sum()
            self.expect(r"\rVert")
            return Norm(inside)
        if self.accept(r"\lvert"):
            inside = self.sum()
            self.expect(r"\rvert")
            return sp.Abs(inside)
        if self.accept(r"\frac") or self.accept(r"\tfrac"):
            if self.peek(1) in (r"\mathrm", r"\partial"):
                return Rate(self.differential(), self.differential())
            numerator = self.braced()
            return numerator / self.braced()
        if self.accept(r"\sqrt"):
            return sp.sqrt(self.braced())
        if self.accept(r"\pmatrix"):
            return self.matrix()
        if token in (r"\prod", r"\sum"):
            self.next()
            return self.repeated(sp.Product if token == r"\prod" else sp.Sum)
        if self.accept(r"\lim"):
            return self.limit()
        if self.accept(r"\int"):
            return self.integral()
        if self.accept(r"\nabla"):
            return self.gradient()
        if token in _ELEMENTARY:
            self.next()
            return self.applied(_ELEMENTARY[token])
        return self.named()

    def applied(self, function: type[sp.Function]) -> Expr:
        """\\cos^2(z), \\exp(z): the power, if any, stands between name and argument."""
        exponent = self.group() if self.accept("^") else sp.Integer(1)
        if self.peek() in _CLOSING:
            return function(self.atom()) ** exponent
        if function is not sp.log:  # only logarithms are commonly written without brackets: \\log q(x), \\log \\frac{a}{b}
            raise self.error("expected an argument in brackets")
        return function(self.power()) ** exponent

    def matrix(self) -> Expr:
        """The rows of a matrix: a & b \\\\ c & d."""
        rows = [[self.sum()]]
        while not self.accept(r"\endpmatrix"):
            if self.accept("&"):
                rows[-1].append(self.sum())
            elif self.accept(r"\\"):
                rows.append([self.sum()])
            else:
                raise self.error("the matrix does not end")
        if len({len(row) for row in rows}) > 1:
            raise self.error("rows of different length")
        return ImmutableMatrix(rows)

    def repeated(self, operator: type[sp.Product] | type[sp.Sum]) -> Expr:
        self.expect("_")
        self.expect("{")
        index = self.named()
        if operator is sp.Sum and self.accept("}"):  # over all values that the variable can take
            return Int(self.product(), index)
        self.expect("=")
        first = self.sum()
        self.expect("}")
        self.expect("^")
        last = self.group()
        if not index.is_Symbol:
            raise self.error(f"{index} does not count")
        return operator(self.product(), (index, first, last))

    def limit(self) -> Expr:
        self.expect("_")
        self.expect("{")
        variable = self.scalar(self.name())
        self.expect(r"\to")
        end = self.sum()
        self.expect("}")
        return Lim(self.product(), variable, end)

    def integral(self) -> Expr:
        limits = []
        if self.accept("_"):
            limits.append(self.group())
            self.expect("^")
            limits.append(self.group())
        body = self.product()
        self.expect(r"\mathrm")
        self.expect("{")
        self.expect("d")
        self.expect("}")
        variable = self.named()
        return sp.Integral(body, (variable, *limits)) if limits else Int(body, variable)

    def differential(self) -> Expr:
        """{\\mathrm{d}y_t} or {\\partial y_t}, one side of a derivative: y_t."""
        self.expect("{")
        for token in (r"\partial",) if self.peek() == r"\partial" else (r"\mathrm", "{", "d", "}"):
            self.expect(token)
        inside = self.named()
        self.expect("}")
        return inside

    def gradient(self) -> Expr:
        self.expect("_")
        variable = self.group() if self.peek() == "{" else self.named()
        return Grad(self.power(), variable)

    # Names

    def name(self) -> str:
        r"""A name with its decoration or font: x, \beta, \bar\alpha (also \bar{\alpha}), \hat x, \mathcal{N}."""
        token = self.next()
        if token in _DECORATIONS:
            if self.accept("{"):
                inside = self.next()
                self.expect("}")
            else:
                inside = self.next()
            return f"{token} {inside}" if inside.isalpha() else token + inside
        if token in _FONTS:
            self.expect("{")
            letters = ""
            while self.peek() not in ("}", ""):
                letters += self.next()
            self.expect("}")
            return f"{token}{{{letters}}}"
        # A subscript that is part of the name: \epsilon_\theta, L_{\mathrm{simple}}.
        if (self.peek(), self.peek(1)) == ("_", r"\theta"):
            return token + self.next() + self.next()
        if (self.peek(), self.peek(1), self.peek(2)) == ("_", "{", r"\mathrm"):
            while not token.endswith("}}") and self.peek():
                token += self.next()
            return token
        return token

    def scalar(self, name: str) -> Expr:
        if name not in SCALARS:
            self.position -= 1
            raise self.error(f"unknown name {name!r}")
        return SCALARS[name].sympy

    def named(self) -> Expr:
        name = self.name()
        if name in FUNCTIONS:
            prime, arguments = self.accept("'"), 2 if self.peek() == "_" else 1  # f'_j(z) has its index as well
            called = self.call(FUNCTIONS[name].sympy)
            if prime and len(called.args) != arguments:
                raise self.error("a derivative of one argument, please")
            return Slope(called) if prime else called
        if name in MATRICES:
            self.expect("_")
            return matrix(name, self.group())
        if name in INDEXED and self.accept("_"):
            return self.indexed(INDEXED[name].sympy)
        return self.scalar(name)

    def indexed(self, family: sp.IndexedBase) -> Expr:
        if not self.accept("{"):
            return family[self.group()]
        first = self.sum()
        if self.accept(":"):
            found = Span(family, first, self.sum())
        elif self.accept(","):  # two indices, as of a matrix
            found = family[first, self.sum()]
        else:
            found = family[first]
        self.expect("}")
        return found

    def call(self, function: type[sp.Function]) -> Expr:
        r"""f(a), N(x; m, v), q(x \mid y): what is given becomes one Tuple behind the other arguments.

        \tilde\mu_t(x_t) has its index as the first argument, \mathbb{E}_{x}[y] its variables as the last.
        """
        index, over = [], None
        if self.accept("_"):
            if function == FUNCTIONS[r"\mathbb{E}"].sympy:
                over = self.variables()
            else:
                index = [self.group()]
        opening = self.next()
        if opening not in _CLOSING:
            self.position -= 1
            raise self.error(f"expected the arguments of {function}")
        arguments, given = [*index, self.sum()], []
        target = arguments
        while self.peek() in (",", ";", r"\|", r"\mid"):
            if self.next() == r"\mid":
                target = given
            target.append(self.sum())
        self.expect(_CLOSING[opening])
        extra = [Tuple(*given)] if given else []
        return function(*arguments, *extra, *([over] if over is not None else []))

    def variables(self) -> Expr:
        """The subscript of an expectation: {t, x_0, \\epsilon}."""
        self.expect("{")
        variables = [self.sum()]
        while self.accept(","):
            variables.append(self.sum())
        self.expect("}")
        return Over(*variables)
