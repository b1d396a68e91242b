"""Ties of chapter 4: a small model in float64, whose densities are worked out here once more."""

import math

import sympy as sp
import torch
from torch import Tensor

from diffcourse.algebra.latex import Over
from diffcourse.algebra.notation import family, function, symbol
from diffcourse.config import VAEConfig
from diffcourse.families.base import scale
from diffcourse.families.vae import VAE
from ties import Pairs, Ties, rhs

x, z, zs = symbol("x"), symbol("z"), family("z")
p, p_theta, q = function("p"), function(r"p_\theta"), function("q")
E, KL = function(r"\mathbb{E}"), function(r"D_{\mathrm{KL}}")
DRAWS = 3


def small(gaussians: int) -> tuple[VAE, Tensor]:
    """A model of images of 2 x 2 pixels with five grey levels and so many Gaussians in its prior, and three such images."""
    torch.manual_seed(0)
    config = VAEConfig(height=2, width=2, levels=5, latent=2, base_width=2, multipliers=(1,), groups=1, prior=gaussians)
    images = torch.tensor([0, 64, 128, 191, 255])[torch.randint(5, (3, 1, 2, 2), generator=torch.Generator().manual_seed(1))]
    return VAE(config).double(), images.to(torch.uint8)


def encoder(model: VAE, image: Tensor) -> tuple[Tensor, Tensor]:
    """Means and standard deviations of q(z | x)."""
    said = model.encoder(scale(image[None]).double())[0]
    return said[:2], (said[2:] / 2).exp()


def log_decoder(model: VAE, image: Tensor, code: Tensor) -> float:
    """log p_theta(x | z): differences of logistic functions, pixel by pixel."""
    location, log_scale = model.decoder(code[None])[0]
    total = 0.0
    for value, place, width in zip(image.flatten(), location.flatten(), log_scale.exp().flatten()):
        at = round(value.item() * 4 / 255) / 2 - 1  # -1, -0.5, 0, 0.5, 1
        low, high = (1 / (1 + math.exp(-(at + shift - place.item()) / width.item())) for shift in (-0.25, 0.25))
        at_end = {0: high, 255: 1 - low}
        total += math.log(at_end.get(value.item(), high - low))
    return total


def bell(code: Tensor, mean: Tensor, deviation: Tensor) -> float:
    """A density of independent Gaussians."""
    return torch.distributions.Normal(mean, deviation).log_prob(code).sum().exp().item()


def prior(model: VAE, code: Tensor) -> float:
    """p(z)."""
    if model.prior is None:
        return bell(code, torch.zeros(2).double(), torch.ones(2).double())
    weights = [math.exp(weight) for weight in model.prior.logits.tolist()]
    bells = [bell(code, mean, (part / 2).exp()) for mean, part in zip(model.prior.mean, model.prior.log_variance)]
    return sum(weight * density for weight, density in zip(weights, bells)) / sum(weights)


@torch.no_grad()
def elbo_split() -> Pairs:
    encoded = q(z, sp.Tuple(x))
    for gaussians in (1, 3):
        model, images = small(gaussians)
        found = model.elbo(images, generator=torch.Generator().manual_seed(2))
        noise = torch.randn(3, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        for n, image in enumerate(images):
            mean, deviation = encoder(model, image)
            code = mean + deviation * noise[n]
            if gaussians == 1:
                normal = torch.distributions.Normal
                rate = torch.distributions.kl_divergence(normal(mean, deviation), normal(0.0, 1.0)).sum().item()
            else:  # of a mixture the divergence is estimated with the same draw
                rate = math.log(bell(code, mean, deviation) / prior(model, code))
            # The expectation is estimated with a single draw.
            values = {E(sp.log(p_theta(x, sp.Tuple(z))), Over(encoded)): log_decoder(model, image, code), KL(encoded, p(z)): rate}
            yield float(rhs("eq-elbo-split").subs(values)), found.total[n]


@torch.no_grad()
def iwae() -> Pairs:
    inside = rhs("eq-iwae").args[0].subs(symbol("K"), DRAWS).doit()
    for gaussians in (1, 3):
        model, images = small(gaussians)
        found = model.importance_weighted_bound(images, DRAWS, generator=torch.Generator().manual_seed(3))
        generator = torch.Generator().manual_seed(3)
        noise = [torch.randn(3, 2, generator=generator, dtype=torch.float64) for _ in range(DRAWS)]
        for n, image in enumerate(images):
            mean, deviation = encoder(model, image)
            values: dict[sp.Expr, float] = {}
            for k in range(1, DRAWS + 1):
                code = mean + deviation * noise[k - 1][n]
                values[p_theta(x, zs[k])] = prior(model, code) * math.exp(log_decoder(model, image, code))
                values[q(zs[k], sp.Tuple(x))] = bell(code, mean, deviation)
            yield float(inside.subs(values)), found[n]


TIES: Ties = {"eq-elbo-split": elbo_split, "eq-iwae": iwae}
