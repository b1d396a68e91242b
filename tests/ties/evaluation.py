"""Ties of chapter 14."""

import sympy as sp
import torch
from torch import Tensor

from diffcourse.algebra.evaluation import _Roots, covariances, means, mus, sigmas
from diffcourse.evaluation.frechet import Gaussian, frechet_distance
from ties import Pairs, Ties, rhs

CENTRES = ([0.3, -1.2], [1.1, 0.4])


def gaussian(mean: list[float], covariance: list[list[float]]) -> Gaussian:
    return Gaussian(torch.tensor(mean, dtype=torch.float64), torch.tensor(covariance, dtype=torch.float64), n=100)


def distance(*pair: Gaussian) -> Tensor:
    return torch.tensor(frechet_distance(*pair), dtype=torch.float64)


def exact(matrix: sp.Matrix) -> list[list[float]]:
    return [[float(entry) for entry in row] for row in matrix.tolist()]


def frechet_univariate() -> Pairs:
    for first, second in (((0.7, 1.3), (-1.1, 0.6)), ((0.0, 2.0), (0.5, 2.0))):
        at = {mus[1]: first[0], sigmas[1]: first[1], mus[2]: second[0], sigmas[2]: second[1]}
        made = [gaussian([mean], [[deviation**2]]) for mean, deviation in (first, second)]
        yield float(rhs("eq-frechet-1d").subs(at)), distance(*made)


def formula(label: str, squares: list[sp.Matrix], roots: list[sp.Matrix]) -> float:
    values = dict(zip(means, map(sp.Matrix, (list(map(sp.Rational, map(str, centre))) for centre in CENTRES))))
    return float(_Roots(values | dict(zip(covariances, squares)), roots)(rhs(label)))


def frechet_general() -> Pairs:
    half, one = sp.Rational(1, 2), sp.Integer(1)
    for root, carry in (
        (sp.Matrix([[2, half], [half, 1]]), sp.Matrix([[one, -half / 2], [-half / 2, half]])),
        (sp.Matrix([[1, 0], [0, 3]]), sp.Matrix([[half, sp.Rational(1, 5)], [sp.Rational(1, 5), 2]])),
    ):
        squares = [root * root, carry * root * root * carry]
        pair = [gaussian(centre, exact(square)) for centre, square in zip(CENTRES, squares)]
        yield formula("eq-frechet", squares, [root, root * carry * root]), distance(*pair)


def frechet_commuting() -> Pairs:
    cosine, sine = sp.Rational(3, 5), sp.Rational(4, 5)
    turn = sp.Matrix([[cosine, -sine], [sine, cosine]])
    roots = [turn * sp.diag(*deviations) * turn.T for deviations in ((1, 3), (2, sp.Rational(1, 2)))]
    squares = [root * root for root in roots]
    pair = [gaussian(centre, exact(square)) for centre, square in zip(CENTRES, squares)]
    yield formula("eq-frechet-commuting", squares, roots), distance(*pair)


TIES: Ties = {
    "eq-frechet-1d": frechet_univariate,
    "eq-frechet": frechet_general,
    "eq-frechet-commuting": frechet_commuting,
}
