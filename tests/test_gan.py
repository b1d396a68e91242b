"""The GAN: each player learns from its own loss alone, the remedies do what they say, latents decide the images."""

import copy
import json
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from diffcourse.config import TrainConfig
from diffcourse.data import ImageData, toy_images
from diffcourse.errors import InputError
from diffcourse.families.base import scale, to_levels, unscale
from diffcourse.families.gan import GAN, LOSSES, GANConfig, discriminator_loss, generator_loss, slerp
from diffcourse.training import checkpoint, train
from diffcourse.training.flops import training_flops

TINY = GANConfig(channels=2, height=4, width=8, latent=5, base_width=4, multipliers=(1, 2), hidden=(7,), groups=2)
SHAPES = {
    "digits": GANConfig(),
    "two pixels": GANConfig(height=1, width=2, latent=2, multipliers=(), hidden=(9, 9)),
    "MNIST": GANConfig(height=28, width=28, base_width=8),
    "CIFAR-10": GANConfig(channels=3, height=32, width=32, base_width=8, multipliers=(1, 1, 2)),
    "spectral": replace(TINY, remedy="spectral"),
    "one level": replace(TINY, multipliers=(1,), hidden=(), remedy="none", loss="original"),
}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(n: int = 6, config: GANConfig = TINY) -> Tensor:
    shape = (n, config.channels, config.height, config.width)
    return torch.randint(0, 256, shape, generator=seeded(), dtype=torch.uint8)


def model_of(config: GANConfig = TINY, **changes: object) -> GAN:
    torch.manual_seed(0)
    return GAN(replace(config, **changes))


# The losses


def test_losses_are_what_the_game_says() -> None:
    real, fake = torch.randn(2, 9, generator=seeded(), dtype=torch.float64)
    D_real, D_fake = real.sigmoid(), fake.sigmoid()
    assert torch.allclose(discriminator_loss(real, fake), -D_real.log() - (1 - D_fake).log())
    assert torch.allclose(generator_loss(fake, "original"), (1 - D_fake).log())
    assert torch.allclose(generator_loss(fake, "non-saturating"), -D_fake.log())


def test_losses_stay_finite_where_the_probability_is_zero() -> None:
    certain = torch.tensor([-200.0, 200.0])
    for losses in (discriminator_loss(certain, -certain), generator_loss(certain), generator_loss(certain, "original")):
        assert losses.isfinite().all()


def test_only_the_original_loss_saturates_where_the_discriminator_is_sure() -> None:
    logit = torch.tensor(-12.0, dtype=torch.float64, requires_grad=True)
    slopes = [torch.autograd.grad(generator_loss(logit, name), logit)[0].item() for name in LOSSES[::-1]]
    assert abs(slopes[0]) < 1e-5 and slopes[1] == pytest.approx(-1, abs=1e-5)


@pytest.mark.parametrize("loss", ["original", "non-saturating"])
@pytest.mark.parametrize("remedy", ["none", "spectral", "r1"])
def test_one_backward_gives_each_player_the_gradient_of_its_own_loss(loss: str, remedy: str) -> None:
    """Beside the two textbook steps, each with the other player frozen."""
    model = model_of(loss=loss, remedy=remedy).double().eval()  # without the power iterations of training
    model.loss(images(), generator=seeded()).backward()

    alone = copy.deepcopy(model)
    alone.zero_grad()
    z = torch.randn(6, 5, generator=seeded(), dtype=torch.float64)
    x = scale(images()).double().requires_grad_()
    with torch.no_grad():
        fake = alone.generator(z)
    real_logit, fake_logit = alone.discriminator(x), alone.discriminator(fake)
    value = (real_logit.sigmoid().log() + (1 - fake_logit.sigmoid()).log()).mean()
    if remedy == "r1":
        (slope,) = torch.autograd.grad(real_logit.sum(), x, create_graph=True)
        value = value - alone.config.gamma / 2 * slope.pow(2).sum() / len(x)
    (-value).backward()
    expected = {f"discriminator.{name}": p.grad for name, p in alone.discriminator.named_parameters()}

    alone.discriminator.requires_grad_(False)
    D = alone.discriminator(alone.generator(z)).sigmoid()
    ((1 - D).log() if loss == "original" else -D.log()).mean().backward()
    expected |= {f"generator.{name}": p.grad for name, p in alone.generator.named_parameters()}

    assert {name for name, _ in model.named_parameters()} == expected.keys()
    for name, parameter in model.named_parameters():
        assert torch.allclose(parameter.grad, expected[name], rtol=1e-9, atol=1e-12), name


