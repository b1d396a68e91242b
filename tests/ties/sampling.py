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


def walk(sampler: Callable[..., torch.Tensor], **options: float) -> list[float]:
    """The states of a sampler from X[7] on, with a network that always says 0.7 and noise drawn with seed 0."""
    states = [X[7]]
    generator = torch.Generator().manual_seed(0)
    sampler(
        SOME, lambda x, n: torch.full_like(x, 0.7), tensor(X[7]), generator=generator, clip=False,
        watch=lambda n, x, x0_hat: states.append(x.item()), **options,
    )
    return states


def by_formula(label: str, times: list[int], sigma: Callable[[int, int], float]) -> list[float]:
    """The same walk by the claims' formulas, from each time to the next; sigma(t, s) is the noise of a step."""
    generator = torch.Generator().manual_seed(0)
    states = [X[7]]
    for n, s in zip(times, times[1:]):
        noise = sigma(n, s)
        z = torch.randn(1, generator=generator, dtype=torch.float64).item() if noise > 0 else 0.0
        x = [states[-1]] * 8
        guess, step = (rhs(name).replace(function(r"\epsilon_\theta"), lambda *_: sp.Float(0.7)) for name in ("eq-predict-x0", label))
        step = step.subs({family(r"\sigma")[symbol("t")]: noise, family(r"\hat x")[0]: number(guess, x=x, t=n), symbol("z"): z})
        states.append(number(step, x=x, t=n, s=s))
    return states


def ddpm_step() -> Pairs:
    times = [7, 6, 5, 4, 3, 2, 1, 0]
    tilde = {n: number(rhs("eq-beta-tilde"), t=n) for n in times[:-1]}
    by_tilde = by_formula("eq-ddpm-step", times, lambda n, s: math.sqrt(tilde[n]))
    by_beta = by_formula("eq-ddpm-step", times, lambda n, s: math.sqrt(BETA[n - 1]) if s else 0.0)  # no noise in the last step
    yield from zip(by_tilde, map(tensor, walk(sample.sample_ddpm)))
    yield from zip(by_beta, map(tensor, walk(sample.sample_ddpm, sigma="beta")))


def ddim_step() -> Pairs:
    def sigma(n: int, s: int) -> float:
        bar_t, bar_s = (math.prod(ALPHA[:m]) for m in (n, s))
        return 0.6 * math.sqrt((1 - bar_s) / (1 - bar_t) * (1 - bar_t / bar_s))

    all_steps, few = [7, 6, 5, 4, 3, 2, 1, 0], [7, 5, 2, 0]
    yield from zip(by_formula("eq-ddim-step", all_steps, lambda n, s: 0.0), map(tensor, walk(sample.sample_ddim, steps=7)))
    yield from zip(by_formula("eq-ddim-step", all_steps, sigma), map(tensor, walk(sample.sample_ddim, steps=7, eta=0.6)))
    yield from zip(by_formula("eq-ddim-step", few, sigma), map(tensor, walk(sample.sample_ddim, steps=3, eta=0.6)))


TIES: Ties = {
    "eq-predict-x0": guess_of_x0,
    "eq-ddpm-step": ddpm_step,
    "eq-ddim-step": ddim_step,
}
