"""What training minimises: the simple loss, and the same error with other weights and other targets.

Every weight counts the squared error of the *noise*. A network that predicts x0 or v makes errors of another size, and
`error_scale` converts them, so that one weight means the same for all three.
"""

from typing import Literal

import torch
from torch import Tensor

from diffcourse.diffusion.bound import Sigma, grey_level_log_prob, reverse_gaussian, reverse_variance
from diffcourse.diffusion.gaussian import kl_gaussians
from diffcourse.diffusion.process import Prediction, expand, q_posterior, q_sample, velocity
from diffcourse.diffusion.sample import Denoiser
from diffcourse.diffusion.schedule import Schedule, Time
from diffcourse.errors import InputError

Weighting = Literal["simple", "bound", "min_snr"]
Target = Literal["eps", "x0", "v"]


def draw_steps(schedule: Schedule, n: int, generator: torch.Generator) -> Tensor:
    """n steps t, uniform on 1..T with both ends included; int64 [n] on the generator's device.

    The mean of a loss over such steps is the book's eq-erratum-average.
    """
    return torch.randint(1, schedule.T + 1, (n,), generator=generator, device=generator.device)


def simple_loss(schedule: Schedule, predict_eps: Denoiser, x0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
    """L_simple for each example: the mean over its components of (eps - predict_eps(x_t, t))^2.

    Ho et al. (2020), equation 14; the book's eq-l-simple. They sum over the components; the mean only changes the learning rate's scale and makes
    a value comparable between image sizes: 1 is what the useless prediction eps = 0 gets.

    Args:
        x0: data in [-1, 1], [B, ...].
        t: steps in 1..T, int64 [B].
        eps: the noise, ~ N(0, I), of x0's shape.

    Returns:
        losses [B], differentiable.
    """
    error = eps - predict_eps(q_sample(schedule, x0, t, eps), t)
    return error.square().flatten(1).mean(1)


def weight(schedule: Schedule, t: Time, kind: Weighting, *, sigma: Sigma = "posterior", gamma: float = 5.0) -> Tensor:
    """What a squared error of the noise counts at step t in 1..T, float64 of t's shape.

    "simple" is 1. "bound" is beta_t^2 / (2 sigma_t^2 alpha_t (1 - alpha_bar_t)), which makes the loss what theta can change in
    the variational bound, in nats: the book's eq-b-weight and, over all steps, eq-bound-gradient, with other forms in
    eq-weight-snr, its inverse in eq-reweighting and the sum eq-snr-sum. "min_snr" is min(SNR(t), gamma) / SNR(t): Hang et al.
    (2023), section 4.2; the book's eq-min-snr.

    Args:
        sigma: the reverse step's variance in the bound, see `bound.reverse_variance`.
        gamma: the SNR above which "min_snr" counts less than "simple".

    Raises:
        InputError: for an unknown kind or sigma, or gamma <= 0.
    """
    snr = schedule.snr(t)
    if kind == "simple":
        return torch.ones_like(snr)
    if kind == "bound":
        variance = reverse_variance(schedule, t, sigma)
        return schedule.beta(t).square() / (2 * variance * schedule.alpha(t) * (1 - schedule.alpha_bar(t)))
    if kind != "min_snr" or not gamma > 0:
        raise InputError(f"kind = {kind!r}, gamma = {gamma:g}: choose simple, bound or min_snr, and gamma above 0")
    return snr.clamp(max=gamma) / snr


def error_scale(schedule: Schedule, t: Time, target: Target) -> Tensor:
    """The squared error of the noise over that of another target, float64 of t's shape.

    1 for "eps", SNR(t) for "x0" (the book's eq-x0-loss), alpha_bar_t for "v" (eq-v-loss).

    Raises:
        InputError: for an unknown target.
    """
    if target not in ("eps", "x0", "v"):
        raise InputError(f"unknown target {target!r}; choose eps, x0 or v")
    if target == "x0":
        return schedule.snr(t)
    return schedule.alpha_bar(t) if target == "v" else torch.ones_like(schedule.snr(t))


def weighted_loss(
    schedule: Schedule,
    predict: Denoiser,
    x0: Tensor,
    t: Tensor,
    eps: Tensor,
    *,
    target: Target = "eps",
    weights: Tensor | None = None,
) -> Tensor:
    """The weighted squared error for each example, whatever the network predicts: the book's eq-eps-weights.

    `simple_loss` is the case target = "eps" without weights. With `weight(schedule, t, "bound")` the loss is B_t per
    component of the data, in nats: the book's eq-b-snr.

    Args:
        predict: predict(x_t, t) is the guess of the target.
        x0, t, eps: as in `simple_loss`.
        target: what the network predicts.
        weights: [B], what a squared error of the noise counts; 1 when left out.

    Returns:
        losses [B], differentiable; the mean over the components of each example.
    """
    scale = error_scale(schedule, t, target)
    truth = {"eps": eps, "x0": x0, "v": velocity(schedule, x0, t, eps)}[target]
    error = truth - predict(q_sample(schedule, x0, t, eps), t)
    return (scale if weights is None else scale * weights).to(x0) * error.square().flatten(1).mean(1)


def hybrid_loss(
    schedule: Schedule, predict: Denoiser, x0: Tensor, t: Tensor, eps: Tensor, *, bound_weight: float = 1e-3, levels: int = 256
) -> Tensor:
    """L_simple for the noise plus a little of the bound for the variance: Nichol and Dhariwal (2021), equation 16.

    L_simple does not depend on the variance, so the bound has to teach it. The bound is not to teach the noise, whose
    gradient is therefore stopped there. T times the term of a random t stands for the sum over all terms.

    Args:
        predict: predict(x_t, t) is a `Prediction`.
        x0, t, eps: as in `simple_loss`; x0 holds grey levels, 2 k / (levels - 1) - 1.
        bound_weight: what the bound, in nats per component, counts.
        levels: how many grey levels there are.

    Returns:
        losses [B], differentiable.
    """
    xt = q_sample(schedule, x0, t, eps)
    prediction = predict(xt, t)
    simple = (eps - prediction.eps).square()
    model = reverse_gaussian(schedule, Prediction(prediction.eps.detach(), prediction.fraction), xt, t, "learned")
    truth = q_posterior(schedule, x0, xt, t)
    # At t = 1 the posterior has no variance, and C stands in B's place; the clamp keeps infinity out of the gradient.
    denoising = kl_gaussians(truth.mean, truth.variance.clamp(min=1e-20), model.mean, model.variance)
    reconstruction = -grey_level_log_prob(x0, model.mean, model.variance, levels)
    bound = torch.where(expand(t, x0) == 1, reconstruction, denoising)
    return (simple + bound_weight * schedule.T * bound).flatten(1).mean(1)