def test_one_player_does_not_move_the_other() -> None:
    model = model_of()
    players = model.players(images(), generator=seeded())
    for loss, other in ((players.discriminator, model.generator), (players.generator, model.discriminator)):
        gradients = torch.autograd.grad(loss.sum(), list(other.parameters()), allow_unused=True, retain_graph=True)
        assert gradients == (None,) * len(gradients)


# The remedies


def test_the_slope_of_the_penalty_is_that_of_finite_differences() -> None:
    model = model_of(gamma=3.0).double()
    x = scale(images(2)).double()
    judged, penalty = model.judge_with_slope(x)
    assert torch.allclose(judged, model.discriminator(x))
    step = 1e-6 * torch.eye(x[0].numel(), dtype=torch.float64).reshape(-1, *x.shape[1:])
    slope = torch.stack([(model.discriminator(one + step) - model.discriminator(one - step)) / 2e-6 for one in x])
    assert torch.allclose(penalty, 3.0 / 2 * slope.square().sum(1), rtol=1e-5)


def test_the_penalty_is_there_without_gradients_too() -> None:
    model = model_of()
    with torch.no_grad():
        quiet = model.loss(images(), generator=seeded())
    assert not quiet.requires_grad and torch.allclose(quiet, model.loss(images(), generator=seeded()))


def test_spectral_normalisation_bounds_every_layer_and_the_slope_of_the_whole() -> None:
    model = model_of(remedy="spectral", multipliers=(), hidden=(20, 20))
    with torch.no_grad():
        for parameter in model.discriminator.parameters():
            parameter.mul_(5)
    for _ in range(100):  # power iterations
        model.discriminator(scale(images()))
    layers = [layer for layer in model.discriminator.modules() if isinstance(layer, nn.Linear)]
    assert len(layers) == 3
    for layer in layers:
        assert torch.linalg.matrix_norm(layer.weight, 2).item() == pytest.approx(1, abs=1e-3)
    a, b = torch.randn(2, 500, 2, 4, 8, generator=seeded())
    change = (model.discriminator(a) - model.discriminator(b)).abs()
    assert (change <= 1.001 * (a - b).flatten(1).norm(dim=1)).all()


@pytest.mark.parametrize("remedy", ["r1", "spectral"])
def test_counting_operations_leaves_the_model_as_it_was(remedy: str) -> None:
    model = model_of(remedy=remedy).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert training_flops(model, torch.device("cpu")) > 0
    assert model.training and all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


# The interface


@pytest.mark.parametrize("config", SHAPES.values(), ids=SHAPES)
def test_every_shape_trains_and_samples(config: GANConfig) -> None:
    model = model_of(config)
    losses = model(images(3, config), generator=seeded())
    losses.per_example.mean().backward()
    assert losses.per_example.shape == (3,) and losses.time is None
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    samples = model.sample(2, generator=seeded())
    assert samples.shape == (2, *model.image_shape) and samples.abs().max() <= 1 and not samples.requires_grad


def test_halvings_and_widths_are_those_asked_for() -> None:
    model = model_of(GANConfig(height=16, width=24, base_width=16, multipliers=(1, 2, 3), groups=8))
    assert model.generator.start == (48, 2, 3)
    ups = [layer for layer in model.generator.layers if isinstance(layer, nn.ConvTranspose2d)]
    downs = [layer for layer in model.discriminator.layers if isinstance(layer, nn.Conv2d)]
    assert [layer.in_channels for layer in ups] == [layer.out_channels for layer in downs][::-1] == [48, 32, 16]
    assert all(layer.stride == (2, 2) for layer in ups + downs)


def test_without_halvings_both_are_fully_connected() -> None:
    model = model_of(multipliers=())
    kinds = {type(layer) for layer in model.modules() if not list(layer.children())}
    assert kinds == {nn.Linear, nn.ReLU, nn.LeakyReLU, nn.Flatten, nn.Tanh}


@pytest.mark.parametrize("remedy", ["r1", "spectral"])
def test_parts_of_a_batch_give_what_the_whole_gives(remedy: str) -> None:
    model = model_of(remedy=remedy).double().eval()
    whole = model(images(6), generator=seeded()).per_example
    parts = [model(images(6), generator=seeded(), part=slice(i, i + 2)).per_example for i in (0, 2, 4)]
    assert torch.allclose(torch.cat(parts), whole)


