"""The generative adversarial network of Goodfellow et al. (2014): one draws, one judges, both learn.

Both are built after the DCGAN of Radford et al. (2016): strided and upsampling convolutions, nothing pooled. One thing
differs: the generator normalises groups of channels and not the batch, so that an image never depends on which
others are drawn with it. Shapes in comments are [batch, channels, height, width].
"""

# The two networks, for multipliers (1, 2), where w is the base width:
#
#    latent ─ hidden ─ linear ─ 2w, H/4 x W/4 ─ up ─ w, H/2 x W/2 ─ up ─ tanh ─ image
#     logit ─ linear ─ hidden ─ 2w, H/4 x W/4 ─ down ─ w, H/2 x W/2 ─ down ─ image
#
# Without multipliers both are fully connected, as those of Goodfellow et al. were.

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils.parametrizations import spectral_norm

from diffcourse.config import GANConfig
from diffcourse.diffusion.process import standard_normal_like
from diffcourse.errors import InputError
from diffcourse.families import checks
from diffcourse.families.base import GenerativeModel, Losses, Progress, level_value, nearest_level, scale

LOSSES = ("non-saturating", "original")
"""What the generator minimises, see `generator_loss`."""
REMEDIES = ("r1", "spectral", "none")
"""What keeps the discriminator tame: a penalty on its slope, its layers' norms, or nothing."""
SLOPE = 0.2
"""Of the discriminator's leaky ReLUs below zero, as in the DCGAN."""


class Players(NamedTuple):
    """What each player has to pay for a batch, in nats, [B] each. Neither depends on the other player's weights."""

    discriminator: Tensor
    generator: Tensor


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """- log D(x) - log(1 - D(G(z))) from the logits of real and drawn images, [B].

    Goodfellow et al. (2014), equation 1, with the sign turned.
    The book's eq-gan-value; with the best logits there are its mean is that of eq-gan-js. D is the sigmoid of the
    logit, and softplus(a) = log(1 + e^a) = - log(1 - sigmoid(a)).
    """
    return F.softplus(-real) + F.softplus(fake)


def generator_loss(fake: Tensor, loss: str = "non-saturating") -> Tensor:
    """What the generator minimises, from the logits of its images, [B].

    "original" is log(1 - D(G(z))), the other side of the same game, which hardly changes where D is near 0;
    "non-saturating" is - log D(G(z)), which falls steeply there. Goodfellow et al. (2014), section 3.
    Their slopes are the book's eq-gan-saturation.
    """
    return F.softplus(-fake) if loss == "non-saturating" else -F.softplus(fake)


def slerp(a: Tensor, b: Tensor, share: float | Tensor) -> Tensor:
    """The point at `share` of the way from a to b, [..., latent], along the great circle: the book's eq-gan-arc.

    Shoemake (1985). Latents in many dimensions all lie near one sphere, and the straight way would lead through its
    empty inside. Where the two have different lengths, the length changes evenly as well.

    Args:
        share: from 0, which gives a, to 1, which gives b; a tensor must broadcast against [..., 1].
    """
    length_a, length_b = a.norm(dim=-1, keepdim=True), b.norm(dim=-1, keepdim=True)
    unit_a, unit_b = a / length_a, b / length_b
    angle = 2 * torch.atan2((unit_a - unit_b).norm(dim=-1, keepdim=True), (unit_a + unit_b).norm(dim=-1, keepdim=True))
    angle = angle.clamp(min=torch.finfo(a.dtype).eps)  # equal directions: the weights become 1 - share and share
    weight_a, weight_b = ((1 - share) * angle).sin() / angle.sin(), (share * angle).sin() / angle.sin()
    length = torch.lerp(length_a, length_b, torch.as_tensor(share, dtype=a.dtype))
    return (weight_a * unit_a + weight_b * unit_b) * length


