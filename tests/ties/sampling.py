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


def sigma_learned() -> Pairs:
    """A network that wants the variance at a share of 0.3, between the two ends, in every step but the last."""
    formula = rhs("eq-sigma-learned").subs(family(r"\tilde\beta")[symbol("t")], rhs("eq-beta-tilde")).subs(symbol("u"), 0.3)
    times = [7, 6, 5, 4, 3, 2, 1, 0]
    states = [X[7]]
    sample.sample_ddpm(
        SOME, lambda x, n: process.Prediction(torch.full_like(x, 0.7), torch.full_like(x, 0.3)), tensor(X[7]),
        generator=torch.Generator().manual_seed(0), clip=False, sigma="learned", watch=lambda n, x, x0_hat: states.append(x.item()),
    )
    yield from zip(by_formula("eq-ddpm-step", times, lambda n, s: math.sqrt(number(formula, t=n)) if s else 0.0), map(tensor, states))


def ddim_step() -> Pairs:
    def sigma(n: int, s: int) -> float:
        bar_t, bar_s = (math.prod(ALPHA[:m]) for m in (n, s))
        return 0.6 * math.sqrt((1 - bar_s) / (1 - bar_t) * (1 - bar_t / bar_s))

    all_steps, few = [7, 6, 5, 4, 3, 2, 1, 0], [7, 5, 2, 0]
    yield from zip(by_formula("eq-ddim-step", all_steps, lambda n, s: 0.0), map(tensor, walk(sample.sample_ddim, steps=7)))
    yield from zip(by_formula("eq-ddim-step", all_steps, sigma), map(tensor, walk(sample.sample_ddim, steps=7, eta=0.6)))
    yield from zip(by_formula("eq-ddim-step", few, sigma), map(tensor, walk(sample.sample_ddim, steps=3, eta=0.6)))


def ddim_sigma() -> Pairs:
    def sigma(n: int, s: int) -> float:
        return math.sqrt(number(rhs("eq-ddim-sigma"), t=n, s=s, **{r"\eta": 0.6}))

    yield from zip(by_formula("eq-ddim-step", [7, 5, 2, 0], sigma), map(tensor, walk(sample.sample_ddim, steps=3, eta=0.6)))


# The methods for the ODE, with a network whose answer depends on place and time

TIMES = [7, 5, 2, 1, 0]
BAR = [math.prod(ALPHA[:n]) for n in range(8)]
LEVEL = [math.sqrt((1 - kept) / kept) for kept in BAR]  # r_t
t, s, j = symbol("t"), symbol("s"), symbol("j")
x, y, r, lam, x_euler = (family(name) for name in ("x", "y", "r", r"\lambda", r"\tilde x"))
network, guess = function(r"\epsilon_\theta"), function("f")


def answer(place: float, n: int) -> float:
    return math.sin(place + 0.3 * n)


def followed(sampler: Callable[..., torch.Tensor]) -> list[tuple[int, int, float, float, float]]:
    """(t, s, x_t, x_s, the guess of x_0 at t) of each step that a sampler takes with that network."""
    seen = [(TIMES[0], X[7], 0.0)]
    sampler(
        SOME, lambda place, n: torch.sin(place + 0.3 * n.double()), tensor(X[7]), steps=TIMES[:-1], clip=False,
        watch=lambda n, place, x0_hat: seen.append((n, place.item(), x0_hat.item())),
    )
    return [(n, m, before, after, x0_hat) for (n, before, _), (m, after, x0_hat) in zip(seen, seen[1:])]


def on_curve(label: str, n: int, m: int, place: float, euler_end: float = 0.0) -> float:
    """x_m by a formula for y_s."""
    known = {y[t]: place / math.sqrt(BAR[n]), r[t]: LEVEL[n], r[s]: LEVEL[m]}
    formula = rhs(label).subs({network(x_euler[s], s): answer(euler_end, m), network(x[t], t): answer(place, n)}).subs(known)
    return math.sqrt(BAR[m]) * float(formula)


def ddim_euler() -> Pairs:
    for n, m, before, after, _ in followed(sample.sample_ddim):
        yield on_curve("eq-ddim-euler", n, m, before), tensor(after)


def heun() -> Pairs:
    for n, m, before, after, _ in followed(sample.sample_heun):
        end = on_curve("eq-ddim-euler", n, m, before)
        yield on_curve("eq-heun", n, m, before, end) if m > 0 else end, tensor(after)


def dpm_solver() -> Pairs:
    *steps, (_, _, _, last, last_guess) = followed(sample.sample_dpm_solver)
    (first, second, before, after, x0_hat), *rest = steps
    yield on_curve("eq-ddim-euler", first, second, before), tensor(after)  # no guess before the first: DDIM
    half_log_snr = [0.0] + [-math.log(level) for level in LEVEL[1:]]
    came_from, earlier = first, x0_hat
    for n, m, before, after, x0_hat in rest:
        known = {lam[t]: half_log_snr[n], lam[s]: half_log_snr[m], lam[j]: half_log_snr[came_from], x[t]: before}
        formula = rhs("eq-dpm-solver").subs({guess(lam[t]): x0_hat, guess(lam[j]): earlier}).subs(known)
        yield number(formula, t=n, s=m), tensor(after)
        came_from, earlier = n, x0_hat
    yield last_guess, tensor(last)


def dpm_solver_eta() -> Pairs:
    """With the guess continued by hand, and the fresh noise as the generator draws it."""
    share, seen, seed = 0.6, [(TIMES[0], X[7], 0.0)], 3
    sample.sample_dpm_solver(
        SOME, lambda place, n: torch.sin(place + 0.3 * n.double()), tensor(X[7])[None], steps=TIMES[:-1], clip=False, eta=share,
        generator=torch.Generator().manual_seed(seed),
        watch=lambda n, place, x0_hat: seen.append((n, place.item(), x0_hat.item())),
    )
    fresh = torch.Generator().manual_seed(seed)
    half_log_snr = [0.0] + [-math.log(level) for level in LEVEL[1:]]
    earlier = None
    for (n, before, _), (m, after, x0_hat) in zip(seen, seen[1:]):
        if m == 0:
            continue  # the last step returns the guess
        used = x0_hat
        if earlier is not None:
            came_from, last = earlier
            used += (half_log_snr[m] - half_log_snr[n]) / (2 * (half_log_snr[n] - half_log_snr[came_from])) * (x0_hat - last)
        known = {lam[t]: half_log_snr[n], lam[s]: half_log_snr[m], x[t]: before, guess(lam[t]): used}
        known[symbol("z")] = torch.randn(1, generator=fresh, dtype=torch.float64).item()
        yield number(rhs("eq-dpm-solver-eta").subs(known), t=n, s=m, **{r"\eta": share}), tensor(after)
        earlier = n, x0_hat


TIES: Ties = {
    "eq-predict-x0": guess_of_x0,
    "eq-ddpm-step": ddpm_step,
    "eq-sigma-learned": sigma_learned,
    "eq-ddim-step": ddim_step,
    "eq-ddim-sigma": ddim_sigma,
    "eq-ddim-euler": ddim_euler,
    "eq-heun": heun,
    "eq-dpm-solver": dpm_solver,
    "eq-dpm-solver-eta": dpm_solver_eta,
}
