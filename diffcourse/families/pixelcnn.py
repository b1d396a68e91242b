"""The PixelCNN: a network that guesses each value of an image from those before it. Van den Oord et al. (2016a, b).

The values of an image are put in a row: pixel by pixel as one reads, and within a pixel red, green, blue. The probability of
the image is the product of the probabilities of each value given all that stand before it. One network gives all
of them at once, because masked convolutions keep every output from seeing its own value and those after it.
"""

# One layer of the Gated PixelCNN. The vertical stack sees all rows up to and with its own; it reaches the horizontal stack one
# row lower, which itself sees what stands left in the row. Together they see everything before the pixel: no blind spot.
#
#    v ── rows above, own row ──┬── gate ─────────────────────────── v
#                               │
#                          down one row, 1x1
#                               │
#    h ─┬─ own row to the left ─+── gate ── 1x1 ──+── h
#       └───────────────────────────────────────────┘

import copy
import math
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffcourse.config import PixelCNNConfig
from diffcourse.errors import InputError
from diffcourse.families import checks
from diffcourse.families.base import GenerativeModel, Losses, Progress, at_least_float32, level_value, to_levels
from diffcourse.families.decoders import colour_mean, logistic_mixture_log_prob, sample_logistic_mixture

Mask = Literal["A", "B"]
Output = Literal["softmax", "logistics"]
LOWEST_LOG_SCALE = -7.0
"""A logistic of this scale puts nearly all its mass on one of 256 levels: sharper ones are of no use."""


# Masked convolutions


