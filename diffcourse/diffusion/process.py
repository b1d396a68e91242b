"""The forward process q, its posterior, and the ways to say the same prediction: as eps, x0, v or score.

Every function is pure and works on data of any shape [B, ...]; t is one int for the whole batch or an integer tensor [B].
Coefficients are computed in float64 and cast to the data's type at the end.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from diffcourse.diffusion.schedule import Schedule, Time


class Gaussian(NamedTuple):
    """N(mean, variance I): mean has the data's shape, variance broadcasts against it."""

    mean: Tensor
    variance: Tensor


class Prediction(NamedTuple):
    """What a network says that learns the variance as well."""

    eps: Tensor
    """The noise in x_t, of x_t's shape."""
    fraction: Tensor
    """Where the logarithm of the reverse step's variance lies between those of beta-tilde_t (0) and beta_t (1), of x_t's shape."""


def expand(coefficient: Tensor, x: Tensor) -> Tensor:
    """Give a coefficient, [] or [B], the type of x and enough axes to multiply x, [B, ...]."""
    if coefficient.ndim:
        coefficient = coefficient.reshape(-1, *[1] * (x.ndim - 1))
    return coefficient.to(x)


def q_step(schedule: Schedule, x_before: Tensor, t: Time, eps: Tensor) -> Tensor:
    """One step of the chain, from x_{t-1} to x_t, with the noise eps ~ N(0, I).

    The book's eq-forward-step; of eq-toy-step, eq-forward-chain, eq-two-steps and eq-induction it is the building block.
    """
    alpha = schedule.alpha(t)
    return expand(alpha.sqrt(), x_before) * x_before + expand((1 - alpha).sqrt(), x_before) * eps


def q_step_moments(schedule: Schedule, x_before: Tensor, t: Time) -> Gaussian:
    """Mean and variance of q(x_t | x_{t-1}), t in 1..T (the book's eq-forward-kernel, a factor of eq-erratum-joint)."""
    beta = schedule.beta(t)
    return Gaussian(expand((1 - beta).sqrt(), x_before) * x_before, expand(beta, x_before))


def q_jump(schedule: Schedule, x_s: Tensor, s: Time, t: Time) -> Gaussian:
    """Mean and variance of q(x_t | x_s) for any 0 <= s < t: many steps in one.

    The book's eq-jump, which eq-complete-square, eq-merge, eq-merge-variance and eq-two-steps-merged lead to.
    """
    ratio = schedule.alpha_bar(t) / schedule.alpha_bar(s)
    return Gaussian(expand(ratio.sqrt(), x_s) * x_s, expand(1 - ratio, x_s))


def q_moments(schedule: Schedule, x0: Tensor, t: Time) -> Gaussian:
    """Mean and variance of q(x_t | x_0), t in 0..T.

    The book's eq-closed-form; eq-toy-moments for a constant beta, eq-induction-variance, eq-limit for large T; eq-normaliser.
    """
    alpha_bar = schedule.alpha_bar(t)
    return Gaussian(expand(alpha_bar.sqrt(), x0) * x0, expand(1 - alpha_bar, x0))


def q_sample(schedule: Schedule, x0: Tensor, t: Time, eps: Tensor) -> Tensor:
    """x_t from x_0 and eps ~ N(0, I) in one step, without walking the chain (the book's eq-sample)."""
    alpha_bar = schedule.alpha_bar(t)
    return expand(alpha_bar.sqrt(), x0) * x0 + expand((1 - alpha_bar).sqrt(), x0) * eps


def q_variance(schedule: Schedule, t: Time, data_variance: float | Tensor = 1.0) -> Tensor:
    """Var[x_t] when each component of the data has the given variance; float64.

    The book's eq-variance, and eq-component-variance for one component of a mixture.
    """
    alpha_bar = schedule.alpha_bar(t)
    return alpha_bar * data_variance + (1 - alpha_bar)


