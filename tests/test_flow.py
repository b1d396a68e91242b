"""Flows can be undone, their log-determinants are those of their Jacobians, and their densities integrate to one."""

import copy
import json
import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from diffcourse.config import FlowConfig
from diffcourse.errors import InputError
from diffcourse.families.base import from_levels, to_levels, unscale
from diffcourse.families.flow import (
    ActNorm,
    AffineCoupling,
    Chain,
    Flow,
    Inverse,
    InvertibleConv1x1,
    Logit,
    Split,
    Squeeze,
)

SMALL = FlowConfig(channels=1, height=4, width=4, levels=17, couplings=2, hidden=8)
CONFIGS = {
    "nice": replace(SMALL, kind="nice", scales=0, couplings=4),
    "realnvp": replace(SMALL, kind="realnvp", scales=1),
    "realnvp, two scales": replace(SMALL, kind="realnvp", scales=2, couplings=1),
    "glow": replace(SMALL, kind="glow", scales=1),
    "glow, two scales": replace(SMALL, kind="glow", scales=2),
    "glow, no logit": replace(SMALL, kind="glow", scales=1, margin=0.0),
    "glow in colour": replace(SMALL, kind="glow", channels=3, scales=1, couplings=1),
    "realnvp in colour": replace(SMALL, kind="realnvp", channels=3, scales=1, couplings=1),
    "two pixels, nice": FlowConfig(height=1, width=2, kind="nice", scales=0, couplings=4, hidden=8),
    "two pixels, realnvp": FlowConfig(height=1, width=2, kind="realnvp", scales=0, couplings=4, hidden=8),
    "two pixels, glow": FlowConfig(height=1, width=2, kind="glow", scales=0, couplings=4, hidden=8),
}
TWO_PIXELS = [name for name in CONFIGS if name.startswith("two pixels")]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def stirred(module: nn.Module, std: float = 0.3, seed: int = 0) -> nn.Module:
    """The module in float64 and eval mode with noise on every parameter, so that no coupling is the identity."""
    module = module.double().eval()
    generator = seeded(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += std * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
    return module


def model_of(name: str, std: float = 0.3) -> Flow:
    torch.manual_seed(0)
    return stirred(Flow(CONFIGS[name]), std)


def images_for(config: FlowConfig, n: int = 4, seed: int = 0) -> Tensor:
    k = torch.randint(config.levels, (n, config.channels, config.height, config.width), generator=seeded(seed))
    return from_levels(k, config.levels)


def coupling(c: int = 4, h: int = 2, w: int = 3, **options) -> AffineCoupling:
    return AffineCoupling(c, h, w, hidden=5, **options)


LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int]]] = {
    "channel coupling": (lambda: coupling(), (4, 2, 3)),
    "channel coupling, flipped, odd channels": (lambda: coupling(5, flip=True), (5, 2, 3)),
    "checkerboard coupling": (lambda: coupling(2, mask="checkerboard"), (2, 2, 3)),
    "checkerboard coupling, flipped": (lambda: coupling(1, 1, 2, mask="checkerboard", flip=True), (1, 1, 2)),
    "additive coupling": (lambda: coupling(scale=False), (4, 2, 3)),
    "additive checkerboard coupling": (lambda: coupling(1, 3, 3, mask="checkerboard", scale=False), (1, 3, 3)),
    "coupling without hidden layers": (lambda: coupling(depth=0), (4, 2, 3)),
    "coupling of single pixels": (lambda: coupling(4, 1, 1), (4, 1, 1)),
    "actnorm": (lambda: ActNorm((3, 1, 1)), (3, 2, 3)),
    "actnorm of each value": (lambda: ActNorm((3, 2, 2)), (3, 2, 2)),
    "1x1 convolution": (lambda: InvertibleConv1x1(4), (4, 2, 3)),
    "squeeze": (lambda: Squeeze(), (2, 4, 2)),
    "unsqueeze": (lambda: Inverse(Squeeze()), (8, 2, 1)),
    "logit": (lambda: Logit(0.05), (2, 2, 3)),
    "inverse of a coupling": (lambda: Inverse(coupling()), (4, 2, 3)),
    "split": (lambda: Split(coupling(2)), (4, 2, 3)),
    "chain": (lambda: Chain([ActNorm((4, 1, 1)), coupling(), InvertibleConv1x1(4), coupling(flip=True)]), (4, 2, 3)),
    **{
        f"whole model, {name}": (lambda c=c: Flow(c).layers, (c.channels, c.height, c.width))
        for name, c in CONFIGS.items()
    },
}


