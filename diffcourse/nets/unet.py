"""The U-Net of the DDPM: down, across, up, with skip connections, and told the time and, where asked, the class.

Ronneberger et al. (2015) drew the U for segmentation; Ho et al. (2020), appendix B, used residual blocks, self-attention
at low resolution and the embedding of t. Shapes in comments are [batch, channels, height, width].
"""

# The whole network:
#
#    x ─ conv ─┬─ blocks ─ down ─┬─ blocks ─ down ─ ... ─ middle ─ ... ─ up ─ blocks ─ up ─ blocks ─ norm ─ conv ─ out
#              └──── skip ───────┴──── skip ────────────────────────────────────┘               │
#                                                                              (concatenated with the skips)

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffcourse.errors import InputError


def timestep_embedding(t: Tensor, dim: int, max_period: float = 10_000.0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Sines and cosines of t at the dim/2 frequencies of eq-frequency: Vaswani et al. (2017), section 3.5.

    The product of the vectors of two times depends on their difference alone, eq-embedding-product.

    Args:
        t: times, any real or integer type, [B].
        dim: an even number.
        dtype: in which to compute. Not less than float32: in bfloat16, with 8 binary digits, step 999 is step 1000.

    Returns:
        [B, dim]: the cosines, then the sines.
    """
    frequency = torch.exp(-math.log(max_period) * torch.arange(dim // 2, device=t.device, dtype=dtype) / (dim // 2))
    angle = t.to(dtype)[:, None] * frequency
    return torch.cat([angle.cos(), angle.sin()], dim=1)


def zero(module: nn.Module) -> nn.Module:
    """Set a layer's parameters to zero: the block around it then starts as the identity, which steadies early training."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


class ResBlock(nn.Module):
    """norm, SiLU, conv; then norm scaled and shifted by the embedding, SiLU, dropout, conv; plus a shortcut.

    The scale and shift are those of Nichol and Dhariwal (2021), appendix A: h -> norm(h) (1 + scale) + shift. Without
    `scale_shift` the embedding is added before the norm, as Ho et al. (2020) did: h -> norm(h + shift).
    """

    def __init__(
        self, channels: int, out_channels: int, embedding: int, groups: int, dropout: float, scale_shift: bool = True
    ) -> None:
        super().__init__()
        self.scaled = scale_shift
        self.norm1 = nn.GroupNorm(groups, channels)
        self.conv1 = nn.Conv2d(channels, out_channels, 3, padding=1)
        self.scale_shift = nn.Linear(embedding, 2 * out_channels if scale_shift else out_channels)
        self.norm2 = nn.GroupNorm(groups, out_channels)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = zero(nn.Conv2d(out_channels, out_channels, 3, padding=1))
        self.shortcut = nn.Identity() if channels == out_channels else nn.Conv2d(channels, out_channels, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """x [B, channels, H, W] and embedding [B, E] -> [B, out_channels, H, W]."""
        h = self.conv1(F.silu(self.norm1(x)))
        told = self.scale_shift(F.silu(embedding))[:, :, None, None]
        if self.scaled:
            scale, shift = told.chunk(2, dim=1)
            h = self.norm2(h) * (1 + scale) + shift
        else:
            h = self.norm2(h + told)
        return self.shortcut(x) + self.conv2(self.dropout(F.silu(h)))


class SelfAttention(nn.Module):
    """Every pixel looks at every other, with several heads: Vaswani et al. (2017), equation 1, on the H W pixels."""

    def __init__(self, channels: int, groups: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(groups, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = zero(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]: eq-attention in each head; it costs eq-attention-cost."""
        b, c, h, w = x.shape
        qkv = self.qkv(self.norm(x)).reshape(b, 3, self.heads, c // self.heads, h * w)
        q, k, v = qkv.transpose(3, 4).unbind(1)  # each [B, heads, H W, C / heads]
        mixed = F.scaled_dot_product_attention(q, k, v)
        return x + self.out(mixed.transpose(2, 3).reshape(b, c, h, w))


class Block(nn.Module):
    """A residual block, followed by self-attention where asked."""

    def __init__(self, residual: ResBlock, attention: SelfAttention | None) -> None:
        super().__init__()
        self.residual = residual
        self.attention = attention

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        x = self.residual(x, embedding)
        return x if self.attention is None else self.attention(x)


class Upsample(nn.Module):
    """Twice the height and width: repeat each pixel, then smooth with a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class UNet(nn.Module):
    """An image, a time and perhaps a class to an image of the same size.

    Args:
        channels: channels of the image that comes in.
        width: channels at full resolution.
        multipliers: channels of each level in multiples of `width`; each level after the first has half the resolution.
        blocks: residual blocks per level on the way down; the way up has one more, to take in every skip.
        attention: the levels (0 is full resolution) with self-attention; the middle always has it.
        heads: attention heads.
        dropout: inside the residual blocks.
        groups: of every GroupNorm; all widths must be multiples of it.
        scale_shift: how a block is told time and class, see `ResBlock`.
        out_channels: channels of what goes out; as many as come in when left out. Twice as many make room for a variance.
        classes: how many classes y may name, 0 for none.
        patch: the side of the squares of pixels that become the channels of one pixel before the first layer, and pixels
            again after the last: "pixel unshuffle". 2 makes everything in between four times cheaper, and coarser.

    Raises:
        InputError: if the widths, groups and heads do not fit each other.
    """

    def __init__(
        self,
        channels: int = 1,
        width: int = 32,
        multipliers: Sequence[int] = (1, 2),
        blocks: int = 1,
        attention: Sequence[int] = (),
        heads: int = 4,
        dropout: float = 0.0,
        groups: int = 8,
        *,
        scale_shift: bool = True,
        out_channels: int | None = None,
        classes: int = 0,
        patch: int = 1,
    ) -> None:
        super().__init__()
        if not multipliers or min(blocks, width, groups, heads, patch, *multipliers) < 1 or classes < 0:
            raise InputError(
                f"a U-Net counts from 1 and classes from 0; got {width=}, multipliers={list(multipliers)}, {blocks=}, "
                f"{groups=}, {heads=}, {patch=}, {classes=}"
            )
        if width % 2:
            raise InputError(f"width = {width}: give an even number, half for the cosines and half for the sines of t")
        for multiple in {width * m for m in multipliers}:
            if multiple % groups or multiple % heads:
                raise InputError(f"a level of {multiple} channels does not divide into groups={groups} and heads={heads}")
        self.width = width
        self.patch = patch
        self.classes = classes
        self.smallest = patch * 2 ** (len(multipliers) - 1)  # what height and width must be multiples of
        embedding = 4 * width
        self.embed = nn.Sequential(nn.Linear(width, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
        self.embed_class = nn.Embedding(classes + 1, embedding) if classes else None  # the last row stands for "no class"

        def block(c_in: int, c_out: int, attend: bool) -> Block:
            return Block(
                ResBlock(c_in, c_out, embedding, groups, dropout, scale_shift),
                SelfAttention(c_out, groups, heads) if attend else None,
            )

        self.first = nn.Conv2d(channels * patch**2, width, 3, padding=1)
        c = width
        skips = [c]  # channels of every feature map that a skip connection carries, in order
        self.down = nn.ModuleList()
        for level, multiplier in enumerate(multipliers):
            for _ in range(blocks):
                self.down.append(block(c, width * multiplier, level in attention))
                c = width * multiplier
                skips.append(c)
            if level < len(multipliers) - 1:
                self.down.append(nn.Conv2d(c, c, 3, stride=2, padding=1))
                skips.append(c)

        self.middle = nn.ModuleList([block(c, c, True), block(c, c, False)])

        self.up = nn.ModuleList()
        for level, multiplier in reversed(list(enumerate(multipliers))):
            for _ in range(blocks + 1):
                self.up.append(block(c + skips.pop(), width * multiplier, level in attention))
                c = width * multiplier
            if level > 0:
                self.up.append(Upsample(c))

        out = (channels if out_channels is None else out_channels) * patch**2
        self.last = nn.Sequential(nn.GroupNorm(groups, c), nn.SiLU(), zero(nn.Conv2d(c, out, 3, padding=1)))

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """x [B, C, H, W], t [B] and, for a network with classes, y int64 [B] -> [B, out_channels, H, W].

        A class of `classes`, one more than the last, or y = None means: no class in particular.

        Raises:
            InputError: if H or W cannot be halved once a level, or a class is given to a network that knows none.
        """
        if x.shape[2] % self.smallest or x.shape[3] % self.smallest:
            raise InputError(
                f"images of {x.shape[2]}x{x.shape[3]} pixels do not divide by {self.smallest}, which patch and halvings "
                "ask for; pad them or use fewer multipliers"
            )
        embedding = self.embed(timestep_embedding(t, self.width).to(x.dtype))
        if self.embed_class is not None:
            embedding = embedding + self.embed_class(t.new_full(t.shape, self.classes, dtype=torch.long) if y is None else y)
        elif y is not None:
            raise InputError("this network knows no classes: leave y out, or build it with classes=")
        h = self.first(F.pixel_unshuffle(x, self.patch))
        skips = [h]
        for layer in self.down:
            h = layer(h, embedding) if isinstance(layer, Block) else layer(h)
            skips.append(h)
        for layer in self.middle:
            h = layer(h, embedding)
        for layer in self.up:
            h = layer(torch.cat([h, skips.pop()], dim=1), embedding) if isinstance(layer, Block) else layer(h)
        return F.pixel_shuffle(self.last(h), self.patch)
