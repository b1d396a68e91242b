"""The posterior and the exact reverse conditional: against brute force, against each other, and at the edges."""

import math

import pytest
import torch
from torch import Tensor

from diffcourse.diffusion import Schedule, exact, process, schedule

SHORT = schedule.linear(20, 0.02, 0.3)
MIXTURE = exact.GaussianMixture(torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64), torch.tensor([[-1.1], [0.3], [1.6]], dtype=torch.float64), std=0.3)
GRID = torch.linspace(-7, 7, 4001, dtype=torch.float64)[:, None]


def grid_bayes(data: exact.GaussianMixture, xt: float, t: int) -> Tensor:
    """q(x_{t-1} | x_t) on the grid: prior times step, divided by the sum."""
    step = process.q_step_moments(SHORT, GRID, t)
    log_joint = data.log_prob(SHORT, GRID, t - 1) - (xt - step.mean[:, 0]) ** 2 / (2 * step.variance)
    return log_joint.softmax(0) / (GRID[1, 0] - GRID[0, 0])


@pytest.mark.parametrize("t", [2, 7, 20])
@pytest.mark.parametrize("data", [MIXTURE, exact.two_points()], ids=["mixture", "two points"])
def test_reverse_conditional_is_bayes_rule_on_a_grid(data: exact.GaussianMixture, t: int) -> None:
    for xt in (-1.3, 0.0, 0.4):
        conditional = data.reverse_conditional(SHORT, torch.tensor([[xt]], dtype=torch.float64), t)
        torch.testing.assert_close(conditional.log_prob(GRID)[0].exp(), grid_bayes(data, xt, t), rtol=1e-9, atol=1e-9)


def test_moments_are_those_of_the_density() -> None:
    conditional = MIXTURE.reverse_conditional(SHORT, torch.tensor([[0.4], [-1.0]], dtype=torch.float64), 5)
    density = conditional.log_prob(GRID).exp() * (GRID[1, 0] - GRID[0, 0])
    mean = density @ GRID
    variance = density @ GRID.square() - mean.square()
    torch.testing.assert_close(conditional.moments().mean, mean)
    torch.testing.assert_close(conditional.moments().variance, variance)


def test_chapman_kolmogorov_backwards() -> None:
    """Averaging q(x_{t-1} | x_t) over x_t ~ q(x_t) gives q(x_{t-1})."""
    for t in (3, 12):
        q_t = MIXTURE.log_prob(SHORT, GRID[::4], t).softmax(0)
        mixed = q_t @ MIXTURE.reverse_conditional(SHORT, GRID[::4], t).log_prob(GRID[::40]).exp()
        torch.testing.assert_close(mixed, MIXTURE.log_prob(SHORT, GRID[::40], t - 1).exp(), rtol=1e-8, atol=1e-10)


def test_one_point_gives_the_posterior() -> None:
    point = exact.GaussianMixture(torch.ones(1, dtype=torch.float64), torch.tensor([[0.7, -0.4]], dtype=torch.float64), std=0.0)
    xt = torch.tensor([[0.1, 2.0], [-1.0, 0.3]], dtype=torch.float64)
    for t, s in ((5, None), (9, 3), (1, None)):
        conditional = point.reverse_conditional(SHORT, xt, t, s)
        posterior = process.q_posterior(SHORT, point.mean.expand_as(xt), xt, t, s)
        torch.testing.assert_close(conditional.mean[:, 0], posterior.mean)
        torch.testing.assert_close(conditional.variance, posterior.variance)


def test_two_steps_back_are_one_jump_back() -> None:
    """Mean and variance of x_s given x_t do not depend on whether one stops in between."""
    xt = torch.tensor([[0.5]], dtype=torch.float64)
    gauss = exact.GaussianMixture(torch.ones(1, dtype=torch.float64), torch.tensor([[0.7]], dtype=torch.float64), std=0.6)
    first = gauss.reverse_conditional(SHORT, xt, 9, 6).moments()
    second = gauss.reverse_conditional(SHORT, first.mean, 6, 2)
    slope = (gauss.reverse_conditional(SHORT, first.mean + 1, 6, 2).mean - second.mean)[:, 0]
    jump = gauss.reverse_conditional(SHORT, xt, 9, 2).moments()
    torch.testing.assert_close(second.mean[:, 0], jump.mean)
    torch.testing.assert_close(second.variance + slope**2 * first.variance, jump.variance)