# What makes a flow a flow, of every layer and every model


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_can_be_undone_and_tells_its_log_determinant(name: str) -> None:
    make, shape = LAYERS[name]
    torch.manual_seed(0)
    layer = stirred(make())
    x = torch.rand(3, *shape, generator=seeded(1), dtype=torch.float64)
    y, log_det = layer(x)
    back, log_det_back = layer.inverse(y)
    assert log_det.shape == log_det_back.shape == (3,)
    assert torch.allclose(back, x, rtol=0, atol=1e-9)
    assert torch.allclose(log_det + log_det_back, torch.zeros(3, dtype=torch.float64), atol=1e-9)
    # The definition: the determinant of each example's Jacobian.
    for i in range(3):
        jacobian = torch.func.jacrev(lambda x: layer(x[None])[0][0].flatten())(x[i]).reshape(x[i].numel(), -1)
        assert log_det[i].item() == pytest.approx(torch.linalg.slogdet(jacobian).logabsdet.item(), abs=1e-9)


@pytest.mark.parametrize("name", LAYERS)
def test_layers_treat_each_example_by_itself(name: str) -> None:
    make, shape = LAYERS[name]
    torch.manual_seed(0)
    layer = stirred(make())
    x = torch.rand(3, *shape, generator=seeded(1), dtype=torch.float64)
    for whole, single in zip(layer(x), layer(x[1:2])):
        assert torch.allclose(whole[1:2], single, atol=1e-12)


def test_the_check_finds_a_wrong_log_determinant() -> None:
    class Wrong(ActNorm):
        def _log_det(self, x: Tensor) -> Tensor:
            return self.log_scale.sum().expand(len(x))  # the pixels forgotten

    LAYERS["wrong"] = (lambda: Wrong((3, 1, 1)), (3, 2, 3))
    try:
        with pytest.raises(AssertionError):
            test_every_layer_can_be_undone_and_tells_its_log_determinant("wrong")
    finally:
        del LAYERS["wrong"]


# The layers' own properties


def jacobian(layer: nn.Module, x: Tensor) -> Tensor:
    """[D, D] of one example x [C, H, W]."""
    return torch.func.jacrev(lambda x: layer(x[None])[0][0])(x).reshape(x.numel(), x.numel())


def test_a_checkerboard_coupling_keeps_the_fields_of_one_colour() -> None:
    for flip in (False, True):
        layer = stirred(coupling(1, 4, 4, mask="checkerboard", flip=flip))
        x = torch.randn(1, 4, 4, generator=seeded(), dtype=torch.float64)
        stays = ((torch.arange(4)[:, None] + torch.arange(4)) % 2 == int(flip)).flatten()
        J = jacobian(layer, x)
        assert torch.equal(J[stays], torch.eye(16, dtype=torch.float64)[stays])
        moving = J[~stays][:, ~stays]
        assert torch.equal(moving, moving.diag().diag())  # each moved value depends on itself and on those that stay
        assert (J[~stays][:, stays] != 0).any(1).all()


def test_a_channel_coupling_keeps_one_half() -> None:
    for flip, stays in ((False, slice(0, 3)), (True, slice(3, 5))):
        layer = stirred(coupling(5, 2, 2, flip=flip))
        x = torch.randn(1, 5, 2, 2, generator=seeded(), dtype=torch.float64)
        changed = (layer(x)[0] != x)[0].flatten(1).any(1)
        assert not changed[stays].any() and changed.sum() == (2 if not flip else 3)


