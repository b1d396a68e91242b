"""Ties of chapter 13."""

import math
from collections.abc import Callable

import sympy as sp
import torch

from diffcourse.algebra.notation import family, function, symbol
from diffcourse.diffusion import process, sample
from ties import ALPHA, BETA, SOME, Pairs, Ties, X, number, rhs, tensor


def guess_of_x0() -> Pairs:
    formula = rhs("eq-predict-x0").replace(function(r"\epsilon_\theta"), lambda x, n: sp.Float(0.7))
    yield number(formula, t=5), process.predict_x0(SOME, tensor(X[5]), 5, tensor(0.7))


def first_step(sampler: Callable[..., torch.Tensor], **options: float) -> torch.Tensor:
    """Where a sampler goes in its first step from X[7], with a network that always says 0.7 and noise drawn with seed 0."""
    states: list[torch.Tensor] = []
    generator = torch.Generator().manual_seed(0)
    sampler(
        SOME, lambda x, n: torch.full_like(x, 0.7), tensor(X[7]), generator=generator, clip=False,
        watch=lambda n, x, x0_hat: states.append(x), **options,
    )
    return states[0]


def sampler_step(label: str, sigma: float, s: int) -> float:
    z = torch.randn(1, generator=torch.Generator().manual_seed(0), dtype=torch.float64).item()
    guess = number(rhs("eq-predict-x0").replace(function(r"\epsilon_\theta"), lambda x, n: sp.Float(0.7)), t=7)
    formula = rhs(label).replace(function(r"\epsilon_\theta"), lambda x, n: sp.Float(0.7))
    formula = formula.subs({family(r"\sigma")[symbol("t")]: sigma, family(r"\hat x")[0]: guess, symbol("z"): z})
    return number(formula, t=7, s=s)


def ddpm_step() -> Pairs:
    tilde = number(rhs("eq-sigma"), t=7)
    yield sampler_step("eq-ddpm-step", math.sqrt(tilde), 6), first_step(sample.sample_ddpm)
    yield sampler_step("eq-ddpm-step", math.sqrt(BETA[6]), 6), first_step(sample.sample_ddpm, sigma="beta")


def noise_of_a_step() -> Pairs:
    x = tensor(X[3])
    yield from ((number(rhs("eq-sigma"), t=n), process.q_posterior(SOME, x, x, n).variance) for n in (1, 5))


def ddim_step() -> Pairs:
    yield sampler_step("eq-ddim-step", 0.0, 6), first_step(sample.sample_ddim, steps=7)
    bar_t, bar_s = (math.prod(ALPHA[:n]) for n in (7, 4))
    sigma = 0.6 * math.sqrt((1 - bar_s) / (1 - bar_t) * (1 - bar_t / bar_s))
    yield sampler_step("eq-ddim-step", sigma, 4), first_step(sample.sample_ddim, steps=2, eta=0.6)


TIES: Ties = {
    "eq-predict-x0": guess_of_x0,
    "eq-ddpm-step": ddpm_step,
    "eq-sigma": noise_of_a_step,
    "eq-ddim-step": ddim_step,
}
