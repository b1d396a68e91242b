"""The PixelCNN: probabilities sum to one, no output sees what comes later, and samples are drawn as the probabilities say."""

import copy
import itertools
import json
import math
import time
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from scipy.stats import chisquare
from torch import Tensor

from diffcourse.config import PixelCNNConfig
from diffcourse.errors import InputError
from diffcourse.families.base import from_levels, level_value, to_levels, unscale
from diffcourse.families.decoders import discretised_logistic_log_prob
from diffcourse.families.pixelcnn import GatedStack, MaskedConv2d, PixelCNN, PlainStack, conv_mask, receptive_field

TINY = PixelCNNConfig(height=4, width=5, levels=5, mixtures=3, features=6, layers=3, head=9, first_kernel=5)
BOTH = pytest.mark.parametrize("output", ["softmax", "logistics"])
GREY_AND_COLOUR = pytest.mark.parametrize("channels", [1, 3])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_model(config: PixelCNNConfig, std: float = 0.5) -> PixelCNN:
    """In float64 and eval mode, with weights so large that the outputs differ much from pixel to pixel."""
    model = PixelCNN(config).double().eval()
    generator = seeded()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(std * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return model


def images(config: PixelCNNConfig, n: int = 4, seed: int = 0) -> Tensor:
    k = torch.randint(config.levels, (n, config.channels, config.height, config.width), generator=seeded(seed))
    return from_levels(k, config.levels)


def every_image(config: PixelCNNConfig) -> Tensor:
    """All levels^(C H W) images."""
    shape = (config.channels, config.height, config.width)
    k = torch.tensor(list(itertools.product(range(config.levels), repeat=math.prod(shape))))
    return from_levels(k.reshape(-1, *shape), config.levels)


# Masks


def test_masks_see_what_comes_before() -> None:
    before = torch.tensor([[1.0, 1, 1], [1, 0, 0], [0, 0, 0]])
    with_own = torch.tensor([[1.0, 1, 1], [1, 1, 0], [0, 0, 0]])
    assert torch.equal(conv_mask("A", 3, 2, 4), before.expand(4, 2, 3, 3))
    assert torch.equal(conv_mask("B", 3, 2, 4), with_own.expand(4, 2, 3, 3))


def test_colours_come_in_sequence() -> None:
    """Row: the colour worked for, red, green, blue; column: the colour seen, at the pixel itself."""
    at_centre = {kind: conv_mask(kind, (1, 3), 6, 3, 3)[:, :, 0, 1] for kind in "AB"}
    assert torch.equal(at_centre["A"], torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0]]).repeat(1, 2))
    assert torch.equal(at_centre["B"], torch.tensor([[1.0, 0, 0], [1, 1, 0], [1, 1, 1]]).repeat(1, 2))