def test_an_additive_coupling_keeps_volumes() -> None:
    layer = stirred(coupling(scale=False))
    y, log_det = layer(torch.randn(3, 4, 2, 3, generator=seeded(), dtype=torch.float64))
    assert torch.equal(log_det, torch.zeros(3, dtype=torch.float64))


def test_couplings_start_as_the_identity() -> None:
    x = torch.randn(2, 4, 2, 3, generator=seeded())
    y, log_det = coupling()(x)
    assert torch.equal(y, x) and torch.equal(log_det, torch.zeros(2))


def test_no_coupling_scales_beyond_its_limit() -> None:
    layer = stirred(coupling(), std=30.0)
    _, log_det = layer(torch.randn(3, 4, 2, 3, generator=seeded(), dtype=torch.float64))
    assert log_det.abs().max() <= 2 * 2 * 2 * 3  # two channels move


def test_actnorm_starts_with_mean_zero_and_variance_one() -> None:
    x = 5 + 3 * torch.randn(64, 3, 4, 4, generator=seeded(), dtype=torch.float64)
    x[:, 1] *= 7
    for shape, over in (((3, 1, 1), (0, 2, 3)), ((3, 4, 4), (0,))):
        layer = ActNorm(shape).double()
        layer.start(x)
        y, _ = layer(x)
        assert y.mean(over).abs().max() < 1e-6
        assert (y.var(over, correction=0) - 1).abs().max() < 1e-5


def test_the_1x1_convolution_is_one_matrix_and_starts_as_a_rotation() -> None:
    torch.manual_seed(0)
    layer = InvertibleConv1x1(6).double()
    P, L, U = layer.factors()
    W = P @ L @ U
    assert torch.allclose(W @ W.T, torch.eye(6, dtype=torch.float64), atol=1e-6)
    x = torch.randn(2, 6, 3, 2, generator=seeded(), dtype=torch.float64)
    y, log_det = stirred(layer)(x)
    P, L, U = layer.factors()
    W = P @ L @ U
    assert torch.allclose(y, torch.einsum("ij,bjhw->bihw", W, x))
    assert log_det[0].item() == pytest.approx(3 * 2 * torch.linalg.slogdet(W).logabsdet.item())
    assert torch.equal(P.sum(0), torch.ones(6).double()) and torch.equal(L.diagonal(), torch.ones(6).double())
    assert torch.equal(L, L.tril()) and torch.equal(U, U.triu())


def test_squeeze_puts_squares_into_channels() -> None:
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    y, _ = Squeeze()(x)
    assert y.shape == (1, 4, 2, 2) and y[0, :, 0, 0].tolist() == [0, 1, 4, 5]


def test_prepare_starts_every_actnorm_from_what_reaches_it() -> None:
    torch.manual_seed(0)
    model = Flow(CONFIGS["glow, two scales"])
    images = images_for(model.config, 256)
    model.prepare(images)
    seen = []
    for layer in model.modules():
        if isinstance(layer, ActNorm):
            layer.register_forward_hook(lambda layer, inputs, out: seen.append(out[0]))
    model.log_density(model._dequantise(images, seeded(0)))
    assert len(seen) == 4
    for y in seen:
        assert y.mean((0, 2, 3)).abs().max() < 1e-4 and (y.var((0, 2, 3), correction=0) - 1).abs().max() < 1e-3
    before = [p.clone() for p in model.parameters()]
    model.log_density(model._dequantise(images[:8], seeded(1)))
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters()))  # once, and not at later calls


# Likelihood


@pytest.mark.parametrize("name", TWO_PIXELS)
def test_the_density_integrates_to_one(name: str) -> None:
    """Over the square that the logit can reach, a little more than [0, 1]^2."""
    model, margin = model_of(name), 0.05
    edge = margin / (1 - 2 * margin)
    n = 300
    centres = -edge + (torch.arange(n, dtype=torch.float64) + 0.5) * (1 + 2 * edge) / n
    u = torch.cartesian_prod(centres, centres)[:, None, None]
    with torch.no_grad():
        total = model.log_density(u).exp().sum().item() * ((1 + 2 * edge) / n) ** 2
    assert total == pytest.approx(1, abs=5e-3)


