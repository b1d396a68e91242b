"""Numbers to put into formulas, for the ties of every chapter.

A tie is a function that yields pairs: the value of a claim's own expression, as read from its LaTeX, and what the package
computes. A chapter's module maps each label to its tie in `TIES`. Where the numbers come from a schedule they are worked out
here, with plain Python, from the betas alone.
"""

import math
from collections.abc import Callable, Iterator

import sympy as sp
import torch

from diffcourse.algebra import CLAIMS
from diffcourse.algebra.notation import family, symbol
from diffcourse.diffusion.schedule import Schedule

Pairs = Iterator[tuple[float, torch.Tensor]]
Ties = dict[str, Callable[[], Pairs]]
BETA = [0.01, 0.03, 0.1, 0.2, 0.15, 0.4, 0.3]
ALPHA = [1 - beta for beta in BETA]
EPS = [0.3, -1.2, 0.7, 1.9, -0.4, 0.05, -2.2]
X = [0.8, -0.6, 1.3, 0.2, -1.7, 0.4, 0.9, -0.1]
MERGED = 1.1  # any merged noise
SOME = Schedule(torch.tensor(BETA, dtype=torch.float64))


def number(expression: sp.Expr, x: list[float] = X, **at: float) -> float:
    """The expression's value for the numbers above; `at` names t, s, T and other symbols."""
    expression = expression.subs({symbol(name): value for name, value in at.items()}).doit()
    families: dict[sp.IndexedBase, Callable[[int], float]] = {
        family("x"): lambda n: x[n],
        family(r"\beta"): lambda n: BETA[n - 1],
        family(r"\alpha"): lambda n: ALPHA[n - 1],
        family(r"\bar\alpha"): lambda n: math.prod(ALPHA[:n]),
        family(r"\epsilon"): lambda n: EPS[n - 1],
        family(r"\bar\epsilon"): lambda n: MERGED,
    }
    values = {item: families[item.base](int(item.indices[0])) for item in expression.atoms(sp.Indexed)}
    return float(expression.subs(values).subs({symbol("I"): 1, symbol(r"\epsilon"): MERGED}).evalf())


def rhs(label: str, relation: int = 0) -> sp.Expr:
    return CLAIMS[label].statement()[relation].rhs


def gaussian(label: str) -> tuple[sp.Expr, sp.Expr]:
    """Mean and covariance of q(..) = N(..; mean, covariance)."""
    _, mean, covariance = rhs(label).args
    return mean, covariance


def tensor(value: float) -> torch.Tensor:
    return torch.tensor([value], dtype=torch.float64)


def constant(beta: float, T: int) -> Schedule:
    return Schedule(torch.full((T,), beta, dtype=torch.float64))
