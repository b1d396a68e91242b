"""Ties of chapter 12."""

import sympy as sp
import torch

from diffcourse.algebra import CLAIMS
from diffcourse.algebra.notation import family, function, symbol
from diffcourse.training.ema import EMA, decay_at
from diffcourse.training.loop import rate_factor, shares
from ties import Pairs, Ties, X, rhs, tensor

n, kappa = symbol("n"), symbol(r"\kappa")
LATE = 10_000  # the ramp of the decay is over


class OneWeight(torch.nn.Module):
    """A model with a single weight."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(tensor(value))


def averaged(values: list[float], start: float, decay: float) -> list[torch.Tensor]:
    """The average after each update with these weights."""
    ema, found = EMA(OneWeight(start), decay), []
    for step, value in enumerate(values):
        ema.update(OneWeight(value), LATE + step)
        found.append(ema.model.weight.detach().clone())
    return found


def with_weights(expression: sp.Expr, decay: float, step: int) -> float:
    """The expression after so many steps, for the start X[0] and the weights X[1], X[2], ..."""
    expression = expression.subs({n: step, kappa: decay}).doit()
    before = averaged(X[1:step], X[0], decay)
    values = {family(r"\theta")[i]: X[i] for i in range(1, step + 1)}
    values |= {family(r"\bar\theta")[0]: X[0]}
    if step > 1:
        values[family(r"\bar\theta")[step - 1]] = before[-1].item()
    return float(expression.subs(values))


def ema() -> Pairs:
    for decay in (0.0, 0.5, 0.9):
        for step in (1, 2, 6):
            yield with_weights(rhs("eq-ema"), decay, step), averaged(X[1 : step + 1], X[0], decay)[-1]


def ema_weights() -> Pairs:
    for decay in (0.5, 0.9):
        for step in (1, 2, 6):
            yield with_weights(rhs("eq-ema-weights"), decay, step), averaged(X[1 : step + 1], X[0], decay)[-1]


def ema_sum() -> Pairs:
    for side in CLAIMS["eq-ema-sum"].statement()[0].terms:
        for step in (1, 5):  # an average that starts at zero and sees nothing but ones adds up the shares
            yield float(side.subs({n: step, kappa: 0.9}).doit()), averaged([1.0] * step, 0.0, 0.9)[-1]


def ema_variance() -> Pairs:
    for decay in (0.3, 0.6):
        # The share of each of the last hundred weights, from an average that sees a single one among zeros.
        share = torch.cat(averaged([1.0] + [0.0] * 99, 0.0, decay))
        value = rhs("eq-ema-variance").subs({kappa: decay, symbol(r"\sigma"): 1.7})
        yield float(value), share.square().sum() * 1.7**2


def ema_ramp() -> Pairs:
    for step in (0, 1, 7, 80, 81, 500):
        yield float(rhs("eq-ema-ramp").subs({n: step, kappa: 0.9})), tensor(decay_at(step, 0.9))


def ema_forget() -> Pairs:
    ema = EMA(OneWeight(1.0), 0.9999)
    for step in range(12):
        ema.update(OneWeight(0.0), step)
    for side in CLAIMS["eq-ema-forget"].statement()[0].terms:
        yield float(side.subs(n, 12).doit()), ema.model.weight.detach()


def accumulate() -> Pairs:
    losses = torch.tensor(X[:6], dtype=torch.float64)
    for processes, parts in ((1, 1), (1, 3), (2, 1), (2, 3)):
        cut = shares(6, processes, parts)
        rows = [part for process in cut for part in process]
        means = [torch.stack([losses[part].mean() for part in process]).mean() for process in cut]
        mean = torch.stack(means).mean()
        for side in CLAIMS["eq-accumulate"].statement()[0].terms:
            expression = side.subs({symbol("K"): len(rows), n: 6 // len(rows)}).doit()
            yield float(expression.subs({family("L")[i]: X[i - 1] for i in range(1, 7)})), mean


def rate() -> Pairs:
    for u in (0.0, 0.2, 0.5, 1.0):
        formula = float(rhs("eq-rate").subs(symbol("u"), u))
        yield formula, tensor(rate_factor(500, u, 100))
        yield formula / 4, tensor(rate_factor(24, u, 100))  # a quarter of the warm-up
        yield formula, tensor(rate_factor(0, u, 1))
        yield 1.0, tensor(rate_factor(500, u, 100, decay="none"))
    yield float(rhs("eq-rate").subs(symbol("u"), 1)), tensor(rate_factor(500, 1.3, 100))  # the last step may end late
    middles = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000  # their mean is the integral's, by symmetry
    assert CLAIMS["eq-rate"].statement()[1].lhs == sp.Integral(function("f")(symbol("u")), (symbol("u"), 0, 1))
    factors = torch.tensor([rate_factor(500, u, 100) for u in middles.tolist()], dtype=torch.float64)
    yield float(rhs("eq-rate", 1)), factors.mean()


TIES: Ties = {
    "eq-ema": ema,
    "eq-ema-weights": ema_weights,
    "eq-ema-sum": ema_sum,
    "eq-ema-variance": ema_variance,
    "eq-ema-ramp": ema_ramp,
    "eq-ema-forget": ema_forget,
    "eq-accumulate": accumulate,
    "eq-rate": rate,
}
