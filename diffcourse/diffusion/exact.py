"""Data for which everything is known: mixtures of Gaussians.

Noise turns a mixture into a mixture, so q(x_t), its score, E[x_0 | x_t] and the best possible noise predictor have closed
forms. Formulas, losses and samplers are tested against them.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from diffcourse.diffusion.process import Gaussian, expand, predict_eps, standard_normal_like
from diffcourse.diffusion.schedule import Schedule, Time
from diffcourse.errors import InputError


class ReverseConditional(NamedTuple):
    """sum_k weight_k N(mean_k, variance I) for each x_t of a batch: what q(x_{t-1} | x_t) is when the data are a mixture.

    weight is [B, K], mean [B, K, D], and variance broadcasts to [B, D].
    """

    weight: Tensor
    mean: Tensor
    variance: Tensor

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density, [B, N], at the points x, [N, D], the same for the whole batch."""
        D = x.shape[-1]
        variance = self.variance.reshape(-1, 1, 1)
        square = (x[None, :, None] - self.mean[:, None]).square().sum(-1)  # [B, N, K]
        log_component = -square / (2 * variance) - D / 2 * torch.log(2 * math.pi * variance)
        return (self.weight.log()[:, None] + log_component).logsumexp(-1)

    def sample(self, generator: torch.Generator) -> Tensor:
        """One draw for each x_t of the batch, [B, D]."""
        k = torch.multinomial(self.weight, 1, generator=generator)[:, 0]
        mean = self.mean[torch.arange(len(k), device=k.device), k]
        return mean + self.variance.sqrt() * standard_normal_like(mean, generator)

    def moments(self) -> Gaussian:
        """Mean and variance of each component of x_{t-1}, both [B, D]: the book's eq-reverse-mean, eq-reverse-variance."""
        mean = (self.weight[:, :, None] * self.mean).sum(1)
        spread = (self.weight[:, :, None] * (self.mean - mean[:, None]).square()).sum(1)
        return Gaussian(mean, self.variance + spread)


