"""The core against an independent implementation, the schedulers of Hugging Face's diffusers.

Where the two differ on purpose or by convention:

- diffusers counts steps from 0; its step k is our t = k + 1.
- It builds its tables in float32. They are compared as such once; then our float64 tables take their place, so that
  everything else can agree to the last digits.
- Its DPM-Solver++ casts what it is given to float32. So its update is called directly, with float64 numbers.
- Its Heun works with x / sqrt(alpha_bar), and calls r = sqrt(1 / SNR) sigma.
- Its DDPM holds the posterior variance above 1e-20, and adds noise at each step but k = 0. A walk over a subset of the
  steps ends at k > 0, so that diffusers adds noise to its final image: 1e-10 of it with the posterior variance, which
  is less than the tolerance, but a whole beta with the other. We add none at the last step, whichever it is.
"""

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler, HeunDiscreteScheduler
from torch import Tensor

from diffcourse.diffusion import process
from diffcourse.diffusion.sample import even_in_log_snr, sample_ddim, sample_ddpm, sample_dpm_solver, sample_heun, subsequence
from diffcourse.diffusion.schedule import Schedule, cosine, linear

T = 60
SCHEDULES = {"linear": linear(T, 1e-3, 0.2), "cosine": cosine(T)}
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
both_clips = pytest.mark.parametrize("clip", [False, True], ids=["no clip", "clip"])


def toy(xt: Tensor, t: Tensor) -> Tensor:
    """A nonlinear float64 denoiser, different at each step, whose guesses of x_0 leave [-1, 1] now and then."""
    return 0.8 * xt + 0.4 * torch.tanh(xt * (1 + process.expand(t, xt) / T)) - 0.1


def noise(seed: int = 0) -> Tensor:
    return torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def with_our_table(theirs, schedule: Schedule):
    """diffusers' scheduler with our float64 numbers in place of its float32 ones."""
    theirs.betas = schedule.beta(schedule.steps)
    theirs.alphas = schedule.alpha(schedule.steps)
    theirs.alphas_cumprod = schedule.alpha_bar(schedule.steps)
    return theirs


def ddpm(schedule: Schedule, **options) -> DDPMScheduler:
    return with_our_table(DDPMScheduler(schedule.T, timestep_spacing="trailing", **options), schedule)


def ddim(schedule: Schedule, **options) -> DDIMScheduler:
    options = {"timestep_spacing": "trailing", "set_alpha_to_one": True, **options}
    return with_our_table(DDIMScheduler(schedule.T, **options), schedule)


def their_walk(theirs, x: Tensor, **options) -> tuple[Tensor, Tensor]:
    """Each state that diffusers reaches, and each guess of x_0 on the way."""
    states, guesses = [], []
    for k in theirs.timesteps.tolist():
        out = theirs.step(toy(x, torch.full((len(x),), k + 1)), k, x, **options)
        x = out.prev_sample
        states.append(x)
        guesses.append(out.pred_original_sample)
    return torch.stack(states), torch.stack(guesses)


def our_walk(sampler, schedule: Schedule, x: Tensor, **options) -> tuple[Tensor, Tensor]:
    states, guesses = [], []

    def watch(s: int, x: Tensor, x0_hat: Tensor) -> None:
        states.append(x)
        guesses.append(x0_hat)

    sampler(schedule, toy, x, watch=watch, **options)
    return torch.stack(states), torch.stack(guesses)


def agree(a: Tensor, b: Tensor, tolerance: float = 1e-10) -> bool:
    return a.dtype == b.dtype == torch.float64 and torch.allclose(a, b, rtol=tolerance, atol=tolerance)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(11)


# Tables


@pytest.mark.parametrize("length", [1, 50, 1000])
@pytest.mark.parametrize(("make", "name"), [(linear, "linear"), (cosine, "squaredcos_cap_v2")])
def test_schedules(make, name: str, length: int) -> None:
    theirs, ours = DDPMScheduler(length, beta_schedule=name), make(length)
    assert theirs.betas.dtype == torch.float32
    assert torch.allclose(ours.beta(ours.steps), theirs.betas.double(), rtol=1e-6, atol=0)
    # 1 - beta loses digits in float32 where beta is close to 1, and the product gathers the errors of 1000 factors.
    assert torch.allclose(ours.alpha_bar(ours.steps), theirs.alphas_cumprod.double(), rtol=1e-4, atol=0)


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 25, 50, 333, 999, 1000])
def test_trailing_steps(steps: int) -> None:
    theirs = DDPMScheduler(1000, timestep_spacing="trailing")
    theirs.set_timesteps(steps)
    assert subsequence(1000, steps) == (theirs.timesteps + 1).tolist()


