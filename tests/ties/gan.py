"""Ties of chapter 5."""

import math

import sympy as sp
import torch

from diffcourse.algebra import CLAIMS
from diffcourse.algebra.gan import D, E, G, JS, phi, u, x, z, zs
from diffcourse.algebra.gan import g as logistic
from diffcourse.algebra.latex import Over
from diffcourse.algebra.notation import function
from diffcourse.diffusion import gaussian
from diffcourse.families import gan
from ties import Pairs, Ties, rhs

REAL, FAKE = [1.3, -0.2, 4.0], [-2.1, 0.4, 0.0]
"""Scores of real images and of drawn ones."""
NONE = torch.tensor(1000.0, dtype=torch.float64)
"""A score so large that the image costs nothing."""


def numbers(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def value() -> Pairs:
    """The averages over three images of each kind, with D the logistic function of the score."""

    def mean(body: sp.Expr, over: sp.Expr) -> sp.Expr:
        image, scores = (D(x), REAL) if over == Over(function("q")(x)) else (D(G(z)), FAKE)
        return sp.Float(sum(float(body.subs(image, 1 / (1 + math.exp(-score)))) for score in scores) / len(scores), 40)

    yield float(rhs("eq-gan-value").replace(E, mean)), -gan.discriminator_loss(numbers(REAL), numbers(FAKE)).mean()


def best_value() -> Pairs:
    """Two Gaussians over a grid: the divergence from entropies, the value from the loss of the best scores."""
    grid = torch.linspace(-14, 14, 4001, dtype=torch.float64)
    log_q, log_p = gaussian.log_density(grid, 0.7, 1.3**2), gaussian.log_density(grid, -0.5, 0.9**2)
    first, second = log_q.exp(), log_p.exp()
    middle = (first + second) / 2

    def area(weight: torch.Tensor) -> float:
        return (weight.sum() * (grid[1] - grid[0])).item()

    surprises = -area(middle * middle.log()) + area(first * log_q + second * log_p) / 2
    score = log_q - log_p
    pays = first * gan.discriminator_loss(score, -NONE) + second * gan.discriminator_loss(NONE, score)
    yield float(rhs("eq-gan-js").replace(JS, lambda *densities: sp.Float(surprises, 40))), numbers([-area(pays)])


def saturation() -> Pairs:
    for n, loss in enumerate(("original", "non-saturating")):
        said = rhs("eq-gan-saturation", n).replace(logistic, lambda score: 1 / (1 + sp.exp(-score)))
        for at in FAKE:
            score = torch.tensor(at, dtype=torch.float64, requires_grad=True)
            (slope,) = torch.autograd.grad(gan.generator_loss(score, loss), score)
            yield float(said.subs(u, at)), slope


def arc() -> Pairs:
    """Two latents of the same length: on the way z_2 stands for what is at right angles to the first, in their plane."""
    first, across = numbers([0.6, 1.2, -0.4]), numbers([1.2, -0.4, 0.6])
    across = across - first * (first @ across) / (first @ first)
    across = across * first.norm() / across.norm()
    way_of = CLAIMS["eq-gan-arc"].statement()[0].lhs
    for angle in (0.8, math.pi / 2, 2.3):  # independent latents are nearly at right angles in many dimensions
        second = math.cos(angle) * first + math.sin(angle) * across
        for share in (0.0, 0.3, 0.9):
            way = gan.slerp(first, second, share)
            for n in range(3):
                formula = way_of.subs({zs[1]: first[n].item(), zs[2]: across[n].item(), phi: share * angle})
                yield float(formula), way[n]


TIES: Ties = {
    "eq-gan-value": value,
    "eq-gan-js": best_value,
    "eq-gan-saturation": saturation,
    "eq-gan-arc": arc,
}
