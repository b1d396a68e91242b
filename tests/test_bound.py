"""The terms of the variational bound against closed forms, joint Gaussians, quadrature and samples."""

import math
from collections.abc import Callable

import numpy
import pytest
import torch
from torch import Tensor

from diffcourse.diffusion import bound, exact, schedule
from diffcourse.diffusion.exact import GaussianMixture
from diffcourse.diffusion.process import q_posterior
from diffcourse.diffusion.sample import Denoiser, sample_ddpm
from diffcourse.diffusion.schedule import Schedule
from diffcourse.errors import InputError

MEAN, SPREAD = 0.5, 0.25
SHORT = schedule.linear(20, 0.01, 0.6)
GAUSSIAN = GaussianMixture(torch.ones(1).double(), torch.tensor([[MEAN]]).double(), math.sqrt(SPREAD))
MIXTURE = GaussianMixture(torch.tensor([0.3, 0.7]).double(), torch.tensor([[-0.8], [0.6]]).double(), 0.25)


def perfect(data: GaussianMixture, steps: Schedule = SHORT) -> Denoiser:
    return lambda x, t: data.predict_eps(steps, x, t)


def silly(x: Tensor, t: Tensor) -> Tensor:
    return 0.3 * x + 0.1


def nodes(count: int) -> tuple[Tensor, Tensor, Tensor]:
    """x, eps [count^2, 1] and weights [count^2] for averages over two standard normals."""
    at, weight = (torch.tensor(v) for v in numpy.polynomial.hermite_e.hermegauss(count))
    weight = weight / weight.sum()
    x, eps = torch.cartesian_prod(at, at).T
    return x[:, None], eps[:, None], torch.outer(weight, weight).flatten()


def over(data: GaussianMixture, term: Callable[[Tensor, Tensor], Tensor], count: int = 8) -> Tensor:
    """E[term(x_0, eps)] over the data and the noise."""
    x, eps, weight = nodes(count)
    return sum(w * (weight @ term(m + data.std * x, eps)) for w, m in zip(data.weight, data.mean))


def total(data: GaussianMixture, predict_eps: Denoiser, sigma: bound.Sigma, count: int = 8) -> Tensor:
    parts = [over(data, lambda x0, eps: bound.prior_term(SHORT, x0), count)]
    for t in range(2, SHORT.T + 1):
        parts.append(over(data, lambda x0, eps: bound.denoising_term(SHORT, predict_eps, x0, t, eps, sigma), count))
    parts.append(over(data, lambda x0, eps: bound.reconstruction_term(SHORT, predict_eps, x0, eps, sigma), count))
    return sum(parts)


def surprise(law: bound.Gaussian) -> float:
    """-E log p(x_0) over the Gaussian data."""
    mean, variance = law.mean.item(), law.variance.item()
    return 0.5 * math.log(2 * math.pi * variance) + (SPREAD + (MEAN - mean) ** 2) / (2 * variance)


# The gap, by the covariance matrices of whole walks


def joint_forwards(steps: Schedule) -> tuple[Tensor, Tensor]:
    """Offset and covariance of x_1 .. x_T given x_0: the mean is offset * x_0."""
    bar = steps.alpha_bar(steps.steps)
    early, late = torch.minimum(bar[:, None], bar), torch.maximum(bar[:, None], bar)
    return bar.sqrt(), (early / late).sqrt() * (1 - late)  # Cov[x_s, x_t] = sqrt(bar_t / bar_s) (1 - bar_s), s <= t


def joint_backwards(steps: Schedule, predict_eps: Denoiser, sigma: bound.Sigma) -> tuple[Tensor, Tensor]:
    """Mean and covariance of x_0 .. x_T under an affine model, built step by step from x_T."""
    T = steps.T
    mean, covariance = torch.zeros(T + 1).double(), torch.zeros(T + 1, T + 1).double()
    covariance[T, T] = 1
    zero, one = torch.zeros(1, 1).double(), torch.ones(1, 1).double()
    for t in range(T, 0, -1):
        shift, added = (v.item() for v in bound.reverse_step(steps, predict_eps, zero, t, sigma))
        factor = bound.reverse_step(steps, predict_eps, one, t, sigma).mean.item() - shift
        mean[t - 1] = factor * mean[t] + shift
        covariance[t - 1, t:] = covariance[t:, t - 1] = factor * covariance[t, t:]
        covariance[t - 1, t - 1] = factor**2 * covariance[t, t] + added
    return mean, covariance