def q_posterior(schedule: Schedule, x0: Tensor, xt: Tensor, t: Time, s: Time | None = None) -> Gaussian:
    """Mean and variance of q(x_s | x_t, x_0) for any s < t; s is t - 1 when left out.

    Ho et al. (2020), equations 6 and 7, written with the jump q(x_t | x_s) in place of the single step. For s = t - 1 this
    is the book's eq-posterior, with the mean eq-posterior-mean (eq-posterior-mean-eps and eq-posterior-mean-v in other
    words) and the variance eq-beta-tilde (eq-posterior-precision, eq-beta-tilde-ratio), derived from eq-bayes-x0 by way of
    eq-posterior-exponent; also eq-erratum-share, eq-erratum-unit and, over a whole path, eq-erratum-backwards.
    """
    s = t - 1 if s is None else s
    bar_t, bar_s = schedule.alpha_bar(t), schedule.alpha_bar(s)
    alpha, beta = bar_t / bar_s, 1 - bar_t / bar_s  # of the jump from s to t; alpha_t and beta_t when s = t - 1
    mean = (
        expand(bar_s.sqrt() * beta / (1 - bar_t), x0) * x0
        + expand(alpha.sqrt() * (1 - bar_s) / (1 - bar_t), xt) * xt
    )
    return Gaussian(mean, expand((1 - bar_s) / (1 - bar_t) * beta, xt))


def predict_x0(schedule: Schedule, xt: Tensor, t: Time, eps: Tensor) -> Tensor:
    """The x_0 that x_t and eps imply: the book's eq-predict-x0, which is eq-sample solved for x_0."""
    alpha_bar = schedule.alpha_bar(t)
    return (xt - expand((1 - alpha_bar).sqrt(), xt) * eps) / expand(alpha_bar.sqrt(), xt)


def predict_eps(schedule: Schedule, xt: Tensor, t: Time, x0: Tensor) -> Tensor:
    """The eps that x_t and x_0 imply: eq-sample solved for eps."""
    alpha_bar = schedule.alpha_bar(t)
    return (xt - expand(alpha_bar.sqrt(), xt) * x0) / expand((1 - alpha_bar).sqrt(), xt)


def predict_mean(schedule: Schedule, xt: Tensor, t: Time, eps: Tensor) -> Tensor:
    """The mean of the reverse step that eps implies, t in 1..T: the book's eq-mu-theta, whose errors eq-mean-gap counts."""
    alpha, beta = schedule.alpha(t), schedule.beta(t)
    return (xt - expand(beta / (1 - schedule.alpha_bar(t)).sqrt(), xt) * eps) / expand(alpha.sqrt(), xt)


def velocity(schedule: Schedule, x0: Tensor, t: Time, eps: Tensor) -> Tensor:
    """v = sqrt(alpha_bar_t) eps - sqrt(1 - alpha_bar_t) x_0: Salimans and Ho (2022), section 4; the book's eq-velocity."""
    alpha_bar = schedule.alpha_bar(t)
    return expand(alpha_bar.sqrt(), x0) * eps - expand((1 - alpha_bar).sqrt(), x0) * x0


def x0_from_v(schedule: Schedule, xt: Tensor, t: Time, v: Tensor) -> Tensor:
    """x_0 = sqrt(alpha_bar_t) x_t - sqrt(1 - alpha_bar_t) v, the book's eq-x0-from-v. Well conditioned, unlike `predict_x0`."""
    alpha_bar = schedule.alpha_bar(t)
    return expand(alpha_bar.sqrt(), xt) * xt - expand((1 - alpha_bar).sqrt(), xt) * v


def eps_from_v(schedule: Schedule, xt: Tensor, t: Time, v: Tensor) -> Tensor:
    """eps = sqrt(1 - alpha_bar_t) x_t + sqrt(alpha_bar_t) v, the book's eq-eps-from-v."""
    alpha_bar = schedule.alpha_bar(t)
    return expand((1 - alpha_bar).sqrt(), xt) * xt + expand(alpha_bar.sqrt(), xt) * v


def score(schedule: Schedule, t: Time, eps: Tensor) -> Tensor:
    """The gradient of log q(x_t | x_0) with respect to x_t, -eps / sqrt(1 - alpha_bar_t).

    With E[eps | x_t] in place of eps it is the gradient of log q(x_t): the book's eq-score-noise.
    """
    return -eps / expand((1 - schedule.alpha_bar(t)).sqrt(), eps)


def standard_normal_like(x: Tensor, generator: torch.Generator) -> Tensor:
    """eps ~ N(0, I) of x's shape, type and device, from an explicit generator."""
    return torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device)
