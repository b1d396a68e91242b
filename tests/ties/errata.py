"""Ties of chapter 20."""

import math

import sympy as sp
import torch
from torch.distributions import Normal

from diffcourse.algebra import CLAIMS
from diffcourse.algebra.notation import family, function, symbol
from diffcourse.algebra.proving import gaussian_density
from diffcourse.diffusion import loss, process
from ties import ALPHA, MERGED, SOME, Pairs, Ties, X, number, rhs, tensor

T, t = symbol("T"), symbol("t")
PATH = [0.8, 0.9, 0.5, 0.7]  # not too unlikely: a density that is nearly zero would compare nothing


def joint() -> Pairs:
    def kernel(after: sp.Expr, given: sp.Tuple | None = None) -> sp.Expr:
        if given is None:
            return gaussian_density(after, 0, 1)  # data N(0, 1)
        assert given == sp.Tuple(family("x")[after.indices[0] - 1])
        return gaussian_density(*rhs("eq-forward-kernel").subs(t, after.indices[0]).args)

    total = Normal(0, 1).log_prob(tensor(PATH[0]))
    for n in (1, 2, 3):
        mean, variance = process.q_step_moments(SOME, tensor(PATH[n - 1]), n)
        total = total + Normal(mean, variance.sqrt()).log_prob(tensor(PATH[n]))
    yield number(rhs("eq-erratum-joint").subs(T, 3).doit().replace(function("q"), kernel), x=PATH), total.exp()


def backwards() -> Pairs:
    def forwards(x: float, before: float, kept: float) -> float:
        """N(x; sqrt(kept) before, 1 - kept), written out."""
        return math.exp(-((x - math.sqrt(kept) * before) ** 2) / (2 * (1 - kept))) / math.sqrt(2 * math.pi * (1 - kept))

    def kernel(of: sp.Expr, given: sp.Tuple) -> sp.Expr:
        """By the betas alone; a step back by Bayes' rule from steps forward."""
        n = int(of.indices[0])
        here = forwards(PATH[n], PATH[0], math.prod(ALPHA[:n]))
        if len(given) == 1:
            return sp.Float(here, 17)
        ahead = forwards(PATH[n + 1], PATH[0], math.prod(ALPHA[: n + 1]))
        return sp.Float(forwards(PATH[n + 1], PATH[n], ALPHA[n]) * here / ahead, 17)

    mean, variance = process.q_moments(SOME, tensor(PATH[0]), 3)
    total = Normal(mean, variance.sqrt()).log_prob(tensor(PATH[3]))
    for n in (3, 2):
        mean, variance = process.q_posterior(SOME, tensor(PATH[0]), tensor(PATH[n]), n)
        total = total + Normal(mean, variance.sqrt()).log_prob(tensor(PATH[n - 1]))
    yield float(rhs("eq-erratum-backwards").subs(T, 3).doit().replace(function("q"), kernel)), total.exp()


def share() -> Pairs:
    for n in (1, 2, 5):
        xt = process.q_sample(SOME, tensor(X[0]), n, tensor(MERGED))
        yield number(rhs("eq-erratum-share"), t=n), process.q_posterior(SOME, tensor(X[0]), xt, n).mean


def unit() -> Pairs:
    for n in (1, 2, 5):
        guess = SOME.alpha_bar(n).sqrt() * X[n]  # of x_0, for data N(0, 1)
        value = process.q_posterior(SOME, guess.reshape(1), tensor(X[n]), n).mean
        yield from ((number(term, t=n), value) for term in CLAIMS["eq-erratum-unit"].statement()[0].terms[1:])


def average() -> Pairs:
    drawn = loss.draw_steps(SOME, 5000, torch.Generator().manual_seed(0))
    each = torch.tensor([3.0, -1.0, 4.0, 1.5, -9.0, 2.6, 5.3], dtype=torch.float64)  # a loss for each of the 7 steps
    values = {family("L")[n]: each[n - 1].item() for n in range(1, 8)}
    by_formula = rhs("eq-erratum-average").subs(T, 7).doit().subs(values)
    yield float(by_formula), each[drawn.unique() - 1].mean()


TIES: Ties = {
    "eq-erratum-joint": joint,
    "eq-erratum-backwards": backwards,
    "eq-erratum-share": share,
    "eq-erratum-unit": unit,
    "eq-erratum-average": average,
}