def test_the_probabilities_of_all_images_sum_to_what_lies_on_the_square() -> None:
    """A few levels and many draws: the mean of the density over a cell is the image's probability."""
    model = stirred(Flow(FlowConfig(height=1, width=2, levels=4, kind="realnvp", scales=0, couplings=4, hidden=8)))
    k = torch.cartesian_prod(torch.arange(4), torch.arange(4))[:, None, None]
    bits = model.bits_per_dim(from_levels(k, 4), generator=seeded(), draws=1000)
    z = torch.randn(50_000, 1, 1, 2, generator=seeded(1), dtype=torch.float64)
    with torch.no_grad():
        u, _ = model.layers.inverse(z)
    inside = ((u >= 0) & (u < 1)).all(3).double().mean().item()
    assert 0.5 < inside < 1
    assert (2 ** (-2 * bits)).sum().item() == pytest.approx(inside, abs=0.02)


def test_samples_follow_the_probabilities() -> None:
    config = FlowConfig(height=1, width=2, levels=3, kind="realnvp", scales=0, couplings=4, hidden=8)
    model = stirred(Flow(config), std=0.2)
    k = torch.cartesian_prod(torch.arange(3), torch.arange(3))
    with torch.no_grad():  # values beyond the square count for the border: its share is integrated there too
        fine = torch.cartesian_prod(*[-0.0555 + (torch.arange(300, dtype=torch.float64) + 0.5) * 1.111 / 300] * 2)
        density = model.log_density(fine[:, None, None]).exp() * (1.111 / 300) ** 2
    cell = (fine * 3).floor().clamp(0, 2).long()
    expected = torch.zeros(9, dtype=torch.float64).index_add(0, cell[:, 0] * 3 + cell[:, 1], density)
    n = 20_000
    drawn = to_levels(unscale(model.sample(n, generator=seeded(2))), 3).flatten(1)
    counts = torch.bincount(drawn[:, 0] * 3 + drawn[:, 1], minlength=9).double()
    chi_square = ((counts - n * expected).square() / (n * expected)).sum().item()
    assert chi_square < 30  # 8 degrees of freedom; 26 in one of a thousand
    assert len(k) == 9 and expected.max() / expected.min() > 2  # it is not the uniform distribution


