"""Samplers: the published algorithms written out, noise in the right places, and the right law at the end."""

import math
import re
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from diffcourse.diffusion import process
from diffcourse.diffusion.exact import GaussianMixture
from diffcourse.diffusion.sample import (
    SAMPLERS,
    Denoiser,
    even_in_log_snr,
    look,
    sample_ddim,
    sample_ddpm,
    sample_dpm_solver,
    sample_heun,
    subsequence,
)
from diffcourse.diffusion.schedule import SCHEDULES, Schedule, cosine, linear
from diffcourse.errors import InputError

T = 20
SOME = linear(T, 0.005, 0.4)
Sampler = Callable[..., Tensor]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=dtype)


def toy(xt: Tensor, t: Tensor) -> Tensor:
    """No good as a denoiser, but nonlinear and different at every step."""
    return 1.2 * torch.tanh(xt * (1 + process.expand(t, xt) / T))


def states(sampler: Sampler, x_T: Tensor, **options) -> list[Tensor]:
    """x_T and the state after each step."""
    seen = [x_T]
    sampler(SOME, toy, x_T, watch=lambda s, x, x0_hat: seen.append(x.clone()), **options)
    return seen


def random_ddim(schedule: Schedule, predict_eps: Denoiser, x_T: Tensor, **options) -> Tensor:
    return sample_ddim(schedule, predict_eps, x_T, **{"eta": 0.5, "steps": schedule.T, **options})


EVERY: dict[str, Sampler] = {
    "ddpm": sample_ddpm,
    "ddpm, sigma = beta": lambda *a, **k: sample_ddpm(*a, sigma="beta", **k),
    "ddim": lambda *a, **k: sample_ddim(*a, **{"steps": T, **k}),
    "ddim, eta = 0.5": random_ddim,
    "dpm-solver": lambda *a, **k: sample_dpm_solver(*a, **{"steps": T, **k}),
    "sde-dpm-solver": lambda *a, **k: sample_dpm_solver(*a, **{"steps": T, "eta": 1.0, **k}),
}
DETERMINISTIC = ("ddim", "dpm-solver")
every_sampler = pytest.mark.parametrize("sampler", EVERY.values(), ids=EVERY)
random_sampler = pytest.mark.parametrize(
    "sampler", [s for name, s in EVERY.items() if name not in DETERMINISTIC], ids=[n for n in EVERY if n not in DETERMINISTIC]
)


# Which steps


@given(st.integers(1, 2000).flatmap(lambda T: st.tuples(st.just(T), st.integers(1, T))))
@settings(derandomize=True, deadline=None)
def test_subsequence_is_even_and_starts_at_the_end(case: tuple[int, int]) -> None:
    T, steps = case
    times = subsequence(T, steps)
    gaps = [t - s for t, s in zip(times, times[1:] + [0])]
    assert len(times) == steps
    assert times[0] == T
    assert all(isinstance(t, int) for t in times)
    assert min(gaps) >= 1
    assert all(abs(t - T * i / steps) <= 0.5 for t, i in zip(times, range(steps, 0, -1)))


def test_subsequence_examples() -> None:
    assert subsequence(1000, 50) == list(range(1000, 0, -20))
    assert subsequence(7, 7) == [7, 6, 5, 4, 3, 2, 1]
    assert subsequence(7, 1) == [7]
    assert subsequence(1, 1) == [1]
    assert subsequence(10, 3) == [10, 7, 3]


@pytest.mark.parametrize("steps", [0, -1, T + 1])
def test_steps_must_fit_the_chain(steps: int) -> None:
    for sampler in (sample_ddpm, sample_ddim):
        with pytest.raises(InputError, match=f"steps = {steps}: .* T = {T}"):
            sampler(SOME, toy, noise(2, 3), generator=seeded(), steps=steps)


@every_sampler
@pytest.mark.parametrize("steps", [1, 6, T])
def test_the_denoiser_is_asked_at_each_time_in_turn(sampler: Sampler, steps: int) -> None:
    asked, watched = [], []

    def spy(xt: Tensor, t: Tensor) -> Tensor:
        assert t.shape == (2,) and t.dtype == torch.int64 and (t == t[0]).all()
        asked.append((t[0].item(), xt.clone()))
        return toy(xt, t)

    def watch(s: int, x: Tensor, x0_hat: Tensor) -> None:
        watched.append((s, x.clone(), x0_hat.clone()))

    x_T = noise(2, 3)
    result = sampler(SOME, spy, x_T, generator=seeded(), steps=steps, watch=watch)
    times = subsequence(T, steps)
    assert [t for t, _ in asked] == times
    assert [s for s, _, _ in watched] == times[1:] + [0]
    assert torch.equal(asked[0][1], x_T)
    for (_, state, _), (_, xt) in zip(watched, asked[1:]):
        assert torch.equal(state, xt)  # what was reached is what the next step starts from
    assert torch.equal(watched[-1][1], result)
    for (t, xt), (_, _, x0_hat) in zip(asked, watched):
        expected = process.predict_x0(SOME, xt, t, toy(xt, torch.full((2,), t)))
        assert torch.allclose(x0_hat, expected.clamp(-1, 1), rtol=1e-13, atol=1e-13)