def conv_mask(
    kind: Mask,
    kernel: int | tuple[int, int],
    c_in: int,
    c_out: int,
    colours: int = 1,
    centre: tuple[int, int] | None = None,
) -> Tensor:
    """Which weights of a convolution may be used: ones and zeros, [c_out, c_in, height, width of the kernel].

    Pixels before the centre, in the order of reading, are seen, and those after it are not. At the centre itself a channel
    that works for one colour sees the channels of earlier colours and, with mask B, of its own. Channel i works for
    colour i modulo `colours`. The first layer needs mask A, as its own colour is what is to be guessed; later layers B.
    How many weights remain: eq-mask-taps, and with colours eq-mask-colours.

    Args:
        kernel: one number for a square.
        centre: row and column of the pixel that the output stands for; the middle, when left out.

    Raises:
        InputError: for another kind, or channels that do not divide among the colours.
    """
    if kind not in get_args(Mask):
        raise InputError(f"unknown mask {kind!r}; choose A or B")
    if c_in % colours or c_out % colours:
        raise InputError(f"{c_in} and {c_out} channels do not divide among {colours} colours: give multiples of that")
    height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
    row, column = (height // 2, width // 2) if centre is None else centre
    mask = torch.zeros(c_out, c_in, height, width)
    mask[:, :, :row] = 1
    mask[:, :, row, :column] = 1
    own, other = torch.arange(c_out)[:, None] % colours, torch.arange(c_in) % colours
    mask[:, :, row, column] = (other < own if kind == "A" else other <= own).float()
    return mask


class MaskedConv2d(nn.Conv2d):
    """A convolution, padded with zeros to keep the size, whose forbidden weights count as zero; see `conv_mask`.

    Without a kind nothing is forbidden: then the kernel itself must end at its centre.
    """

    def __init__(
        self,
        kind: Mask | None,
        c_in: int,
        c_out: int,
        kernel: int | tuple[int, int],
        colours: int = 1,
        centre: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(c_in, c_out, kernel)
        height, width = self.kernel_size
        row, column = centre or (height // 2, width // 2)
        self.around = (column, width - 1 - column, row, height - 1 - row)  # left, right, above, below
        mask = None if kind is None else conv_mask(kind, self.kernel_size, c_in, c_out, colours, (row, column))
        if mask is not None and mask.all():
            mask = None
        self.register_buffer("mask", mask, persistent=False)

    def allowed(self) -> Tensor:
        """The weight, forbidden entries zero."""
        return self.weight if self.mask is None else self.weight * self.mask

    def forward(self, x: Tensor) -> Tensor:
        """[B, c_in, H, W] -> [B, c_out, H, W]."""
        return self.inside(F.pad(x, self.around) if any(self.around) else x)

    def inside(self, x: Tensor) -> Tensor:
        """Without padding: only where the kernel fits."""
        return F.conv2d(x, self.allowed(), self.bias)

    def at(self, window: Tensor) -> Tensor:
        """At one place: [B, c_in, height, width of the kernel], or [B, c_in] for a 1x1 kernel, -> [B, c_out]."""
        return F.linear(window.flatten(1), self.allowed().flatten(1), self.bias)


class PlainStack(nn.Module):
    """The PixelCNN of van den Oord et al. (2016a) without its output: masked convolutions, one on top of the other.

    Its receptive field has a blind spot: a kernel of side 3 goes one pixel to the right only by going one row up, so what stands
    further to the right in the rows above is never seen, however many layers there are.
    """

    def __init__(self, image_shape: tuple[int, int, int], features: int = 16, layers: int = 3, kernel: int = 3) -> None:
        super().__init__()
        self.image_shape = image_shape
        colours = image_shape[0]
        self.first = MaskedConv2d("A", colours, features * colours, kernel, colours)
        self.layers = nn.ModuleList(
            MaskedConv2d("B", features * colours, features * colours, kernel, colours) for _ in range(layers - 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, features C, H, W]. It reaches as far as eq-masked-reach says and misses what eq-blind-count counts."""
        h = self.first(x)
        for layer in self.layers:
            h = layer(F.relu(h))
        return h


# The Gated PixelCNN


def gate(x: Tensor) -> Tensor:
    """[B, 2 c, ...] -> [B, c, ...]: tanh of one half times sigmoid of the other; van den Oord et al. (2016b), equation 2; eq-gate."""
    a, b = x.chunk(2, dim=1)
    return a.tanh() * b.sigmoid()


def down(x: Tensor) -> Tensor:
    """[B, c, H, W] one row lower: the first row becomes zero, the last is dropped."""
    return F.pad(x, (0, 0, 1, -1))


class GatedLayer(nn.Module):
    """One layer of both stacks: van den Oord et al. (2016b), figure 2. The picture stands at the head of the file."""

    def __init__(self, kind: Mask, c_in: int, features: int, kernel: int, colours: int, dropout: float) -> None:
        super().__init__()
        self.c_in, self.reach = c_in, (reach := kernel // 2)
        self.vertical = MaskedConv2d(None, c_in, 2 * features, (reach + 1, kernel), centre=(reach, reach))
        self.link = MaskedConv2d(None, 2 * features, 2 * features, 1)
        self.horizontal = MaskedConv2d(kind, c_in, 2 * features, (1, reach + 1), colours, centre=(0, reach))
        self.out = MaskedConv2d("B", features, features, 1, colours)
        self.dropout = nn.Dropout2d(dropout)
        self.residual = kind == "B"

    def forward(self, v: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Both [B, c_in, H, W] -> both [B, features, H, W]. Layers of side three see all of eq-stacks-seen."""
        rows = self.vertical(v)
        new = self.out(self.dropout(gate(self.horizontal(h) + self.link(down(rows)))))
        return self.dropout(gate(rows)), h + new if self.residual else new


class GatedStack(nn.Module):
    """The network of a Gated PixelCNN: an image to the parameters of the distribution of each of its values.

    Args:
        image_shape: (C, H, W).
        outputs: numbers per pixel.
        features: channels of each stack.
        layers: how many `GatedLayer`.
        kernel: side of the kernels, odd; of the first layer `first_kernel`.
        head: channels of the hidden layer before the output.
        colours: into how many groups the channels fall; 1 if a pixel's colours are put out together.

    Raises:
        InputError: if the channels do not divide among the colours.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        outputs: int,
        features: int,
        layers: int,
        kernel: int = 3,
        first_kernel: int = 7,
        head: int = 64,
        colours: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.image_shape = image_shape
        first = GatedLayer("A", image_shape[0], features, first_kernel, colours, dropout)
        self.layers = nn.ModuleList(
            [first, *(GatedLayer("B", features, features, kernel, colours, dropout) for _ in range(layers - 1))]
        )
        self.head = MaskedConv2d("B", features, head, 1, colours)
        self.last = MaskedConv2d("B", head, outputs, 1, colours)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W], values in [-1, 1] -> [B, outputs, H, W]; the outputs at a pixel see only what is before it."""
        v = h = x
        for layer in self.layers:
            v, h = layer(v, h)
        return self.last(F.relu(self.head(F.relu(h))))


class ByPixel:
    """A `GatedStack` evaluated pixel by pixel while the images come into being: everything computed once is kept.

    The vertical stack moves on by a row when a row is finished, the horizontal stack by a pixel. All in all they do the work of
    a single pass through the network, where a pass for each pixel would do it H W times.

    Use: for each row in turn `next_row`, then for each column in turn `pixel`.
    """

    def __init__(self, net: GatedStack, n: int) -> None:
        self.net, self.row = net, -1
        width, zeros = net.image_shape[2], net.last.weight.new_zeros
        # What each layer looks at, with zeros around it: the rows of v within reach, and the row of h up to the pixel.
        self.v = [zeros(n, layer.c_in, layer.reach + 1, width + 2 * layer.reach) for layer in net.layers]
        self.h = [zeros(n, layer.c_in, layer.reach + width) for layer in net.layers]
        self.links: list[Tensor] = []  # what the vertical stack tells each layer in this row, [n, 2 features, W]

    def next_row(self, x: Tensor) -> None:
        """Let the vertical stack take in the row that is finished, of images x [n, C, H, W], and begin the next."""
        self.links = []
        v = x[:, :, self.row : self.row + 1] if self.row >= 0 else None
        for layer, seen in zip(self.net.layers, self.v, strict=True):
            if v is None:  # nothing is above the first row: `down` puts zeros there
                rows = seen.new_zeros(len(seen), layer.vertical.out_channels, 1, x.shape[3])
            else:
                seen.copy_(torch.cat([seen[:, :, 1:], F.pad(v, (layer.reach, layer.reach))], dim=2))
                rows = layer.vertical.inside(seen)
                v = gate(rows)
            self.links.append(layer.link(rows)[:, :, 0])
        self.row += 1

    def pixel(self, x: Tensor, column: int) -> Tensor:
        """The outputs at this column of the row, [n, outputs], for images x [n, C, H, W] that are finished up to there."""
        h = x[:, :, self.row, column]
        for layer, row, link in zip(self.net.layers, self.h, self.links, strict=True):
            if layer.residual:
                row[:, :, layer.reach + column] = h
            else:
                row[:, :, layer.reach :] = x[:, :, self.row]
            seen = layer.horizontal.at(row[:, :, column : column + layer.reach + 1])
            new = layer.out.at(gate(seen + link[:, :, column]))
            h = h + new if layer.residual else new
        return self.net.last.at(F.relu(self.net.head.at(F.relu(h))))


def receptive_field(network: nn.Module, row: int, column: int) -> Tensor:
    """Which pixels the network's output at (row, column) depends on: bool [H, W].

    By gradients, in float64. All weights and the image are positive random numbers, so that every contribution to a gradient is
    positive and none can cancel another.

    Args:
        network: a `PlainStack` or `GatedStack`, which is not changed.
    """
    network = copy.deepcopy(network).double().eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            fan_in = parameter[0].numel()
            parameter.copy_(torch.rand(parameter.shape, generator=generator, dtype=torch.float64) / fan_in)
    x = torch.rand(1, *network.image_shape, generator=generator, dtype=torch.float64).requires_grad_()
    network(x)[0, :, row, column].sum().backward()
    return (x.grad[0] > 0).any(0)


# The model


class PixelCNN(GenerativeModel):
    """A Gated PixelCNN with one of two outputs.

    "softmax" gives a probability to each level, and each colour sees those before it through the masks: van den Oord et al.
    (2016a), section 3.3. "logistics" gives a mixture of discretised logistics for the pixel as a whole, in which the means of later colours
    move with the earlier ones: Salimans et al. (2017), section 2.

    Raises:
        InputError: if a name is unknown, a number out of range, or channels do not divide among the colours.
    """

    family = "pixelcnn"
    config_type = PixelCNNConfig

    def __init__(self, config: PixelCNNConfig) -> None:
        super().__init__(config)
        _check(config)
        softmax, c = config.output == "softmax", config.channels
        # A logistic mixture has, for each component, a weight, C means, C scales and C (C - 1) / 2 coefficients.
        outputs = config.levels * c if softmax else config.mixtures * (1 + 2 * c + c * (c - 1) // 2)
        self.net = GatedStack(
            self.image_shape,
            outputs,
            features=config.features,
            layers=config.layers,
            kernel=config.kernel,
            first_kernel=config.first_kernel,
            head=config.head,
            colours=c if softmax else 1,
            dropout=config.dropout,
        )
        if not softmax:  # begin with components that stand apart, each as wide as the space between them
            m = config.mixtures
            with torch.no_grad():
                bias = self.net.last.bias
                bias[m : m + m * c] = torch.linspace(-1, 1, m + 2)[1:-1].repeat_interleave(c)
                bias[m + m * c : m + 2 * m * c] = -math.log(m + 1)

    def log_prob(self, images: Tensor) -> Tensor:
        """The logarithm of the probability of each value, [B, C, H, W], for uint8 images; of each pixel, [B, 1, H, W], if a
        pixel's colours are put out together. The sum over an image is the logarithm of the image's probability.
        A softmax has eq-softmax, with the slopes eq-softmax-gradient."""
        if images.shape[1:] != self.image_shape:
            raise InputError(f"images of {list(images.shape[1:])} values: this model is of images {list(self.image_shape)}")
        levels = self.config.levels
        k = to_levels(images, levels)
        x = level_value(k, levels, next(self.parameters()).dtype)
        out = at_least_float32(self.net(x))
        if self.config.output == "softmax":
            return -F.cross_entropy(out.unflatten(1, (levels, -1)), k, reduction="none")
        logits, mean, log_scale, coefficients = self._mixture(out.movedim(1, -1))
        mean = colour_mean(mean, coefficients, x.movedim(1, -1)[..., None, :])
        return logistic_mixture_log_prob(k.movedim(1, -1), logits, mean, log_scale, levels)[:, None]

    def _mixture(self, out: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Outputs [..., P] -> logits [..., M], means and log scales [..., M, C], coefficients [..., M, C (C - 1) / 2]."""
        m, c = self.config.mixtures, self.config.channels
        logits, *rest = out.split([m, m * c, m * c, m * (c * (c - 1) // 2)], dim=-1)
        mean, log_scale, coefficients = (part.reshape(*logits.shape, part.shape[-1] // m) for part in rest)
        return logits, mean, log_scale.clamp(min=LOWEST_LOG_SCALE), coefficients.tanh()

    def forward(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        generator: torch.Generator,
        part: slice = slice(None),
    ) -> Losses:
        """Minus the logarithm of the probability of uint8 images [B, C, H, W], in nats per dimension. Nothing is drawn."""
        images = images[part]
        return Losses(-self.log_prob(images).flatten(1).sum(1) / images[0].numel())

    @torch.no_grad()
    def bits_per_dim(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
        progress: Progress | None = None,
    ) -> Tensor:
        """Minus the log2 of a batch's probability per value, [B], exact, eq-ar-bits: one pass, nothing is drawn."""
        return -self.log_prob(images).flatten(1).sum(1) / (images[0].numel() * math.log(2))

    @torch.no_grad()
    def sample(
        self,
        n: int,
        labels: Tensor | None = None,
        *,
        generator: torch.Generator,
        temperature: float = 1.0,
        top: Tensor | None = None,
        cached: bool = True,
        progress: Progress | None = None,
    ) -> Tensor:
        """n new images, float [n, C, H, W] in [-1, 1], value by value.

        Args:
            temperature: below 1 the likely values become likelier: the logits are divided by it, scales multiplied by it.
            top: the first rows, uint8 [n, C, rows, W], which are kept: the rest is drawn given them.
            cached: False runs the whole network for every value, to see what `ByPixel` saves.
            progress: called after each row with (rows done, rows in all).

        Raises:
            InputError: for n < 1, a temperature not above 0, or a top that does not fit.
        """
        (c, height, width), levels = self.image_shape, self.config.levels
        checks.at_least_one(n)
        if not (temperature > 0 and math.isfinite(temperature)):
            raise InputError(f"temperature = {temperature:g}: give a number above 0")
        x = next(self.parameters()).new_zeros(n, c, height, width)
        given = 0
        if top is not None:
            given = top.shape[2] if top.ndim == 4 else 0
            if top.shape != (n, c, given, width) or given > height:
                raise InputError(f"top has shape {list(top.shape)}: give rows, [{n}, {c}, at most {height}, {width}]")
            x[:, :, :given] = level_value(to_levels(top, levels), levels)
        # All colours of a pixel at once, or one by one.
        colours = [slice(None)] if self.config.output == "logistics" else range(c)
        memory = ByPixel(self.net, n)
        for row in range(height):
            memory.next_row(x)
            for column in range(width) if row >= given else ():
                for colour in colours:
                    out = memory.pixel(x, column) if cached else self.net(x)[:, :, row, column]
                    k = self._draw(at_least_float32(out), colour, temperature, generator)
                    x[:, colour, row, column] = level_value(k, levels, x.dtype)
            if progress is not None:
                progress(row + 1, height)
        return x

    def _draw(self, out: Tensor, colour: int | slice, temperature: float, generator: torch.Generator) -> Tensor:
        """Levels from the outputs at one pixel, [n, outputs]: of one colour, [n], or of all together, [n, C]."""
        if self.config.output == "softmax":
            p = F.softmax(out.unflatten(1, (self.config.levels, -1))[:, :, colour] / temperature, 1)
            return torch.multinomial(p, 1, generator=generator)[:, 0]
        logits, mean, log_scale, coefficients = self._mixture(out)
        logits, log_scale = logits / temperature, log_scale + math.log(temperature)
        return sample_logistic_mixture(logits, mean, log_scale, self.config.levels, generator, coefficients)


def _check(config: PixelCNNConfig) -> None:
    checks.known(config, "output", get_args(Output))
    checks.at_least(config, 1, "channels", "height", "width", "mixtures", "features", "layers", "head")
    checks.at_least(config, 2, "levels")
    for name in ("kernel", "first_kernel"):
        if getattr(config, name) < 3 or getattr(config, name) % 2 == 0:
            raise InputError(f"{name} = {getattr(config, name)}: give an odd number from 3 on")
    checks.below_one(config, "dropout")
