"""Distributions of grey levels: they sum to one, are what their definition says, and samples follow them."""

import math

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from diffcourse.families.base import level_value
from diffcourse.families.decoders import (
    colour_mean,
    discretised_logistic_log_prob,
    logistic_mixture_log_prob,
    sample_discretised_logistic,
    sample_logistic_mixture,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


@pytest.mark.parametrize("levels", [2, 3, 17, 256])
@pytest.mark.parametrize("log_scale", [-7.0, -3.0, 0.0, 5.0])
@pytest.mark.parametrize("mean", [-30.0, -1.0, 0.013, 1.0, 4.0])
def test_probabilities_of_all_levels_sum_to_one(levels: int, log_scale: float, mean: float) -> None:
    k = torch.arange(levels)
    log_p = discretised_logistic_log_prob(k, torch.tensor(mean).double(), torch.tensor(log_scale).double(), levels)
    assert log_p.isfinite().all()
    assert log_p.exp().sum().item() == pytest.approx(1, abs=1e-12)


def test_a_level_has_the_probability_between_its_cuts() -> None:
    k, mean, log_scale = torch.arange(17)[:, None], normal(1, 50), normal(1, 50, seed=1) - 1
    value, scale = level_value(k, 17).double(), log_scale.exp()
    upper, lower = (torch.sigmoid((value + shift - mean) / scale) for shift in (1 / 16, -1 / 16))
    upper[-1], lower[0] = 1, 0
    assert torch.allclose(discretised_logistic_log_prob(k, mean, log_scale, 17).exp(), upper - lower, atol=1e-7)


def test_far_tails_keep_their_logarithm_and_its_gradient() -> None:
    """Where the probability itself is 0 in float32: at distance d in scales, log p is -d plus a constant, its slope that of -d."""
    mean = torch.tensor(-1.0, requires_grad=True)
    log_p = discretised_logistic_log_prob(torch.tensor(200), mean, torch.tensor(-7.0), 256)
    distance = (2 * 200 / 255) * math.exp(7)
    assert -distance - 5 < log_p.item() < -distance + 5
    log_p.backward()
    assert mean.grad.item() == pytest.approx(math.exp(7), rel=1e-5)


@pytest.mark.parametrize("log_scale", [-20.0, 20.0])
def test_extreme_scales_give_finite_numbers_and_gradients_in_float32(log_scale: float) -> None:
    k, mean, log_scale = torch.arange(256), torch.zeros(256, requires_grad=True), torch.full((256,), log_scale, requires_grad=True)
    log_p = discretised_logistic_log_prob(k, mean, log_scale, 256)
    log_p.sum().backward()
    assert log_p.isfinite().all() and mean.grad.isfinite().all() and log_scale.grad.isfinite().all()


def test_gradients_are_right() -> None:
    k = torch.tensor([0, 1, 8, 15, 16])
    mean, log_scale = normal(5).requires_grad_(), (normal(5, seed=1) - 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda m, s: discretised_logistic_log_prob(k, m, s, 17), (mean, log_scale))


@pytest.mark.parametrize(("mean", "log_scale"), [(0.2, -1.5), (-0.9, -1.0), (1.3, -0.7)])
def test_samples_of_a_logistic_follow_its_probabilities(mean: float, log_scale: float) -> None:
    m, s = torch.full((20_000,), mean), torch.full((20_000,), log_scale)
    found = torch.bincount(sample_discretised_logistic(m, s, 9, seeded(3)), minlength=9)
    expected = 20_000 * discretised_logistic_log_prob(torch.arange(9), m[0].double(), s[0].double(), 9).exp()
    assert chisquare(found.double(), expected).pvalue > 1e-3


def pixels(levels: int, colours: int) -> Tensor:
    """Every pixel that there is, [levels^colours, colours]."""
    return torch.cartesian_prod(*[torch.arange(levels)] * colours).reshape(-1, colours)


@pytest.mark.parametrize("colours", [1, 2, 3])
def test_a_mixture_sums_to_one_over_all_pixels_and_samples_follow_it(colours: int) -> None:
    levels, components, n = 4, 3, 40_000
    k = pixels(levels, colours)
    logits, mean = normal(components), normal(components, colours, seed=1)
    log_scale, coefficients = normal(components, colours, seed=2) - 1, normal(components, colours * (colours - 1) // 2, seed=3)
    moved = colour_mean(mean, coefficients, level_value(k, levels).double()[:, None, :])
    p = logistic_mixture_log_prob(k, logits, moved, log_scale, levels).exp()
    assert p.shape == (levels**colours,)
    assert p.sum().item() == pytest.approx(1, abs=1e-12)

    many = [x.expand(n, *x.shape) for x in (logits, mean, log_scale)]
    drawn = sample_logistic_mixture(*many, levels, seeded(4), coefficients.expand(n, *coefficients.shape))
    place = sum(drawn[:, c] * levels ** (colours - 1 - c) for c in range(colours))
    found = torch.bincount(place, minlength=len(k)).double()
    often = p * n > 5  # the chi-square test needs some of each; the rest is one class
    assert chisquare(
        [*found[often], found[~often].sum() + 1e-9], [*(n * p[often]), n * p[~often].sum() + 1e-9], sum_check=False
    ).pvalue > 1e-3


def test_colours_come_from_one_component() -> None:
    """Two far components: red and green are both dark or both bright."""
    mean = torch.tensor([[-0.8, -0.8], [0.8, 0.8]]).expand(500, 2, 2)
    k = sample_logistic_mixture(torch.zeros(500, 2), mean, torch.full((500, 2, 2), -5.0), 256, seeded())
    dark = k < 128
    assert torch.equal(dark[:, 0], dark[:, 1]) and 180 < dark[:, 0].sum() < 320


def test_earlier_colours_move_later_ones() -> None:
    value = torch.tensor([0.5, -1.0, 7.0])
    moved = colour_mean(torch.tensor([0.1, 0.2, 0.3]), torch.tensor([2.0, 3.0, 4.0]), value)
    assert torch.allclose(moved, torch.tensor([0.1, 0.2 + 2 * 0.5, 0.3 + 3 * 0.5 - 4 * 1.0]))
