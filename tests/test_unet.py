"""The U-Net: shapes, what it starts as, that every part is used, and that images of a batch never meet."""

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from diffcourse.errors import InputError
from diffcourse.families import DDPM
from diffcourse.nets.unet import Block, ResBlock, SelfAttention, UNet, timestep_embedding
from diffcourse.presets import PRESETS

SMALL = {"width": 8, "groups": 2, "heads": 2, "multipliers": (1, 2), "attention": (1,)}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def image(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def awake(net: nn.Module) -> nn.Module:
    """The network in float64 with every parameter random: fresh from the constructor it returns zero."""
    generator = seeded(1)
    net = net.double().eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return net


# Shapes


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({}, (2, 1, 8, 8)),
        ({"channels": 3}, (1, 3, 8, 8)),
        ({"multipliers": (1,), "attention": ()}, (2, 1, 5, 7)),  # never halved: any size
        ({"multipliers": (1,), "attention": (0,)}, (2, 1, 1, 1)),
        ({"multipliers": (1, 2, 3, 1)}, (2, 1, 8, 16)),
        ({"multipliers": (3, 1), "blocks": 3}, (2, 1, 4, 6)),
        ({"multipliers": (1, 1, 1), "attention": (0, 1, 2), "blocks": 2}, (1, 1, 12, 4)),
        ({"width": 2, "groups": 1, "heads": 1}, (2, 1, 4, 4)),
        ({"width": 6, "groups": 3, "heads": 3, "dropout": 0.5}, (2, 1, 2, 2)),
        ({"channels": 4}, (0, 4, 8, 8)),
    ],
    ids=str,
)
def test_output_has_the_shape_of_the_input(options: dict, shape: tuple[int, ...]) -> None:
    net = awake(UNet(**{**SMALL, **options}))
    out = net(image(*shape), torch.arange(shape[0]))
    assert out.shape == shape and out.dtype == torch.float64
    assert out.isfinite().all()
    assert (out != 0).any() or shape[0] == 0


def test_attention_stands_where_it_was_asked_for() -> None:
    net = UNet(**{**SMALL, "multipliers": (1, 2, 2), "blocks": 2, "attention": (0, 2)})

    def levels(layers: nn.ModuleList) -> list[bool | None]:
        """For each layer whether it attends; None marks a change of resolution."""
        return [layer.attention is not None if isinstance(layer, Block) else None for layer in layers]

    assert levels(net.down) == [True, True, None, False, False, None, True, True]
    assert levels(net.up) == [True, True, True, None, False, False, False, None, True, True, True]
    assert levels(net.middle) == [True, False]


def test_channels_and_blocks_of_each_level_are_those_asked_for() -> None:
    net = UNet(**{**SMALL, "multipliers": (1, 3, 2), "blocks": 2})
    width = [layer.residual.conv2.out_channels if isinstance(layer, Block) else "change" for layer in net.down]
    assert width == [8, 8, "change", 24, 24, "change", 16, 16]
    width = [layer.residual.conv2.out_channels if isinstance(layer, Block) else "change" for layer in net.up]
    assert width == [16, 16, 16, "change", 24, 24, 24, "change", 8, 8, 8]


def test_every_norm_has_the_groups_asked_for() -> None:
    norms = [module for module in UNet(**{**SMALL, "groups": 4}).modules() if isinstance(module, nn.GroupNorm)]
    assert len(norms) > 10 and {norm.num_groups for norm in norms} == {4}


def test_the_preset_cifar10_is_the_published_network() -> None:
    """Ho et al. (2020), appendix B: 35.7 million weights, one attention at 16x16 behind each block there."""
    net = DDPM(PRESETS["cifar10"][0]).net
    assert sum(p.numel() for p in net.parameters()) == 35_746_307
    attentions = [module.qkv.in_channels for module in net.modules() if isinstance(module, SelfAttention)]
    assert attentions == [256] * 6  # two on the way down, three on the way up, one in the middle


# Options


def test_twice_the_channels_may_go_out() -> None:
    net = awake(UNet(**SMALL, channels=3, out_channels=6))
    assert net(image(2, 3, 8, 8), torch.tensor([1, 2])).shape == (2, 6, 8, 8)


