"""L_simple is what it says, example by example, and steps are drawn from all of 1..T alike."""

import math

import pytest
import torch
from torch import Tensor

from diffcourse.diffusion import process
from diffcourse.diffusion.loss import draw_steps, simple_loss
from diffcourse.diffusion.schedule import Schedule, linear

SCHEDULE = linear(20, 0.005, 0.3)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(n: int, *shape: int) -> tuple[Tensor, Tensor, Tensor]:
    """x0, t and eps."""
    generator = seeded(1)
    x0 = torch.rand(n, *shape, generator=generator, dtype=torch.float64) * 2 - 1
    eps = torch.randn(n, *shape, generator=generator, dtype=torch.float64)
    return x0, draw_steps(SCHEDULE, n, generator), eps


def toy(xt: Tensor, t: Tensor) -> Tensor:
    return torch.tanh(xt) * (1 + process.expand(t, xt) / 10)


def test_predicting_nothing_costs_one() -> None:
    x0, t, eps = batch(2000, 2, 3)
    losses = simple_loss(SCHEDULE, lambda xt, t: torch.zeros_like(xt), x0, t, eps)
    # The mean of 12,000 squares of standard normals, each of variance 2
    assert abs(losses.mean().item() - 1) < 4 * math.sqrt(2 / eps.numel())


def test_an_oracle_pays_nothing() -> None:
    x0, t, eps = batch(100, 2, 3)
    losses = simple_loss(SCHEDULE, lambda xt, t: process.predict_eps(SCHEDULE, xt, t, x0), x0, t, eps)
    assert losses.max() < 1e-24


@pytest.mark.parametrize("shape", [(1,), (5,), (3, 2, 4)], ids=str)
def test_one_number_for_each_example(shape: tuple[int, ...]) -> None:
    x0, t, eps = batch(7, *shape)
    losses = simple_loss(SCHEDULE, toy, x0, t, eps)
    assert losses.shape == (7,)
    for i in range(7):
        alpha_bar = math.prod(1 - SCHEDULE.beta(s).item() for s in range(1, t[i].item() + 1))
        xt = math.sqrt(alpha_bar) * x0[i] + math.sqrt(1 - alpha_bar) * eps[i]
        squares = ((eps[i] - toy(xt[None], t[i : i + 1])[0]) ** 2).flatten().tolist()
        assert losses[i].item() == pytest.approx(sum(squares) / len(squares), rel=1e-12)


def test_an_error_of_two_costs_four_whatever_the_size_of_the_image() -> None:
    for shape in [(1,), (3, 8, 8)]:
        x0, t, eps = batch(4, *shape)
        losses = simple_loss(SCHEDULE, lambda xt, t: eps + 2, x0, t, eps)
        assert torch.allclose(losses, torch.full((4,), 4.0, dtype=torch.float64))


def test_gradient_reaches_the_predictor() -> None:
    x0, t, eps = batch(4, 3)
    bias = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    simple_loss(SCHEDULE, lambda xt, t: toy(xt, t) + bias, x0, t, eps).mean().backward()
    error = eps - toy(process.q_sample(SCHEDULE, x0, t, eps), t)
    assert torch.allclose(bias.grad, -2 * error.mean(0) / 3)


def test_every_step_is_drawn_equally_often() -> None:
    schedule = Schedule(torch.full((10,), 0.1))
    t = draw_steps(schedule, 10_000, seeded())
    assert t.shape == (10_000,) and t.dtype == torch.int64
    counts = torch.bincount(t, minlength=11)
    assert counts.shape == (11,) and counts[0] == 0  # nothing above T, nothing below 1
    assert counts[1] > 0 and counts[10] > 0
    chi_square = ((counts[1:] - 1000.0) ** 2 / 1000).sum().item()
    assert chi_square < 27.9  # 9 degrees of freedom: exceeded once in 1000 draws


def test_steps_come_from_the_generator_alone() -> None:
    state = torch.get_rng_state()
    assert torch.equal(draw_steps(SCHEDULE, 50, seeded(3)), draw_steps(SCHEDULE, 50, seeded(3)))
    assert not torch.equal(draw_steps(SCHEDULE, 50, seeded(3)), draw_steps(SCHEDULE, 50, seeded(4)))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_chain_of_one_step_draws_one() -> None:
    assert draw_steps(Schedule(torch.tensor([0.5])), 5, seeded()).tolist() == [1] * 5
