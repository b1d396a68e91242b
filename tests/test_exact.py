"""Gaussian mixtures: the closed forms against sums over a grid, autograd, and the loss they minimise."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from diffcourse.diffusion import process
from diffcourse.diffusion.exact import GaussianMixture, two_points
from diffcourse.diffusion.schedule import Schedule
from diffcourse.errors import InputError

T = 8
SOME = Schedule(torch.linspace(0.02, 0.5, T, dtype=torch.float64))
GRID = torch.linspace(-8, 8, 4001, dtype=torch.float64)[:, None]
CELL = (GRID[1] - GRID[0]).item()


def doubles(values: list) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def normal(x: Tensor, mean: Tensor | float, variance: Tensor | float) -> Tensor:
    return torch.exp(-((x - mean) ** 2) / (2 * variance)) / (2 * math.pi * variance) ** 0.5


BROAD = GaussianMixture(doubles([0.2, 0.5, 0.3]), doubles([[-1.5], [0.2], [1.0]]), 0.3)
POINTS = GaussianMixture(doubles([0.25, 0.75]), doubles([[-1.0], [0.6]]), 0.0)
PLANE = GaussianMixture(doubles([0.4, 0.6]), doubles([[-1.0, 0.5], [0.8, 0.2]]), 0.4)


# The noisy density


@pytest.mark.parametrize(("mixture", "t"), [(BROAD, 0), (BROAD, 1), (BROAD, T), (POINTS, 1), (POINTS, 4), (POINTS, T)])
def test_density_has_mass_one_and_the_moments_of_the_forward_process(mixture: GaussianMixture, t: int) -> None:
    density = mixture.log_prob(SOME, GRID, t).exp() * CELL
    mean = (mixture.weight @ mixture.mean).item()
    variance = (mixture.weight @ (mixture.mean - mean) ** 2).item() + mixture.std**2
    expected = process.q_moments(SOME, doubles([mean]), t).mean
    centred = GRID[:, 0] - expected
    assert density.sum().item() == pytest.approx(1, abs=1e-10)
    assert (density @ centred).item() == pytest.approx(0, abs=1e-10)
    assert (density @ centred**2).item() == pytest.approx(process.q_variance(SOME, t, variance).item(), rel=1e-9)


def test_density_in_the_plane_has_mass_one() -> None:
    line = torch.linspace(-8, 8, 321, dtype=torch.float64)
    plane = torch.cartesian_prod(line, line)
    for t in (0, 3, T):
        mass = PLANE.log_prob(SOME, plane, t).exp().sum() * (line[1] - line[0]) ** 2
        assert mass.item() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("t", [1, 4, T])
def test_density_is_the_data_smeared_by_the_forward_process(t: int) -> None:
    data = BROAD.log_prob(SOME, GRID, 0).exp() * CELL
    for x in (-1.3, 0.1, 2.0):
        law = process.q_moments(SOME, GRID[:, 0], t)
        smeared = (data * normal(doubles([x]), law.mean, law.variance)).sum()
        assert BROAD.log_prob(SOME, doubles([[x]]), t).exp().item() == pytest.approx(smeared.item(), rel=1e-10)


def test_responsibilities_are_shares_of_the_density() -> None:
    x = doubles([[-1.0], [0.0], [1.0]])
    shares = BROAD.responsibility(SOME, x, 2)
    root, variance = SOME.alpha_bar(2).sqrt(), process.q_variance(SOME, 2, 0.3**2)
    parts = BROAD.weight * normal(x, root * BROAD.mean[:, 0], variance)
    assert torch.allclose(shares, parts / parts.sum(1, keepdim=True))
    assert torch.allclose(shares.sum(1), torch.ones(3, dtype=torch.float64))


# The best guess


@pytest.mark.parametrize("t", [1, 4, T])
@pytest.mark.parametrize("x", [-2.0, -0.3, 0.5, 1.7])
def test_posterior_mean_is_bayes_rule_on_a_grid(x: float, t: int) -> None:
    prior = sum(w * normal(GRID[:, 0], m, 0.3**2) for w, m in zip(BROAD.weight, BROAD.mean[:, 0]))
    law = process.q_moments(SOME, GRID[:, 0], t)
    weight = prior * normal(doubles([x]), law.mean, law.variance)
    expected = (weight @ GRID[:, 0]) / weight.sum()
    assert BROAD.posterior_mean(SOME, doubles([[x]]), t).item() == pytest.approx(expected.item(), rel=1e-9)


@pytest.mark.parametrize("t", [1, 4, T])
def test_posterior_mean_of_points_is_a_weighted_mean_of_points(t: int) -> None:
    x = doubles([[-0.5], [0.1], [2.0]])
    law = process.q_moments(SOME, POINTS.mean[:, 0], t)
    weight = POINTS.weight * normal(x, law.mean, law.variance)
    expected = weight @ POINTS.mean / weight.sum(1, keepdim=True)
    assert torch.allclose(POINTS.posterior_mean(SOME, x, t), expected, rtol=1e-12)


def test_posterior_mean_at_step_zero_is_the_data() -> None:
    x = torch.linspace(-1, 1, 7, dtype=torch.float64)[:, None]
    assert torch.allclose(BROAD.posterior_mean(SOME, x, 0), x, rtol=1e-14)


@pytest.mark.parametrize("mixture", [BROAD, POINTS, PLANE], ids=["broad", "points", "plane"])
def test_score_is_the_gradient_of_the_log_density(mixture: GaussianMixture) -> None:
    t = SOME.steps
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(T, mixture.mean.shape[1], generator=generator, dtype=torch.float64, requires_grad=True)
    mixture.log_prob(SOME, x, t).sum().backward()
    eps = mixture.predict_eps(SOME, x.detach(), t)
    assert torch.allclose(process.score(SOME, t, eps), x.grad, rtol=1e-11, atol=1e-11)


# No prediction has a smaller loss


def expected_loss(predict: Callable[[Tensor], Tensor], t: int) -> float:
    """The exact expectation of (eps - predict(x_t))^2 for the two points of POINTS, eps on a grid."""
    share = normal(GRID, 0.0, 1.0) * CELL
    return sum(
        (w * share * (GRID - predict(process.q_sample(SOME, point.expand_as(GRID), t, GRID))) ** 2).sum().item()
        for w, point in zip(POINTS.weight, POINTS.mean)
    )


PERTURBATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "constant": lambda x: torch.ones_like(x),
    "linear": lambda x: x,
    "sine": lambda x: torch.sin(3 * x),
    "bump": lambda x: torch.exp(-((x - 1) ** 2)),
}


@pytest.mark.parametrize("t", [1, 4, T])
@pytest.mark.parametrize("change", PERTURBATIONS.values(), ids=PERTURBATIONS)
def test_any_change_of_the_exact_prediction_raises_the_loss(change: Callable[[Tensor], Tensor], t: int) -> None:
    def loss(size: float) -> float:
        return expected_loss(lambda x: POINTS.predict_eps(SOME, x, t) + size * change(x), t)

    lowest, left, right = loss(0), loss(-0.01), loss(0.01)
    assert min(left, right) > lowest
    assert abs(right - left) < 1e-6 * (left + right - 2 * lowest)  # the bottom of a parabola, not its slope


@pytest.mark.parametrize("t", [2, 4, T - 1])
def test_the_prediction_of_a_neighbouring_step_is_worse(t: int) -> None:
    lowest = expected_loss(lambda x: POINTS.predict_eps(SOME, x, t), t)
    for wrong in (t - 1, t + 1):
        assert expected_loss(lambda x: POINTS.predict_eps(SOME, x, wrong), t) > lowest + 1e-4
    assert lowest < expected_loss(torch.zeros_like, t)


# Drawing data


def test_samples_follow_the_mixture() -> None:
    n = 40_000
    x = PLANE.sample(n, torch.Generator().manual_seed(0))
    assert x.shape == (n, 2) and x.dtype == torch.float64
    mean = PLANE.weight @ PLANE.mean
    between = PLANE.weight @ (PLANE.mean - mean) ** 2
    variance = between + PLANE.std**2
    assert ((x.mean(0) - mean).abs() < 4 * (variance / n).sqrt()).all()
    # sqrt(2 / n) is the relative error of a normal's variance; two humps side by side have a smaller one.
    assert ((x.var(0) / variance - 1).abs() < 4 * math.sqrt(2 / n)).all()


def test_noisy_samples_follow_the_noisy_density() -> None:
    """Cumulative shares of q_sample's x_t against sums of log_prob's density (Kolmogorov and Smirnov)."""
    n, t, generator = 20_000, 3, torch.Generator().manual_seed(0)
    x0 = BROAD.sample(n, generator)
    xt = process.q_sample(SOME, x0, t, process.standard_normal_like(x0, generator))
    cumulative = (BROAD.log_prob(SOME, GRID, t).exp() * CELL).cumsum(0)
    shares = torch.searchsorted(xt[:, 0].sort().values, GRID[:, 0]) / n
    assert (cumulative - shares).abs().max() < 1.95 / math.sqrt(n)  # exceeded once in 1000 draws


def test_samples_of_points_are_the_points() -> None:
    x = POINTS.sample(4000, torch.Generator().manual_seed(0))
    assert set(x[:, 0].tolist()) == {-1.0, 0.6}
    assert abs((x == 0.6).double().mean() - 0.75) < 4 * math.sqrt(0.75 * 0.25 / 4000)


def test_samples_come_from_the_generator_alone() -> None:
    state = torch.get_rng_state()
    first, again, other = (PLANE.sample(5, torch.Generator().manual_seed(k)) for k in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


# Shapes, types, bad input


@pytest.mark.parametrize("method", ["log_prob", "responsibility", "posterior_mean", "predict_eps"])
def test_a_batch_of_steps_equals_one_by_one(method: str) -> None:
    call = getattr(PLANE, method)
    t = torch.tensor([1, T, 3])
    x = doubles([[0.1, 0.2], [-1.0, 1.0], [2.0, -0.3]])
    together = call(SOME, x, t)
    for i in range(3):
        assert torch.allclose(together[i], call(SOME, x[i : i + 1], t[i].item())[0], rtol=1e-14)


@pytest.mark.parametrize("method", ["log_prob", "responsibility", "posterior_mean", "predict_eps"])
def test_single_precision_is_kept(method: str) -> None:
    x = doubles([[0.1, 0.2], [-1.0, 1.0]])
    single = getattr(PLANE, method)(SOME, x.float(), 2)
    assert single.dtype == torch.float32
    assert torch.allclose(single.double(), getattr(PLANE, method)(SOME, x, 2), rtol=1e-5, atol=1e-5)


def test_two_points_lie_where_they_should() -> None:
    mixture = two_points(0.7)
    assert mixture.mean.tolist() == [[-0.7], [0.7]]
    assert mixture.weight.tolist() == [0.5, 0.5]
    assert mixture.std == 0


@pytest.mark.parametrize(
    ("weight", "mean", "std", "complaint"),
    [
        ([0.5, 0.5], [[0.0]], 1.0, "do not fit"),
        ([1.0], [0.0], 1.0, "do not fit"),
        ([0.5, 0.4], [[0.0], [1.0]], 1.0, "sum to one"),
        ([1.5, -0.5], [[0.0], [1.0]], 1.0, "positive"),
        ([1.0, 0.0], [[0.0], [1.0]], 1.0, "positive"),
        ([math.nan], [[0.0]], 1.0, "positive"),
        ([1.0], [[0.0]], -1.0, "std >= 0"),
    ],
)
def test_what_is_not_a_mixture_is_refused(weight: list, mean: list, std: float, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        GaussianMixture(doubles(weight), doubles(mean), std)
