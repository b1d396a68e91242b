"""Samplers: the published algorithms written out, noise in the right places, and the right law at the end."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from diffcourse.diffusion import process
from diffcourse.diffusion.exact import GaussianMixture
from diffcourse.diffusion.sample import Denoiser, sample_ddim, sample_ddpm, subsequence
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
}
every_sampler = pytest.mark.parametrize("sampler", EVERY.values(), ids=EVERY)
random_sampler = pytest.mark.parametrize(
    "sampler", [s for name, s in EVERY.items() if name != "ddim"], ids=[name for name in EVERY if name != "ddim"]
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


@pytest.mark.parametrize(("eta", "generator"), [(-0.1, seeded()), (-0.1, None), (0.5, None)])
def test_eta_and_generator_must_fit(eta: float, generator: torch.Generator | None) -> None:
    with pytest.raises(InputError, match=f"eta = {eta}"):
        sample_ddim(SOME, toy, noise(2, 3), steps=5, eta=eta, generator=generator)


# The law of what comes out, with exact denoisers


def exact(mixture: GaussianMixture, schedule: Schedule) -> Denoiser:
    return lambda xt, t: mixture.predict_eps(schedule, xt, t)


def mixture_1d(weight: list[float], mean: list[float], std: float) -> GaussianMixture:
    doubles = {"dtype": torch.float64}
    return GaussianMixture(torch.tensor(weight, **doubles), torch.tensor(mean, **doubles)[:, None], std)


@pytest.mark.parametrize("steps", [1, 3, 10, T])
def test_one_point_is_hit_and_the_way_there_is_q(steps: int) -> None:
    """For data of one point beta-tilde is the exact variance: every state has the law q(x_s | x_0), for any steps."""
    n, point = 20_000, 0.4
    marginals: dict[int, Tensor] = {}
    x_T = process.q_sample(SOME, torch.full((n, 1), point, dtype=torch.float64), T, noise(n, 1))
    result = sample_ddpm(
        SOME, exact(mixture_1d([1.0], [point], 0.0), SOME), x_T, generator=seeded(), steps=steps,
        watch=lambda s, x, x0_hat: marginals.update({s: x.clone()}),
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