@pytest.mark.parametrize("kernel", [3, (2, 3), (1, 2)])
def test_a_masked_convolution_is_the_same_in_its_three_forms(kernel: int | tuple[int, int]) -> None:
    centre = None if kernel == 3 else (kernel[0] - 1, 1)
    layer = MaskedConv2d("B", 4, 6, kernel, 2, centre).double()
    x = torch.randn(3, 4, 5, 6, generator=seeded(), dtype=torch.float64)
    found = layer(x)
    assert found.shape == (3, 6, 5, 6)
    padded = F.pad(x, layer.around)
    assert torch.allclose(layer.inside(padded), found)
    height, width = layer.kernel_size
    assert torch.allclose(layer.at(padded[:, :, 2 : 2 + height, 3 : 3 + width]), found[:, :, 2, 3])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [(("C", 3, 1, 1), "unknown mask 'C'; choose A or B"), (("A", 3, 4, 6, 3), "4 and 6 channels do not divide among 3 colours")],
)
def test_bad_masks_are_refused(arguments: tuple, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        conv_mask(*arguments)


# What sees what


@BOTH
@GREY_AND_COLOUR
def test_outputs_see_all_that_comes_before_and_nothing_else(output: str, channels: int) -> None:
    """The Jacobian of each value's outputs by each value is strictly lower triangular, in the order of reading, and without a gap
    as far as the layers reach."""
    config = replace(TINY, channels=channels, output=output, layers=4, features=12, head=24)
    net = random_model(config, std=0.3).net
    x = torch.randn(1, channels, 4, 5, generator=seeded(), dtype=torch.float64).requires_grad_()
    colours = channels if output == "softmax" else 1
    out = net(x)[0].unflatten(0, (-1, colours))  # [outputs of one value, colours, H, W]
    mixed = (out * torch.randn(len(out), 1, 1, 1, generator=seeded(1), dtype=torch.float64)).sum(0)
    # What each output depends on, [H, W, colours] by [H, W, C]
    depends = torch.zeros(4, 5, colours, 4, 5, channels, dtype=torch.bool)
    for row, column, colour in itertools.product(range(4), range(5), range(colours)):
        (gradient,) = torch.autograd.grad(mixed[colour, row, column], x, retain_graph=True)
        depends[row, column, colour] = gradient[0].movedim(0, -1) != 0
    value = torch.arange(4 * 5 * channels).reshape(4, 5, channels)
    before = value < value[..., :colours, None, None, None]
    if output == "logistics":  # the pixel as a whole comes next
        before = (value // channels) < (value // channels)[..., :1, None, None, None]
    assert not (depends & ~before).any()
    assert depends[-1, -1].equal(before[-1, -1]) and depends[1, 2].equal(before[1, 2])


def test_the_plain_stack_has_a_blind_spot_and_the_gated_one_has_none() -> None:
    """Layers of 3x3: the plain stack of L reaches L rows up, and to the right as many columns as rows up."""
    row, column = 6, 4
    up, right = row - torch.arange(9)[:, None], torch.arange(9) - column
    before = (up > 0) | ((up == 0) & (right < 0))
    for layers in (1, 2, 5):
        plain = receptive_field(PlainStack((1, 9, 9), layers=layers), row, column)
        assert torch.equal(plain, before & (up <= layers) & (right <= up) & (right >= -layers)), layers
    assert torch.equal(receptive_field(PlainStack((1, 9, 9), layers=20), row, column), before & (right <= up))
    gated = GatedStack((1, 9, 9), outputs=3, features=4, layers=3, first_kernel=3)
    assert torch.equal(receptive_field(gated, row, column), before & (up <= 4) & (right.abs() <= 3))
    assert torch.equal(receptive_field(GatedStack((1, 9, 9), 3, 4, 9), row, column), before)


def test_the_receptive_field_leaves_the_network_alone() -> None:
    stack = PlainStack((3, 5, 5))
    before = copy.deepcopy(stack.state_dict())
    assert receptive_field(stack, 2, 2).shape == (5, 5)
    assert all(torch.equal(value, before[key]) for key, value in stack.state_dict().items())


# Likelihood


@BOTH
@pytest.mark.parametrize(
    "shape",
    [
        {"channels": 1, "height": 1, "width": 2, "levels": 16},
        {"channels": 3, "height": 1, "width": 2, "levels": 3},
        {"channels": 1, "height": 2, "width": 3, "levels": 3},
    ],
    ids=str,
)
def test_probabilities_of_all_images_sum_to_one(output: str, shape: dict) -> None:
    config = replace(TINY, output=output, **shape)
    model, all_images = random_model(config), every_image(config)
    nats = model(all_images, generator=seeded()).per_example * all_images[0].numel()
    p = (-nats).exp()
    assert p.sum().item() == pytest.approx(1, abs=1e-9)
    assert p.max() > 3 * p.mean()  # and not because all are equal
    assert torch.allclose(model.bits_per_dim(all_images) * all_images[0].numel(), -p.log2())


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_a_model_that_knows_nothing_needs_log2_of_the_levels(levels: int) -> None:
    config = replace(TINY, levels=levels)
    model = PixelCNN(config)
    torch.nn.init.zeros_(model.net.last.weight), torch.nn.init.zeros_(model.net.last.bias)
    assert torch.allclose(model.bits_per_dim(images(config)), torch.tensor(math.log2(levels)))


def test_bits_of_logistics_are_those_of_the_distribution_that_was_set() -> None:
    """A network that puts out one logistic, the same for all pixels."""
    config = replace(TINY, output="logistics", mixtures=1)
    model, batch = random_model(config), images(config)
    torch.nn.init.zeros_(model.net.last.weight)
    model.net.last.bias.data = torch.tensor([5.0, 0.3, -1.2]).double()
    mean, log_scale = torch.tensor([0.3, -1.2]).double()
    log_p = discretised_logistic_log_prob(to_levels(batch, 5), mean, log_scale, 5)
    assert torch.allclose(model.bits_per_dim(batch), -log_p.flatten(1).mean(1) / math.log(2))


def test_softmax_is_the_probability_of_each_value_in_its_place() -> None:
    config = replace(TINY, channels=3)
    model, batch = random_model(config), images(replace(TINY, channels=3))
    k = to_levels(batch, 5)
    out = model.net(level_value(k, 5).double())  # channel of colour c and level l: 3 l + c
    for c, row, column in [(0, 0, 0), (1, 2, 3), (2, 3, 4)]:
        p = out[:, c::3, row, column].softmax(1)
        found = model.log_prob(batch)[:, c, row, column].exp()
        assert torch.allclose(found, p.gather(1, k[:, c, row, column, None])[:, 0])


@BOTH
def test_the_first_levels_of_the_components_stand_apart(output: str) -> None:
    """An untrained model is no worse than one that knows nothing by more than a bit."""
    config = replace(TINY, output=output, levels=256, features=32, head=32)
    torch.manual_seed(0)
    assert PixelCNN(config).bits_per_dim(images(config)).mean() < 9


# Sampling


@BOTH
@GREY_AND_COLOUR
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_samples_from_memory_are_those_of_the_whole_network(output: str, channels: int, temperature: float) -> None:
    config = replace(TINY, channels=channels, output=output, levels=6)
    model = random_model(config)
    cached, naive = (model.sample(6, generator=seeded(1), temperature=temperature, cached=c) for c in (True, False))
    assert torch.equal(cached, naive)
    assert cached.shape == (6, channels, 4, 5) and len(cached.unique()) > 3
    assert not torch.equal(cached, model.sample(6, generator=seeded(2), temperature=temperature))
    assert torch.equal(from_levels(to_levels(unscale(cached), 6), 6), unscale(cached))


@BOTH
@pytest.mark.parametrize(
    "shape", [{"height": 1, "width": 2, "levels": 4}, {"height": 1, "width": 1, "levels": 3, "channels": 3}], ids=str
)
def test_samples_follow_the_probabilities(output: str, shape: dict) -> None:
    config = replace(TINY, output=output, **shape)
    model, n = random_model(config, std=0.35), 20_000
    all_images = every_image(config)
    p = model.log_prob(all_images).flatten(1).sum(1).exp().detach()
    drawn = to_levels(unscale(model.sample(n, generator=seeded(3))), config.levels).flatten(1)
    place = sum(drawn[:, -1 - i] * config.levels**i for i in range(drawn.shape[1]))
    found, often = torch.bincount(place, minlength=len(p)).double(), p * n > 5
    rest = [found[~often].sum() + 1e-9], [n * p[~often].sum() + 1e-9]
    assert often.sum() > 4
    assert chisquare([*found[often], *rest[0]], [*(n * p[often]), *rest[1]], sum_check=False).pvalue > 1e-3


@BOTH
def test_low_temperatures_draw_one_value_and_high_ones_many(output: str) -> None:
    model = random_model(replace(TINY, output=output, height=1, width=1, levels=16))
    seen = [len(model.sample(500, generator=seeded(), temperature=t).unique()) for t in (1e-4, 1.0, 5.0)]
    assert seen[0] == 1 < seen[1] <= seen[2]


def test_a_temperature_divides_the_logits_of_a_softmax() -> None:
    model, n = random_model(replace(TINY, height=1, width=1)), 20_000
    drawn = to_levels(unscale(model.sample(n, generator=seeded(), temperature=2.0)), 5)
    p = (model.net(torch.zeros(1, 1, 1, 1).double())[0, :, 0, 0] / 2).softmax(0).detach()
    assert chisquare(torch.bincount(drawn.flatten(), minlength=5), n * p).pvalue > 1e-3


@BOTH
@GREY_AND_COLOUR
@pytest.mark.parametrize("cached", [True, False])
def test_the_first_rows_can_be_given(output: str, channels: int, cached: bool) -> None:
    config = replace(TINY, output=output, channels=channels)
    model = random_model(config)
    top = images(config, 6)[:, :, :2]
    done = model.sample(6, generator=seeded(), top=top, cached=cached)
    assert torch.equal(unscale(done)[:, :, :2], top)
    assert not torch.equal(done[:, :, 2:], model.sample(6, generator=seeded(), cached=cached)[:, :, 2:])
    assert torch.equal(done, model.sample(6, generator=seeded(), top=top, cached=not cached))


def test_samples_come_from_the_generator_alone_and_progress_is_told() -> None:
    model, state, rows = random_model(TINY).float(), torch.get_rng_state(), []
    first, again = (model.sample(2, generator=seeded(1), progress=lambda *r: rows.append(r)) for _ in range(2))
    assert torch.equal(first, again) and not first.requires_grad and first.dtype == torch.float32
    assert torch.equal(torch.get_rng_state(), state)
    assert rows == [(1, 4), (2, 4), (3, 4), (4, 4)] * 2


def test_memory_makes_sampling_ten_times_faster_on_28x28() -> None:
    """A few rows of the slow way are enough to know its speed."""
    model = PixelCNN(PixelCNNConfig(height=28, width=28, features=32, layers=5, head=64)).eval()
    model.sample(1, generator=seeded())
    started = time.process_time()
    model.sample(16, generator=seeded())
    fast = time.process_time() - started
    x, started = torch.zeros(16, 1, 28, 28), time.process_time()
    with torch.no_grad():
        for _ in range(3):
            model.net(x)
    slow = (time.process_time() - started) / 3 * 28 * 28
    assert slow > 10 * fast, (slow, fast)


# Training and its surroundings


@BOTH
@GREY_AND_COLOUR
def test_part_of_a_batch_is_that_part_of_the_losses(output: str, channels: int) -> None:
    config = replace(TINY, output=output, channels=channels)
    model, batch = random_model(config), images(config, 6)
    whole = model(batch, generator=seeded()).per_example
    parts = torch.cat([model(batch, generator=seeded(), part=slice(i, i + 2)).per_example for i in (0, 2, 4)])
    assert whole.shape == (6,) and torch.allclose(whole, parts)


@BOTH
def test_a_few_steps_lower_the_loss(output: str) -> None:
    config = replace(TINY, output=output, features=16, head=16, dropout=0.1)
    torch.manual_seed(0)
    model, batch = PixelCNN(config), images(config, 2).repeat(8, 1, 1, 1)
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=5e-3), []
    for _ in range(40):
        loss = model.loss(batch, generator=seeded())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


@BOTH
def test_half_precision_in_the_network(output: str) -> None:
    config = replace(TINY, output=output, channels=3, levels=256)
    torch.manual_seed(0)
    model, batch = PixelCNN(config), images(config)
    exact = model.loss(batch, generator=seeded())
    with torch.autocast("cpu", torch.bfloat16):
        loss = model.loss(batch, generator=seeded())
    assert loss.dtype == torch.float32 and loss.item() == pytest.approx(exact.item(), rel=0.02)
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize(
    "config",
    [PixelCNNConfig(), replace(TINY, output="logistics", channels=3), replace(TINY, channels=3, dropout=0.3, kernel=5)],
)
def test_configuration_and_copies(config: PixelCNNConfig) -> None:
    torch.manual_seed(0)
    model = PixelCNN(config).eval()
    again = PixelCNN.from_configuration(json.loads(json.dumps(model.configuration()))).eval()
    assert again.config == config
    again.load_state_dict(model.state_dict())
    twin, expected = copy.deepcopy(model), model.sample(2, generator=seeded())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert torch.equal(twin.sample(2, generator=seeded()), expected)
    assert torch.equal(again.sample(2, generator=seeded()), expected)


@BOTH
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)], ids=str)
def test_mnist_and_cifar10_sized_images(output: str, shape: tuple[int, int, int]) -> None:
    config = PixelCNNConfig(*shape, output=output, features=3, layers=2, head=3)
    model, batch = PixelCNN(config).eval(), images(config, 2)
    bits = model.bits_per_dim(batch)
    assert bits.shape == (2,) and bits.isfinite().all()
    assert model.sample(1, generator=seeded()).shape == (1, *shape)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"output": "gaussian"}, "unknown output 'gaussian'; choose one of softmax, logistics"),
        ({"levels": 1}, "levels = 1: give at least 2"),
        ({"layers": 0}, "layers = 0: give at least 1"),
        ({"mixtures": 0}, "mixtures = 0: give at least 1"),
        ({"kernel": 4}, "kernel = 4: give an odd number"),
        ({"first_kernel": 1}, "first_kernel = 1: give an odd number from 3 on"),
        ({"dropout": 1.0}, "dropout = 1: give a share"),
        ({"channels": 3, "features": 8}, "do not divide among 3 colours"),
    ],
    ids=str,
)
def test_bad_configurations_are_refused(change: dict, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        PixelCNN(replace(TINY, **change))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"n": 0}, "n = 0: ask for at least one image"),
        ({"temperature": 0.0}, "temperature = 0: give a number above 0"),
        ({"temperature": float("nan")}, "temperature = nan"),
        ({"top": torch.zeros(2, 1, 5, 5, dtype=torch.uint8)}, r"top has shape \[2, 1, 5, 5\]: give rows, \[2, 1, at most 4, 5\]"),
        ({"top": torch.zeros(1, 1, 2, 5, dtype=torch.uint8)}, r"top has shape \[1, 1, 2, 5\]"),
    ],
    ids=str,
)
def test_bad_requests_are_refused(options: dict, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        PixelCNN(TINY).sample(**{"n": 2, "generator": seeded(), **options})


def test_images_of_another_shape_or_other_levels_are_refused() -> None:
    model = PixelCNN(TINY)
    with pytest.raises(InputError, match=r"images of \[3, 4, 5\] values: this model is of images \[1, 4, 5\]"):
        model.loss(torch.zeros(2, 3, 4, 5, dtype=torch.uint8), generator=seeded())
    with pytest.raises(InputError, match="other values than 5 evenly spaced grey levels"):
        model.bits_per_dim(torch.full((1, 1, 4, 5), 3, dtype=torch.uint8))
