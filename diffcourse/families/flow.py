"""Normalizing flows: maps that can be undone, from images to noise, one after the other. NICE, RealNVP and Glow.

Dinh et al. (2015), "NICE"; Dinh et al. (2017), "Density estimation using Real NVP"; Kingma and Dhariwal (2018), "Glow".
"""

# The whole model, here a Glow of two scales. A step is an actnorm, a 1x1 convolution and a coupling.
#
#   u in [0, 1] ─ logit ─ squeeze ─ steps ─┬──── half of the channels ────┬─ unsqueeze ─ z ~ N(0, I)
#                                          └─ squeeze ─ steps ─ unsqueeze ┘

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffcourse.config import FlowConfig
from diffcourse.diffusion.process import standard_normal_like
from diffcourse.errors import InputError
from diffcourse.families import checks
from diffcourse.families.base import GenerativeModel, Losses, Progress, level_value, to_levels

Mask = Literal["checkerboard", "channel"]
Kind = Literal["nice", "realnvp", "glow"]
LARGEST_LOG_SCALE = 2.0
"""Couplings scale by factors between exp(-2) and exp(2): without a limit, rare inputs are blown up in the inverse."""


# Layers


class Layer(nn.Module, ABC):
    """A map that can be undone."""

    @abstractmethod
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, C, H, W] -> y, and log|det dy/dx| of each example, [B]."""

    @abstractmethod
    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """y -> x, and log|det dx/dy| of each example, [B]: minus what `forward` tells at x."""


class Conditioner(nn.Module):
    """The network of a coupling, any function of the part that stays: what it computes is never inverted.

    Two convolutions that see neighbours, and `depth` hidden layers in between that look at each pixel alone. The last
    one starts at zero, so that a coupling starts as the identity: Kingma and Dhariwal (2018), section 3.3.
    Dropout takes out whole channels, for which a few random numbers do: on a CPU one for each value takes long.
    """

    def __init__(self, channels: int, out: int, size: tuple[int, int], hidden: int, depth: int, dropout: float) -> None:
        super().__init__()
        kernel = tuple(3 if side > 1 else 1 for side in size)  # along a side of one pixel there are no neighbours
        padding = tuple(side // 2 for side in kernel)
        layers: list[nn.Module] = [nn.Conv2d(channels, hidden, kernel, padding=padding), nn.SiLU()]
        for _ in range(depth):
            layers += [nn.Dropout2d(dropout), nn.Conv2d(hidden, hidden, 1), nn.SiLU()]
        last = nn.Conv2d(hidden, out, kernel, padding=padding)
        nn.init.zeros_(last.weight), nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(*layers, nn.Dropout2d(dropout), last)

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] -> [B, out, H, W], of x's type also under autocast."""
        return self.layers(x).to(x.dtype)