# Where noise is drawn


@random_sampler
@pytest.mark.parametrize("steps", [1, 6, T])
def test_the_last_step_adds_no_noise(sampler: Sampler, steps: int) -> None:
    """Two runs whose noise agrees until the last step, and there does not, must end alike."""
    before_last = subsequence(T, steps)[-1]

    def run(last_seed: int) -> Tensor:
        generator = seeded(0 if steps > 1 else last_seed)

        def watch(s: int, x: Tensor, x0_hat: Tensor) -> None:
            if s == before_last:
                generator.manual_seed(last_seed)

        return sampler(SOME, toy, noise(2, 3), generator=generator, steps=steps, clip=False, watch=watch)

    assert torch.equal(run(1), run(2))


@random_sampler
def test_each_other_step_draws_noise_once(sampler: Sampler) -> None:
    x_T = noise(2, 3)
    used, counted = seeded(5), seeded(5)
    sampler(SOME, toy, x_T, generator=used, steps=6)
    for _ in range(5):
        process.standard_normal_like(x_T, counted)
    assert torch.equal(used.get_state(), counted.get_state())


@random_sampler
def test_noise_comes_from_the_generator_alone(sampler: Sampler) -> None:
    x_T = noise(2, 3)
    kept, state = x_T.clone(), torch.get_rng_state()
    first = sampler(SOME, toy, x_T, generator=seeded(1))
    assert torch.equal(first, sampler(SOME, toy, x_T, generator=seeded(1)))
    assert not torch.equal(first, sampler(SOME, toy, x_T, generator=seeded(2)))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(x_T, kept)


def test_ddim_without_noise_needs_no_generator() -> None:
    x_T, state, generator = noise(2, 3), torch.get_rng_state(), seeded(1)
    first = sample_ddim(SOME, toy, x_T, steps=T)
    assert torch.equal(first, sample_ddim(SOME, toy, x_T, steps=T, generator=generator))
    assert torch.equal(generator.get_state(), seeded(1).get_state())
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(first, sample_ddim(SOME, toy, -x_T, steps=T))


# The published algorithms, written out