def test_an_image_does_not_depend_on_its_neighbours() -> None:
    model = model_of().double()
    z = torch.randn(4, 5, generator=seeded(), dtype=torch.float64)
    together = model.sample(4, generator=seeded(), latents=z)
    assert torch.allclose(torch.cat([model.sample(1, generator=seeded(), latents=one[None]) for one in z]), together)


def test_latents_decide_the_image() -> None:
    model = model_of()
    z = torch.randn(3, 5, generator=seeded(7))
    assert torch.equal(model.sample(3, generator=seeded(7)), model.sample(3, generator=seeded(1), latents=z))
    calls = []
    model.sample(3, generator=seeded(), progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 1)]


@pytest.mark.parametrize("levels", [2, 17])
def test_samples_have_the_grey_levels_of_the_images(levels: int) -> None:
    samples = model_of(levels=levels).sample(20, generator=seeded())
    exact = model_of().sample(20, generator=seeded())
    assert len(to_levels(unscale(samples), levels).unique()) > 1  # refuses all other values
    assert (samples - exact).abs().max() <= 1 / (levels - 1) + 1 / 255


def test_there_is_no_likelihood() -> None:
    model = model_of()
    assert model.bits_per_dim(images(), generator=seeded()) is None and model.bound(images(), generator=seeded()) is None


@pytest.mark.parametrize("config", SHAPES.values(), ids=SHAPES)
def test_copies_are_equal_and_independent(config: GANConfig) -> None:
    model = model_of(config).eval()
    before = model.discriminator(scale(images(3, config))), model.sample(2, generator=seeded())
    twin = copy.deepcopy(model)
    loaded = GAN.from_configuration(json.loads(json.dumps(model.configuration()))).eval()
    loaded.load_state_dict(model.state_dict())
    assert loaded.config == config
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    for other in (twin, loaded):
        assert torch.equal(other.discriminator(scale(images(3, config))), before[0])
        assert torch.equal(other.sample(2, generator=seeded()), before[1])


@pytest.mark.parametrize("remedy", ["r1", "spectral"])
def test_half_precision(remedy: str) -> None:
    model = model_of(remedy=remedy)
    with torch.autocast("cpu", torch.bfloat16):
        losses = model(images(), generator=seeded()).per_example
    losses.mean().backward()
    assert torch.allclose(losses.float(), model(images(), generator=seeded()).per_example, atol=0.1)
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_compiled_networks_train_with_the_penalty() -> None:
    """Up to where code would be generated, which takes a minute; second derivatives fail before that."""
    model = model_of(SHAPES["two pixels"])
    plain = model.loss(images(3, model.config), generator=seeded())
    for network in model.children():
        network.compile(backend="aot_eager")
    compiled = model.loss(images(3, model.config), generator=seeded())
    compiled.backward()
    assert torch.allclose(compiled, plain) and all(p.grad is not None for p in model.parameters())


# Training


def toy_training(**changes: object) -> TrainConfig:
    usual = {"steps": 150, "batch": 32, "momentum": 0.0, "weight_decay": 0.0, "ema_decay": 0.9, "warmup_steps": 1}
    return TrainConfig(**{**usual, **changes})


@pytest.mark.parametrize("remedy", ["r1", "spectral"])
def test_a_discriminator_alone_learns_to_tell(remedy: str) -> None:
    """Its loss falls well below 2 log 2, the loss of guessing."""
    model = model_of(GANConfig(height=1, width=2, latent=2, multipliers=(), hidden=(16,), remedy=remedy, gamma=0.01))
    data = toy_images("eight_gaussians", 256, seeded())
    optimizer = torch.optim.Adam(model.discriminator.parameters(), lr=0.01)
    losses = []
    for step in range(60):
        loss = model.players(data.images, generator=seeded(step)).discriminator.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0] and losses[-1] < 0.9 * 1.386


@pytest.mark.parametrize("remedy", ["r1", "spectral"])
def test_the_common_loop_moves_the_samples_to_the_data(remedy: str, tmp_path) -> None:
    """Data of one colour, which the generator has to find."""
    torch.manual_seed(0)
    grey = torch.full((64, 1, 1, 2), 220, dtype=torch.uint8)
    data = ImageData(grey, torch.zeros(64, dtype=torch.int64), ("one",), "one")
    config = GANConfig(height=1, width=2, latent=2, multipliers=(), hidden=(16,), remedy=remedy)
    target = scale(data.images[:1])
    model = GAN(config)
    before = (model.sample(100, generator=seeded()) - target).abs().mean()
    run = train(model, data, toy_training(learning_rate=0.01), tmp_path / "run", progress=False)
    assert (run.model.sample(100, generator=seeded()) - target).abs().mean() < 0.4 * before