@pytest.mark.parametrize("sigma", ["posterior", "beta"])
@pytest.mark.parametrize("predict_eps", [perfect(GAUSSIAN), silly], ids=["perfect", "silly"])
def test_the_gap_is_the_divergence_of_the_walks(predict_eps: Denoiser, sigma: bound.Sigma) -> None:
    gap = total(GAUSSIAN, predict_eps, sigma) - surprise(bound.affine_model(SHORT, predict_eps, sigma))
    slope_q, cov_q = joint_forwards(SHORT)
    mean, cov = joint_backwards(SHORT, predict_eps, sigma)
    # p(x_1..x_T | x_0) by conditioning the joint on x_0: its mean is affine in x_0.
    gain = cov[1:, 0] / cov[0, 0]
    cov_p = cov[1:, 1:] - torch.outer(gain, cov[0, 1:])
    inverse = torch.linalg.inv(cov_p)
    slope = slope_q - gain
    offset = -(mean[1:] - gain * mean[0])
    # E over x_0 of the squared distance of the means, slope * x_0 + offset.
    square = SPREAD * slope @ inverse @ slope + (MEAN * slope + offset) @ inverse @ (MEAN * slope + offset)
    divergence = 0.5 * (torch.trace(inverse @ cov_q) - SHORT.T + square + torch.logdet(cov_p) - torch.logdet(cov_q))
    assert gap > 0
    torch.testing.assert_close(gap, divergence, rtol=1e-10, atol=0)


def test_the_best_variances_leave_nothing_but_the_start() -> None:
    t = SHORT.steps
    V, before = (SHORT.alpha_bar(n) * SPREAD + 1 - SHORT.alpha_bar(n) for n in (t, t - 1))
    best = SHORT.beta(t) * before / V
    end, far = V[-1], SHORT.alpha_bar(SHORT.T) * MEAN**2
    expected = 0.5 * math.log(2 * math.pi * SPREAD) + 0.5 + 0.5 * (far + end - 1 - end.log())
    torch.testing.assert_close(total(GAUSSIAN, perfect(GAUSSIAN), best), expected, rtol=1e-10, atol=0)
    for worse in (best * 1.1, best / 1.1, "posterior", "beta"):
        assert total(GAUSSIAN, perfect(GAUSSIAN), worse) > expected