# Single formulas


@every_schedule
def test_noisy_images_and_velocity(schedule: Schedule) -> None:
    theirs, k = ddpm(schedule), torch.arange(T)
    x0 = torch.linspace(-1, 1, T * 3, dtype=torch.float64).reshape(T, 3)
    eps = torch.randn(T, 3, generator=seeded(), dtype=torch.float64)
    assert agree(process.q_sample(schedule, x0, k + 1, eps), theirs.add_noise(x0, eps, k), 1e-13)
    assert agree(process.velocity(schedule, x0, k + 1, eps), theirs.get_velocity(x0, eps, k), 1e-13)


@every_schedule
@pytest.mark.parametrize("steps", [6, 15, T])
def test_posterior_variance(schedule: Schedule, steps: int) -> None:
    theirs = ddpm(schedule)
    theirs.set_timesteps(steps)
    times = subsequence(T, steps)
    for t, s in zip(times, times[1:] + [0]):
        ours = process.q_posterior(schedule, noise(), noise(), t, s).variance
        held = ours.clamp(min=1e-20)
        assert theirs._get_variance(t - 1).item() == pytest.approx(held.item(), rel=1e-12, abs=0)


# Walks


@every_schedule
@both_clips
@pytest.mark.parametrize("steps", [7, 15, T])
@pytest.mark.parametrize(("sigma", "variance_type"), [("posterior", "fixed_small"), ("beta", "fixed_large")])
def test_ddpm(schedule: Schedule, clip: bool, steps: int, sigma: str, variance_type: str) -> None:
    theirs = ddpm(schedule, clip_sample=clip, variance_type=variance_type)
    theirs.set_timesteps(timesteps=[t - 1 for t in subsequence(T, steps)])
    expected, guesses = their_walk(theirs, noise(), generator=seeded())
    found, x0_hat = our_walk(sample_ddpm, schedule, noise(), generator=seeded(), steps=steps, sigma=sigma, clip=clip)
    if sigma == "beta" and steps < T:  # diffusers' noisy last step, see above
        assert not agree(found[-1], expected[-1], 1e-3)
        # z is the last of the draws, which only diffusers makes.
        generator = seeded()
        *_, z = (torch.randn(noise().shape, generator=generator, dtype=torch.float64) for _ in range(steps))
        beta = 1 - schedule.alpha_bar(subsequence(T, steps)[-1])
        expected[-1] -= beta.sqrt() * z
    assert agree(found, expected, 1e-9)
    assert agree(x0_hat, guesses, 1e-9)
    assert clip == (guesses.abs().max() <= 1)  # so that clipping had something to do


@every_schedule
@both_clips
@pytest.mark.parametrize("steps", [6, 15, T])  # diffusers' DDIM knows only divisors of T
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("rederive", [False, True], ids=["eps kept", "eps rederived"])
def test_ddim(schedule: Schedule, clip: bool, steps: int, eta: float, rederive: bool) -> None:
    theirs = ddim(schedule, clip_sample=clip)
    theirs.set_timesteps(steps)
    expected, guesses = their_walk(
        theirs, noise(), eta=eta, use_clipped_model_output=rederive, generator=seeded() if eta else None
    )
    found, x0_hat = our_walk(
        sample_ddim, schedule, noise(), generator=seeded() if eta else None, steps=steps, eta=eta, clip=clip,
        rederive_eps=rederive,
    )
    assert agree(found, expected, 1e-9)
    assert agree(x0_hat, guesses, 1e-9)
    assert clip == (guesses.abs().max() <= 1)


def levels(schedule: Schedule, times: list[int]) -> Tensor:
    """diffusers' sigma at each time, then 0."""
    alpha_bar = schedule.alpha_bar(torch.tensor([*times, 0]))
    return ((1 - alpha_bar) / alpha_bar).sqrt()


