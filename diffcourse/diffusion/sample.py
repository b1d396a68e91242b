"""Samplers: pure functions that walk from x_T ~ N(0, I) back to x_0 with nothing but a denoiser.

A denoiser is any function `predict_eps(xt, t) -> eps` with xt [B, ...] and t int64 [B]: a trained network or an exact
formula (`exact`). All samplers share one loop, take the same arguments, and work on any decreasing subset of the steps.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from diffcourse.diffusion.process import Prediction, predict_x0, q_posterior, standard_normal_like
from diffcourse.diffusion.process import predict_eps as eps_from_x0
from diffcourse.diffusion.schedule import Schedule
from diffcourse.errors import InputError

Denoiser = Callable[[Tensor, Tensor], Tensor | Prediction]
Steps = int | Sequence[int]
"""How many steps, evenly spaced, or the very steps t that the network is asked at, decreasing."""
Watch = Callable[[int, Tensor, Tensor], None]
"""Called after each step with (s, x_s, x0_hat): the step just reached, the state there, the guess of x_0 that led there."""


class Guess(NamedTuple):
    """What a denoiser makes of x_t."""

    eps: Tensor
    x0: Tensor
    fraction: Tensor | None
    """See `process.Prediction`; None from a network that does not learn the variance."""


def subsequence(T: int, steps: int) -> list[int]:
    """`steps` of the times T..1, evenly spaced, decreasing from T: [1000, 980, .., 20] for T = 1000 and steps = 50.

    Raises:
        InputError: unless 1 <= steps <= T.
    """
    if not 1 <= steps <= T:
        raise InputError(f"steps = {steps}: a sampler takes between 1 and T = {T} steps")
    return [round(T * i / steps) for i in range(steps, 0, -1)]


def even_in_log_snr(schedule: Schedule, steps: int) -> list[int]:
    """At most `steps` of the times T..1, evenly spaced in the logarithm of the signal-to-noise ratio, decreasing from T to 1.

    Where the ratio changes fast, which is near both ends, they lie close together: Lu et al. (2022), section 3.4. Times that
    fall on the same step count once.

    Raises:
        InputError: unless 1 <= steps <= T.
    """
    subsequence(schedule.T, steps)  # refuses impossible numbers
    log_snr = schedule.snr(schedule.steps).log()  # falls with t
    wanted = torch.linspace(log_snr[-1].item(), log_snr[0].item(), steps, dtype=torch.float64)
    nearest = (log_snr[None] - wanted[:, None]).abs().argmin(1) + 1
    return sorted(set(nearest.tolist()) | {schedule.T}, reverse=True)


# The samplers


def sample_ddpm(
    schedule: Schedule,
    predict_eps: Denoiser,
    x_T: Tensor,
    *,
    generator: torch.Generator,
    steps: Steps | None = None,
    sigma: Literal["posterior", "beta", "learned"] = "posterior",
    clip: bool = True,
    watch: Watch | None = None,
) -> Tensor:
    """Ancestral sampling: Ho et al. (2020), algorithm 2; the book's eq-ddpm-step.

    The mean of q(x_s | x_t, x0_hat), plus noise at every step but the last. With `clip` off and all steps this is
    algorithm 2 to the letter; the form through x0_hat also allows clipping and skipping steps.

    Args:
        x_T: the starting noise, [B, ...].
        steps: see `Steps`; all T when left out.
        sigma: the noise's variance, beta-tilde ("posterior") or beta ("beta"), the two ends of the range in section 3.2, or
            what the network says in between ("learned"): Nichol and Dhariwal (2021), equation 15; the book's eq-sigma-learned.
        clip: hold x0_hat in [-1, 1], where images live. Turn it off for data that is not confined there.
        watch: see `Watch`; for progress bars and for keeping what happens on the way.

    Returns:
        x_0 of x_T's shape and type.
    """

    def step(x: Tensor, t: int, s: int, guess: Guess) -> Tensor:
        posterior = q_posterior(schedule, guess.x0, x, t, s)
        if s == 0:  # the last step adds no noise
            return posterior.mean
        variance, beta = posterior.variance, (1 - schedule.alpha_bar(t) / schedule.alpha_bar(s)).to(x)
        if sigma == "beta":
            variance = beta
        elif sigma == "learned":
            variance = (guess.fraction * beta.log() + (1 - guess.fraction) * variance.log()).exp()
        return posterior.mean + variance.sqrt() * standard_normal_like(x, generator)

    if sigma not in ("posterior", "beta", "learned"):
        raise InputError(f"sigma = {sigma!r}: choose 'posterior', 'beta' or 'learned'")
    return _walk(schedule, predict_eps, x_T, steps, step, clip, watch, fraction=sigma == "learned")


def sample_ddim(
    schedule: Schedule,
    predict_eps: Denoiser,
    x_T: Tensor,
    *,
    generator: torch.Generator | None = None,
    steps: Steps = 50,
    eta: float = 0.0,
    clip: bool = True,
    rederive_eps: bool = True,
    watch: Watch | None = None,
) -> Tensor:
    """DDIM: Song et al. (2021), equation 12, with sigma from equation 16; the book's eq-ddim-step, eq-ddim-sigma, eq-ddim-euler.

    Args:
        x_T: the starting noise, [B, ...].
        generator: needed when eta > 0.
        steps: see `Steps`.
        eta: 0 is deterministic, 1 has the noise of DDPM with sigma = "posterior". More than that would leave no room for the old.
        clip: hold x0_hat in [-1, 1].
        rederive_eps: after clipping, use the eps that belongs to the clipped x0_hat. Without it x0_hat and eps no longer
            add up to x_t, and the walk leaves the marginals q(x_t) in few-step sampling.
        watch: see `Watch`.

    Returns:
        x_0 of x_T's shape and type.
    """

    def step(x: Tensor, t: int, s: int, guess: Guess) -> Tensor:
        bar_t, bar_s = schedule.alpha_bar(t), schedule.alpha_bar(s)
        variance = eta**2 * (1 - bar_s) / (1 - bar_t) * (1 - bar_t / bar_s)
        x = bar_s.sqrt().to(x) * guess.x0 + (1 - bar_s - variance).clamp(min=0).sqrt().to(x) * guess.eps
        if eta > 0 and s > 0:
            x = x + variance.sqrt().to(x) * standard_normal_like(x, generator)
        return x

    _check_eta(eta, generator)
    if eta > 1:
        raise InputError(f"eta = {eta:g}: DDIM takes at most 1; with DPM-Solver++ there may be more fresh noise")
    return _walk(schedule, predict_eps, x_T, steps, step, clip, watch, rederive_eps)


def sample_heun(
    schedule: Schedule,
    predict_eps: Denoiser,
    x_T: Tensor,
    *,
    generator: torch.Generator | None = None,
    steps: Steps = 25,
    clip: bool = True,
    rederive_eps: bool = True,
    watch: Watch | None = None,
) -> Tensor:
    """Heun's method on the probability-flow ODE: Karras et al. (2022), algorithm 1; the book's eq-heun.

    In the variables x / sqrt(alpha_bar) and r = sqrt(1 / SNR) the ODE says dx/dr = eps, and DDIM is Euler's method. Heun's takes
    the mean of the slopes at both ends of a step. The slope at the very end, r = 0, is unknown to the network, so the last
    step is Euler's: 2 steps - 1 network calls in all. Deterministic; takes the arguments of `sample_ddim`, but no eta.
    """

    def step(x: Tensor, t: int, s: int, guess: Guess) -> Tensor:
        root_t, root_s = (schedule.alpha_bar(n).sqrt().to(x) for n in (t, s))
        r_t, r_s = (((1 - schedule.alpha_bar(n)) / schedule.alpha_bar(n)).sqrt().to(x) for n in (t, s))
        scaled = x / root_t
        x_s = root_s * (scaled + (r_s - r_t) * guess.eps)
        if s == 0:
            return x_s
        end = look(schedule, predict_eps, x_s, s, clip, rederive_eps)
        return root_s * (scaled + (r_s - r_t) * (guess.eps + end.eps) / 2)

    return _walk(schedule, predict_eps, x_T, steps, step, clip, watch, rederive_eps)


def sample_dpm_solver(
    schedule: Schedule,
    predict_eps: Denoiser,
    x_T: Tensor,
    *,
    generator: torch.Generator | None = None,
    steps: Steps = 20,
    eta: float = 0.0,
    clip: bool = True,
    watch: Watch | None = None,
) -> Tensor:
    """DPM-Solver++ (2M): Lu et al. (2022b), algorithm 2; the book's eq-dpm-solver, and eq-dpm-solver-eta with fresh noise.

    Second order with one network call a step: the guess of x_0 is continued along the line through the last two guesses. The
    first step has no guess before it, and the last goes to infinite signal-to-noise ratio; both are first order, which is DDIM
    or, with eta = 1, DDPM. Takes the arguments of `sample_ddim`, but no rederive_eps, since it uses the guess of x_0 alone.

    Args:
        eta: 0 is deterministic. 1 is what Lu et al. call SDE-DPM-Solver++ (2M), equation 18: DDPM with sigma = "posterior" whose
            guess is continued. Above 1 there is more fresh noise than DDPM's, and so much less of the old.
    """
    before: tuple[Tensor, float] | None = None  # the guess of the step before, and half the log-SNR there

    def half_log_snr(n: int) -> float:
        return schedule.snr(n).log().item() / 2

    def step(x: Tensor, t: int, s: int, guess: Guess) -> Tensor:
        nonlocal before
        here = half_log_snr(t)
        if s == 0:
            return guess.x0
        h, x0 = half_log_snr(s) - here, guess.x0
        if before is not None:
            x0_before, earlier = before
            x0 = x0 + h / (2 * (here - earlier)) * (x0 - x0_before)
        before = guess.x0, here
        std, signal = (1 - schedule.alpha_bar(s)).sqrt().to(x), schedule.alpha_bar(s).sqrt().to(x)
        ratio = std / (1 - schedule.alpha_bar(t)).sqrt().to(x) * math.exp(-(eta**2) * h)
        x = ratio * x - signal * math.expm1(-(1 + eta**2) * h) * x0
        if eta > 0:
            x = x + std * math.sqrt(-math.expm1(-2 * eta**2 * h)) * standard_normal_like(x, generator)
        return x

    _check_eta(eta, generator)
    return _walk(schedule, predict_eps, x_T, steps, step, clip, watch)


class Sampler(NamedTuple):
    """A sampler and the steps it usually takes."""

    walk: Callable[..., Tensor]
    steps: int | None
    """How many; None means all T."""
    log_snr: bool = False
    """Whether they are even in the log-SNR, not in t. On a cosine schedule steps even in t leap over most of the curve that a
    method of second order follows."""


SAMPLERS: dict[str, Sampler] = {
    "ddpm": Sampler(sample_ddpm, None),
    "ddim": Sampler(sample_ddim, 50),
    "heun": Sampler(sample_heun, 25, log_snr=True),
    "dpm-solver": Sampler(sample_dpm_solver, 20, log_snr=True),
    "sde-dpm-solver": Sampler(partial(sample_dpm_solver, eta=1.0), 20),
}
"""The samplers by name."""


# What they share


def look(
    schedule: Schedule, predict_eps: Denoiser, x: Tensor, t: int, clip: bool, rederive_eps: bool = True
) -> Guess:
    """Ask the denoiser about x_t and work out its guess of x_0; clip that, and let eps follow."""
    prediction = predict_eps(x, torch.full((len(x),), t, device=x.device))
    eps, fraction = prediction if isinstance(prediction, Prediction) else (prediction, None)
    x0 = predict_x0(schedule, x, t, eps)
    if clip:
        x0 = x0.clamp(-1, 1)
        if rederive_eps:
            eps = eps_from_x0(schedule, x, t, x0)
    return Guess(eps, x0, fraction)


def _walk(
    schedule: Schedule,
    predict_eps: Denoiser,
    x: Tensor,
    steps: Steps | None,
    step: Callable[[Tensor, int, int, Guess], Tensor],
    clip: bool,
    watch: Watch | None,
    rederive_eps: bool = True,
    fraction: bool = False,
) -> Tensor:
    """The loop of every sampler: ask the network, guess x_0, step from t to the next time s, down to 0."""
    times = _times(schedule.T, steps)
    for t, s in zip(times, times[1:] + [0]):
        guess = look(schedule, predict_eps, x, t, clip, rederive_eps)
        if fraction and guess.fraction is None:
            raise InputError("sigma = 'learned' needs a network that predicts a variance as well")
        x = step(x, t, s, guess)
        if watch is not None:
            watch(s, x, guess.x0)
    return x


def _check_eta(eta: float, generator: torch.Generator | None) -> None:
    if not 0 <= eta < math.inf or (eta > 0 and generator is None):
        raise InputError(f"eta = {eta:g}: eta is at least 0, and above 0 a generator must be given")


def _times(T: int, steps: Steps | None) -> list[int]:
    if steps is None or isinstance(steps, int):
        return subsequence(T, T if steps is None else steps)
    times = list(steps)
    if not times or times[0] > T or times[-1] < 1 or any(s >= t for t, s in zip(times, times[1:])):
        raise InputError(f"steps = {times}: give decreasing steps between T = {T} and 1")
    return times
