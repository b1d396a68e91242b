"""Distributions of grey levels that a network can put out, and how to draw from them.

A level k in {0..levels - 1} stands for the value 2 k / (levels - 1) - 1 in [-1, 1]. Means and scales are in the units of these
values. A logistic distribution of mean m and scale s has the distribution function sigmoid((x - m) / s); cut half way between
neighbouring levels it becomes a distribution of levels, whose probabilities sum to one because the lowest level gets everything
below it and the highest everything above. Salimans et al. (2017), "PixelCNN++", section 2.1.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from diffcourse.families.base import level_value, nearest_level


def discretised_logistic_log_prob(k: Tensor, mean: Tensor, log_scale: Tensor, levels: int) -> Tensor:
    """The logarithm of the probability of each level k under its own logistic, in the floating type of `mean`.

    Between the cuts a < b of eq-level-cuts, measured in scales from the mean, lies the probability of eq-logistic-level,

        sigmoid(b) - sigmoid(a) = sigmoid(b) sigmoid(-a) (1 - exp(a - b)),

    and by eq-logistic-difference the product on the right has a logarithm without any cancellation, however far in a tail
    the level lies. The probabilities sum to one: eq-logistic-sum.

    Args:
        k: whole numbers 0..levels - 1, of any shape that broadcasts with the rest.
        mean: in the units of `level_value`.
        log_scale: the logarithm of the scale; from -20 to 20 all is well in float32.
    """
    value = level_value(k, levels, mean.dtype)
    half = 1 / (levels - 1)
    a, b = ((value + shift - mean) * (-log_scale).exp() for shift in (-half, half))
    width = (math.log(2 * half) - log_scale).exp()  # b - a, without the rounding of that difference
    below_b, above_a = F.logsigmoid(b), F.logsigmoid(-a)
    inside = below_b + above_a + (-(-width).expm1()).log()
    return torch.where(k == 0, below_b, torch.where(k == levels - 1, above_a, inside))


def sample_discretised_logistic(mean: Tensor, log_scale: Tensor, levels: int, generator: torch.Generator) -> Tensor:
    """One level, int64, for each mean and scale: a draw from the logistic, rounded to the nearest level and clipped."""
    u = torch.rand(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
    x = mean + log_scale.exp() * torch.logit(u, eps=1e-7)  # u may be 0
    return nearest_level(x, levels)


def logistic_mixture_log_prob(k: Tensor, logits: Tensor, mean: Tensor, log_scale: Tensor, levels: int) -> Tensor:
    """The logarithm of the probability of each pixel under a mixture of M discretised logistics: [...]; eq-logistic-mixture.

    All colours of a pixel come from the same component, Salimans et al. (2017), section 2.2; `colour_mean` makes a
    component's colours depend on one another.

    Args:
        k: levels [..., C]; C = 1 for grey images.
        logits: of the M components' weights, [..., M].
        mean: [..., M, C].
        log_scale: [..., M, C].
    """
    of_component = discretised_logistic_log_prob(k[..., None, :], mean, log_scale, levels).sum(-1)
    return torch.logsumexp(F.log_softmax(logits, -1) + of_component, -1)


def colour_mean(mean: Tensor, coefficients: Tensor, value: Tensor) -> Tensor:
    """Each colour's mean moved in proportion to the earlier colours: Salimans et al. (2017), equation 3; eq-colour-mean.

    The mean of red stays, that of green moves by c0 r, that of blue by c1 r + c2 g.

    Args:
        mean: [..., C].
        coefficients: C (C - 1) / 2 numbers, [..., C (C - 1) / 2]: for each colour but the first, one for each earlier one.
        value: the pixel's colours as `level_value`, [..., C]; the last one is not looked at.
    """
    moved, used = list(torch.broadcast_tensors(mean, value)[0].unbind(-1)), 0
    for colour in range(1, mean.shape[-1]):
        moved[colour] = moved[colour] + (coefficients[..., used : used + colour] * value[..., :colour]).sum(-1)
        used += colour
    return torch.stack(moved, -1)


def sample_logistic_mixture(
    logits: Tensor,
    mean: Tensor,
    log_scale: Tensor,
    levels: int,
    generator: torch.Generator,
    coefficients: Tensor | None = None,
) -> Tensor:
    """One pixel, int64 [..., C], for each mixture: choose a component, then draw its colours one after the other.

    Shapes are those of `logistic_mixture_log_prob`; coefficients [..., M, C (C - 1) / 2] as in `colour_mean`, where there are any.
    """
    weights = F.softmax(logits, -1)
    chosen = torch.multinomial(weights.flatten(0, -2), 1, generator=generator).reshape(*logits.shape[:-1], 1, 1)

    def of_chosen(parameter: Tensor) -> Tensor:  # [..., M, P] -> [..., P]
        return parameter.gather(-2, chosen.expand(*chosen.shape[:-1], parameter.shape[-1])).squeeze(-2)

    mean, log_scale = of_chosen(mean), of_chosen(log_scale)
    if coefficients is not None:
        coefficients = of_chosen(coefficients)
    k = torch.zeros(mean.shape, dtype=torch.int64, device=mean.device)
    for colour in range(mean.shape[-1]):
        value = level_value(k, levels, mean.dtype)
        here = mean if coefficients is None else colour_mean(mean, coefficients, value)
        k[..., colour] = sample_discretised_logistic(here[..., colour], log_scale[..., colour], levels, generator)
    return k