class AffineCoupling(Layer):
    """One part of x stays and scales and shifts the other: y_a = x_a, y_b = exp(s(x_a)) x_b + t(x_a).

    Dinh et al. (2017), equations 4 to 9. The Jacobian is triangular, with ones and exp(s) on its diagonal, so the
    log-determinant is the sum of s. With `scale=False` s is 0: the additive coupling of Dinh et al. (2015), which keeps
    volumes. The inverse is as cheap as the way there, because y_a = x_a.

    Args:
        channels, height, width: of x.
        mask: "channel" splits the channels in halves; "checkerboard" the pixels, like the fields of a chess board.
        flip: without it the first half of the channels stays, or the pixels whose row + column is even.
        scale: whether to scale at all.
        hidden, depth, dropout: of the network, see `Conditioner`.

    Raises:
        InputError: for an unknown mask, or a single channel that should be halved.
    """

    def __init__(
        self,
        channels: int,
        height: int,
        width: int,
        *,
        mask: Mask = "channel",
        flip: bool = False,
        scale: bool = True,
        hidden: int = 64,
        depth: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if mask not in get_args(Mask):
            raise InputError(f"unknown mask {mask!r}; choose one of {', '.join(get_args(Mask))}")
        if mask == "channel" and channels < 2:
            raise InputError("one channel cannot be halved: squeeze first, or use the mask 'checkerboard'")
        self.flip, self.scale = flip, scale
        if mask == "checkerboard":
            field = (torch.arange(height)[:, None] + torch.arange(width)) % 2
            self.register_buffer("stays", (field == int(flip)).float()[None, None], persistent=False)
            stay = move = channels
        else:
            self.stays = None
            self.halves = (channels - channels // 2, channels // 2)
            stay, move = reversed(self.halves) if flip else self.halves
        self.net = Conditioner(stay, move * (2 if scale else 1), (height, width), hidden, depth, dropout)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """y and log|det dy/dx|: eq-coupling and eq-coupling-log-det; without `scale` eq-additive."""
        a, b = self._split(x)
        s, t = self._scale_and_shift(a)
        return self._join(a, b * s.exp() + t), s.flatten(1).sum(1)

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """x and log|det dx/dy|: eq-coupling-inverse, as cheap as the way there, because y_a = x_a."""
        a, b = self._split(y)
        s, t = self._scale_and_shift(a)
        return self._join(a, (b - t) * (-s).exp()), -s.flatten(1).sum(1)

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What stays and what moves: halves of the channels, or whole images in which the other's pixels are 0."""
        if self.stays is not None:
            return x * self.stays, x * (1 - self.stays)
        first, second = x.split(self.halves, dim=1)
        return (second, first) if self.flip else (first, second)

    def _join(self, a: Tensor, b: Tensor) -> Tensor:
        if self.stays is not None:
            return a + b
        return torch.cat([b, a] if self.flip else [a, b], dim=1)

    def _scale_and_shift(self, a: Tensor) -> tuple[Tensor, Tensor]:
        """s and t in the shape of what moves; 0 at the pixels of a checkerboard that stay."""
        out = self.net(a)
        raw, t = out.chunk(2, dim=1) if self.scale else (torch.zeros_like(out), out)
        s = LARGEST_LOG_SCALE * (raw / LARGEST_LOG_SCALE).tanh()
        return (s, t) if self.stays is None else (s * (1 - self.stays), t * (1 - self.stays))


class ActNorm(Layer):
    """y = exp(log_scale) x + shift, which starts so that a first batch comes out with mean 0 and variance 1.

    Kingma and Dhariwal (2018), section 3.1. The log-determinant is H W times the sum of the channels' log_scale.

    Args:
        shape: of the two parameters, against [C, H, W]: (C, 1, 1) for one pair a channel, as in Glow; (C, H, W) for one
            pair a value, the last layer of NICE.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(shape))
        self.shift = nn.Parameter(torch.zeros(shape))

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        """Set the parameters by a first batch x [B, C, H, W]."""
        over = [0] + [axis + 1 for axis, side in enumerate(self.shift.shape) if side == 1]
        mean, variance = x.mean(over, keepdim=True), x.var(over, keepdim=True, correction=0)
        self.log_scale.copy_(-0.5 * (variance + 1e-6).log()[0])
        self.shift.copy_(-mean[0] * self.log_scale.exp())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """y and log|det dy/dx|: eq-actnorm."""
        return x * self.log_scale.exp() + self.shift, self._log_det(x)

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return (y - self.shift) * (-self.log_scale).exp(), -self._log_det(y)

    def _log_det(self, x: Tensor) -> Tensor:
        return self.log_scale.expand(x.shape[1:]).sum().expand(len(x))


class InvertibleConv1x1(Layer):
    """Every pixel's channels times the same square matrix W: a permutation that is learned.

    The log-determinant is H W log|det W|. With W = P L (U + diag(d)), where the permutation P is fixed, L lower
    triangular with ones on its diagonal and U strictly upper triangular, log|det W| is the sum of log|d|, and the
    inverse solves two triangular systems: Kingma and Dhariwal (2018), equations 9 to 11. W starts as a random rotation.
    The signs of d stay what they are, so that d never passes through 0, where there is no inverse.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        rotation, _ = torch.linalg.qr(torch.randn(channels, channels))
        P, L, U = torch.linalg.lu(rotation)
        d = U.diagonal()
        self.register_buffer("P", P)
        self.register_buffer("sign", d.sign())
        self.L = nn.Parameter(L.tril(-1))
        self.U = nn.Parameter(U.triu(1))
        self.log_d = nn.Parameter(d.abs().log())

    def factors(self) -> tuple[Tensor, Tensor, Tensor]:
        """P, L with its ones, and U with diag(d), each [C, C]."""
        L = self.L.tril(-1) + torch.eye(len(self.L), dtype=self.L.dtype, device=self.L.device)
        return self.P, L, self.U.triu(1) + (self.sign * self.log_d.exp()).diag()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """y and log|det dy/dx|: eq-conv-1x1, by eq-conv-lu."""
        with torch.autocast(x.device.type, enabled=False):  # a product in bfloat16 could not be undone
            P, L, U = self.factors()
            return (P @ L @ U @ x.flatten(2)).view_as(x), self._log_det(x)

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast(y.device.type, enabled=False):
            P, L, U = self.factors()
            x = torch.linalg.solve_triangular(L, P.T @ y.flatten(2), upper=False, unitriangular=True)
            return torch.linalg.solve_triangular(U, x, upper=True).view_as(y), -self._log_det(y)

    def _log_det(self, x: Tensor) -> Tensor:
        return (x.shape[2] * x.shape[3] * self.log_d.sum()).expand(len(x))


class Squeeze(Layer):
    """Squares of 2 x 2 pixels become four channels of one pixel, [B, C, H, W] -> [B, 4 C, H/2, W/2]: numbers only move.

    Dinh et al. (2017), section 3.6.
    """

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return F.pixel_unshuffle(x, 2), x.new_zeros(len(x))

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return F.pixel_shuffle(y, 2), y.new_zeros(len(y))


class Logit(Layer):
    """From [0, 1] to the line: y = log(v / (1 - v)) with v = margin + (1 - 2 margin) x, away from the logarithm of 0.

    Dinh et al. (2017), section 4.1.
    """

    def __init__(self, margin: float) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """y and log|det dy/du|: eq-logit."""
        y = (self.margin + (1 - 2 * self.margin) * x).logit()
        return y, self._log_det(y)

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return (y.sigmoid() - self.margin) / (1 - 2 * self.margin), -self._log_det(y)

    def _log_det(self, y: Tensor) -> Tensor:
        # dy/dv = 1 / (v (1 - v)), and v (1 - v) = sigmoid(y) sigmoid(-y)
        return (math.log1p(-2 * self.margin) + F.softplus(y) + F.softplus(-y)).flatten(1).sum(1)


class Chain(Layer):
    """Layers one after the other. Their log-determinants add up, each taken at the layer's own input."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """y and log|det dy/dx|: eq-flow-layers."""
        total = x.new_zeros(len(x))
        for layer in self.layers:
            x, log_det = layer(x)
            total = total + log_det
        return x, total

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        total = y.new_zeros(len(y))
        for layer in reversed(self.layers):
            y, log_det = layer.inverse(y)
            total = total + log_det
        return y, total


class Inverse(Layer):
    """A layer the other way round."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.layer.inverse(x)

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return self.layer(y)


class Split(Layer):
    """Half of the channels goes through the layers of `rest`, which keep its shape; the other half is finished.

    Dinh et al. (2017), section 3.6.
    """

    def __init__(self, rest: Layer) -> None:
        super().__init__()
        self.rest = rest

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        a, b = x.chunk(2, dim=1)
        a, log_det = self.rest(a)
        return torch.cat([a, b], dim=1), log_det

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        a, b = y.chunk(2, dim=1)
        a, log_det = self.rest.inverse(a)
        return torch.cat([a, b], dim=1), log_det


# The model


class Flow(GenerativeModel):
    """A chain of layers from images to noise, which tells their density, and back, which draws them.

    `layers` maps u [B, C, H, W] in [0, 1] to z of the same shape. The k-th of n grey levels is dequantised to
    u = (k + U) / n with U uniform in [0, 1).

    Raises:
        InputError: if the kind is unknown, a number out of range, or the images cannot be squeezed as often as asked.
    """

    family = "flow"
    config_type = FlowConfig

    def __init__(self, config: FlowConfig) -> None:
        super().__init__(config)
        _check(config)
        logit = [Logit(config.margin)] if config.margin else []
        self.layers = Chain(logit + self._scale(config.channels, config.height, config.width, config.scales))

    def _scale(self, c: int, h: int, w: int, squeezes: int) -> list[Layer]:
        """The layers for features of shape [c, h, w] that are to be squeezed so often; they keep the shape."""
        config = self.config
        layers: list[Layer] = []

        def coupling(mask: Mask, i: int) -> AffineCoupling:  # for [c, h, w] as they are when it is called
            network = {"hidden": config.hidden, "depth": config.depth, "dropout": config.dropout}
            return AffineCoupling(c, h, w, mask=mask, flip=i % 2 == 1, scale=config.kind != "nice", **network)

        if config.kind == "nice":
            layers.append(ActNorm((c, h, w)))
            layers += [coupling("checkerboard", i) for i in range(config.couplings)]
            layers.append(ActNorm((c, h, w)))
        elif config.kind == "realnvp":
            for i in range(config.couplings):
                layers += [ActNorm((c, 1, 1)), coupling("checkerboard", i)]
            if squeezes:
                layers.append(Squeeze())
                c, h, w = 4 * c, h // 2, w // 2
                for i in range(config.couplings):
                    layers += [ActNorm((c, 1, 1)), coupling("channel", i)]
                layers += [Split(Chain(self._scale(c // 2, h, w, squeezes - 1))), Inverse(Squeeze())]
        else:
            if squeezes:
                layers.append(Squeeze())
                c, h, w = 4 * c, h // 2, w // 2
            for i in range(config.couplings):
                mask = "channel" if c > 1 else "checkerboard"
                layers += [ActNorm((c, 1, 1)), InvertibleConv1x1(c), coupling(mask, i)]
            if squeezes > 1:  # the half that is finished gets its mean and variance from the other: a coupling
                layers += [coupling("channel", 0), Split(Chain(self._scale(c // 2, h, w, squeezes - 1)))]
            if squeezes:
                layers.append(Inverse(Squeeze()))
        return layers

    @torch.no_grad()
    def prepare(self, images: Tensor) -> None:
        """Every `ActNorm` starts from what reaches it of a first batch of uint8 images."""
        hooks = [
            layer.register_forward_pre_hook(lambda layer, inputs: layer.start(*inputs))
            for layer in self.modules()
            if isinstance(layer, ActNorm)
        ]
        self.layers(self._dequantise(images, torch.Generator(images.device).manual_seed(0)))
        for hook in hooks:
            hook.remove()

    def _dequantise(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """uint8 images [B, C, H, W] -> u in [0, 1]: a place in each value's own cell, drawn uniformly."""
        k = to_levels(images, self.config.levels).to(next(self.parameters()).dtype)
        noise = torch.rand(k.shape, generator=generator, device=generator.device, dtype=k.dtype)
        return (k + noise) / self.config.levels

    def log_density(self, u: Tensor) -> Tensor:
        """log p(u) of u [B, C, H, W], [B], eq-flow-density: that of the noise that u becomes, plus the log-determinant."""
        z, log_det = self.layers(u)
        return -0.5 * (z.square() + math.log(2 * math.pi)).flatten(1).sum(1) + log_det

    def forward(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        generator: torch.Generator,
        part: slice = slice(None),
    ) -> Losses:
        """Minus the log-probability in nats per dimension, with one draw of the noise that dequantises."""
        u = self._dequantise(images, generator)[part]
        return Losses(math.log(self.config.levels) - self.log_density(u) / u[0].numel())

    @torch.no_grad()
    def sample(
        self,
        n: int,
        labels: Tensor | None = None,
        *,
        generator: torch.Generator,
        temperature: float = 1.0,
        progress: Progress | None = None,
    ) -> Tensor:
        """n new images of the model's grey levels, float [n, C, H, W] in [-1, 1]; the labels are ignored.

        Args:
            temperature: the standard deviation of the noise. Less than 1 keeps to where the noise is dense, and the
                images become more alike: Kingma and Dhariwal (2018), section 6.
            progress: called once, at the end.

        Raises:
            InputError: for n < 1, or a temperature that is negative or not finite.
        """
        checks.at_least_one(n)
        if not 0 <= temperature < math.inf:
            raise InputError(f"temperature = {temperature:g}: give a number from 0, usually 0.5 to 1")
        like = next(self.parameters())
        z = temperature * standard_normal_like(like.new_empty(n, *self.image_shape), generator)
        u, _ = self.layers.inverse(z)
        if progress is not None:
            progress(1, 1)
        k = (u * self.config.levels).floor().clamp(0, self.config.levels - 1)
        return level_value(k, self.config.levels).to(like.dtype)

    @torch.no_grad()
    def bits_per_dim(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        generator: torch.Generator,
        draws: int = 16,
        progress: Progress | None = None,
    ) -> Tensor:
        """Minus the log2 of uint8 images' probability per component, [B], eq-flow-bits: an upper bound on average.

        The probability of an image is the integral of the density over its cell, which the mean density at `draws`
        points of the cell estimates. The mean's logarithm is too small on average, the less so the more draws: Burda et
        al. (2016), theorem 1. With one draw this is the training's loss in bits.

        Raises:
            InputError: for draws < 1.
        """
        if draws < 1:
            raise InputError(f"draws = {draws}: give at least 1")
        found = []
        for done in range(1, draws + 1):
            found.append(self.log_density(self._dequantise(images, generator)))
            if progress is not None:
                progress(done, draws)
        log_mean = torch.stack(found).logsumexp(0) - math.log(draws)
        return (math.log(self.config.levels) - log_mean / images[0].numel()) / math.log(2)


def _check(config: FlowConfig) -> None:
    checks.known(config, "kind", get_args(Kind))
    checks.at_least(config, 2, "levels")
    checks.at_least(config, 1, "couplings", "hidden")
    checks.at_least(config, 0, "scales", "depth")
    checks.below_one(config, "dropout")
    if not 0 <= config.margin < 0.5:
        raise InputError(f"margin = {config.margin:g}: give a number from 0 to below 0.5, 0 for no logit")
    if config.kind == "nice" and config.scales:
        raise InputError(f"scales = {config.scales}: nice never squeezes; give scales = 0, or choose realnvp or glow")
    most = next(n for n in range(32) if config.height % 2 ** (n + 1) or config.width % 2 ** (n + 1))
    if config.scales > most:
        raise InputError(
            f"images of {config.height}x{config.width} pixels cannot be squeezed scales = {config.scales} times: "
            f"pad them to multiples of {2**config.scales} pixels, or give scales = {most}"
        )
