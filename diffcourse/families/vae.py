"""Autoencoders: plain, denoising, variational. Kingma and Welling (2014); Rezende et al. (2014).

An `Encoder` squeezes an image into a few numbers z, a `Decoder` unfolds them again. The `Autoencoder` takes z for a point. The
`VAE` takes it for a random variable with the prior N(0, I): its encoder answers with a Gaussian q(z | x), its decoder with a
distribution p(x | z) of the grey levels. Shapes in comments are [batch, channels, height, width].
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffcourse.config import VAEConfig
from diffcourse.diffusion.bound import bits_per_dim, grey_level_log_prob
from diffcourse.diffusion.gaussian import kl_gaussians, log_density, reparameterise
from diffcourse.diffusion.process import Gaussian, standard_normal_like
from diffcourse.errors import InputError
from diffcourse.families import checks
from diffcourse.families.base import (
    GenerativeModel,
    Losses,
    Progress,
    at_least_float32,
    level_value,
    nearest_level,
    scale,
    to_levels,
)
from diffcourse.families.decoders import (
    discretised_logistic_log_prob,
    logistic_mixture_log_prob,
    sample_discretised_logistic,
    sample_logistic_mixture,
)
from diffcourse.nets.unet import zero

# Layers


class ResBlock(nn.Module):
    """The U-Net's residual block without a time to be told: x plus norm, SiLU and convolution, twice over."""

    def __init__(self, channels: int, groups: int, dropout: float) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.GroupNorm(groups, channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.GroupNorm(groups, channels),
            nn.SiLU(),
            nn.Dropout(dropout),
            zero(nn.Conv2d(channels, channels, 3, padding=1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class Encoder(nn.Module):
    """Images [B, C, H, W] to `numbers` numbers each: residual blocks, halved between levels, and a linear layer at the end."""

    def __init__(self, config: VAEConfig, numbers: int) -> None:
        super().__init__()
        widths = [config.base_width * m for m in config.multipliers]
        first = nn.Conv2d(config.channels * config.patch**2, widths[0], 3, padding=1)
        layers: list[nn.Module] = [nn.PixelUnshuffle(config.patch), first]
        for level, width in enumerate(widths):
            if level > 0:
                layers.append(nn.Conv2d(widths[level - 1], width, 3, stride=2, padding=1))
            layers += [ResBlock(width, config.groups, config.dropout) for _ in range(config.blocks)]
        self.body = nn.Sequential(*layers, nn.GroupNorm(config.groups, widths[-1]), nn.SiLU())
        self.head = nn.Linear(math.prod(_deepest(config)), numbers)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).flatten(1))


class Decoder(nn.Module):
    """Codes [B, latent] to [B, channels, H, W]: the encoder's way back."""

    def __init__(self, config: VAEConfig, channels: int) -> None:
        super().__init__()
        widths = [config.base_width * m for m in config.multipliers]
        deepest = _deepest(config)
        layers: list[nn.Module] = [nn.Linear(config.latent, math.prod(deepest)), nn.Unflatten(1, deepest)]
        for level, width in reversed(list(enumerate(widths))):
            layers += [ResBlock(width, config.groups, config.dropout) for _ in range(config.blocks)]
            if level > 0:
                layers += [nn.Upsample(scale_factor=2.0), nn.Conv2d(width, widths[level - 1], 3, padding=1)]
        self.body = nn.Sequential(*layers)
        last = nn.Conv2d(widths[0], channels * config.patch**2, 3, padding=1)
        self.head = nn.Sequential(nn.GroupNorm(config.groups, widths[0]), nn.SiLU(), last, nn.PixelShuffle(config.patch))

    def forward(self, z: Tensor) -> Tensor:
        return self.head(self.body(z))


def _deepest(config: VAEConfig) -> tuple[int, int, int]:
    """(channels, height, width) where the encoder's convolutions end."""
    smaller = config.patch * 2 ** (len(config.multipliers) - 1)
    return config.base_width * config.multipliers[-1], config.height // smaller, config.width // smaller


# A point for a code


class Autoencoder(nn.Module):
    """An encoder and a decoder that learn to give back what goes in: Hinton and Salakhutdinov (2006).

    With noise it is a denoising autoencoder: it sees x + noise eps and learns to give back x. Vincent et al. (2008). It
    has no distribution of codes, so it is no model of images that could be sampled from.

    Args:
        config: decoder and beta do not matter here.
        noise: standard deviation of the noise that is added to images in [-1, 1].

    Raises:
        InputError: if a number is out of range, or the image cannot be halved as often as the configuration asks.
    """

    def __init__(self, config: VAEConfig, noise: float = 0.0) -> None:
        super().__init__()
        _check(config)
        if not 0 <= noise < math.inf:
            raise InputError(f"noise = {noise:g}: give a standard deviation, 0 for none")
        self.config, self.noise = config, noise
        self.encoder = Encoder(config, config.latent)
        self.decoder = Decoder(config, config.channels)

    def encode(self, x: Tensor) -> Tensor:
        """Codes [B, latent] of images x [B, C, H, W] in [-1, 1]."""
        return self.encoder(x)

    def decode(self, z: Tensor) -> Tensor:
        """Images [B, C, H, W] of codes [B, latent]; about in [-1, 1], which nothing holds them to."""
        return self.decoder(z)

    def forward(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        generator: torch.Generator,
        part: slice = slice(None),
    ) -> Losses:
        """The mean squared error of what comes back, for uint8 images [B, C, H, W]."""
        x = _values(images, self)
        eps = standard_normal_like(x, generator)[part]
        x = x[part]
        back = self.decode(self.encode(x + self.noise * eps))
        return Losses((back - x).square().flatten(1).mean(1))


# A distribution over codes


class Elbo(NamedTuple):
    """The terms of the evidence lower bound in nats, for each image."""

    reconstruction: Tensor
    """log p(x | z) at a draw z ~ q(z | x), [B]: an unbiased estimate of its mean."""
    kl: Tensor
    """KL(q(z | x) || p(z)), [B]: exact for the prior N(0, I), for a mixture log q(z | x) - log p(z) at the same draw."""

    @property
    def total(self) -> Tensor:
        """reconstruction - kl, [B], on average at most log p(x)."""
        return self.reconstruction - self.kl


class MixturePrior(nn.Module):
    """A learned distribution of codes: a mixture of Gaussians. Tomczak and Welling (2018), section 4, weigh such priors up.

    Under N(0, I) an encoder has to fill a ball evenly, and where it does not, draws from the prior fall between the codes of real
    images. A mixture moves to where the codes are instead.
    """

    def __init__(self, gaussians: int, latent: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(gaussians))
        self.mean = nn.Parameter(torch.randn(gaussians, latent))
        self.log_variance = nn.Parameter(torch.zeros(gaussians, latent))

    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z), [B], of codes [B, latent]."""
        of_gaussians = log_density(z[:, None], self.mean, self.log_variance.exp()).sum(2)
        return torch.logsumexp(F.log_softmax(self.logits, 0) + of_gaussians, 1)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """n codes, [n, latent]: choose a Gaussian, then draw from it."""
        chosen = torch.multinomial(self.logits.softmax(0), n, replacement=True, generator=generator)
        mean = self.mean[chosen]
        return reparameterise(mean, self.log_variance[chosen].exp(), standard_normal_like(mean, generator))


MIXED = 5
"""Logistics in a mixture."""

OUTPUTS = {"bernoulli": 1, "gaussian": 1, "logistic": 2, "mixture": 3 * MIXED}
"""How many numbers each distribution p(x | z) takes from the network for one value of the image."""


class VAE(GenerativeModel):
    """The variational autoencoder: Kingma and Welling (2014).

    p(z) = N(0, I), or a learned `MixturePrior`; given z all values of the image are independent. The encoder says mean and log
    variance of q(z | x), the decoder the distribution of each value:

    - "gaussian": a mean; the standard deviation is one learned number. The bell is cut half way between grey levels.
    - "logistic": location and log scale of a discretised logistic, both learned for each value. Salimans et al. (2017).
    - "mixture": of five such logistics.
    - "bernoulli": the probability of white. Grey is taken for a probability too, and the loss is then a cross entropy and not the
      likelihood of grey levels: `bits_per_dim` answers only for images of two levels, and draws are black and white.

    Raises:
        InputError: if a name is unknown, a number out of range, or the image cannot be halved as often as the configuration asks.
    """

    family = "vae"
    config_type = VAEConfig

    def __init__(self, config: VAEConfig) -> None:
        super().__init__(config)
        _check(config)
        self.encoder = Encoder(config, 2 * config.latent)
        self.decoder = Decoder(config, OUTPUTS[config.decoder] * config.channels)
        if config.decoder == "gaussian":
            self.log_std = nn.Parameter(torch.tensor(-1.0))
        self.prior = MixturePrior(config.prior, config.latent) if config.prior > 1 else None

    def forward(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        generator: torch.Generator,
        part: slice = slice(None),
    ) -> Losses:
        """beta KL(q(z | x) || p(z)) - log p(x | z) in nats per value, at one draw z ~ q(z | x); uint8 images [B, C, H, W].

        Kingma and Welling (2014), equation 10; beta as in Higgins et al. (2017), equation 4; the book's
        eq-beta-noise says which noise it amounts to.
        """
        bound = self.elbo(images, generator=generator, part=part)
        return Losses((self.config.beta * bound.kl - bound.reconstruction) / math.prod(self.image_shape))

    def elbo(self, images: Tensor, *, generator: torch.Generator, part: slice = slice(None)) -> Elbo:
        """The two terms of the bound (the book's eq-elbo-split) for uint8 images [B, C, H, W], with one draw of z for each."""
        x = _values(images, self)
        eps = standard_normal_like(x.new_empty(len(x), self.config.latent), generator)[part]
        q = self._posterior(x[part])
        z = reparameterise(q.mean, q.variance, eps)
        k = to_levels(images[part], self.config.levels)
        if self.prior is None:
            kl = kl_gaussians(q.mean, q.variance, 0.0, 1.0).sum(1)
        else:
            kl = log_density(z, q.mean, q.variance).sum(1) - self.prior.log_prob(z)
        return Elbo(self._log_likelihood(k, z), kl)

    @torch.no_grad()
    def importance_weighted_bound(
        self, images: Tensor, samples: int, *, generator: torch.Generator, progress: Progress | None = None
    ) -> Tensor:
        """log (1/K sum_k p(x, z_k) / q(z_k | x)) with K draws z_k ~ q(z | x), in nats, [B]: Burda et al. (2016), equation 8.

        The book's eq-iwae. On average at most log p(x) and at least the ELBO, which K = 1 is an estimate of; the larger K, the
        nearer to log p(x).

        Args:
            samples: K; the decoder is called as often.
            progress: called after each call with (calls done, K).

        Raises:
            InputError: for K < 1.
        """
        if samples < 1:
            raise InputError(f"samples = {samples}: the bound needs at least one draw of z")
        k = to_levels(images, self.config.levels)
        q = self._posterior(_values(images, self))
        log_weights = []
        for done in range(1, samples + 1):
            z = reparameterise(q.mean, q.variance, standard_normal_like(q.mean, generator))
            log_prior = log_density(z, 0.0, 1.0).sum(1) if self.prior is None else self.prior.log_prob(z)
            log_q = log_density(z, q.mean, q.variance).sum(1)
            log_weights.append((self._log_likelihood(k, z) + log_prior - log_q).double())
            if progress is not None:
                progress(done, samples)
        return torch.stack(log_weights).logsumexp(0) - math.log(samples)

    def bits_per_dim(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        generator: torch.Generator,
        progress: Progress | None = None,
        samples: int = 128,
    ) -> Tensor | None:
        """Minus the importance-weighted bound with K = `samples` draws, in bits for each of the image's values, [B].

        None for a Bernoulli decoder of more than two levels, which does not say how probable a grey level is.
        """
        if self.config.decoder == "bernoulli" and self.config.levels > 2:
            return None
        bound = self.importance_weighted_bound(images, samples, generator=generator, progress=progress)
        return bits_per_dim(-bound, images)

    # From images to codes and back

    @torch.no_grad()
    def encode(self, images: Tensor) -> Gaussian:
        """q(z | x) of uint8 images [B, C, H, W]: mean and variance, [B, latent] each."""
        return self._posterior(_values(images, self))

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        """The means of p(x | z) for codes [n, latent]: images, float [n, C, H, W] in [-1, 1]. (See `_mean` for a logistic's.)"""
        return self._mean(self._decoded(z))

    @torch.no_grad()
    def interpolate(self, start: Tensor, end: Tensor, steps: int = 8) -> Tensor:
        """The decoded codes on the straight line between those of two uint8 images [C, H, W]: [steps, C, H, W] in [-1, 1].

        Raises:
            InputError: for fewer than two steps.
        """
        if steps < 2:
            raise InputError(f"steps = {steps}: a line has at least its two ends")
        z = self.encode(torch.stack([start, end])).mean
        return self.decode(torch.lerp(z[:1], z[1:], torch.linspace(0, 1, steps).to(z)[:, None]))

    @torch.no_grad()
    def sample(
        self,
        n: int,
        labels: Tensor | None = None,
        *,
        generator: torch.Generator,
        progress: Progress | None = None,
        draw: bool = True,
    ) -> Tensor:
        """n new images, float [n, C, H, W] in [-1, 1], from codes z ~ p(z).

        Args:
            draw: draw each value from p(x | z), which is what the model's likelihood speaks of; else take its mean, which
                has no noise and no true variety of grey either.

        Raises:
            InputError: for n < 1.
        """
        checks.at_least_one(n)
        like = next(self.parameters())
        if self.prior is None:
            z = standard_normal_like(like.new_empty(n, self.config.latent), generator)
        else:
            z = self.prior.sample(n, generator)
        out = self._decoded(z)
        x = self._draw(out, generator) if draw else self._mean(out)
        if progress is not None:
            progress(1, 1)
        return x

    # What the two networks say

    def _posterior(self, x: Tensor) -> Gaussian:
        mean, log_variance = at_least_float32(self.encoder(x)).chunk(2, dim=1)
        return Gaussian(mean, log_variance.exp())

    def _decoded(self, z: Tensor) -> Tensor:
        """The parameters of p(x | z) for each value, [n, C, H, W, parameters]."""
        return at_least_float32(self.decoder(z)).unflatten(1, (OUTPUTS[self.config.decoder], -1)).movedim(1, -1)

    def _log_likelihood(self, k: Tensor, z: Tensor) -> Tensor:
        """log p(x | z), [B], of images whose grey levels have the numbers k [B, C, H, W]."""
        levels, out = self.config.levels, self._decoded(z)
        match self.config.decoder:
            case "bernoulli":
                of_values = -F.binary_cross_entropy_with_logits(out[..., 0], k.to(out) / (levels - 1), reduction="none")
            case "gaussian":
                of_values = grey_level_log_prob(level_value(k, levels, out.dtype), out[..., 0], (2 * self.log_std).exp(), levels)
            case "logistic":
                of_values = discretised_logistic_log_prob(k, out[..., 0], out[..., 1], levels)
            case "mixture":
                of_values = logistic_mixture_log_prob(k[..., None], *_mixture(out), levels)
        return of_values.flatten(1).sum(1)

    def _draw(self, out: Tensor, generator: torch.Generator) -> Tensor:
        """One draw of each value, in [-1, 1]."""
        levels = self.config.levels
        match self.config.decoder:
            case "bernoulli":
                k = torch.bernoulli(out[..., 0].sigmoid(), generator=generator).long() * (levels - 1)
            case "gaussian":
                x = out[..., 0] + self.log_std.exp() * standard_normal_like(out[..., 0], generator)
                k = nearest_level(x, levels)
            case "logistic":
                k = sample_discretised_logistic(out[..., 0], out[..., 1], levels, generator)
            case "mixture":
                k = sample_logistic_mixture(*_mixture(out), levels, generator)[..., 0]
        return level_value(k, levels)

    def _mean(self, out: Tensor) -> Tensor:
        """What each value is on average, before it is cut into levels, held in [-1, 1]."""
        match self.config.decoder:
            case "bernoulli":
                mean = 2 * out[..., 0].sigmoid() - 1
            case "mixture":
                logits, means, _ = _mixture(out)
                mean = (logits.softmax(-1) * means[..., 0].clamp(-1, 1)).sum(-1)
            case _:
                mean = out[..., 0]
        return mean.clamp(-1, 1)


def _mixture(out: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Logits [..., M], means [..., M, 1] and log scales [..., M, 1] of mixtures for one value each."""
    logits, mean, log_scale = out.chunk(3, dim=-1)
    return logits, mean[..., None], log_scale[..., None]


def _values(images: Tensor, model: nn.Module) -> Tensor:
    """uint8 images -> [-1, 1], in the floating type of the model."""
    return scale(images).to(next(model.parameters()).dtype)


def _check(config: VAEConfig) -> None:
    checks.known(config, "decoder", OUTPUTS)
    if config.levels < 2:
        raise InputError(f"levels = {config.levels}: an image has at least 2 grey levels")
    checks.at_least(config, 1, "latent", "base_width", "blocks", "groups", "patch", "prior")
    if not config.multipliers or min(config.multipliers) < 1:
        raise InputError(f"multipliers = {list(config.multipliers)}: give a number from 1 up for each level")
    checks.below_one(config, "dropout")
    if not 0 <= config.beta < math.inf:
        raise InputError(f"beta = {config.beta:g}: give a weight from 0 up")
    checks.groups_divide(config)
    checks.can_be_halved(config, len(config.multipliers) - 1, config.patch)
