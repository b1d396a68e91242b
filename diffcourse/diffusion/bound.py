"""How probable a diffusion model finds an image: the variational bound on -log p_theta(x_0), term by term.

-log p_theta(x_0) <= A + sum_{t=2}^T B_t + C, the book's eq-bound-abc. Every term is in nats, one number for each example, summed
over its components. The functions are pure: they take the noise that an expectation is estimated with, and draw none
(`variational_bound` does). In float64 they are exact to about ten digits; give them float64 data where that matters.
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from diffcourse.diffusion.gaussian import kl_gaussians
from diffcourse.diffusion.process import (
    Gaussian,
    Prediction,
    expand,
    predict_x0,
    q_moments,
    q_posterior,
    q_sample,
    standard_normal_like,
)
from diffcourse.diffusion.sample import Denoiser
from diffcourse.diffusion.schedule import Schedule, Time
from diffcourse.errors import InputError

Sigma = Literal["posterior", "beta", "learned"] | Tensor
"""Which variances sigma_t^2 the reverse steps have: beta-tilde_t, beta_t, those that the network says, or any others, given as
[T]. See `reverse_variance` and `learned_variance`."""

Decoder = Literal["gaussian", "grey levels"]
"""How x_0 comes out of x_1: as real numbers, or as one of 256 (or fewer) grey levels. See `reconstruction_term`."""


class Bound(NamedTuple):
    """The terms of the bound in nats, for each example."""

    prior: Tensor
    """A, [B]."""
    denoising: Tensor
    """B_2 .. B_T, [B, T - 1]: B_t stands in column t - 2."""
    reconstruction: Tensor
    """C, [B]."""

    @property
    def total(self) -> Tensor:
        """A + sum of B_t + C, [B] (the book's eq-bound-abc)."""
        return self.prior + self.denoising.sum(1) + self.reconstruction


# The model's reverse step


def reverse_variance(schedule: Schedule, t: Time, sigma: Sigma = "posterior") -> Tensor:
    """sigma_t^2 of the model's reverse step, float64 of t's shape.

    beta-tilde_1 is zero, and a step without variance has no density: the bound would be infinite. So sigma_1^2 is beta-tilde_2 for
    "posterior", as in the program of Ho et al. (2020), and beta_1 where there is no second step.

    Args:
        sigma: "posterior" (beta-tilde_t) or "beta" (beta_t), the two ends of the range in Ho et al., section 3.2; or the variances
            themselves, [T], the first for t = 1.

    Raises:
        InputError: for anything else.
    """
    t = torch.as_tensor(t)
    beta = schedule.beta(t)  # refuses steps that do not exist
    if isinstance(sigma, Tensor):
        if sigma.shape != (schedule.T,) or not (sigma > 0).all():
            raise InputError(f"sigma of shape {list(sigma.shape)}: give T = {schedule.T} variances, all positive")
        return sigma.to(beta).take(t.long() - 1)
    if sigma == "beta":
        return beta
    if sigma != "posterior":
        raise InputError(f"sigma = {sigma!r}: choose 'posterior' or 'beta', or give the variances")
    if schedule.T == 1:
        return beta
    t = t.clamp(min=2)
    return (1 - schedule.alpha_bar(t - 1)) / (1 - schedule.alpha_bar(t)) * schedule.beta(t)


def learned_variance(schedule: Schedule, t: Time, fraction: Tensor) -> Tensor:
    """exp(fraction log beta_t + (1 - fraction) log beta-tilde_t), of the fraction's shape: Nichol and Dhariwal (2021), equation 15.

    A network would have to hit tiny numbers that differ from step to step by orders of magnitude; a fraction is easier.
    """
    low, high = (expand(reverse_variance(schedule, t, end).log(), fraction) for end in ("posterior", "beta"))
    return (fraction * high + (1 - fraction) * low).exp()


def reverse_step(
    schedule: Schedule, predict_eps: Denoiser, xt: Tensor, t: Time, sigma: Sigma = "posterior", clip: bool = False
) -> Gaussian:
    """Mean and variance of the model's step p_theta(x_{t-1} | x_t): the book's eq-model-step.

    The mean is that of q(x_{t-1} | x_t, x0_hat), where x0_hat is the x_0 which the predicted noise implies: what a sampler
    uses as well.

    Args:
        clip: hold x0_hat in [-1, 1], as a sampler of images does. That is part of the model, and changes its bound.
    """
    steps = torch.as_tensor(t, device=xt.device).expand(len(xt))
    return reverse_gaussian(schedule, predict_eps(xt, steps), xt, t, sigma, clip)


def reverse_gaussian(
    schedule: Schedule, prediction: Tensor | Prediction, xt: Tensor, t: Time, sigma: Sigma = "posterior", clip: bool = False
) -> Gaussian:
    """`reverse_step` from what the network has said already.

    Raises:
        InputError: for the variance "learned", if the prediction has none.
    """
    eps = prediction.eps if isinstance(prediction, Prediction) else prediction
    x0_hat = predict_x0(schedule, xt, t, eps)
    if clip:
        x0_hat = x0_hat.clamp(-1, 1)
    if isinstance(sigma, str) and sigma == "learned":
        if not isinstance(prediction, Prediction):
            raise InputError("sigma = 'learned' needs a network that predicts a variance as well")
        variance = learned_variance(schedule, t, prediction.fraction)
    else:
        variance = expand(reverse_variance(schedule, t, sigma), xt)
    return Gaussian(q_posterior(schedule, x0_hat, xt, t).mean, variance)


# The three terms


def prior_term(schedule: Schedule, x0: Tensor) -> Tensor:
    """A = KL(q(x_T | x_0) || N(0, I)), [B], for x0 [B, ...]: the book's eq-term-a.

    Nothing in it is learned. For Gaussian data its average is the book's eq-exact-a.
    """
    mean, variance = q_moments(schedule, x0, schedule.T)
    return _per_example(kl_gaussians(mean, variance, 0.0, 1.0))


def denoising_term(
    schedule: Schedule,
    predict_eps: Denoiser,
    x0: Tensor,
    t: Time,
    eps: Tensor,
    sigma: Sigma = "posterior",
    clip: bool = False,
) -> Tensor:
    """One draw of B_t, [B], for t in 2..T: the divergence at x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps.

    Its mean over eps ~ N(0, I) is B_t. The book's eq-term-b, and eq-term-b-equal for "posterior"; eq-exact-b for Gaussian data.

    Args:
        x0: [B, ...].
        t: one step for all, or int64 [B].
        eps: of x0's shape.
        clip: see `reverse_step`.

    Raises:
        InputError: if some t is less than 2. Given x_0 nothing is left to compare at t = 1; that step is `reconstruction_term`.
    """
    if torch.as_tensor(t).min() < 2:
        raise InputError("B_t begins at t = 2; the step from x_1 to x_0 is reconstruction_term")
    xt = q_sample(schedule, x0, t, eps)
    target = q_posterior(schedule, x0, xt, t)
    model = reverse_step(schedule, predict_eps, xt, t, sigma, clip)
    return _per_example(kl_gaussians(target.mean, target.variance, model.mean, model.variance))


def reconstruction_term(
    schedule: Schedule,
    predict_eps: Denoiser,
    x0: Tensor,
    eps: Tensor,
    sigma: Sigma = "posterior",
    decoder: Decoder = "gaussian",
    clip: bool = False,
    levels: int = 256,
) -> Tensor:
    """One draw of C, [B]: -log p_theta(x_0 | x_1) at x_1 = sqrt(alpha_bar_1) x_0 + sqrt(1 - alpha_bar_1) eps.

    Args:
        decoder: "gaussian" takes x_0 for real numbers and returns minus the logarithm of a density, which may be negative (the
            book's eq-term-c; eq-exact-c for Gaussian data). "grey levels" takes each component for one of `levels` levels between
            -1 and 1 and returns minus the logarithm of a probability (`grey_level_log_prob`).
        clip: see `reverse_step`.

    Raises:
        InputError: if the decoder is unknown.
    """
    model = reverse_step(schedule, predict_eps, q_sample(schedule, x0, 1, eps), 1, sigma, clip)
    if decoder == "gaussian":
        log_variance = model.variance.log() + math.log(2 * math.pi)
        return _per_example((log_variance + (x0 - model.mean).square() / model.variance) / 2)
    if decoder == "grey levels":
        return -_per_example(grey_level_log_prob(x0, model.mean, model.variance, levels))
    raise InputError(f"decoder = {decoder!r}: choose 'gaussian' or 'grey levels'")


def grey_level_log_prob(x0: Tensor, mean: Tensor, variance: Tensor, levels: int = 256) -> Tensor:
    """The logarithm of the probability of each component's grey level: Ho et al. (2020), equation 13; the book's eq-decoder.

    N(mean, variance) is cut half way between neighbouring levels (eq-decoder-cuts); the lowest level gets everything below, the
    highest everything above, so that the probabilities of all levels sum to one (eq-decoder-sum). Far in a tail both ends of a piece have
    nearly the same probability, so their logarithms are subtracted, on the side where they are small.

    Args:
        x0: levels 2 k / (levels - 1) - 1 for k in 0..levels - 1, any shape.
    """
    half = 1 / (levels - 1)
    std = variance.sqrt()
    # Mirror the piece to the left of the mean, where the distribution function is small and its logarithm keeps all digits.
    distance = (x0 - mean).abs()
    log_far, log_near = (torch.special.log_ndtr(edge / std) for edge in (-distance - half, -distance + half))
    inside = log_near + (-(log_far - log_near).expm1()).log()
    lowest = torch.special.log_ndtr((x0 + half - mean) / std)
    highest = torch.special.log_ndtr((mean - x0 + half) / std)
    return torch.where(x0 < -1 + half, lowest, torch.where(x0 > 1 - half, highest, inside))


# The whole bound


def variational_bound(
    schedule: Schedule,
    predict_eps: Denoiser,
    x0: Tensor,
    *,
    generator: torch.Generator,
    sigma: Sigma = "posterior",
    decoder: Decoder = "gaussian",
    clip: bool = False,
    levels: int = 256,
    progress: Callable[[int, int], None] | None = None,
) -> Bound:
    """All terms, with one draw of the noise for each t: an unbiased estimate of the book's eq-bound-abc.

    For Gaussian data and the best network its average is the book's eq-exact-bound.

    Takes T network calls on the whole batch x0, [B, ...].

    Args:
        clip: see `reverse_step`.
        levels: how many grey levels there are, for the decoder of that name.
        progress: called after each network call with (calls done, T).
    """
    terms = []
    with torch.no_grad():
        for t in range(2, schedule.T + 1):
            eps = standard_normal_like(x0, generator)
            terms.append(denoising_term(schedule, predict_eps, x0, t, eps, sigma, clip))
            if progress is not None:
                progress(t - 1, schedule.T)
        denoising = torch.stack(terms, dim=1) if terms else x0.new_empty(len(x0), 0)
        eps = standard_normal_like(x0, generator)
        reconstruction = reconstruction_term(schedule, predict_eps, x0, eps, sigma, decoder, clip, levels)
        if progress is not None:
            progress(schedule.T, schedule.T)
    return Bound(prior_term(schedule, x0), denoising, reconstruction)


def bits_per_dim(nats: Tensor, x0: Tensor) -> Tensor:
    """Nats for a whole example as bits for each of its components: the book's eq-bits.

    A number that can be compared between image sizes if the nats are those of a probability, from the decoder "grey levels".
    """
    return nats / (x0[0].numel() * math.log(2))


# Where everything is known


def affine_model(schedule: Schedule, predict_eps: Denoiser, sigma: Sigma = "posterior", dimension: int = 1) -> Gaussian:
    """The law of the x_0 that a sampler draws, when predict_eps is affine in each component: exact, float64, [1, dimension].

    From x_T ~ N(0, I) on, a reverse step a x_t + b + sigma_t z turns one Gaussian into the next (the book's eq-exact-model; with
    exact predictions for Gaussian data the mean is eq-exact-mean, and eq-exact-likelihood follows).
    """
    mean = torch.zeros(1, dimension, dtype=torch.float64)
    variance = torch.ones(1, dimension, dtype=torch.float64)
    zero, one = torch.zeros_like(mean), torch.ones_like(mean)
    for t in range(schedule.T, 0, -1):
        shift, added = reverse_step(schedule, predict_eps, zero, t, sigma)
        factor = reverse_step(schedule, predict_eps, one, t, sigma).mean - shift
        mean, variance = factor * mean + shift, factor.square() * variance + added
    return Gaussian(mean, variance)


def _per_example(x: Tensor) -> Tensor:
    """The sum over all axes but the first."""
    return x.flatten(1).sum(1)
