"""Weights and targets of the loss: against the bound, against each other, against integrals done by hand."""

import math

import pytest
import torch
from torch import Tensor

from diffcourse.diffusion import bound, exact, process
from diffcourse.diffusion.exact import GaussianMixture
from diffcourse.diffusion.loss import error_scale, simple_loss, weight, weighted_loss
from diffcourse.diffusion.schedule import Schedule, cosine, linear
from diffcourse.errors import InputError

SCHEDULE = linear(30, 0.003, 0.2)


def batch(n: int, *shape: int, first: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """x0, t and eps."""
    generator = torch.Generator().manual_seed(3)
    x0, eps = (torch.randn(n, *shape, generator=generator, dtype=torch.float64) for _ in range(2))
    return x0, torch.randint(first, SCHEDULE.T + 1, (n,), generator=generator), eps


def toy(xt: Tensor, t: Tensor) -> Tensor:
    """Some noise predictor."""
    return torch.tanh(xt) * (1 + process.expand(t, xt) / 10)


def in_target(target: str):
    """The same predictor, asked for something else."""

    def predict(xt: Tensor, t: Tensor) -> Tensor:
        eps = toy(xt, t)
        x0 = process.predict_x0(SCHEDULE, xt, t, eps)
        return {"eps": eps, "x0": x0, "v": process.velocity(SCHEDULE, x0, t, eps)}[target]

    return predict


@pytest.mark.parametrize("target", ["eps", "x0", "v"])
@pytest.mark.parametrize("kind", ["simple", "bound", "min_snr"])
def test_the_target_does_not_change_the_loss(target: str, kind: str) -> None:
    x0, t, eps = batch(200, 2, 3)
    weights = weight(SCHEDULE, t, kind)
    losses = weighted_loss(SCHEDULE, in_target(target), x0, t, eps, target=target, weights=weights)
    assert torch.allclose(losses, weights * simple_loss(SCHEDULE, toy, x0, t, eps), rtol=1e-9, atol=0)


def test_without_weights_it_is_the_simple_loss() -> None:
    x0, t, eps = batch(50, 4)
    assert torch.equal(weighted_loss(SCHEDULE, toy, x0, t, eps), simple_loss(SCHEDULE, toy, x0, t, eps))
    assert torch.equal(weight(SCHEDULE, t, "simple"), torch.ones(50, dtype=torch.float64))


@pytest.mark.parametrize("target", ["eps", "x0", "v"])
def test_with_the_bound_s_weight_it_is_the_divergence(target: str) -> None:
    x0, t, eps = batch(200, 5, first=2)
    losses = weighted_loss(SCHEDULE, in_target(target), x0, t, eps, target=target, weights=weight(SCHEDULE, t, "bound"))
    assert torch.allclose(5 * losses, bound.denoising_term(SCHEDULE, toy, x0, t, eps), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("sigma", ["beta", torch.linspace(0.1, 0.4, 30, dtype=torch.float64)], ids=["beta", "any"])
def test_for_any_variance_theta_changes_nothing_else(sigma) -> None:
    """Between two predictors the divergence differs by what the weighted loss differs by."""
    x0, t, eps = batch(200, 1, first=2)
    weights = weight(SCHEDULE, t, "bound", sigma=sigma)

    def other(xt: Tensor, t: Tensor) -> Tensor:
        return 0.3 * xt

    by_loss = weighted_loss(SCHEDULE, toy, x0, t, eps, weights=weights) - weighted_loss(SCHEDULE, other, x0, t, eps, weights=weights)
    by_bound = [bound.denoising_term(SCHEDULE, p, x0, t, eps, sigma) for p in (toy, other)]
    assert torch.allclose(by_loss, by_bound[0] - by_bound[1], rtol=1e-8, atol=1e-11)


def test_in_the_first_step_the_weight_is_that_of_the_reconstruction() -> None:
    x0, _, eps = batch(100, 1)
    t = torch.ones(100, dtype=torch.int64)
    weights = weight(SCHEDULE, t, "bound")
    assert weights.isfinite().all()
    perfect = bound.reconstruction_term(SCHEDULE, lambda xt, t: process.predict_eps(SCHEDULE, xt, t, x0), x0, eps)
    paid = bound.reconstruction_term(SCHEDULE, toy, x0, eps) - perfect
    assert torch.allclose(weighted_loss(SCHEDULE, toy, x0, t, eps, weights=weights), paid, rtol=1e-8, atol=1e-10)


def test_min_snr_between_its_two_ends() -> None:
    t = SCHEDULE.steps
    assert torch.equal(weight(SCHEDULE, t, "min_snr", gamma=1e9), torch.ones(30, dtype=torch.float64))
    # With a small gamma every step is a plain loss of the image.
    of_image = weight(SCHEDULE, t, "min_snr", gamma=1e-6) * error_scale(SCHEDULE, t, "x0")
    assert torch.allclose(of_image, torch.full((30,), 1e-6, dtype=torch.float64), rtol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_type_shape_and_gradient(dtype: torch.dtype) -> None:
    x0, t, eps = (z.to(dtype) if z.is_floating_point() else z for z in batch(8, 1, 4, 4))
    net = torch.nn.Conv2d(1, 1, 3, padding=1).to(dtype)
    losses = weighted_loss(SCHEDULE, lambda x, t: net(x), x0, t, eps, target="v", weights=weight(SCHEDULE, t, "min_snr"))
    assert losses.shape == (8,) and losses.dtype == dtype
    losses.mean().backward()
    assert net.weight.grad.isfinite().all() and net.weight.grad.abs().max() > 0


def test_bad_input_is_explained() -> None:
    with pytest.raises(InputError, match="kind = 'snr'"):
        weight(SCHEDULE, 3, "snr")
    with pytest.raises(InputError, match="gamma = 0"):
        weight(SCHEDULE, 3, "min_snr", gamma=0.0)
    with pytest.raises(InputError, match="sigma"):
        weight(SCHEDULE, 3, "bound", sigma="tilde")
    with pytest.raises(InputError, match="unknown target 'noise'"):
        error_scale(SCHEDULE, 3, "noise")
    with pytest.raises(InputError, match="one dimension only; these data have 2"):
        GaussianMixture(torch.ones(1), torch.zeros(1, 2), 1.0).smallest_loss(SCHEDULE, 3)


def test_predict_mean_is_the_posterior_s_mean_at_the_guess() -> None:
    xt, t, eps = batch(100, 3)
    x0_hat = process.predict_x0(SCHEDULE, xt, t, eps)
    assert torch.allclose(process.predict_mean(SCHEDULE, xt, t, eps), process.q_posterior(SCHEDULE, x0_hat, xt, t).mean, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("schedule", [linear(1000), cosine(1000)], ids=["linear", "cosine"])
def test_the_smallest_loss_against_monte_carlo(schedule: Schedule) -> None:
    mixture = GaussianMixture(torch.tensor([0.3, 0.7]), torch.tensor([[-1.0], [0.8]]), std=0.2)
    generator, n = torch.Generator().manual_seed(0), 20_000
    for t in (5, 150, 400):
        x0 = mixture.sample(n, generator).double()
        eps = torch.randn(x0.shape, generator=generator, dtype=torch.float64)
        losses = simple_loss(schedule, lambda xt, t: mixture.predict_eps(schedule, xt, t), x0, torch.full((n,), t), eps)
        error = losses.std().item() / math.sqrt(n)
        assert abs(losses.mean().item() - mixture.smallest_loss(schedule, t).item()) < 4 * error


def test_the_smallest_loss_is_smallest() -> None:
    two, t = exact.two_points(), 200
    best = two.smallest_loss(linear(), t)
    generator = torch.Generator().manual_seed(0)
    x0 = two.sample(50_000, generator)
    eps = torch.randn(x0.shape, generator=generator, dtype=torch.float64)
    for factor in (0.6, 1.4):  # 0.08 more, thirty times the error of the mean
        worse = simple_loss(linear(), lambda xt, t: factor * two.predict_eps(linear(), xt, t), x0, torch.full((len(x0),), t), eps)
        assert worse.mean() > best


def test_the_grid_of_the_smallest_loss_is_fine_enough() -> None:
    mixture = GaussianMixture(torch.tensor([0.2, 0.3, 0.5]), torch.tensor([[-2.0], [0.1], [1.5]]), std=0.05)
    t = torch.tensor([[1, 10, 100], [300, 600, 1000]])
    coarse, fine = mixture.smallest_loss(linear(), t), mixture.smallest_loss(linear(), t, reach=11.0, points=9001)
    assert coarse.shape == t.shape
    assert torch.allclose(coarse, fine, rtol=0, atol=1e-12)