def test_every_row_of_a_batch_has_its_own_step() -> None:
    xt = torch.tensor([[0.4], [-0.9], [1.2]], dtype=torch.float64)
    t = torch.tensor([2, 20, 7])
    together = MIXTURE.reverse_conditional(SHORT, xt, t)
    for row, n in enumerate(t.tolist()):
        alone = MIXTURE.reverse_conditional(SHORT, xt[row : row + 1], n)
        torch.testing.assert_close(together.weight[row], alone.weight[0])
        torch.testing.assert_close(together.mean[row], alone.mean[0])
        torch.testing.assert_close(together.variance[row].reshape(()), alone.variance.reshape(()))
        torch.testing.assert_close(together.moments().variance[row], alone.moments().variance[0])


def test_samples_have_the_moments() -> None:
    n = 40_000
    xt = torch.full((n, 1), 0.4, dtype=torch.float64)
    conditional = exact.two_points().reverse_conditional(Schedule(torch.tensor([0.2, 0.5])), xt, 2)
    drawn = conditional.sample(torch.Generator().manual_seed(0))
    mean, variance = (value[0].item() for value in conditional.moments())
    assert drawn.mean().item() == pytest.approx(mean, abs=5 * math.sqrt(variance / n))
    assert drawn.var().item() == pytest.approx(variance, rel=5 * math.sqrt(2 / n))
    again = conditional.sample(torch.Generator().manual_seed(0))
    assert torch.equal(drawn, again)


def test_walking_back_from_noise_arrives_at_the_data() -> None:
    generator = torch.Generator().manual_seed(1)
    long = schedule.linear(200, 5e-4, 0.1)
    x = torch.randn(4000, 1, generator=generator, dtype=torch.float64)
    for t in range(200, 0, -1):
        x = MIXTURE.reverse_conditional(long, x, t).sample(generator)
    truth_mean = (MIXTURE.weight @ MIXTURE.mean).item()
    truth_variance = (MIXTURE.weight @ MIXTURE.mean.square()).item() + MIXTURE.std**2 - truth_mean**2
    assert x.mean().item() == pytest.approx(truth_mean, abs=5 * math.sqrt(truth_variance / len(x)))
    assert x.var().item() == pytest.approx(truth_variance, rel=0.1)


def test_posterior_against_conditioned_walks() -> None:
    """Among many walks from one x_0, those that pass near x_t were where the posterior says."""
    generator = torch.Generator().manual_seed(2)
    x0 = torch.full((400_000,), 0.8, dtype=torch.float64)
    before = process.q_sample(SHORT, x0, 6, torch.randn(len(x0), generator=generator, dtype=torch.float64))
    now = process.q_step(SHORT, before, 7, torch.randn(len(x0), generator=generator, dtype=torch.float64))
    kept = before[(now - 0.2).abs() < 0.02]
    mean, variance = process.q_posterior(SHORT, x0[:1], torch.tensor([0.2], dtype=torch.float64), 7)
    assert kept.mean().item() == pytest.approx(mean.item(), abs=5 * math.sqrt(variance.item() / len(kept)))
    assert kept.var().item() == pytest.approx(variance.item(), rel=5 * math.sqrt(2 / len(kept)))


def test_first_step_back_knows_everything_and_keeps_the_type() -> None:
    x0, xt = torch.randn(3, 1, 4, 4), torch.randn(3, 1, 4, 4)
    mean, variance = process.q_posterior(SHORT, x0, xt, torch.tensor([1, 1, 1]))
    assert torch.equal(mean, x0) and (variance == 0).all()
    assert mean.dtype == variance.dtype == torch.float32
    low = exact.two_points().reverse_conditional(SHORT, torch.zeros(1, 1), 5)
    assert low.mean.dtype == low.weight.dtype == low.variance.dtype == torch.float32
