"""The DDPM puts schedule, loss, sampler and network together, can be described in JSON, copied, trained and sampled."""

import copy
import json
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from diffcourse.diffusion import process
from diffcourse.diffusion.sample import SAMPLERS, even_in_log_snr, sample_ddim, sample_ddpm
from diffcourse.diffusion.schedule import SCHEDULES
from diffcourse.errors import InputError
from diffcourse.families import DDPM, DDPMConfig
from diffcourse.families.base import scale, unscale

TINY = DDPMConfig(channels=2, height=4, width=6, T=12, base_width=8, groups=2, heads=2)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(n: int = 4, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (n, 2, 4, 6), generator=seeded(seed), dtype=torch.uint8)


@pytest.fixture
def model() -> DDPM:
    """In eval mode, with every parameter random, so that the network does not return zero."""
    torch.manual_seed(0)
    model = DDPM(TINY).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.2)
    return model


# Configuration and copies


@pytest.mark.parametrize(
    "config",
    [
        DDPMConfig(),
        TINY,
        replace(TINY, schedule="cosine", multipliers=(1, 1, 2), height=8, width=8, blocks=2, attention=(), dropout=0.1),
        replace(TINY, schedule="sigmoid", T=1, multipliers=(1,), height=5, width=3, attention=(0,)),
    ],
)
def test_configuration_survives_json(config: DDPMConfig) -> None:
    model = DDPM(config)
    configuration = json.loads(json.dumps(model.configuration()))
    assert configuration["family"] == "ddpm"
    again = DDPM.from_configuration(configuration)
    assert again.config == config
    assert again.image_shape == model.image_shape == (config.channels, config.height, config.width)
    shapes = {key: value.shape for key, value in model.state_dict().items()}
    assert {key: value.shape for key, value in again.state_dict().items()} == shapes
    again.load_state_dict(model.state_dict())


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_is_the_one_that_was_named(name: str) -> None:
    schedule = DDPM(replace(TINY, schedule=name)).schedule
    assert torch.equal(schedule.beta(schedule.steps), SCHEDULES[name](12).beta(schedule.steps))


def test_copies_are_equal_and_independent(model: DDPM) -> None:
    before = model.sample(2, generator=seeded())
    twin, loaded = copy.deepcopy(model), DDPM.from_configuration(model.configuration()).eval()
    loaded.load_state_dict(model.state_dict())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert torch.equal(twin.sample(2, generator=seeded()), before)
    assert torch.equal(loaded.sample(2, generator=seeded()), before)
    assert not torch.equal(model.sample(2, generator=seeded()), before)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"schedule": "quadratic"}, "unknown schedule 'quadratic'; choose one of linear, cosine, sigmoid"),
        ({"T": 0}, "T = 0"),
        ({"height": 5}, "images of 5x6 pixels do not divide by 2, which 1 halvings"),
        ({"multipliers": (1, 2, 2)}, "images of 4x6 pixels do not divide by 4, which 2 halvings"),
        ({"multipliers": ()}, "multipliers"),
        ({"groups": 3}, "groups=3"),
    ],
    ids=str,
)
def test_bad_configurations_are_refused(change: dict, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        DDPM(replace(TINY, **change))


def test_unknown_entries_of_a_configuration_are_refused() -> None:
    with pytest.raises(InputError, match="no configuration of a ddpm of this version: .*colour"):
        DDPM.from_configuration({**DDPM(TINY).configuration(), "colour": "red"})


# Images as numbers


def test_scale_maps_bytes_to_minus_one_and_one_and_back() -> None:
    every = torch.arange(256, dtype=torch.uint8)
    x = scale(every)
    assert x.dtype == torch.float32
    assert (x[0], x[255]) == (-1, 1)
    assert (x.diff() > 0).all()
    assert torch.equal(unscale(x), every)
    assert unscale(torch.tensor([-9.0, -1.001, 1.001, 9.0])).tolist() == [0, 0, 255, 255]


# Training


def test_a_fresh_model_loses_one() -> None:
    loss = DDPM(TINY).loss(images(200), generator=seeded())
    assert loss.shape == ()
    assert abs(loss.item() - 1) < 4 * (2 / (200 * 48)) ** 0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_loss_is_algorithm_1(model: DDPM, dtype: torch.dtype) -> None:
    """Ho et al. (2020), algorithm 1, with the same draws."""
    model = model.to(dtype)
    generator, batch = seeded(3), images(5)
    t = torch.randint(1, 13, (5,), generator=generator)
    eps = torch.randn(5, 2, 4, 6, generator=generator, dtype=dtype)
    alpha_bar = torch.stack([SCHEDULES["linear"](12).alpha_bar(s) for s in t.tolist()])[:, None, None, None]
    xt = (alpha_bar.sqrt() * (batch / 127.5 - 1) + (1 - alpha_bar).sqrt() * eps).to(dtype)
    expected = (eps - model.net(xt, t)).square().mean()
    loss = model.loss(batch, generator=seeded(3))
    assert loss.dtype == dtype
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_loss_comes_from_the_generator_alone(model: DDPM) -> None:
    state, batch = torch.get_rng_state(), images()
    kept = batch.clone()
    first, again, other = (model.loss(batch, generator=seeded(k)) for k in (1, 1, 2))
    assert first == again and first != other
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(batch, kept)


def test_fifty_steps_lower_the_loss() -> None:
    torch.manual_seed(0)
    model, batch, generator = DDPM(replace(TINY, schedule="cosine")), images(1).expand(16, -1, -1, -1), seeded()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(50):
        optimizer.zero_grad()
        loss = model.loss(batch, generator=generator)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(1, abs=0.2)
    assert sum(losses[-10:]) / 10 < 0.5


# Sampling


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
def test_samples_are_images_and_reproducible(model: DDPM, sampler: str, dtype: torch.dtype) -> None:
    model = model.to(dtype)
    state = torch.get_rng_state()
    first, again, other = (model.sample(3, generator=seeded(k), sampler=sampler) for k in (1, 1, 2))
    assert first.shape == (3, 2, 4, 6) and first.dtype == dtype
    assert first.min() >= -1 and first.max() <= 1
    assert not first.requires_grad
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("sampler", "walk"), [("ddpm", sample_ddpm), ("ddim", sample_ddim)])
@pytest.mark.parametrize("steps", [1, 5, 12, None])
def test_sample_is_the_sampler_with_the_network(model: DDPM, sampler: str, walk, steps: int | None) -> None:
    generator = seeded(1)
    x_T = process.standard_normal_like(torch.zeros(3, 2, 4, 6), generator)
    with torch.no_grad():
        expected = walk(SCHEDULES["linear"](12), model.net, x_T, generator=generator, steps=steps or 12)
    found = model.sample(3, generator=seeded(1), sampler=sampler, steps=steps)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("sampler", ["heun", "dpm-solver"])