def test_a_linear_flow_has_the_density_of_a_gaussian() -> None:
    """Actnorm alone, without a logit: known in closed form."""
    model = Flow(FlowConfig(height=1, width=2, kind="nice", scales=0, couplings=1, hidden=4, margin=0.0)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        first = next(layer for layer in model.modules() if isinstance(layer, ActNorm))
        first.log_scale.copy_(torch.tensor([[[1.0, 2.0]]])), first.shift.copy_(torch.tensor([[[-1.0, -4.0]]]))
    u = torch.rand(5, 1, 1, 2, generator=seeded(), dtype=torch.float64)
    std = torch.tensor([-1.0, -2.0], dtype=torch.float64).exp()
    expected = torch.distributions.Normal(torch.tensor([1.0, 4.0]) * std, std).log_prob(u).sum((1, 2, 3))
    assert torch.allclose(model.log_density(u), expected)
    # The image's probability is the integral over its cell: a difference of the normal's distribution function.
    images = images_for(model.config, 6)
    k = images.double()
    normal = torch.distributions.Normal(torch.tensor([1.0, 4.0]) * std, std)
    bits = -(normal.cdf((k + 1) / 256) - normal.cdf(k / 256)).log2().mean((1, 2, 3))
    assert torch.allclose(model.bits_per_dim(images, generator=seeded(), draws=500), bits, atol=2e-3)


def test_the_loss_is_the_bits_of_one_draw() -> None:
    model = model_of("glow")
    images = images_for(model.config, 5)
    nats = model(images, generator=seeded(3)).per_example
    bits = model.bits_per_dim(images, generator=seeded(3), draws=1)
    assert nats.shape == bits.shape == (5,)
    assert torch.allclose(nats / math.log(2), bits)
    assert nats.requires_grad and not bits.requires_grad


def test_more_draws_need_fewer_bits() -> None:
    model = model_of("glow")
    images = images_for(model.config, 200)
    one, many = (model.bits_per_dim(images, generator=seeded(4), draws=draws).mean().item() for draws in (1, 20))
    assert many < one


def test_parts_of_a_batch_are_the_batch() -> None:
    model = model_of("realnvp")
    images = images_for(model.config, 6)
    whole = model(images, generator=seeded(5)).per_example
    parts = [model(images, generator=seeded(5), part=slice(i, i + 3)).per_example for i in (0, 3)]
    assert torch.equal(torch.cat(parts), whole)


def test_randomness_comes_from_the_generator_alone() -> None:
    model, state = model_of("glow"), torch.get_rng_state()
    images = images_for(model.config)
    for call in (
        lambda seed: model(images, generator=seeded(seed)).per_example,
        lambda seed: model.bits_per_dim(images, generator=seeded(seed)),
        lambda seed: model.sample(2, generator=seeded(seed)),
    ):
        assert torch.equal(call(1), call(1)) and not torch.equal(call(1), call(2))
    model.prepare(images)
    assert torch.equal(torch.get_rng_state(), state)


# Sampling


@pytest.mark.parametrize("name", CONFIGS)
def test_samples_are_images_of_the_levels(name: str) -> None:
    model = model_of(name).float()
    x = model.sample(3, generator=seeded())
    assert x.shape == (3, *model.image_shape) and x.dtype == torch.float32 and not x.requires_grad
    assert x.min() >= -1 and x.max() <= 1
    to_levels(unscale(x), model.config.levels)  # complains of any other value


def test_temperature_is_the_standard_deviation_of_the_noise() -> None:
    model = model_of("glow")
    cold = model.sample(4, generator=seeded(), temperature=0.0)
    assert all(torch.equal(image, cold[0]) for image in cold)
    u, _ = model.layers.inverse(0.7 * torch.randn(4, *model.image_shape, generator=seeded(8), dtype=torch.float64))
    expected = (u * 17).floor().clamp(0, 16)
    found = to_levels(unscale(model.sample(4, generator=seeded(8), temperature=0.7)), 17)
    assert torch.equal(found, expected.long())


def test_progress_is_told() -> None:
    model, calls = model_of("glow"), []
    model.sample(1, generator=seeded(), progress=lambda *call: calls.append(call))
    model.bits_per_dim(images_for(model.config), generator=seeded(), draws=2, progress=lambda *call: calls.append(call))
    assert calls == [(1, 1), (1, 2), (2, 2)]


# Training, copies, precision, sizes


@pytest.mark.parametrize(
    "name", ["nice", "realnvp, two scales", "glow, two scales", "glow in colour", "two pixels, realnvp"]
)
def test_forty_steps_lower_the_loss(name: str) -> None:
    torch.manual_seed(0)
    model = Flow(CONFIGS[name]).train()
    images = images_for(model.config, 4).repeat(16, 1, 1, 1)  # four images are easy to learn by heart
    model.prepare(images)
    optimizer, generator, losses = torch.optim.Adam(model.parameters(), lr=5e-3), seeded(), []
    for _ in range(40):
        optimizer.zero_grad()
        loss = model.loss(images, generator=generator)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(p.grad is not None for p in model.parameters())
    assert sum(losses[-5:]) < sum(losses[:5]) - 0.5


@pytest.mark.parametrize("name", CONFIGS)
def test_configuration_and_weights_survive(name: str) -> None:
    model = model_of(name).float()
    configuration = json.loads(json.dumps(model.configuration()))
    assert configuration["family"] == "flow"
    torch.manual_seed(99)  # other random rotations, which the weights must replace
    again = Flow.from_configuration(configuration).eval()
    assert again.config == model.config
    again.load_state_dict(model.state_dict())
    expected = model.sample(2, generator=seeded())
    assert torch.equal(again.sample(2, generator=seeded()), expected)
    assert torch.equal(copy.deepcopy(model).sample(2, generator=seeded()), expected)


@pytest.mark.parametrize("name", ["realnvp", "glow, two scales"])
def test_half_precision_stays_in_the_networks(name: str) -> None:
    model = model_of(name, std=0.1).float()
    images = images_for(model.config)
    plain = model(images, generator=seeded()).per_example
    with torch.autocast("cpu", torch.bfloat16):
        half = model(images, generator=seeded()).per_example
        u = torch.rand(4, *model.image_shape, generator=seeded())
        z, log_det = model.layers(u)
        back, log_det_back = model.layers.inverse(z)
    assert half.dtype == z.dtype == log_det.dtype == torch.float32
    assert torch.allclose(half, plain, atol=0.02)
    assert torch.allclose(back, u, atol=1e-3) and torch.allclose(log_det, -log_det_back, atol=1e-2)
    half.mean().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("kind", ["nice", "realnvp", "glow"])
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (1, 8, 8)], ids=str)
def test_sizes_of_real_data(kind: str, shape: tuple[int, int, int]) -> None:
    c, h, w = shape
    scales = 0 if kind == "nice" else 2
    config = FlowConfig(channels=c, height=h, width=w, kind=kind, scales=scales, couplings=1, hidden=4)
    model = stirred(Flow(config), std=0.1)
    images = images_for(config, 2)
    model.prepare(images)
    assert model.bits_per_dim(images, generator=seeded(), draws=1).isfinite().all()
    u = model._dequantise(images, seeded())
    z, log_det = model.layers(u)
    assert z.shape == u.shape and torch.allclose(model.layers.inverse(z)[0], u, atol=1e-9)