def test_patches_are_channels_in_between() -> None:
    """The network with patch=2 is the one without, for images whose patches have been made channels."""
    patched, plain = awake(UNet(**SMALL, channels=3, patch=2)), awake(UNet(**SMALL, channels=12))
    plain.load_state_dict(patched.state_dict())
    x, t = image(2, 3, 8, 12), torch.tensor([1, 2])
    channels = x.reshape(2, 3, 4, 2, 6, 2).permute(0, 1, 3, 5, 2, 4).reshape(2, 12, 4, 6)
    out = plain(channels, t).reshape(2, 3, 2, 2, 4, 6).permute(0, 1, 4, 2, 5, 3).reshape(2, 3, 8, 12)
    assert torch.equal(patched(x, t), out)
    with pytest.raises(InputError, match="images of 8x10 pixels do not divide by 4"):
        patched(x[..., :10], t)


def test_a_class_matters_and_none_is_the_last_row() -> None:
    net = awake(UNet(**SMALL, classes=3))
    x, t = image(1, 1, 8, 8).expand(4, -1, -1, -1), torch.full((4,), 7)
    answers = net(x, t, torch.tensor([0, 1, 2, 3]))
    assert torch.cdist(answers.flatten(1), answers.flatten(1)).add(torch.eye(4)).min() > 1e-3
    assert torch.allclose(net(x[:1], t[:1]), answers[3:], rtol=1e-12)
    with pytest.raises(InputError, match="this network knows no classes"):
        awake(UNet(**SMALL))(x, t, torch.tensor([0, 1, 2, 0]))


@pytest.mark.parametrize("scale_shift", [True, False])
def test_time_is_told_behind_the_norm_or_before_it(scale_shift: bool) -> None:
    block = awake(ResBlock(4, 6, 16, 2, 0.0, scale_shift))
    x, embedding = image(2, 4, 4, 4), image(2, 16, seed=1)
    told = block.scale_shift(nn.functional.silu(embedding))[:, :, None, None]
    h = block.conv1(nn.functional.silu(block.norm1(x)))
    if scale_shift:
        assert told.shape[1] == 12
        h = block.norm2(h) + block.norm2(h) * told[:, :6] + told[:, 6:]
    else:
        h = block.norm2(h + told)
    assert torch.allclose(block(x, embedding), block.shortcut(x) + block.conv2(nn.functional.silu(h)), rtol=1e-12)


# At the start


def test_the_last_layers_start_at_zero_and_no_others() -> None:
    torch.manual_seed(0)
    zeros = [name for name, p in UNet(**SMALL).named_parameters() if name.endswith("weight") and (p == 0).all()]
    assert zeros == [
        name for name, _ in UNet(**SMALL).named_parameters()
        if name.endswith(("conv2.weight", "attention.out.weight")) or name == "last.2.weight"
    ]  # fmt: skip


def test_a_fresh_network_returns_zero() -> None:
    net = UNet(**SMALL)
    assert (net(image(2, 1, 8, 8).float(), torch.tensor([1, 900])) == 0).all()


def test_fresh_blocks_are_the_identity() -> None:
    x = image(2, 8, 4, 4).float()
    assert torch.equal(ResBlock(8, 8, 16, 2, 0.0)(x, image(2, 16).float()), x)
    assert torch.equal(SelfAttention(8, 2, 2)(x), x)


