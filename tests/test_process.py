"""The forward process: its laws agree with each other and with Bayes' rule on a grid, for data of any shape or type."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from diffcourse.diffusion import process
from diffcourse.diffusion.schedule import SCHEDULES, Schedule
from diffcourse.errors import InputError

T = 12
SOME = Schedule(torch.linspace(0.01, 0.5, T, dtype=torch.float64))
PUBLISHED = {name: make(1000) for name, make in SCHEDULES.items()}

numbers = st.floats(-3, 3)
three_steps = st.lists(st.integers(0, T), min_size=3, max_size=3, unique=True).map(sorted)  # s < r < t
some_examples = settings(derandomize=True, deadline=None, max_examples=50)


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def tensor(value: float) -> Tensor:
    return torch.tensor([value], dtype=torch.float64)


def close(a: Tensor, b: Tensor, tolerance: float = 1e-12) -> bool:
    return a.dtype == b.dtype and torch.allclose(a, b, rtol=tolerance, atol=tolerance)


# eps, x0, v and score say the same


@pytest.mark.parametrize("name", PUBLISHED)
def test_predictions_convert_into_each_other_at_every_step(name: str) -> None:
    schedule = PUBLISHED[name]
    t = schedule.steps
    x0, eps = random(1000, 3, seed=1).tanh(), random(1000, 3, seed=2)
    xt = process.q_sample(schedule, x0, t, eps)
    v = process.velocity(schedule, x0, t, eps)
    # Dividing by sqrt(alpha_bar_t), which gets as small as 1e-5, costs digits; v never divides.
    assert close(process.predict_x0(schedule, xt, t, eps), x0, 1e-10)
    assert close(process.predict_eps(schedule, xt, t, x0), eps, 1e-12)
    assert close(process.x0_from_v(schedule, xt, t, v), x0, 1e-14)
    assert close(process.eps_from_v(schedule, xt, t, v), eps, 1e-14)
    assert close(xt**2 + v**2, x0**2 + eps**2)  # (x_t, v) is (x_0, eps), turned by an angle


def test_score_is_the_gradient_of_the_log_density() -> None:
    x0, eps, t = random(T, 4, seed=1), random(T, 4, seed=2), SOME.steps
    xt = process.q_sample(SOME, x0, t, eps).requires_grad_()
    mean, variance = process.q_moments(SOME, x0, t)
    torch.distributions.Normal(mean, variance.sqrt()).log_prob(xt).sum().backward()
    assert close(process.score(SOME, t, eps), xt.grad)


def test_at_step_zero_nothing_has_happened() -> None:
    x0, eps = random(5, 3, seed=1), random(5, 3, seed=2)
    assert torch.equal(process.q_sample(SOME, x0, 0, eps), x0)
    assert torch.equal(process.velocity(SOME, x0, 0, eps), eps)
    mean, variance = process.q_moments(SOME, x0, 0)
    assert torch.equal(mean, x0) and variance == 0
    assert process.q_variance(SOME, 0, 0.3) == 0.3


# The laws of the chain agree


@given(three_steps, numbers)
@some_examples
def test_two_jumps_are_one_jump(steps: list[int], x: float) -> None:
    s, r, t = steps
    middle = process.q_jump(SOME, tensor(x), s, r)
    end = process.q_jump(SOME, middle.mean, r, t)
    gain = process.q_jump(SOME, tensor(1.0), r, t).mean
    whole = process.q_jump(SOME, tensor(x), s, t)
    assert close(end.mean, whole.mean)
    assert close(gain**2 * middle.variance + end.variance, whole.variance.expand(1))


@pytest.mark.parametrize("t", range(1, T + 1))
def test_a_jump_generalises_the_step_and_the_closed_form(t: int) -> None:
    x = random(3)
    for jump, law in [
        (process.q_jump(SOME, x, t - 1, t), process.q_step_moments(SOME, x, t)),
        (process.q_jump(SOME, x, 0, t), process.q_moments(SOME, x, t)),
    ]:
        assert close(jump.mean, law.mean) and close(jump.variance, law.variance)


@pytest.mark.parametrize("t", range(1, T + 1))
def test_samples_have_the_moments_of_their_law(t: int) -> None:
    x, zero, one = random(3), torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    for sample, law in [
        (process.q_sample, process.q_moments(SOME, x, t)),
        (process.q_step, process.q_step_moments(SOME, x, t)),
    ]:
        assert close(sample(SOME, x, t, zero), law.mean)
        assert close((sample(SOME, x, t, one) - law.mean) ** 2, law.variance * one)


def test_variance_moves_from_that_of_the_data_to_one() -> None:
    t = torch.arange(T + 1)
    assert close(process.q_variance(SOME, t), torch.ones(T + 1, dtype=torch.float64))
    assert (process.q_variance(SOME, t, 0.25).diff() > 0).all()
    assert (process.q_variance(SOME, t, 4.0).diff() < 0).all()


# The posterior


@pytest.mark.parametrize(("s", "t"), [(1, 2), (4, 5), (T - 1, T), (1, T), (3, 7)])
def test_posterior_is_bayes_rule_on_a_grid(s: int, t: int) -> None:
    x0, xt = 0.7, -0.4
    beta = SOME.beta(SOME.steps).tolist()
    bar_s, ratio = math.prod(1 - b for b in beta[:s]), math.prod(1 - b for b in beta[s:t])
    grid = torch.linspace(-8, 8, 40_001, dtype=torch.float64)
    prior = torch.exp(-((grid - math.sqrt(bar_s) * x0) ** 2) / (2 * (1 - bar_s)))
    likelihood = torch.exp(-((xt - math.sqrt(ratio) * grid) ** 2) / (2 * (1 - ratio)))
    weight = prior * likelihood / (prior * likelihood).sum()
    mean = (weight * grid).sum()
    variance = (weight * (grid - mean) ** 2).sum()
    posterior = process.q_posterior(SOME, tensor(x0), tensor(xt), t, s)
    assert posterior.mean.item() == pytest.approx(mean.item(), rel=1e-10)
    assert posterior.variance.item() == pytest.approx(variance.item(), rel=1e-10)


@pytest.mark.parametrize("t", range(1, T + 1))
def test_posterior_as_published(t: int) -> None:
    x0, xt = random(3, seed=1), random(3, seed=2)
    bar, before, alpha, beta = SOME.alpha_bar(t), SOME.alpha_bar(t - 1), SOME.alpha(t), SOME.beta(t)
    # Ho et al. (2020), equation 7
    mean = before.sqrt() * beta / (1 - bar) * x0 + alpha.sqrt() * (1 - before) / (1 - bar) * xt
    posterior = process.q_posterior(SOME, x0, xt, t)
    assert close(posterior.mean, mean)
    assert close(posterior.variance, (1 - before) / (1 - bar) * beta)


@given(three_steps, numbers)
@some_examples
def test_going_up_and_down_again_ends_in_the_closed_form(steps: list[int], x: float) -> None:
    """x_t ~ q(x_t | x_0), then x_s ~ q(x_s | x_t, x_0): x_s must have the law q(x_s | x_0)."""
    s, _, t = steps
    x0 = tensor(x)
    up = process.q_moments(SOME, x0, t)
    down = process.q_posterior(SOME, x0, up.mean, t, s)
    gain = process.q_posterior(SOME, x0, up.mean + 1, t, s).mean - down.mean  # the mean is affine in x_t
    expected = process.q_moments(SOME, x0, s)
    assert close(down.mean, expected.mean)
    assert close(gain**2 * up.variance + down.variance, expected.variance.expand(1))


def test_posterior_of_step_zero_is_the_data() -> None:
    x0, xt = random(3, seed=1), random(3, seed=2)
    for t in range(1, T + 1):
        mean, variance = process.q_posterior(SOME, x0, xt, t, 0)
        assert close(mean, x0) and variance == 0


def test_posterior_is_narrower_than_the_step() -> None:
    posterior = process.q_posterior(SOME, random(T, 1), random(T, 1), SOME.steps)
    assert (posterior.variance[:, 0] < SOME.beta(SOME.steps)).all()


# Any shape, any type, any t


BY_NAME: dict[str, Callable[[Tensor, Tensor, int | Tensor], Tensor]] = {
    "q_step": lambda x, y, t: process.q_step(SOME, x, t, y),
    "q_step_moments mean": lambda x, y, t: process.q_step_moments(SOME, x, t).mean,
    "q_step_moments variance": lambda x, y, t: process.q_step_moments(SOME, x, t).variance * torch.ones_like(x),
    "q_jump mean": lambda x, y, t: process.q_jump(SOME, x, t - 1, t).mean,
    "q_jump variance": lambda x, y, t: process.q_jump(SOME, x, t - 1, t).variance * torch.ones_like(x),
    "q_moments mean": lambda x, y, t: process.q_moments(SOME, x, t).mean,
    "q_moments variance": lambda x, y, t: process.q_moments(SOME, x, t).variance * torch.ones_like(x),
    "q_sample": lambda x, y, t: process.q_sample(SOME, x, t, y),
    "q_posterior mean": lambda x, y, t: process.q_posterior(SOME, x, y, t).mean,
    "q_posterior variance": lambda x, y, t: process.q_posterior(SOME, x, y, t).variance * torch.ones_like(x),
    "predict_x0": lambda x, y, t: process.predict_x0(SOME, x, t, y),
    "predict_eps": lambda x, y, t: process.predict_eps(SOME, x, t, y),
    "velocity": lambda x, y, t: process.velocity(SOME, x, t, y),
    "x0_from_v": lambda x, y, t: process.x0_from_v(SOME, x, t, y),
    "eps_from_v": lambda x, y, t: process.eps_from_v(SOME, x, t, y),
    "score": lambda x, y, t: process.score(SOME, t, y),
}
each_function = pytest.mark.parametrize("function", BY_NAME.values(), ids=BY_NAME)


@each_function
@pytest.mark.parametrize("shape", [(), (3,), (2, 4, 5), (4, 1, 1)], ids=str)
def test_a_batch_of_steps_equals_one_by_one(function: Callable, shape: tuple[int, ...]) -> None:
    t = torch.tensor([3, 1, T, 3])  # four, so that a step could be mistaken for a column
    x, y = random(4, *shape, seed=1), random(4, *shape, seed=2)
    together = function(x, y, t)
    assert together.shape == x.shape
    for i in range(4):
        assert torch.equal(together[i], function(x[i : i + 1], y[i : i + 1], t[i].item())[0])
        assert torch.equal(together[i], function(x[i : i + 1], y[i : i + 1], t[i])[0])


@each_function
@pytest.mark.parametrize("t", [5, torch.tensor([5, 1])], ids=["int", "tensor"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_the_type_of_the_data_is_kept(function: Callable, t: int | Tensor, dtype: torch.dtype) -> None:
    x, y = random(2, 3, seed=1).to(dtype), random(2, 3, seed=2).to(dtype)
    result = function(x, y, t)
    assert result.dtype == dtype
    exact = function(x.double(), y.double(), t)
    assert torch.allclose(result.double(), exact, rtol=16 * torch.finfo(dtype).eps, atol=16 * torch.finfo(dtype).eps)


def test_single_precision_data_get_coefficients_of_double_precision() -> None:
    linear = PUBLISHED["linear"]
    noise = process.q_sample(linear, torch.zeros(1, 1), 1, torch.ones(1, 1))
    # sqrt(1 - alpha_bar_1) = 0.01; a table in float32 would be wrong from the fourth digit
    assert noise.dtype == torch.float32
    assert noise.item() == pytest.approx(0.01, rel=1e-7)


@each_function
def test_arguments_are_not_changed(function: Callable) -> None:
    x, y, t = random(2, 3, seed=1), random(2, 3, seed=2), torch.tensor([4, 9])
    before = x.clone(), y.clone(), t.clone()
    function(x, y, t).zero_()
    assert all(torch.equal(a, b) for a, b in zip(before, (x, y, t)))


@each_function
@pytest.mark.parametrize("t", [T + 1, -1, torch.tensor([1, T + 1]), 2.0], ids=str)
def test_steps_off_the_chain_are_refused(function: Callable, t) -> None:
    with pytest.raises(InputError):
        function(random(2, 3), random(2, 3), t)


def test_expand_makes_room_for_every_axis() -> None:
    coefficient = torch.tensor([1.0, 2.0], dtype=torch.float64)
    assert process.expand(coefficient, torch.zeros(2, 3, 4, 5)).shape == (2, 1, 1, 1)
    assert process.expand(coefficient, torch.zeros(2, 3)).dtype == torch.float32
    assert process.expand(coefficient[0], torch.zeros(2, 3)).shape == ()


def test_noise_comes_from_the_generator_alone() -> None:
    like = torch.zeros(2, 3, dtype=torch.float32)
    state = torch.get_rng_state()
    first = process.standard_normal_like(like, torch.Generator().manual_seed(7))
    again = process.standard_normal_like(like, torch.Generator().manual_seed(7))
    other = process.standard_normal_like(like, torch.Generator().manual_seed(8))
    assert first.shape == like.shape and first.dtype == like.dtype
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_noise_is_standard_normal() -> None:
    noise = process.standard_normal_like(torch.zeros(100_000), torch.Generator().manual_seed(0))
    assert abs(noise.mean()) < 4 / math.sqrt(100_000)
    assert abs(noise.var() - 1) < 4 * math.sqrt(2 / 100_000)