@dataclass(frozen=True)
class GaussianMixture:
    """q(x_0) = sum_k weight_k N(x_0; mean_k, std^2 I). With std = 0 the data are K points.

    Args:
        weight: [K], positive, summing to one.
        mean: [K, D].
        std: one standard deviation for all components, at least 0.
    """

    weight: Tensor
    mean: Tensor
    std: float

    def __post_init__(self) -> None:
        if self.mean.ndim != 2 or self.weight.shape != self.mean.shape[:1]:
            raise InputError(f"weight [K] and mean [K, D] do not fit: {list(self.weight.shape)} and {list(self.mean.shape)}")
        if not (self.weight > 0).all() or abs(float(self.weight.sum()) - 1) > 1e-6 or not self.std >= 0:
            raise InputError(f"weights must be positive and sum to one (sum {self.weight.sum():g}); std >= 0 (is {self.std:g})")

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """n draws of x_0, [n, D]."""
        k = torch.multinomial(self.weight, n, replacement=True, generator=generator)
        return self.mean[k] + self.std * standard_normal_like(self.mean[k], generator)

    def _variance(self, schedule: Schedule, t: Time, xt: Tensor) -> Tensor:
        """Variance of each component at step t, broadcastable to [B, D] (the book's eq-variance)."""
        alpha_bar = schedule.alpha_bar(t)
        return expand(alpha_bar * self.std**2 + (1 - alpha_bar), xt)

    def _log_joint(self, schedule: Schedule, xt: Tensor, t: Time) -> Tensor:
        """log of weight_k N(x_t; sqrt(alpha_bar_t) mean_k, variance), [B, K]."""
        variance = self._variance(schedule, t, xt)
        centre = expand(schedule.alpha_bar(t).sqrt(), xt).reshape(-1, 1, 1) * self.mean.to(xt)
        square = (xt[:, None] - centre).square().sum(-1)
        log_normaliser = xt.shape[1] / 2 * torch.log(2 * math.pi * variance)
        return self.weight.to(xt).log() - square / (2 * variance) - log_normaliser

    def log_prob(self, schedule: Schedule, xt: Tensor, t: Time) -> Tensor:
        """log q(x_t), [B], for xt [B, D] (the book's eq-two-points and eq-data-sum, for K components).

        The integral of eq-marginal, carried out component by component.
        """
        return self._log_joint(schedule, xt, t).logsumexp(1)

    def responsibility(self, schedule: Schedule, xt: Tensor, t: Time) -> Tensor:
        """The probability that x_t came from component k, [B, K], by Bayes' rule (the book's eq-which-component)."""
        return self._log_joint(schedule, xt, t).softmax(1)

    def posterior_mean(self, schedule: Schedule, xt: Tensor, t: Time) -> Tensor:
        """E[x_0 | x_t], [B, D]: the best guess of x_0 in mean square (the book's eq-which-point and eq-tweedie)."""
        root = expand(schedule.alpha_bar(t).sqrt(), xt)
        gain = root * self.std**2 / self._variance(schedule, t, xt)
        centre = self.responsibility(schedule, xt, t) @ self.mean.to(xt)
        return centre + gain * (xt - root * centre)

    def reverse_conditional(self, schedule: Schedule, xt: Tensor, t: Time, s: Time | None = None) -> ReverseConditional:
        """q(x_s | x_t) for any s < t, for xt [B, D]; s is t - 1 when left out. The truth that a learned step imitates.

        The book's eq-reverse-mixture, which is eq-reverse-bayes carried out; eq-reverse-gaussian and eq-toy-reverse for one
        component, eq-reverse-two-points and eq-separation for two points.
        """
        s = t - 1 if s is None else s
        bar_t, bar_s = schedule.alpha_bar(t), schedule.alpha_bar(s)
        alpha = bar_t / bar_s  # of the jump from s to t; alpha_t when s = t - 1
        ratio = self._variance(schedule, s, xt) / self._variance(schedule, t, xt)
        centre = self.mean.to(xt)
        deviation = xt[:, None] - expand(bar_t.sqrt(), xt).reshape(-1, 1, 1) * centre
        mean = expand(bar_s.sqrt(), xt).reshape(-1, 1, 1) * centre + (expand(alpha.sqrt(), xt) * ratio).reshape(-1, 1, 1) * deviation
        return ReverseConditional(self.responsibility(schedule, xt, t), mean, ratio * expand(1 - alpha, xt))

    def predict_eps(self, schedule: Schedule, xt: Tensor, t: Time) -> Tensor:
        """E[eps | x_t], [B, D]: what a perfect network would return (the book's eq-best-noise)."""
        return predict_eps(schedule, xt, t, self.posterior_mean(schedule, xt, t))

    def smallest_loss(self, schedule: Schedule, t: Time, *, reach: float = 9.0, points: int = 2001) -> Tensor:
        """E[(eps - E[eps | x_t])^2], the loss of a perfect network, for data in one dimension; float64 of t's shape.

        By quadrature, on a grid of `points` from -reach to reach standard deviations around each component: the book's
        eq-smallest-loss, and eq-gauss-loss for a single Gaussian.

        Raises:
            InputError: if the data have more than one dimension.
        """
        if self.mean.shape[1] != 1:
            raise InputError(f"the smallest loss is computed in one dimension only; these data have {self.mean.shape[1]}")
        t = torch.as_tensor(t)
        z = torch.linspace(-reach, reach, points, dtype=torch.float64)
        density = torch.softmax(-z.square() / 2, 0)  # of z ~ N(0, 1) on the grid; sums to one
        alpha_bar = schedule.alpha_bar(t)[..., None, None]
        spread = (alpha_bar * self.std**2 + 1 - alpha_bar).sqrt()
        xt = torch.addcmul(alpha_bar.sqrt() * self.mean.double(), spread, z)  # [.., K, len(z)]
        guess = self.predict_eps(schedule, xt.reshape(-1, 1), t[..., None, None].expand(xt.shape).reshape(-1))
        return 1 - (guess.reshape(xt.shape).square() @ density) @ self.weight.double()


def two_points(distance: float = 1.0) -> GaussianMixture:
    """Half of the data at -distance and half at +distance, in one dimension: the toy of chapter 7."""
    return GaussianMixture(
        torch.tensor([0.5, 0.5], dtype=torch.float64),
        torch.tensor([[-distance], [distance]], dtype=torch.float64),
        std=0.0,
    )