class Generator(nn.Module):
    """Latents [B, latent] to images [B, channels, H, W] in (-1, 1)."""

    def __init__(self, config: GANConfig) -> None:
        super().__init__()
        widths = _widths(config)[::-1]
        self.start = (widths[0], *_smallest(config))
        c, h, w = self.start
        self.linear = linear_layers((config.latent, *config.hidden, c * h * w), nn.ReLU())
        layers: list[nn.Module] = []
        for c_in, c_out in pairwise(widths):
            layers += [nn.GroupNorm(config.groups, c_in), nn.ReLU()]
            # A kernel of 4 meets every pixel equally often, one of 3 would draw a checkerboard.
            layers += [nn.ConvTranspose2d(c_in, c_out, 4, stride=2, padding=1)]
        self.layers = nn.Sequential(*layers, nn.Tanh())
        start_as_he(self)

    def forward(self, z: Tensor) -> Tensor:
        """z [B, latent] -> [B, channels, H, W]."""
        return self.layers(self.linear(z).unflatten(1, self.start))


class Discriminator(nn.Module):
    """Images [B, channels, H, W] to logits [B]: positive where it takes them for real."""

    def __init__(self, config: GANConfig) -> None:
        super().__init__()
        widths = _widths(config)
        layers: list[nn.Module] = []
        for c_in, c_out in pairwise(widths):
            layers += [nn.Conv2d(c_in, c_out, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
        features = math.prod((widths[-1], *_smallest(config)))
        verdict = linear_layers((features, *config.hidden, 1), nn.LeakyReLU(SLOPE))
        self.layers = nn.Sequential(*layers, nn.Flatten(), verdict)
        start_as_he(self)
        if config.remedy == "spectral":
            for layer in list(self.modules()):
                if isinstance(layer, nn.Conv2d | nn.Linear):
                    spectral_norm(layer)  # Miyato et al. (2018): the weight is divided by its largest singular value

    def forward(self, x: Tensor) -> Tensor:
        """x [B, channels, H, W] -> [B]."""
        return self.layers(x).squeeze(1)


def _widths(config: GANConfig) -> list[int]:
    """Channels at each resolution, those of the image first."""
    return [config.channels, *(config.base_width * m for m in config.multipliers)]


def _smallest(config: GANConfig) -> tuple[int, int]:
    """Height and width after all halvings."""
    return config.height >> len(config.multipliers), config.width >> len(config.multipliers)


def linear_layers(sizes: Sequence[int], activation: nn.Module) -> nn.Sequential:
    """Fully connected layers from each size to the next, with the activation between them and not after the last."""
    layers: list[nn.Module] = []
    for size_in, size_out in pairwise(sizes):
        layers += [nn.Linear(size_in, size_out), activation]
    return nn.Sequential(*layers[:-1])


def start_as_he(network: nn.Module) -> None:
    """Weights that keep the size of what flows through ReLUs, He et al. (2015), and no biases.

    With PyTorch's smaller ones a network without normalisation begins nearly flat: the discriminator has little to say,
    and the generator draws nearly one image.
    """
    for layer in network.modules():
        if not isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            continue
        nn.init.zeros_(layer.bias)
        if isinstance(layer, nn.ConvTranspose2d):  # PyTorch would count what leaves, and all places of the kernel
            meet = layer.weight[:, 0].numel() / math.prod(layer.stride)  # an output meets one in two along each axis
            nn.init.normal_(layer.weight, std=math.sqrt(2 / meet))
        else:
            nn.init.kaiming_normal_(layer.weight)


class GAN(GenerativeModel):
    """A generator and a discriminator, which a single backward pass trains at the same time.

    It has no likelihood: `bits_per_dim` is None.

    Raises:
        InputError: if a name is unknown, a number out of range, or the image cannot be halved as often as asked.
    """

    family = "gan"
    config_type = GANConfig
    has_likelihood = False

    def __init__(self, config: GANConfig) -> None:
        super().__init__(config)
        _check(config)
        self.generator = Generator(config)
        self.discriminator = Discriminator(config)

    def forward(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        generator: torch.Generator,
        part: slice = slice(None),
    ) -> Losses:
        """The sum of both players' losses for uint8 images [B, C, H, W]: its gradient is what each would compute alone.

        Goodfellow et al. (2014), algorithm 1, moves the discriminator first and then the generator; here both step at
        once, from the same weights: simultaneous gradient descent. The sum tells nothing about how good the images are.
        """
        return Losses(sum(self.players(images, generator=generator, part=part)))

    def players(self, images: Tensor, *, generator: torch.Generator, part: slice = slice(None)) -> Players:
        """Each player's loss for uint8 images [B, C, H, W], with as many drawn images against them.

        The discriminator sees drawn images as data, detached from the generator. The generator is judged by a
        discriminator whose weights are constants: the gradient flows through them to the images and no further.
        """
        config = self.config
        real = scale(images).to(next(self.parameters()).dtype)
        z = standard_normal_like(real.new_empty(len(real), config.latent), generator)
        real, z = real[part], z[part]
        fake = self.generator(z)

        if config.remedy == "r1":
            judged, penalty = self.judge_with_slope(real)
        else:
            judged, penalty = self.discriminator(real), 0.0
        losses = discriminator_loss(judged, self.discriminator(fake.detach())) + penalty

        constants = {name: weight.detach() for name, weight in self.discriminator.named_parameters()}
        return Players(losses, generator_loss(functional_call(self.discriminator, constants, fake), config.loss))

    def judge_with_slope(self, real: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [B] of real images and the penalty R1 [B]: gamma / 2 times the logit's squared gradient by the image.

        Mescheder et al. (2018), equation 9: where images are already right, a slope would drive the generator away.
        """
        with torch.enable_grad():  # the slope is needed also where nobody trains
            real = real.detach().requires_grad_().clone()  # the counter of operations forbids derivatives by a leaf
            judged = self.discriminator.forward(real)  # the plain network: a compiled one has no second derivatives
            (slope,) = torch.autograd.grad(judged.sum(), real, create_graph=True)
        return judged, self.config.gamma / 2 * slope.square().flatten(1).sum(1)

    @torch.no_grad()
    def sample(
        self,
        n: int,
        labels: Tensor | None = None,
        *,
        generator: torch.Generator,
        latents: Tensor | None = None,
        progress: Progress | None = None,
    ) -> Tensor:
        """n new images, float [n, C, H, W] in [-1, 1], in a single pass; their values are rounded to the grey levels.

        Args:
            labels: ignored, as the family knows no classes.
            latents: [n, latent], standard normal when drawn by chance; drawn from the generator when left out.
            progress: called once with (1, 1).

        Raises:
            InputError: for n < 1, or latents of another shape.
        """
        checks.at_least_one(n)
        like = next(self.parameters())
        if latents is None:
            latents = standard_normal_like(like.new_empty(n, self.config.latent), generator)
        elif latents.shape != (n, self.config.latent):
            raise InputError(f"latents have shape {list(latents.shape)}; n = {n} images need {[n, self.config.latent]}")
        images = self.generator(latents.to(like)).to(like.dtype)
        if progress is not None:
            progress(1, 1)
        return level_value(nearest_level(images, self.config.levels), self.config.levels)


def _check(config: GANConfig) -> None:
    checks.known(config, "loss", LOSSES)
    checks.known(config, "remedy", REMEDIES)
    checks.at_least(config, 1, "channels", "height", "width", "latent", "base_width", "groups")
    checks.at_least(config, 2, "levels")
    for name in ("multipliers", "hidden"):
        if min(getattr(config, name), default=1) < 1:
            raise InputError(f"{name} = {list(getattr(config, name))}: give numbers of at least 1")
    if not config.gamma > 0:
        raise InputError(f"gamma = {config.gamma:g}: give a number above 0, or take another remedy")
    checks.groups_divide(config)
    checks.can_be_halved(config, len(config.multipliers))