def test_gradient_reaches_every_parameter() -> None:
    torch.manual_seed(0)
    net = UNet(**SMALL).double()
    x, t, target = image(4, 1, 8, 8), torch.tensor([1, 5, 50, 500]), image(4, 1, 8, 8, seed=1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    # Each step wakes what stands behind a layer that starts at zero: the last convolution, the blocks, the rest.
    for _ in range(4):
        optimizer.zero_grad()
        (net(x, t) - target).square().mean().backward()
        optimizer.step()
    idle = [name for name, p in net.named_parameters() if p.grad is None or p.grad.abs().max() < 1e-12]
    assert idle == []


# Images, times and skips


def test_images_of_a_batch_do_not_meet() -> None:
    net = awake(UNet(**SMALL)).train()  # no layer may look across the batch in training either
    x, t = image(3, 1, 8, 8), torch.tensor([1, 40, 1000])
    together = net(x, t)
    for i in range(3):
        alone = net(x[i : i + 1], t[i : i + 1])
        assert torch.allclose(together[i : i + 1], alone, rtol=1e-11, atol=1e-11)


def test_every_pixel_is_seen_by_every_pixel() -> None:
    net = awake(UNet(**SMALL))
    x = image(1, 1, 8, 8).requires_grad_()
    net(x, torch.tensor([7]))[0, 0, 0, 0].backward()
    assert (x.grad != 0).all()  # through the attention in the middle


def test_time_matters() -> None:
    net = awake(UNet(**SMALL))
    x = image(1, 1, 8, 8).expand(3, -1, -1, -1)
    at_1, at_2, at_1_again = net(x, torch.tensor([1, 2, 1]))
    assert torch.allclose(at_1, at_1_again, rtol=1e-12)
    assert (at_1 - at_2).abs().max() > 1e-3


def test_time_matters_after_training() -> None:
    """Told t alone, the network learns to answer +1 at one time and -1 at another."""
    torch.manual_seed(0)
    net = UNet(**SMALL)
    x, t = torch.zeros(2, 1, 4, 4), torch.tensor([10, 900])
    target = torch.tensor([1.0, -1.0])[:, None, None, None].expand_as(x)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(40):
        optimizer.zero_grad()
        (net(x, t) - target).square().mean().backward()
        optimizer.step()
    assert torch.equal(net(x, t).sign(), target)


@pytest.mark.parametrize("multipliers", [(1,), (1, 2), (1, 2, 3)], ids=str)
def test_each_block_on_the_way_up_gets_its_skip(multipliers: tuple[int, ...]) -> None:
    net = awake(UNet(**{**SMALL, "multipliers": multipliers, "blocks": 2}))
    sent: list[Tensor] = []
    received: list[Tensor] = []
    for layer in (net.first, *net.down):
        layer.register_forward_hook(lambda module, inputs, output: sent.append(output))
    blocks = [layer for layer in net.up if isinstance(layer, Block)]
    for block in blocks:
        block.register_forward_pre_hook(lambda module, inputs: received.append(inputs[0]))
    net(image(2, 1, 8, 8), torch.tensor([3, 4]))
    assert len(sent) == len(received) == len(blocks)
    for skip, together in zip(reversed(sent), received):  # the last feature map sent is the first taken in
        assert torch.equal(together[:, -skip.shape[1] :], skip)


def test_skips_alone_carry_the_image() -> None:
    net = awake(UNet(**SMALL))
    net.middle[-1].register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
    t = torch.tensor([3])
    assert (net(image(1, 1, 8, 8, seed=1), t) - net(image(1, 1, 8, 8, seed=2), t)).abs().max() > 1e-3


# Attention


@pytest.mark.parametrize(("channels", "heads"), [(4, 1), (4, 2), (6, 3), (4, 4)])
def test_attention_written_with_loops(channels: int, heads: int) -> None:
    layer = awake(SelfAttention(channels, 2, heads))
    x = image(2, channels, 2, 3)
    size, pixels = channels // heads, [(i, j) for i in range(2) for j in range(3)]
    qkv = layer.qkv(layer.norm(x))  # the queries' channels, then the keys', then the values'
    q, k, v = qkv[:, :channels], qkv[:, channels : 2 * channels], qkv[:, 2 * channels :]
    mixed = torch.zeros_like(x)
    for b in range(2):
        for head in range(heads):
            own = range(head * size, (head + 1) * size)
            for here in pixels:
                match = [sum(q[b, c][here] * k[b, c][there] for c in own) / math.sqrt(size) for there in pixels]
                weight = torch.stack(match).softmax(0)
                for c in own:
                    mixed[b, c][here] = sum(w * v[b, c][there] for w, there in zip(weight, pixels))
    assert torch.allclose(layer(x), x + layer.out(mixed), rtol=1e-11, atol=1e-11)


# Time embedding


@pytest.mark.parametrize("dim", [2, 8, 32])
def test_embedding_is_the_published_formula(dim: int) -> None:
    times = [0, 1, 7, 250, 1000]
    embedding = timestep_embedding(torch.tensor(times), dim)
    assert embedding.shape == (5, dim) and embedding.dtype == torch.float32
    for row, t in zip(embedding.tolist(), times):
        angles = [t / 10_000 ** (2 * i / dim) for i in range(dim // 2)]
        expected = [math.cos(angle) for angle in angles] + [math.sin(angle) for angle in angles]
        assert row == pytest.approx(expected, abs=2e-4)  # an angle of 1000 in single precision


def test_embedding_tells_all_steps_apart() -> None:
    embedding = timestep_embedding(torch.arange(1, 1001), 32)
    distance = torch.cdist(embedding, embedding)
    neighbours = distance.diagonal(1)
    assert (distance + torch.eye(1000) * 9).min() > 0.5
    assert neighbours.max() < 1.2 * neighbours.min()  # a step is as long everywhere


def test_products_of_embeddings_depend_on_the_difference_alone() -> None:
    vectors = timestep_embedding(torch.arange(1001), 16, dtype=torch.float64)
    assert vectors.dtype == torch.float64
    products = vectors @ vectors.T
    for difference in (0, 1, 30, 500):
        diagonal = products.diagonal(difference)
        assert torch.allclose(diagonal, diagonal[0].expand_as(diagonal), rtol=0, atol=1e-11)


def test_embedding_does_not_round_the_time() -> None:
    """In bfloat16, step 999 would be step 1000; a network in half precision is told the time in float32 all the same."""
    net = UNet(**SMALL).bfloat16()
    told = []
    net.embed.register_forward_pre_hook(lambda module, given: told.append(given[0]))
    net(torch.zeros(2, 1, 4, 4, dtype=torch.bfloat16), torch.tensor([999, 1000]))
    assert not torch.equal(*told[0])
    assert torch.equal(told[0], timestep_embedding(torch.tensor([999, 1000]), 8).bfloat16())


def test_embedding_takes_times_between_steps() -> None:
    half = timestep_embedding(torch.tensor([1.5]), 8)
    assert half[0, 0].item() == pytest.approx(math.cos(1.5), abs=1e-6)


# Modes, copies, bad input


def test_dropout_acts_in_training_only() -> None:
    net = awake(UNet(**{**SMALL, "dropout": 0.5}))
    x, t = image(1, 1, 8, 8), torch.tensor([3])
    torch.manual_seed(0)
    assert torch.equal(net(x, t), net(x, t))
    net.train()
    assert not torch.equal(net(x, t), net(x, t))


def test_copies_are_equal_and_independent() -> None:
    net = awake(UNet(**SMALL))
    x, t = image(1, 1, 8, 8), torch.tensor([3])
    before = net(x, t)
    twin, loaded = copy.deepcopy(net), UNet(**SMALL).double()
    loaded.load_state_dict(net.state_dict())
    net.first.weight.data.zero_()
    assert torch.equal(twin(x, t), before) and torch.equal(loaded(x, t), before)
    assert not torch.equal(net(x, t), before)


@pytest.mark.parametrize(("height", "width"), [(7, 8), (8, 6), (2, 2)])
def test_images_must_be_halved_evenly(height: int, width: int) -> None:
    net = UNet(**{**SMALL, "multipliers": (1, 2, 2)})
    with pytest.raises(InputError, match=f"images of {height}x{width} pixels do not divide by 4"):
        net(torch.zeros(1, 1, height, width), torch.tensor([1]))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"width": 12, "groups": 8}, "12 channels does not divide into groups=8"),
        ({"width": 8, "groups": 2, "heads": 3}, "8 channels does not divide into .*heads=3"),
        ({"width": 8, "groups": 8, "heads": 16, "multipliers": (2, 1)}, "8 channels does not divide"),
        ({"multipliers": ()}, "multipliers="),
        ({"multipliers": (1, 0)}, "multipliers="),
        ({"blocks": 0}, "blocks=0"),
        ({"width": 0}, "width=0"),
        ({"groups": 0}, "groups=0"),
        ({"heads": 0}, "heads=0"),
        ({"patch": 0}, "patch=0"),
        ({"classes": -1}, "classes=-1"),
        ({"width": 9, "groups": 3, "heads": 3}, "width = 9: give an even number"),
    ],
    ids=str,
)
def test_sizes_that_do_not_fit_are_refused(options: dict, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        UNet(**{**SMALL, **options})