def test_samples_have_the_moments_of_the_affine_model() -> None:
    n = 200_000
    for predict_eps in (perfect(GAUSSIAN), silly):
        x_T = torch.randn(n, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        x = sample_ddpm(SHORT, predict_eps, x_T, generator=torch.Generator().manual_seed(1), sigma="beta", clip=False)
        sigma2 = bound.reverse_variance(SHORT, SHORT.steps, "beta")
        law = bound.affine_model(SHORT, predict_eps, sigma2)
        variance = law.variance.item() - sigma2[0].item()  # the sampler adds no noise in its last step
        assert x.mean().item() == pytest.approx(law.mean.item(), abs=5 * math.sqrt(variance / n))
        assert x.var().item() == pytest.approx(variance, rel=5 * math.sqrt(2 / n))


def test_the_model_of_a_perfect_network_comes_close_to_the_data() -> None:
    steps = schedule.linear(1000)
    law = bound.affine_model(steps, perfect(GAUSSIAN, steps), "posterior")
    assert law.mean.item() == pytest.approx(MEAN, rel=1e-3)
    assert law.variance.item() == pytest.approx(SPREAD, rel=2e-2)


def test_a_mixture_by_quadrature() -> None:
    # For data that are not Gaussian the bound still lies above the entropy, and a worse network above a perfect one.
    x = torch.linspace(-4, 4, 20001, dtype=torch.float64)
    log_q = MIXTURE.log_prob(SHORT, x[:, None], 0)
    entropy = -torch.trapezoid(log_q.exp() * log_q, x)
    best, silly_one = (total(MIXTURE, predict_eps, "beta", 24) for predict_eps in (perfect(MIXTURE), silly))
    assert entropy < best < silly_one
    # Many small steps with sigma = beta come close to the entropy.
    steps = schedule.cosine(400)

    def mean_total(x0: Tensor) -> Tensor:
        return bound.variational_bound(steps, perfect(MIXTURE, steps), x0, generator=torch.Generator().manual_seed(0), sigma="beta").total

    draws = mean_total(MIXTURE.sample(4000, torch.Generator().manual_seed(2)))
    error = draws.std().item() / math.sqrt(len(draws))
    assert draws.mean().item() == pytest.approx(entropy.item(), abs=0.02 + 4 * error)


# The terms


def test_one_draw_is_right_on_average() -> None:
    x0 = torch.full((20_000, 1), 0.7, dtype=torch.float64)
    found = bound.variational_bound(SHORT, silly, x0, generator=torch.Generator().manual_seed(0), sigma="beta")
    _, eps, weight = nodes(8)
    point = torch.full_like(eps, 0.7)
    for t in (2, 9, 20):
        term = weight @ bound.denoising_term(SHORT, silly, point, t, eps, "beta")
        column = found.denoising[:, t - 2]
        assert column.mean().item() == pytest.approx(term.item(), abs=5 * column.std().item() / math.sqrt(len(x0)))
    term = weight @ bound.reconstruction_term(SHORT, silly, point, eps, "beta")
    error = 5 * found.reconstruction.std().item() / math.sqrt(len(x0))
    assert found.reconstruction.mean().item() == pytest.approx(term.item(), abs=error)
    torch.testing.assert_close(found.total, found.prior + found.denoising.sum(1) + found.reconstruction)


def test_terms_sum_over_components_and_keep_images_apart() -> None:
    generator = torch.Generator().manual_seed(0)
    x0, eps = torch.randn(2, 3, 1, 4, 5, generator=generator, dtype=torch.float64)
    t = torch.tensor([2, 9, 20])
    together = bound.denoising_term(SHORT, silly, x0, t, eps)
    pixels = [
        bound.denoising_term(SHORT, silly, x0[i].reshape(-1, 1), int(t[i]), eps[i].reshape(-1, 1)).sum() for i in range(3)
    ]
    assert together.shape == (3,)
    torch.testing.assert_close(together, torch.stack(pixels))
    assert bound.prior_term(SHORT, x0).shape == bound.reconstruction_term(SHORT, silly, x0, eps).shape == (3,)


def test_a_network_that_knows_x0_pays_nothing_with_the_posterior_variance() -> None:
    x0 = torch.randn(5, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    eps = torch.randn(5, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for t in (2, 11, 20):
        assert bound.denoising_term(SHORT, lambda x, n: eps, x0, t, eps).abs().max() < 1e-20


def test_reverse_variance() -> None:
    t = SHORT.steps
    x = torch.zeros(1, 1).double()
    tilde = [q_posterior(SHORT, x, x, n).variance.item() for n in range(1, SHORT.T + 1)]
    found = bound.reverse_variance(SHORT, t, "posterior")
    assert tilde[0] == 0
    assert found[1:].tolist() == pytest.approx(tilde[1:], rel=1e-12)
    assert found[0] == found[1]  # beta-tilde_2 in place of zero
    assert torch.equal(bound.reverse_variance(SHORT, t, "beta"), SHORT.beta(t))
    one = Schedule(torch.tensor([0.3]))
    assert bound.reverse_variance(one, 1) == one.beta(1)
    own = torch.linspace(0.1, 0.2, SHORT.T)
    assert bound.reverse_variance(SHORT, 3, own).item() == pytest.approx(own[2].item())


def test_one_step_alone_makes_a_bound() -> None:
    one = Schedule(torch.tensor([0.3]))
    x0 = torch.randn(4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = bound.variational_bound(one, silly, x0, generator=torch.Generator().manual_seed(0))
    assert found.denoising.shape == (4, 0)
    assert found.total.shape == (4,) and found.total.isfinite().all()


def test_float32_images_give_float32_terms_close_to_float64() -> None:
    x0 = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    eps = torch.randn(x0.shape, generator=torch.Generator().manual_seed(1))
    steps = schedule.linear(1000)
    for t in (2, 500, 1000):
        single = bound.denoising_term(steps, silly, x0, t, eps, "beta")
        assert single.dtype == torch.float32
        torch.testing.assert_close(single.double(), bound.denoising_term(steps, silly, x0.double(), t, eps.double(), "beta"), rtol=1e-3, atol=0)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: bound.denoising_term(SHORT, silly, torch.zeros(1, 1), 1, torch.zeros(1, 1)),
        lambda: bound.reverse_variance(SHORT, 3, "gamma"),
        lambda: bound.reverse_variance(SHORT, 3, torch.ones(3)),
        lambda: bound.reverse_variance(SHORT, 3, torch.zeros(SHORT.T)),
        lambda: bound.reverse_variance(SHORT, 0, "beta"),
        lambda: bound.reconstruction_term(SHORT, silly, torch.zeros(1, 1), torch.zeros(1, 1), decoder="bits"),
    ],
)
def test_bad_input_is_refused(wrong: Callable[[], Tensor]) -> None:
    with pytest.raises(InputError):
        wrong()


# Grey levels


LEVELS = 2 * torch.arange(256, dtype=torch.float64) / 255 - 1


@pytest.mark.parametrize("mean", [-3.0, -1.0, -0.2, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("std", [1e-3, 0.01, 0.3, 5.0])
def test_the_levels_are_a_distribution(mean: float, std: float) -> None:
    at, spread = (torch.tensor(value, dtype=torch.float64) for value in (mean, std**2))
    log = bound.grey_level_log_prob(LEVELS, at, spread)
    assert log.isfinite().all()
    assert log.exp().sum().item() == pytest.approx(1, abs=1e-12)
    normal = torch.distributions.Normal(at, std)
    inside = slice(1, 255)
    naive = normal.cdf(LEVELS[inside] + 1 / 255) - normal.cdf(LEVELS[inside] - 1 / 255)
    torch.testing.assert_close(log.exp()[inside], naive, rtol=1e-8, atol=1e-14)


def test_a_narrow_piece_is_density_times_width() -> None:
    at, spread = (torch.tensor(value, dtype=torch.float64) for value in (0.1, 0.5))
    log = bound.grey_level_log_prob(LEVELS, at, spread)[100:150]
    density = torch.distributions.Normal(at, spread.sqrt()).log_prob(LEVELS[100:150])
    torch.testing.assert_close(log, density + math.log(2 / 255), rtol=1e-4, atol=0)


def test_far_tails_keep_their_digits_and_their_gradient() -> None:
    at = torch.tensor(0.9, dtype=torch.float64, requires_grad=True)
    for level in (LEVELS[0], LEVELS[1], LEVELS[128], LEVELS[255]):
        log = bound.grey_level_log_prob(level, at, torch.tensor(1e-4).double())
        (slope,) = torch.autograd.grad(log, at)
        assert log.isfinite() and slope.isfinite()
        assert (slope < 0) == (level < 0.9)


def test_single_precision_is_finite_everywhere() -> None:
    for std in (1e-2, 0.3):
        log = bound.grey_level_log_prob(LEVELS.float(), torch.tensor(0.3), torch.tensor(std**2))
        assert log.isfinite().all()


def test_bits_of_equally_probable_levels() -> None:
    x0 = torch.zeros(2, 3, 4, 4)
    nats = torch.full((2,), 48 * math.log(256), dtype=torch.float64)
    assert bound.bits_per_dim(nats, x0).tolist() == pytest.approx([8.0, 8.0])


def test_a_unit_changes_a_density_but_no_probability() -> None:
    data = exact.two_points()
    x0 = torch.tensor([[1.0]]).double()
    eps = torch.tensor([[0.3]]).double()
    grey = bound.reconstruction_term(SHORT, perfect(data), x0, eps, "beta", "grey levels")
    assert grey.item() >= 0
