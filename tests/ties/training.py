"""Ties of chapter 12."""

import sympy as sp
import torch

from diffcourse.algebra.notation import family, function, symbol
from diffcourse.diffusion import exact, loss
from ties import MERGED, SOME, Pairs, Ties, X, number, rhs, tensor


def simple_loss() -> Pairs:
    error = rhs("eq-l-simple").args[0].base.args[0]
    network = function(r"\epsilon_\theta")
    by_hand = error.replace(network, lambda x, n: sp.tanh(x) + n / 10)
    x0, eps = tensor(X[0]), tensor(MERGED)
    yield number(by_hand, t=5) ** 2, loss.simple_loss(SOME, lambda x, n: torch.tanh(x) + n / 10, x0[:, None], torch.tensor([5]), eps[:, None])


def best_noise() -> Pairs:
    toy, xt = exact.two_points(), tensor(X[5])[:, None]
    guess = function(r"\mathbb{E}")(family("x")[0], sp.Tuple(family("x")[symbol("t")]))
    formula = rhs("eq-best-noise").subs(guess, toy.posterior_mean(SOME, xt, 5).item())
    yield number(formula, t=5), toy.predict_eps(SOME, xt, 5)


TIES: Ties = {
    "eq-l-simple": simple_loss,
    "eq-best-noise": best_noise,
}
