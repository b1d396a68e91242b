"""Samplers: pure functions that walk from x_T ~ N(0, I) back to x_0 with nothing but a denoiser.

A denoiser is any function `predict_eps(xt, t) -> eps` with xt [B, ...] and t int64 [B]: a trained network or an exact
formula (`exact`). Both samplers share one loop and work on any decreasing subset of the steps.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from diffcourse.diffusion.process import predict_eps as eps_from_x0
from diffcourse.diffusion.process import predict_x0, q_posterior, standard_normal_like
from diffcourse.diffusion.schedule import Schedule
from diffcourse.errors import InputError

Denoiser = Callable[[Tensor, Tensor], Tensor]
Watch = Callable[[int, Tensor, Tensor], None]
"""Called after each step with (s, x_s, x0_hat): the step just reached, the state there, the guess of x_0 that led there."""


def subsequence(T: int, steps: int) -> list[int]:
    """`steps` of the times T..1, evenly spaced, decreasing from T: [1000, 980, .., 20] for T = 1000 and steps = 50.

    Raises:
        InputError: unless 1 <= steps <= T.
    """
    if not 1 <= steps <= T:
        raise InputError(f"steps = {steps}: a sampler takes between 1 and T = {T} steps")
    return [round(T * i / steps) for i in range(steps, 0, -1)]


def sample_ddpm(
    schedule: Schedule,
    predict_eps: Denoiser,
    x_T: Tensor,
    *,
    generator: torch.Generator,
    steps: int | None = None,
    sigma: Literal["posterior", "beta"] = "posterior",
    clip: bool = True,
    watch: Watch | None = None,
) -> Tensor:
    """Ancestral sampling: Ho et al. (2020), algorithm 2; the book's eq-ddpm-step.

    The mean of q(x_s | x_t, x0_hat), plus noise at every step but the last. With `clip` off and all steps this is
    algorithm 2 to the letter; the form through x0_hat also allows clipping and skipping steps.

    Args:
        x_T: the starting noise, [B, ...].
        steps: how many network calls; all T when left out.
        sigma: the noise's variance, beta-tilde ("posterior") or beta ("beta"), the two ends of the range in section 3.2.
        clip: hold x0_hat in [-1, 1], where images live. Turn it off for data that is not confined there.
        watch: see `Watch`; for progress bars and for keeping what happens on the way.

    Returns:
        x_0 of x_T's shape and type.
    """

    def step(x: Tensor, t: int, s: int, eps: Tensor, x0_hat: Tensor) -> Tensor:
        posterior = q_posterior(schedule, x0_hat, x, t, s)
        if s == 0:  # the last step adds no noise
            return posterior.mean
        if sigma == "posterior":
            variance = posterior.variance
        else:
            variance = (1 - schedule.alpha_bar(t) / schedule.alpha_bar(s)).to(x)
        return posterior.mean + variance.sqrt() * standard_normal_like(x, generator)

    if sigma not in ("posterior", "beta"):
        raise InputError(f"sigma = {sigma!r}: choose 'posterior' or 'beta'")
    return _walk(schedule, predict_eps, x_T, schedule.T if steps is None else steps, step, clip, watch)


def sample_ddim(
    schedule: Schedule,
    predict_eps: Denoiser,
    x_T: Tensor,
    *,
    generator: torch.Generator | None = None,
    steps: int = 50,
    eta: float = 0.0,
    clip: bool = True,
    rederive_eps: bool = True,
    watch: Watch | None = None,
) -> Tensor:
    """DDIM: Song et al. (2021), equation 12, with sigma from equation 16; the book's eq-ddim-step.

    Args:
        x_T: the starting noise, [B, ...].
        generator: needed when eta > 0.
        steps: how many network calls.
        eta: 0 is deterministic, 1 has the noise of DDPM with sigma = "posterior".
        clip: hold x0_hat in [-1, 1].
        rederive_eps: after clipping, use the eps that belongs to the clipped x0_hat. Without it x0_hat and eps no longer
            add up to x_t, and the walk leaves the marginals q(x_t) in few-step sampling.
        watch: see `Watch`.

    Returns:
        x_0 of x_T's shape and type.
    """

    def step(x: Tensor, t: int, s: int, eps: Tensor, x0_hat: Tensor) -> Tensor:
        bar_t, bar_s = schedule.alpha_bar(t), schedule.alpha_bar(s)
        if clip and rederive_eps:
            eps = eps_from_x0(schedule, x, t, x0_hat)
        variance = eta**2 * (1 - bar_s) / (1 - bar_t) * (1 - bar_t / bar_s)
        x = bar_s.sqrt().to(x) * x0_hat + (1 - bar_s - variance).clamp(min=0).sqrt().to(x) * eps
        if eta > 0 and s > 0:
            x = x + variance.sqrt().to(x) * standard_normal_like(x, generator)
        return x

    if eta < 0 or (eta > 0 and generator is None):
        raise InputError(f"eta = {eta:g}: eta is at least 0, and above 0 a generator must be given")
    return _walk(schedule, predict_eps, x_T, steps, step, clip, watch)


def _walk(
    schedule: Schedule,
    predict_eps: Denoiser,
    x: Tensor,
    steps: int,
    step: Callable[[Tensor, int, int, Tensor, Tensor], Tensor],
    clip: bool,
    watch: Watch | None,
) -> Tensor:
    """The loop of every sampler: ask the network, guess x_0, step from t to the next time s, down to 0."""
    times = subsequence(schedule.T, steps)
    for t, s in zip(times, times[1:] + [0]):
        eps = predict_eps(x, torch.full((len(x),), t, device=x.device))
        x0_hat = predict_x0(schedule, x, t, eps)
        if clip:
            x0_hat = x0_hat.clamp(-1, 1)
        x = step(x, t, s, eps, x0_hat)
        if watch is not None:
            watch(s, x, x0_hat)
    return x
