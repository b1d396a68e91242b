"""Gaussians in torch: against torch.distributions, by Monte Carlo with error bars, and at the edges."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from diffcourse.diffusion import gaussian

MEANS = torch.tensor([-3.0, 0.0, 0.4, 7.0], dtype=torch.float64)
VARIANCES = torch.tensor([0.01, 0.5, 1.0, 30.0], dtype=torch.float64)


def pairs() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Every mean and variance with every other, 256 pairs."""
    grids = torch.meshgrid(MEANS, VARIANCES, MEANS, VARIANCES, indexing="ij")
    return tuple(grid.flatten() for grid in grids)


def draws(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_density_and_entropy_are_those_of_torch() -> None:
    x, v, m, _ = pairs()
    torch.testing.assert_close(gaussian.log_density(x, m, v), Normal(m, v.sqrt()).log_prob(x), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gaussian.entropy(v), Normal(m, v.sqrt()).entropy(), rtol=1e-12, atol=1e-12)


def test_divergence_is_that_of_torch_and_never_negative() -> None:
    m_q, v_q, m_p, v_p = pairs()
    got = gaussian.kl_gaussians(m_q, v_q, m_p, v_p)
    torch.testing.assert_close(got, kl_divergence(Normal(m_q, v_q.sqrt()), Normal(m_p, v_p.sqrt())), rtol=1e-12, atol=1e-12)
    same = (m_q == m_p) & (v_q == v_p)
    assert (got[same] == 0).all() and (got[~same] > 0).all()


def test_divergence_by_monte_carlo() -> None:
    m_q, v_q, m_p, v_p = 0.4, 0.5, -0.3, 1.7
    x = gaussian.reparameterise(m_q, v_q, draws(200_000))
    gaps = gaussian.log_density(x, m_q, v_q) - gaussian.log_density(x, m_p, v_p)
    error = gaps.std() / math.sqrt(len(gaps))
    assert abs(gaps.mean() - gaussian.kl_gaussians(m_q, v_q, m_p, v_p)) < 4 * error


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_divergence_keeps_its_digits_when_the_variances_nearly_agree(dtype: torch.dtype) -> None:
    for step in (1e-2, 1e-4, 1e-6):
        variance = torch.tensor(1.0, dtype=dtype) + step
        off = variance.double().item() - 1  # what is left of the step in this type
        series = off**2 / 4 - off**3 / 6 + off**4 / 8
        got = gaussian.kl_gaussians(torch.zeros((), dtype=dtype), variance, 0.0, torch.ones((), dtype=dtype))
        # The two parts that are subtracted are about as large as `off`, in place of one half.
        assert got.item() == pytest.approx(series, abs=2 * off * torch.finfo(dtype).eps, rel=1e-6)


def test_divergence_of_variances_far_apart() -> None:
    got = gaussian.kl_gaussians(0.0, 1e-200, 0.0, 1.0)
    assert got.item() == pytest.approx((200 * math.log(10) - 1) / 2, rel=1e-12)


def test_plain_numbers_count_in_float64_and_do_not_change_the_type_of_tensors() -> None:
    assert gaussian.kl_gaussians(0.1, 0.2, 0.3, 0.4).dtype == torch.float64
    image = torch.zeros(2, 3, dtype=torch.float32)
    for got in (gaussian.kl_gaussians(image, 0.3, 0.0, 1.0), gaussian.log_density(image, 0.0, 0.3), gaussian.reparameterise(image, 0.3, image)):
        assert got.dtype == torch.float32 and got.shape == image.shape


def test_divergence_is_differentiable() -> None:
    arguments = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.3, 0.7, -0.2, 1.9)]
    assert torch.autograd.gradcheck(gaussian.kl_gaussians, arguments)


def test_full_divergence_is_that_of_torch() -> None:
    roots = torch.tril(draws(2, 5, 3, 3)) + 2 * torch.eye(3, dtype=torch.float64)
    covariances = roots @ roots.mT
    means = draws(2, 5, 3, seed=1)
    expected = kl_divergence(MultivariateNormal(means[0], covariances[0]), MultivariateNormal(means[1], covariances[1]))
    got = gaussian.kl_full(means[0], covariances[0], means[1], covariances[1])
    torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-12)


def test_full_divergence_of_diagonal_matrices_is_a_sum() -> None:
    got = gaussian.kl_full(MEANS, VARIANCES.diag(), MEANS.flip(0), VARIANCES.roll(1).diag())
    expected = gaussian.kl_gaussians(MEANS, VARIANCES, MEANS.flip(0), VARIANCES.roll(1)).sum()
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


def test_product_of_densities() -> None:
    m_1, v_1, m_2, v_2 = pairs()
    x = draws(len(m_1))
    (mean, variance), log_area = gaussian.product(m_1, v_1, m_2, v_2)
    left = gaussian.log_density(x, m_1, v_1) + gaussian.log_density(x, m_2, v_2)
    torch.testing.assert_close(log_area + gaussian.log_density(x, mean, variance), left, rtol=1e-9, atol=1e-9)


def test_a_source_that_says_nothing_changes_nothing() -> None:
    (mean, variance), log_area = gaussian.product(3.0, 2.0, -50.0, math.inf)
    assert (mean.item(), variance.item(), log_area.item()) == (3.0, 2.0, -math.inf)


def test_reparameterised_draws_have_their_moments() -> None:
    x = gaussian.reparameterise(2.0, 9.0, draws(400_000))
    n = len(x)
    assert abs(x.mean() - 2) < 4 * 3 / math.sqrt(n)
    assert abs(x.var() - 9) < 4 * 9 * math.sqrt(2 / n)


@pytest.mark.parametrize("estimator", [gaussian.reparameterised_gradient, gaussian.score_gradient])
def test_both_estimators_of_a_gradient(estimator: Callable[..., Tensor]) -> None:
    """f(x) = sin x has the average exp(-variance / 2) sin(mean)."""
    one = estimator(torch.sin, 0.7, 0.5, draws(400_000))
    assert abs(one.mean() - math.exp(-0.25) * math.cos(0.7)) < 4 * one.std() / math.sqrt(len(one))


def test_a_gradient_estimate_leaves_no_trace() -> None:
    mean = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    assert not gaussian.reparameterised_gradient(torch.square, mean, 1.0, draws(10)).requires_grad
    assert mean.grad is None