# Bad input


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"kind": "spline"}, "unknown kind 'spline'; choose one of nice, realnvp, glow"),
        ({"height": 28, "width": 28, "scales": 3}, "28x28 .* cannot be .* scales = 3 times.*multiples of 8.*scales = 2"),
        ({"height": 7, "width": 8}, "7x8 pixels cannot be squeezed scales = 1 times: pad.*multiples of 2.*scales = 0"),
        ({"kind": "nice"}, "scales = 1: nice never squeezes"),
        ({"levels": 1}, "levels = 1"),
        ({"scales": -1}, "scales = -1"),
        ({"couplings": 0}, "couplings = 0"),
        ({"hidden": 0}, "hidden = 0"),
        ({"depth": -1}, "depth = -1"),
        ({"dropout": 1.0}, "dropout = 1"),
        ({"margin": 0.5}, "margin = 0.5"),
        ({"margin": -0.1}, "margin = -0.1"),
    ],
    ids=str,
)
def test_bad_configurations_are_refused(change: dict, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        Flow(FlowConfig(**change))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"n": 0}, "n = 0"),
        ({"temperature": -1.0}, "temperature = -1"),
        ({"temperature": math.nan}, "temperature = nan"),
    ],
    ids=str,
)
def test_bad_requests_are_refused(options: dict, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        Flow(SMALL).sample(**{"n": 1, "generator": seeded(), **options})


def test_other_bad_input_is_refused() -> None:
    model = Flow(SMALL)
    with pytest.raises(InputError, match="draws = 0: give at least 1"):
        model.bits_per_dim(images_for(SMALL), generator=seeded(), draws=0)
    with pytest.raises(InputError, match="other values than 17 evenly spaced grey levels"):
        model.loss(torch.full((1, 1, 4, 4), 3, dtype=torch.uint8), generator=seeded())
    with pytest.raises(InputError, match="one channel cannot be halved"):
        AffineCoupling(1, 4, 4)
    with pytest.raises(InputError, match="unknown mask 'stripes'; choose one of checkerboard, channel"):
        AffineCoupling(2, 4, 4, mask="stripes")