@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_samplers_of_second_order_step_evenly_in_log_snr(sampler: str, schedule: str) -> None:
    model = DDPM(replace(TINY, T=1000, schedule=schedule)).eval()
    x_T, reached, progress = torch.randn(2, 2, 4, 6, generator=seeded()), [], []
    found = model.sample(
        2, generator=seeded(), sampler=sampler, steps=8, x_T=x_T,
        watch=lambda s, x, x0_hat: reached.append(s), progress=lambda *calls: progress.append(calls),
    )
    times = even_in_log_snr(model.schedule, 8)
    assert reached == [*times[1:], 0] and progress[-1] == (len(times), len(times))
    assert torch.equal(found, SAMPLERS[sampler][0](model.schedule, model.denoiser(), x_T, steps=times).clamp(-1, 1))


@pytest.mark.parametrize(("sampler", "eta", "same_as"), [
    ("ddim", 0.0, "ddim"), ("dpm-solver", 0.0, "dpm-solver"), ("sde-dpm-solver", 1.0, "sde-dpm-solver"), ("ddim", 1.0, "ddpm"),
])
def test_eta_is_handed_on(model: DDPM, sampler: str, eta: float, same_as: str) -> None:
    found, expected, other = (
        model.sample(3, generator=seeded(1), sampler=kind, steps=5, eta=choice)
        for kind, choice in ((sampler, eta), (same_as, None), (sampler, 0.5))
    )
    assert torch.allclose(found, expected, atol=1e-5)
    assert not torch.allclose(found, other, atol=1e-2)


def test_ddim_takes_fifty_steps_when_not_told() -> None:
    model = DDPM(replace(TINY, T=60)).eval()
    reached: list[int] = []
    model.sample(1, generator=seeded(), sampler="ddim", watch=lambda s, x, x0_hat: reached.append(s))
    assert len(reached) == 50 and reached[-1] == 0


def test_ddim_is_decided_by_the_starting_noise(model: DDPM) -> None:
    x_T = torch.randn(2, 2, 4, 6, generator=seeded(5))
    one, two = (model.sample(2, generator=seeded(k), sampler="ddim", x_T=x_T) for k in (1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, model.sample(2, generator=seeded(1), sampler="ddim", x_T=-x_T))


@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
def test_progress_and_watch_are_told_of_each_step(model: DDPM, sampler: str) -> None:
    progress, reached = [], []
    model.sample(
        1, generator=seeded(), sampler=sampler, steps=4,
        progress=lambda *calls: progress.append(calls), watch=lambda s, x, x0_hat: reached.append(s),
    )
    assert progress == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert reached == [9, 6, 3, 0]


def test_dropout_does_not_disturb_samples_in_eval_mode() -> None:
    torch.manual_seed(0)
    model = DDPM(replace(TINY, dropout=0.5)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.2)
    assert torch.equal(model.sample(2, generator=seeded(1)), model.sample(2, generator=seeded(1)))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"n": 0}, "n = 0"),
        ({"n": -2}, "n = -2"),
        ({"sampler": "euler"}, "unknown sampler 'euler'; choose one of ddpm, ddim, heun"),
        ({"steps": 0}, "steps = 0"),
        ({"steps": 13}, "steps = 13"),
        ({"steps": 13, "sampler": "ddim"}, "steps = 13"),
        ({"eta": 1.0}, "eta = 1: the sampler ddpm has no choice of it; take ddim"),
        ({"eta": 1.0, "sampler": "heun"}, "eta = 1: the sampler heun"),
        ({"eta": 1.2, "sampler": "ddim"}, "eta = 1.2: DDIM takes at most 1"),
        ({"eta": -1.0, "sampler": "sde-dpm-solver"}, "eta = -1: eta is at least 0"),
    ],
    ids=str,
)
def test_bad_requests_are_refused(model: DDPM, options: dict, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        model.sample(**{"n": 1, "generator": seeded(), **options})


def test_noise_of_the_wrong_shape_is_refused() -> None:
    model = DDPM(DDPMConfig(T=4))
    with pytest.raises(InputError, match=r"x_T has shape \[2, 1, 8, 8\]; n = 3 images need \[3, 1, 8, 8\]"):
        model.sample(3, generator=torch.Generator(), x_T=torch.zeros(2, 1, 8, 8))


def test_configuration_of_another_family_is_refused() -> None:
    with pytest.raises(InputError, match="family 'vae', not 'ddpm'"):
        DDPM.from_configuration({"family": "vae"})