@pytest.mark.parametrize("remedy", ["r1", "spectral"])
def test_a_resumed_run_ends_with_the_same_bits(remedy: str, tmp_path) -> None:
    data = toy_images("eight_gaussians", 64, seeded())
    config = GANConfig(height=1, width=2, latent=2, multipliers=(), hidden=(8,), remedy=remedy)

    def run(out: str, steps: int, resume: bool = False) -> None:
        torch.manual_seed(0)
        train(GAN(config), data, toy_training(steps=steps, decay="none"), tmp_path / out, resume=resume, progress=False)

    run("whole", 6)
    run("parts", 3)
    run("parts", 6, resume=True)
    whole, parts = (checkpoint.load(tmp_path / name / "checkpoint.pt") for name in ("whole", "parts"))
    for key in ("weights", "average"):
        assert all(torch.equal(value, parts[key][name]) for name, value in whole[key].items())


def test_a_deep_generator_starts_with_features_of_size_one_and_so_off_the_flat_ends_of_the_tanh() -> None:
    torch.manual_seed(0)
    generator = GAN(replace(TINY, channels=1, height=32, width=32, base_width=64, multipliers=(1, 2, 4))).generator
    x = generator.linear(torch.randn(64, TINY.latent)).unflatten(1, generator.start)
    for layer in generator.layers:
        x = layer(x)
        if isinstance(layer, nn.ConvTranspose2d):
            assert 0.7 < x.std().item() < 1.2  # a little less than 1, as at the border half of the kernel meets nothing


# Between latents


def test_slerp_keeps_to_the_great_circle_at_even_speed() -> None:
    a, b = torch.randn(2, 10, 16, generator=seeded(), dtype=torch.float64)
    a, b = a / a.norm(dim=1, keepdim=True), b / b.norm(dim=1, keepdim=True)
    way = torch.stack([slerp(a, b, k / 8) for k in range(9)])
    assert torch.allclose(way[0], a) and torch.allclose(way[-1], b)
    assert torch.allclose(way.norm(dim=2), torch.ones(9, 10, dtype=torch.float64))
    steps = (way[1:] * way[:-1]).sum(2).acos()
    assert torch.allclose(steps, (a * b).sum(1).acos() / 8 * torch.ones(8, 1, dtype=torch.float64))


def test_slerp_of_different_lengths_and_of_equal_points() -> None:
    a = torch.tensor([[3.0, 0.0], [1.0, 2.0]])
    b = torch.tensor([[0.0, 5.0], [1.0, 2.0]])
    half = 4 / 2**0.5
    assert torch.allclose(slerp(a, b, 0.5), torch.tensor([[half, half], [1.0, 2.0]]))
    shares = torch.tensor([[0.0], [1.0]])
    assert torch.allclose(slerp(a, b, shares), torch.stack([a[0], b[1]]))


# Bad input


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "hinge"}, "unknown loss 'hinge'; choose one of non-saturating, original"),
        ({"remedy": "prayer"}, "unknown remedy 'prayer'; choose one of r1, spectral, none"),
        ({"latent": 0}, "latent = 0: give at least 1"),
        ({"levels": 1}, "levels = 1: give at least 2"),
        ({"hidden": (8, 0)}, r"hidden = \[8, 0\]: give numbers of at least 1"),
        ({"multipliers": (0,)}, r"multipliers = \[0\]: give numbers of at least 1"),
        ({"gamma": 0.0}, "gamma = 0: give a number above 0, or take another remedy"),
        ({"groups": 3}, r"a level of [48] channels does not divide into groups = 3"),
        ({"height": 6}, "images of 6x8 pixels do not divide by 4, which 2 halvings ask for; pad them"),
    ],
)
def test_a_configuration_that_cannot_be_built(changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        GAN(replace(TINY, **changes))


def test_samples_that_cannot_be_drawn() -> None:
    with pytest.raises(InputError, match="n = 0: ask for at least one image"):
        model_of().sample(0, generator=seeded())
    with pytest.raises(InputError, match=r"latents have shape \[2, 4\]; n = 2 images need \[2, 5\]"):
        model_of().sample(2, generator=seeded(), latents=torch.zeros(2, 4))
