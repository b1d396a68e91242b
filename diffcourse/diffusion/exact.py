"""Data for which everything is known: mixtures of Gaussians.

Noise turns a mixture into a mixture, so q(x_t), its score, E[x_0 | x_t] and the best possible noise predictor have closed
forms. Formulas, losses and samplers are tested against them.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from diffcourse.diffusion.process import expand, predict_eps, standard_normal_like
from diffcourse.diffusion.schedule import Schedule, Time
from diffcourse.errors import InputError


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
        """log q(x_t), [B], for xt [B, D] (the book's eq-two-points, for K components)."""
        return self._log_joint(schedule, xt, t).logsumexp(1)

    def responsibility(self, schedule: Schedule, xt: Tensor, t: Time) -> Tensor:
        """The probability that x_t came from component k, [B, K], by Bayes' rule."""
        return self._log_joint(schedule, xt, t).softmax(1)

    def posterior_mean(self, schedule: Schedule, xt: Tensor, t: Time) -> Tensor:
        """E[x_0 | x_t], [B, D]: the best guess of x_0 in mean square (the book's eq-which-point)."""
        root = expand(schedule.alpha_bar(t).sqrt(), xt)
        gain = root * self.std**2 / self._variance(schedule, t, xt)
        centre = self.responsibility(schedule, xt, t) @ self.mean.to(xt)
        return centre + gain * (xt - root * centre)

    def predict_eps(self, schedule: Schedule, xt: Tensor, t: Time) -> Tensor:
        """E[eps | x_t], [B, D]: what a perfect network would return (the book's eq-best-noise)."""
        return predict_eps(schedule, xt, t, self.posterior_mean(schedule, xt, t))


def two_points(distance: float = 1.0) -> GaussianMixture:
    """Half of the data at -distance and half at +distance, in one dimension: the toy of chapter 7."""
    return GaussianMixture(
        torch.tensor([0.5, 0.5], dtype=torch.float64),
        torch.tensor([[-distance], [distance]], dtype=torch.float64),
        std=0.0,
    )