@every_schedule
@both_clips
@pytest.mark.parametrize("steps", [2, 7, 15])
@pytest.mark.parametrize("spacing", ["t", "log-SNR"])
def test_heun(schedule: Schedule, clip: bool, steps: int, spacing: str) -> None:
    times = subsequence(T, steps) if spacing == "t" else even_in_log_snr(schedule, steps)
    theirs = HeunDiscreteScheduler(T, clip_sample=clip)
    theirs.set_timesteps(timesteps=[t - 1 for t in times])
    sigma = levels(schedule, times)
    theirs.sigmas = torch.cat([sigma[:1], sigma[1:-1].repeat_interleave(2), sigma[-1:]])
    scaled, expected = noise() / schedule.alpha_bar(T).sqrt(), []
    for call, k in enumerate(theirs.timesteps.long().tolist()):
        root = schedule.alpha_bar(k + 1).sqrt()
        scaled = theirs.step(toy(scaled * root, torch.full((4,), k + 1)), k, scaled).prev_sample
        if call % 2 == 1 or call == 2 * len(times) - 2:  # a whole step is done; the last is Euler's, with one call
            expected.append(scaled)
    found, _ = our_walk(sample_heun, schedule, noise(), steps=times, clip=clip)
    ends = schedule.alpha_bar(torch.tensor(times[1:] + [0])).sqrt().reshape(-1, 1, 1, 1)
    assert agree(found, torch.stack(expected) * ends, 1e-9)


@every_schedule
@both_clips
@pytest.mark.parametrize("steps", [3, 7, 15])
@pytest.mark.parametrize("spacing", ["t", "log-SNR"])
def test_dpm_solver(schedule: Schedule, clip: bool, steps: int, spacing: str) -> None:
    times = subsequence(T, steps) if spacing == "t" else even_in_log_snr(schedule, steps)
    theirs = DPMSolverMultistepScheduler(T, algorithm_type="dpmsolver++", solver_type="midpoint")
    theirs.sigmas = levels(schedule, times)
    x, guesses, expected = noise(), [], []
    for theirs._step_index, t in enumerate(times):
        x0 = process.predict_x0(schedule, x, t, toy(x, torch.full((4,), t)))
        guesses.append(x0.clamp(-1, 1) if clip else x0)
        if theirs.step_index in (0, len(times) - 1):  # no guess before; on the way to infinite log-SNR
            x = theirs.dpm_solver_first_order_update(guesses[-1], sample=x)
        else:
            x = theirs.multistep_dpm_solver_second_order_update(guesses, sample=x)
        expected.append(x)
    found, x0_hat = our_walk(sample_dpm_solver, schedule, noise(), steps=times, clip=clip)
    assert agree(found, torch.stack(expected), 1e-9)
    assert agree(x0_hat, torch.stack(guesses), 1e-9)


@every_schedule
@both_clips
@pytest.mark.parametrize("steps", [3, 7, 15])
def test_dpm_solver_with_fresh_noise(schedule: Schedule, clip: bool, steps: int) -> None:
    times = subsequence(T, steps)
    theirs = DPMSolverMultistepScheduler(T, algorithm_type="sde-dpmsolver++", solver_type="midpoint")
    theirs.sigmas = levels(schedule, times)
    x, guesses, expected, generator = noise(), [], [], seeded()
    for theirs._step_index, t in enumerate(times[:-1]):
        x0 = process.predict_x0(schedule, x, t, toy(x, torch.full((4,), t)))
        guesses.append(x0.clamp(-1, 1) if clip else x0)
        fresh = process.standard_normal_like(x, generator)
        if theirs.step_index == 0:
            x = theirs.dpm_solver_first_order_update(guesses[-1], sample=x, noise=fresh)
        else:
            x = theirs.multistep_dpm_solver_second_order_update(guesses, sample=x, noise=fresh)
        expected.append(x)
    found, _ = our_walk(sample_dpm_solver, schedule, noise(), generator=seeded(), steps=times, clip=clip, eta=1.0)
    assert agree(found[:-1], torch.stack(expected), 1e-9)


def test_a_wrong_schedule_would_be_noticed() -> None:
    """The tolerance means something: shifting the table by one step, or float32 numbers in it, break the agreement."""
    schedule = SCHEDULES["linear"]
    found, _ = our_walk(sample_ddim, schedule, noise(), steps=T, clip=False)
    for table in (schedule.alpha_bar(torch.arange(T)), schedule.alpha_bar(schedule.steps).float().double()):
        theirs = ddim(schedule, clip_sample=False)
        theirs.alphas_cumprod = table.clamp(max=1 - 1e-12)  # 1 would divide by zero
        theirs.set_timesteps(T)
        expected, _ = their_walk(theirs, noise())
        assert not agree(found, expected, 1e-9)