@pytest.mark.parametrize("sigma", ["posterior", "beta"])
def test_ddpm_is_algorithm_2(sigma: str) -> None:
    """Ho et al. (2020), algorithm 2, with sigma_t^2 = beta-tilde_t or beta_t."""
    generator, x = seeded(3), noise(4, 2)
    expected = [x]
    for t in range(T, 0, -1):
        beta, alpha_bar = SOME.beta(t), SOME.alpha_bar(t)
        variance = beta if sigma == "beta" else (1 - SOME.alpha_bar(t - 1)) / (1 - alpha_bar) * beta
        z = torch.randn(4, 2, generator=generator, dtype=torch.float64) if t > 1 else 0
        eps = toy(x, torch.full((4,), t))
        x = (x - beta / (1 - alpha_bar).sqrt() * eps) / (1 - beta).sqrt() + variance.sqrt() * z
        expected.append(x)
    found = states(sample_ddpm, noise(4, 2), generator=seeded(3), sigma=sigma, clip=False)
    assert torch.allclose(torch.stack(found), torch.stack(expected), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("steps", [1, 6, T])
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim_is_equation_12(eta: float, steps: int) -> None:
    """Song et al. (2021), equations 12 and 16; their alpha is our alpha_bar."""
    generator, x = seeded(3), noise(4, 2)
    expected = [x]
    times = subsequence(T, steps)
    for t, s in zip(times, times[1:] + [0]):
        a_t, a_s = SOME.alpha_bar(t), SOME.alpha_bar(s)
        sigma = eta * ((1 - a_s) / (1 - a_t)).sqrt() * (1 - a_t / a_s).sqrt()
        eps = toy(x, torch.full((4,), t))
        x = a_s.sqrt() * (x - (1 - a_t).sqrt() * eps) / a_t.sqrt() + (1 - a_s - sigma**2).sqrt() * eps
        if s > 0:
            x = x + sigma * torch.randn(4, 2, generator=generator, dtype=torch.float64)
        expected.append(x)
    found = states(sample_ddim, noise(4, 2), generator=seeded(3), eta=eta, steps=steps, clip=False)
    assert torch.allclose(torch.stack(found), torch.stack(expected), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("steps", [1, 6, T])
def test_ddim_with_eta_one_is_ddpm(steps: int, clip: bool) -> None:
    ddpm = states(sample_ddpm, noise(4, 2), generator=seeded(3), steps=steps, clip=clip)
    ddim = states(sample_ddim, noise(4, 2), generator=seeded(3), steps=steps, clip=clip, eta=1.0)
    assert torch.allclose(torch.stack(ddim), torch.stack(ddpm), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("steps", [6, T])
@pytest.mark.parametrize("sigma", ["posterior", "beta"])
def test_ddpm_noise_has_the_promised_variance_on_any_subset(sigma: str, steps: int) -> None:
    """Two runs that part at their first step are apart by sigma times the difference of the two noises."""
    one, two = (states(sample_ddpm, noise(4, 2), generator=seeded(k), steps=steps, sigma=sigma)[1] for k in (3, 4))
    t, s = subsequence(T, steps)[:2]
    beta = 1 - SOME.alpha_bar(t) / SOME.alpha_bar(s)
    variance = beta if sigma == "beta" else beta * (1 - SOME.alpha_bar(s)) / (1 - SOME.alpha_bar(t))
    assert torch.allclose(one - two, variance.sqrt() * (noise(4, 2, seed=3) - noise(4, 2, seed=4)), rtol=1e-12)


# Clipping


@every_sampler
def test_clipping_keeps_the_guess_in_range(sampler: Sampler) -> None:
    guesses: dict[bool, list[float]] = {True: [], False: []}
    for clip, largest in guesses.items():
        result = sampler(
            SOME, toy, 3 * noise(4, 2), generator=seeded(), clip=clip,
            watch=lambda s, x, x0_hat: largest.append(x0_hat.abs().max().item()),
        )
        assert result.abs().max().item() == pytest.approx(largest[-1], rel=1e-12)  # x_0 is the last guess
    assert max(guesses[True]) == 1
    assert max(guesses[False]) > 1  # so that clipping had something to do


def test_rederived_eps_and_clipped_guess_add_up() -> None:
    """x_s = sqrt(alpha_bar_s) x0_hat + sqrt(1 - alpha_bar_s) eps, with the eps that takes x0_hat to x_t."""
    seen: list[tuple[int, Tensor, Tensor]] = [(T, noise(4, 2), noise(4, 2))]
    sample_ddim(SOME, toy, noise(4, 2), steps=6, watch=lambda *step: seen.append(step))
    for (t, xt, _), (s, xs, x0_hat) in zip(seen, seen[1:]):
        eps = (xt - SOME.alpha_bar(t).sqrt() * x0_hat) / (1 - SOME.alpha_bar(t)).sqrt()
        expected = SOME.alpha_bar(s).sqrt() * x0_hat + (1 - SOME.alpha_bar(s)).sqrt() * eps
        assert torch.allclose(xs, expected, rtol=1e-12, atol=1e-12)


def test_without_rederiving_the_network_keeps_its_eps() -> None:
    t, s = subsequence(T, 6)[:2]
    x_T = noise(4, 2)
    eps = toy(x_T, torch.full((4,), t))
    x0_hat = process.predict_x0(SOME, x_T, t, eps)
    assert (x0_hat.abs() > 1).any()
    expected = SOME.alpha_bar(s).sqrt() * x0_hat.clamp(-1, 1) + (1 - SOME.alpha_bar(s)).sqrt() * eps
    kept = states(sample_ddim, x_T, steps=6, rederive_eps=False)
    assert torch.allclose(kept[1], expected, rtol=1e-12, atol=1e-12)
    assert not torch.allclose(kept[1], states(sample_ddim, x_T, steps=6)[1])


def test_rederiving_changes_nothing_where_nothing_is_clipped() -> None:
    one, other = (sample_ddim(SOME, toy, noise(4, 2), steps=6, clip=False, rederive_eps=r) for r in (True, False))
    assert torch.equal(one, other)


# Arguments


@every_sampler
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("shape", [(3, 2), (2, 3, 4, 4)], ids=str)
def test_result_has_the_shape_and_type_of_the_noise(sampler: Sampler, shape: tuple, dtype: torch.dtype) -> None:
    x_T = noise(*shape, dtype=dtype)
    result = sampler(SOME, toy, x_T, generator=seeded())
    assert result.shape == shape and result.dtype == dtype


@every_sampler
def test_a_chain_of_one_step_returns_the_guess(sampler: Sampler) -> None:
    schedule, x_T = Schedule(torch.tensor([0.6])), noise(4, 2)
    result = sampler(schedule, toy, x_T, generator=seeded(), clip=False, steps=1)
    assert torch.allclose(result, process.predict_x0(schedule, x_T, 1, toy(x_T, torch.ones(4))), rtol=1e-13)


@every_sampler
def test_examples_do_not_mix(sampler: Sampler) -> None:
    x_T = noise(3, 2)
    changed = torch.cat([x_T[:2], -x_T[2:]])
    one, other = sampler(SOME, toy, x_T, generator=seeded()), sampler(SOME, toy, changed, generator=seeded())
    assert torch.equal(one[:2], other[:2]) and not torch.equal(one[2], other[2])


def test_unknown_sigma_is_refused() -> None:
    with pytest.raises(InputError, match="sigma = 'big': choose"):
        sample_ddpm(SOME, toy, noise(2, 3), generator=seeded(), sigma="big")


@pytest.mark.parametrize(("eta", "generator"), [(-0.1, seeded()), (-0.1, None), (0.5, None), (math.inf, seeded()), (math.nan, seeded())])
def test_eta_and_generator_must_fit(eta: float, generator: torch.Generator | None) -> None:
    with pytest.raises(InputError, match=f"eta = {eta}"):
        sample_ddim(SOME, toy, noise(2, 3), steps=5, eta=eta, generator=generator)


def test_ddim_has_no_room_for_more_noise_than_ddpm() -> None:
    with pytest.raises(InputError, match="eta = 1.2: DDIM takes at most 1"):
        sample_ddim(SOME, toy, noise(2, 3), steps=5, eta=1.2, generator=seeded())


# The law of what comes out, with exact denoisers


def exact(mixture: GaussianMixture, schedule: Schedule) -> Denoiser:
    return lambda xt, t: mixture.predict_eps(schedule, xt, t)


def mixture_1d(weight: list[float], mean: list[float], std: float) -> GaussianMixture:
    doubles = {"dtype": torch.float64}
    return GaussianMixture(torch.tensor(weight, **doubles), torch.tensor(mean, **doubles)[:, None], std)


@pytest.mark.parametrize("steps", [1, 3, 10, T])
@pytest.mark.parametrize(
    ("sampler", "options"),
    [(sample_ddpm, {}), (sample_dpm_solver, {"eta": 0.5}), (sample_dpm_solver, {"eta": 1.2})],
    ids=["ddpm", "dpm-solver, eta = 0.5", "dpm-solver, eta = 1.2"],
)
def test_one_point_is_hit_and_the_way_there_is_q(sampler: Sampler, options: dict[str, float], steps: int) -> None:
    """For data of one point every state has the law q(x_s | x_0), for any steps: DDPM's beta-tilde is the exact variance
    then, and DPM-Solver++ removes as much of the old noise as it adds, for every eta."""
    n, point = 20_000, 0.4
    marginals: dict[int, Tensor] = {}
    x_T = process.q_sample(SOME, torch.full((n, 1), point, dtype=torch.float64), T, noise(n, 1))
    result = sampler(
        SOME, exact(mixture_1d([1.0], [point], 0.0), SOME), x_T, generator=seeded(), steps=steps,
        watch=lambda s, x, x0_hat: marginals.update({s: x.clone()}), **options,
    )
    assert torch.allclose(result, torch.full_like(result, point), rtol=1e-10)
    del marginals[0]
    assert len(marginals) == steps - 1
    for s, x in marginals.items():
        alpha_bar = SOME.alpha_bar(s).item()
        # standard errors of a mean and a variance of n normals; 4.5 of them, for up to 38 checks
        assert abs(x.mean().item() - math.sqrt(alpha_bar) * point) < 4.5 * math.sqrt((1 - alpha_bar) / n)
        assert abs(x.var().item() / (1 - alpha_bar) - 1) < 4.5 * math.sqrt(2 / n)


@pytest.mark.parametrize("steps", [3, 10, T])
def test_standard_normal_data_stay_standard_normal(steps: int) -> None:
    """For standard normal data beta is the exact variance: every state before the last has variance one."""
    n = 20_000
    variances: dict[int, float] = {}
    sample_ddpm(
        SOME, exact(mixture_1d([1.0], [0.0], 1.0), SOME), noise(n, 1), generator=seeded(), steps=steps, sigma="beta",
        clip=False, watch=lambda s, x, x0_hat: variances.update({s: x.var().item()}),
    )
    last = variances.pop(0)
    assert all(abs(variance - 1) < 4.5 * math.sqrt(2 / n) for variance in variances.values())
    # The last step adds no noise, and so leaves what the mean carries: alpha of the last jump.
    alpha = SOME.alpha_bar(subsequence(T, steps)[-1]).item()
    assert abs(last / alpha - 1) < 4.5 * math.sqrt(2 / n)


def unclipped(sampler: Sampler, **options) -> Sampler:
    return lambda *a, **k: sampler(*a, clip=False, **options, **k)


RECOVERING = {
    "ddpm": unclipped(sample_ddpm),
    "ddpm, sigma = beta": unclipped(sample_ddpm, sigma="beta"),
    "ddim": unclipped(sample_ddim),
    "ddim, eta = 0.5": unclipped(sample_ddim, eta=0.5),
    "sde-dpm-solver": unclipped(sample_dpm_solver, eta=1.0),
}


# Finite steps make the spread of a component wrong by some multiple of 1 / steps, however many the samples.
@pytest.mark.parametrize(("steps", "bias"), [(400, 0.05), (200, 0.09), (100, 0.16)])
@pytest.mark.parametrize("sampler", RECOVERING.values(), ids=RECOVERING)
def test_a_mixture_is_recovered(sampler: Sampler, steps: int, bias: float) -> None:
    n, weight, mean, std = 4000, [0.3, 0.7], [-0.6, 0.5], 0.1
    schedule = cosine(400)
    x = sampler(
        schedule, exact(mixture_1d(weight, mean, std), schedule), noise(n, 1), generator=seeded(), steps=steps
    )[:, 0]
    for part, w, m in zip((x[x < 0], x[x > 0]), weight, mean):  # the components are 11 std apart
        assert abs(len(part) / n - w) < 4 * math.sqrt(w * (1 - w) / n)
        assert abs(part.mean().item() - m) < 4 * std / math.sqrt(n * w)
        assert abs(part.std().item() / std - 1) < bias + 4 * math.sqrt(1 / (2 * n * w))


@pytest.mark.parametrize(("steps", "bias"), [(200, 0.03), (50, 0.1)])
@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("sampler", RECOVERING.values(), ids=RECOVERING)
def test_a_gaussian_is_recovered(sampler: Sampler, name: str, steps: int, bias: float) -> None:
    n, mean, std = 2000, 0.3, 0.6
    schedule = SCHEDULES[name](1000)
    x = sampler(schedule, exact(mixture_1d([1.0], [mean], std), schedule), noise(n, 1), generator=seeded(), steps=steps)
    assert abs(x.mean().item() - mean) < 4 * std / math.sqrt(n)
    assert abs(x.std().item() / std - 1) < bias + 4 * math.sqrt(1 / (2 * n))


def test_posterior_and_beta_bracket_the_spread() -> None:
    """Ho et al. (2020), section 3.2: the one variance is too small, the other too large, plainly so with few steps."""
    n, std, schedule = 4000, 0.1, cosine(1000)
    spread = {
        sigma: sample_ddpm(
            schedule, exact(mixture_1d([1.0], [0.0], std), schedule), noise(n, 1), generator=seeded(), steps=50,
            sigma=sigma, clip=False,
        ).std().item()
        for sigma in ("posterior", "beta")
    }
    error = 4 * std * math.sqrt(1 / (2 * n))
    assert spread["posterior"] < std - error and spread["beta"] > std + error


def normal_cdf(x: Tensor) -> Tensor:
    return torch.special.ndtr(x)


def test_ddim_maps_quantiles_to_quantiles() -> None:
    """In one dimension the exact flow keeps the order: x_0 has the rank among the data that x_T has among noise."""
    weight, mean, std, schedule = [0.3, 0.7], [-0.6, 0.5], 0.2, cosine(1000)
    x_T = torch.linspace(-2.5, 2.5, 101, dtype=torch.float64)[:, None]
    error = {}
    for steps in (100, 200, 1000):
        x0 = sample_ddim(schedule, exact(mixture_1d(weight, mean, std), schedule), x_T, steps=steps, clip=False)
        assert (x0.diff(dim=0) > 0).all()
        rank = sum(w * normal_cdf((x0 - m) / std) for w, m in zip(weight, mean))
        error[steps] = (rank - normal_cdf(x_T)).abs().max().item()
    assert error[1000] < 0.005
    assert error[1000] < error[200] < error[100] < 0.05


def test_x_T_encodes_the_image_for_ddim_at_any_step_count() -> None:
    """The same x_T leads to nearly the same x_0, however many steps are taken; for DDPM it does not."""
    schedule = cosine(1000)
    denoiser = exact(mixture_1d([0.3, 0.7], [-0.6, 0.5], 0.2), schedule)
    x_T = noise(200, 1)

    def gap(sampler: Sampler) -> float:
        few, many = (sampler(schedule, denoiser, x_T, generator=seeded(k), steps=k, clip=False) for k in (100, 500))
        return (few - many).abs().mean().item()

    assert gap(sample_ddim) < 0.02
    assert gap(sample_ddpm) > 0.3


# Samplers of the probability-flow ODE


def even_schedule(T: int, ends: float = 8.0) -> Schedule:
    """A schedule whose log-SNR falls in equal steps from +ends at t = 1 to -ends at t = T."""
    alpha_bar = torch.sigmoid(torch.linspace(ends, -ends, T, dtype=torch.float64))
    before = torch.cat([torch.ones(1, dtype=torch.float64), alpha_bar[:-1]])
    return Schedule(1 - alpha_bar / before)


def gaussian_flow(schedule: Schedule, mean: float, std: float, x_T: Tensor, s: int) -> Tensor:
    """Where the ODE has carried x_T by step s, for data N(mean, std^2): it keeps the number of standard deviations."""

    def moments(t: int) -> tuple[Tensor, Tensor]:
        alpha_bar = schedule.alpha_bar(t)
        return alpha_bar.sqrt() * mean, (alpha_bar * std**2 + 1 - alpha_bar).sqrt()

    (mean_T, std_T), (mean_s, std_s) = moments(schedule.T), moments(s)
    return mean_s + std_s * (x_T - mean_T) / std_T


def flow_errors(sampler: Sampler, steps: list[int], target: int = 1) -> Tensor:
    """The largest error at step `target` for each number of steps, even in log-SNR, on Gaussian data."""
    schedule = even_schedule(961)
    predict = exact(mixture_1d([1.0], [0.4], 0.5), schedule)
    x_T = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    errors = []
    for n in steps:
        reached: dict[int, Tensor] = {}
        sampler(
            schedule, predict, x_T, steps=list(range(961, 0, -960 // n)), clip=False,
            watch=lambda s, x, x0_hat: reached.update({s: x}),
        )
        errors.append((reached[target] - gaussian_flow(schedule, 0.4, 0.5, x_T, target)).abs().max())
    return torch.stack(errors)


ODE: dict[str, Sampler] = {"ddim": sample_ddim, "heun": sample_heun, "dpm-solver": sample_dpm_solver}
every_ode = pytest.mark.parametrize("sampler", ODE.values(), ids=ODE)


@pytest.mark.parametrize(("name", "order"), [("ddim", 1), ("heun", 2), ("dpm-solver", 2)])
def test_order_of_convergence(name: str, order: int) -> None:
    """Twice as many steps, half the error: order 1. A quarter of the error: order 2."""
    errors = flow_errors(ODE[name], [60, 120, 240, 480])
    slopes = (errors[:-1] / errors[1:]).log2()
    assert (slopes - order).abs().max() < 0.12, slopes
    assert abs(slopes[-1] - order) < 0.06, slopes  # and closer the finer the steps


def test_second_order_wins_from_few_steps_on() -> None:
    errors = {name: flow_errors(sampler, [15, 30, 60]) for name, sampler in ODE.items()}
    for name in ("heun", "dpm-solver"):
        assert (errors[name] < errors["ddim"] / 2).all()


@every_ode
def test_the_ode_of_a_mixture_keeps_ranks(sampler: Sampler) -> None:
    """Order 2 shows on data that are not Gaussian as well: 40 steps are nearer to the truth than DDIM's 80."""
    weight, mean, std, schedule = [0.3, 0.7], [-0.6, 0.5], 0.2, cosine(1000)
    x_T = torch.linspace(-2.5, 2.5, 101, dtype=torch.float64)[:, None]

    def error(sampler: Sampler, steps: int) -> float:
        times = even_in_log_snr(schedule, steps)
        x0 = sampler(schedule, exact(mixture_1d(weight, mean, std), schedule), x_T, steps=times, clip=False)
        assert (x0.diff(dim=0) > 0).all()
        rank = sum(w * normal_cdf((x0 - m) / std) for w, m in zip(weight, mean))
        return (rank - normal_cdf(x_T)).abs().max().item()

    if sampler is sample_ddim:
        assert 0.01 < error(sampler, 40) < 0.04
    else:
        assert error(sampler, 40) < error(sample_ddim, 80) / 2


@pytest.mark.parametrize("clip", [False, True])
def test_euler_part_of_heun_is_ddim(clip: bool) -> None:
    """The network's second look falls on the point where DDIM's step ends."""
    looks: list[tuple[int, Tensor]] = []

    def spy(xt: Tensor, t: Tensor) -> Tensor:
        looks.append((t[0].item(), xt.clone()))
        return toy(xt, t)

    x_T = noise(4, 2)
    sample_heun(SOME, spy, x_T, steps=[T, 13, 6], clip=clip)
    assert [t for t, _ in looks] == [20, 13, 13, 6, 6]
    ddim = states(sample_ddim, x_T, steps=[T, 13, 6], clip=clip)
    assert torch.allclose(looks[1][1], ddim[1], rtol=1e-11, atol=1e-11)
    assert not torch.allclose(looks[2][1], ddim[1], rtol=1e-3)


def test_heun_written_out() -> None:
    """Karras et al. (2022), algorithm 1, with their sigma = r and their x = x_t / sqrt(alpha_bar_t)."""
    x = noise(4, 2)
    times = [20, 11, 4, 1, 0]
    for t, s in zip(times, times[1:]):
        def r(n: int) -> Tensor:
            return (1 / SOME.alpha_bar(n) - 1).sqrt()

        def slope(scaled: Tensor, n: int) -> Tensor:
            return toy(scaled * SOME.alpha_bar(n).sqrt(), torch.full((4,), n))

        scaled = x / SOME.alpha_bar(t).sqrt()
        first = slope(scaled, t)
        end = scaled + (r(s) - r(t)) * first
        if s > 0:
            end = scaled + (r(s) - r(t)) * (first + slope(end, s)) / 2
        x = end * SOME.alpha_bar(s).sqrt()
    found = sample_heun(SOME, toy, noise(4, 2), steps=times[:-1], clip=False)
    assert torch.allclose(found, x, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("clip", [False, True])
def test_first_and_last_step_of_dpm_solver_are_ddim(clip: bool) -> None:
    """Neither has a guess that could be continued: before the first there is none, and the last goes infinitely far."""
    x_T = noise(4, 2)
    ours, ddim = (states(sampler, x_T, steps=[T, 13, 6], clip=clip) for sampler in (sample_dpm_solver, sample_ddim))
    assert torch.allclose(ours[1], ddim[1], rtol=1e-11, atol=1e-11)
    assert not torch.allclose(ours[2], ddim[2], rtol=1e-3)
    last = sample_ddim(Schedule(SOME.beta(SOME.steps)[:6]), toy, ours[2], steps=[6], clip=clip)
    assert torch.allclose(ours[3], last, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("clip", [False, True])
def test_first_steps_of_the_noisy_dpm_solver_are_ddpm(clip: bool) -> None:
    """Without a guess before, eta = 1 is DDPM with beta-tilde, noise for noise; the second step continues the guess."""
    x_T = noise(4, 2)
    ddpm = states(sample_ddpm, x_T, generator=seeded(3), steps=[T, 13, 6], clip=clip)
    ours = states(sample_dpm_solver, x_T, generator=seeded(3), steps=[T, 13, 6], eta=1.0, clip=clip)
    assert torch.allclose(ours[1], ddpm[1], rtol=1e-11, atol=1e-11)
    assert not torch.allclose(ours[2], ddpm[2], rtol=1e-3)


def test_the_noisy_dpm_solver_beats_ddpm_in_few_steps() -> None:
    """The spread of Gaussian samples is wrong by less than half as much, at the same number of calls."""
    n, std, schedule = 20_000, 0.5, cosine(1000)
    denoiser = exact(mixture_1d([1.0], [0.0], std), schedule)
    ddpm, ours = (
        sampler(schedule, denoiser, noise(n, 1), generator=seeded(), steps=20, clip=False, **options).std().item()
        for sampler, options in ((sample_ddpm, {}), (sample_dpm_solver, {"eta": 1.0}))
    )
    error = 4 * std / math.sqrt(2 * n)
    assert ddpm < std - 2 * error
    assert abs(ours - std) + error < (std - ddpm) / 2


def test_fresh_noise_needs_a_generator() -> None:
    for sampler in (sample_ddim, sample_dpm_solver):
        with pytest.raises(InputError, match="eta = 0.5: .* a generator must be given"):
            sampler(SOME, toy, noise(2, 3), eta=0.5)


def test_every_step_is_exact_where_the_guess_is_constant() -> None:
    """Data of one point: the guess never changes, and then one step is as good as all of them."""
    point = exact(mixture_1d([1.0], [0.4], 0.0), SOME)
    x_T = noise(5, 1)
    for sampler in ODE.values():
        for t in (13, 6):
            reached: dict[int, Tensor] = {}
            sampler(SOME, point, x_T, steps=[T, t], clip=False, watch=lambda s, x, x0_hat: reached.update({s: x}))
            assert torch.allclose(reached[t], gaussian_flow(SOME, 0.4, 0.0, x_T, t), rtol=1e-10, atol=1e-10)
        one = sampler(SOME, point, x_T, steps=1, clip=False)
        assert torch.allclose(one, torch.full_like(one, 0.4), rtol=1e-10)


@every_ode
@pytest.mark.parametrize("clip", [False, True])
def test_one_step_returns_the_guess(sampler: Sampler, clip: bool) -> None:
    x_T = 3 * noise(4, 2)
    guess = process.predict_x0(SOME, x_T, T, toy(x_T, torch.full((4,), T)))
    assert (guess.abs() > 1).any()
    result = sampler(SOME, toy, x_T, steps=1, clip=clip)
    assert torch.allclose(result, guess.clamp(-1, 1) if clip else guess, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("steps", [1, 6, T])
@pytest.mark.parametrize(("name", "calls"), [("ddpm", lambda n: n), ("ddim", lambda n: n), ("heun", lambda n: 2 * n - 1), ("dpm-solver", lambda n: n)])
def test_network_calls(name: str, calls: Callable[[int], int], steps: int) -> None:
    count = 0

    def counting(xt: Tensor, t: Tensor) -> Tensor:
        nonlocal count
        count += 1
        return toy(xt, t)

    SAMPLERS[name][0](SOME, counting, noise(2, 3), generator=seeded(), steps=steps)
    assert count == calls(steps)


def test_heun_clips_its_second_slope_too() -> None:
    x_T = 3 * noise(4, 2)
    t, s = T, 6
    first = look(SOME, toy, x_T, t, clip=True)
    middle = SOME.alpha_bar(s).sqrt() * first.x0 + (1 - SOME.alpha_bar(s)).sqrt() * first.eps
    second = look(SOME, toy, middle, s, clip=True)
    assert not torch.allclose(second.eps, toy(middle, torch.full((4,), s)))
    eps = (first.eps + second.eps) / 2
    r_t, r_s = ((1 / SOME.alpha_bar(n) - 1).sqrt() for n in (t, s))
    expected = SOME.alpha_bar(s).sqrt() * (x_T / SOME.alpha_bar(t).sqrt() + (r_s - r_t) * eps)
    assert torch.allclose(states(sample_heun, x_T, steps=[t, s])[1], expected, rtol=1e-11, atol=1e-11)
    assert not torch.allclose(states(sample_heun, x_T, steps=[t, s], rederive_eps=False)[1], expected, rtol=1e-3)


# The learned variance


def learned(fraction: float) -> Denoiser:
    return lambda xt, t: process.Prediction(toy(xt, t), torch.full_like(xt, fraction))


@pytest.mark.parametrize("steps", [2, 6, T])
@pytest.mark.parametrize(("fraction", "sigma"), [(0.0, "posterior"), (1.0, "beta")])
def test_learned_variance_at_its_ends(fraction: float, sigma: str, steps: int) -> None:
    found = sample_ddpm(SOME, learned(fraction), noise(4, 2), generator=seeded(), steps=steps, sigma="learned")
    expected = sample_ddpm(SOME, toy, noise(4, 2), generator=seeded(), steps=steps, sigma=sigma)
    assert torch.allclose(found, expected, rtol=1e-11, atol=1e-11)


def test_learned_variance_is_a_geometric_mean() -> None:
    def first(sigma: str, fraction: float = 0.0) -> Tensor:
        reached: list[Tensor] = []
        sample_ddpm(
            SOME, learned(fraction), noise(4, 2), generator=seeded(), steps=6, sigma=sigma,
            watch=lambda s, x, x0_hat: reached.append(x),
        )
        return reached[0]

    t, s = subsequence(T, 6)[:2]
    mean = process.q_posterior(SOME, look(SOME, toy, noise(4, 2), t, clip=True).x0, noise(4, 2), t, s).mean
    small, middle, large = ((first(*choice) - mean).abs() for choice in (("posterior",), ("learned", 0.25), ("beta",)))
    assert torch.allclose(middle, small**0.75 * large**0.25, rtol=1e-10)


def test_each_pixel_has_its_own_learned_variance() -> None:
    def mixed(xt: Tensor, t: Tensor) -> process.Prediction:
        fraction = torch.tensor([[0.0, 1.0]], dtype=xt.dtype).expand_as(xt)
        return process.Prediction(toy(xt, t), fraction)

    found = sample_ddpm(SOME, mixed, noise(4, 2), generator=seeded(), sigma="learned")
    for column, sigma in enumerate(("posterior", "beta")):
        expected = sample_ddpm(SOME, toy, noise(4, 2), generator=seeded(), sigma=sigma)
        assert torch.allclose(found[:, column], expected[:, column], rtol=1e-10)


def test_learned_variance_needs_a_network_that_has_learned_it() -> None:
    with pytest.raises(InputError, match="sigma = 'learned' needs a network that predicts a variance"):
        sample_ddpm(SOME, toy, noise(2, 3), generator=seeded(), sigma="learned")


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_takes_a_network_with_a_variance(name: str) -> None:
    sampler = SAMPLERS[name][0]
    options = {"generator": seeded(), "steps": 6}
    with_variance, without = (sampler(SOME, net, noise(2, 3), **options | {"generator": seeded()}) for net in (learned(0.5), toy))
    assert torch.equal(with_variance, without)


# Explicit steps


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("steps", [1, 6, T])
def test_a_list_of_even_steps_is_that_number_of_steps(name: str, steps: int) -> None:
    sampler = SAMPLERS[name][0]
    one, other = (sampler(SOME, toy, noise(2, 3), generator=seeded(), steps=n) for n in (steps, subsequence(T, steps)))
    assert torch.equal(one, other)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("bad", [[], [T + 1, 3], [5, 0], [5, 5, 1], [1, 5], [3, -1]], ids=str)
def test_bad_lists_are_refused(name: str, bad: list[int]) -> None:
    with pytest.raises(InputError, match=re.escape(f"steps = {bad}: give decreasing steps between T = {T} and 1")):
        SAMPLERS[name][0](SOME, toy, noise(2, 3), generator=seeded(), steps=bad)


@pytest.mark.parametrize("steps", [0, -1, T + 1])
@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_refuses_impossible_numbers(name: str, steps: int) -> None:
    with pytest.raises(InputError, match=f"steps = {steps}: .* T = {T}"):
        SAMPLERS[name][0](SOME, toy, noise(2, 3), generator=seeded(), steps=steps)


def test_a_list_may_begin_late() -> None:
    """Half a walk goes on from where the other half has stopped."""
    whole = states(sample_ddim, noise(4, 2), steps=[T, 13, 6, 2])
    rest = states(sample_ddim, whole[2], steps=[6, 2])
    assert torch.equal(rest[-1], whole[-1])


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [2, 5, 20, 100])
def test_even_in_log_snr(name: str, steps: int) -> None:
    schedule = SCHEDULES[name](1000)
    times = even_in_log_snr(schedule, steps)
    assert times[0] == 1000 and times[-1] == 1 and len(times) <= steps
    assert all(t > s for t, s in zip(times, times[1:]))
    log_snr = schedule.snr(schedule.steps).log()
    wanted = torch.linspace(log_snr[-1], log_snr[0], steps, dtype=torch.float64)
    for value in wanted:  # nothing stands nearer to where a step should be than one of the steps
        nearest = (log_snr[torch.tensor(times) - 1] - value).abs().min()
        assert nearest == (log_snr - value).abs().min()


def test_even_in_log_snr_is_even_where_the_schedule_is() -> None:
    schedule = even_schedule(61)
    assert even_in_log_snr(schedule, 13) == list(range(61, 0, -5))
    assert even_in_log_snr(schedule, 61) == list(range(61, 0, -1))
    assert even_in_log_snr(schedule, 1) == [61]
    with pytest.raises(InputError, match="steps = 62"):
        even_in_log_snr(schedule, 62)
