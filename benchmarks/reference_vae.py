"""Is the course's VAE as good as a library's? Train both on the digits: python benchmarks/reference_vae.py

The other is pythae's (Chadebec et al., 2022), which needs

    pip install --no-deps pythae==0.1.2 cloudpickle==3.1.2 pydantic==2.12.5 pydantic-core==2.41.5 annotated-types typing-inspection

with two kinds of networks: its default, fully connected ones, and convolutions with its residual blocks, put together as in its networks
for MNIST but for 8x8 pixels. Its decoder says a mean alone; the squared error with the divergence weighted by beta is the bound of
a Gaussian of variance beta, so several beta are tried. The Gaussian that its likelihood is then measured with has the standard
deviation that suits the training images best, and is cut half way between grey levels like ours.

All have as many weights, see the same batches for as many steps of the same optimiser, and are judged by the same importance-weighted
bound on held-out digits, in bits per dimension. Ours has the learning rate of its preset; pythae the networks, the beta and the rate that
do best on the held-out digits in a first run of each. pythae's loss is that of a density,
which does not know of the cuts, and that costs it much by our measure. So its networks are trained in our model as well, with the prior
N(0, I), logistics and our loss. Ours with a Gaussian and N(0, I) tells how much our logistics and our mixture are worth.
Writes benchmarks/reference_vae.json.
"""

import argparse
import itertools
from dataclasses import replace
from importlib.metadata import version

import torch
from beside import row, timed_training, weights, write
from torch import Tensor, nn

from diffcourse import data
from diffcourse.config import VAEConfig
from diffcourse.diffusion.process import Gaussian
from diffcourse.families.base import GenerativeModel, Losses
from diffcourse.families.vae import VAE
from diffcourse.presets import COMPARED


class Pythae(VAE):
    """pythae's model behind the course's interface: it shares the bound on held-out images with ours, and no network and no loss."""

    def __init__(self, config: VAEConfig, network: str, size: int, variance: float) -> None:
        """Args: size: of the code for "mlp", whose layers have a fixed width; the width for "resnet". variance: pythae's beta."""
        from pythae.models import BetaVAE, BetaVAEConfig

        GenerativeModel.__init__(self, config)
        latent = size if network == "mlp" else config.latent
        settings = BetaVAEConfig(self.image_shape, latent, reconstruction_loss="mse", beta=variance)
        self.prior = None  # N(0, I)
        self.model = BetaVAE(settings) if network == "mlp" else BetaVAE(settings, *_resnet(settings, size))
        # Its images are in [0, 1], ours in [-1, 1]: twice the standard deviation.
        self.register_buffer("log_std", torch.tensor(2 * variance**0.5).log())

    def forward(
        self, images: Tensor, labels: Tensor | None = None, *, generator: torch.Generator, part: slice = slice(None)
    ) -> Losses:
        found = self.model({"data": images[part].float() / 255})
        return Losses(found.loss.expand(len(images[part])))  # pythae tells the mean over the batch alone

    @torch.no_grad()
    def fit_std(self, images: Tensor, generator: torch.Generator) -> None:
        """The standard deviation of the errors on training images, reconstructed from codes drawn as in training."""
        q = self.encode(images)
        z = q.mean + q.variance.sqrt() * torch.randn(q.mean.shape, generator=generator)
        self.log_std.copy_((self._decoded(z)[..., 0] - (images.float() / 127.5 - 1)).square().mean().log() / 2)

    def _posterior(self, x: Tensor) -> Gaussian:
        found = self.model.encoder((x + 1) / 2)
        return Gaussian(found.embedding, found.log_covariance.exp())

    def _decoded(self, z: Tensor) -> Tensor:
        return 2 * self.model.decoder(z).reconstruction[..., None] - 1


class Borrowed(VAE):
    """The convolutions of `Pythae` in the course's model: prior, logistics and loss are ours, or rather Kingma and Welling's."""

    def __init__(self, config: VAEConfig, width: int) -> None:
        super().__init__(config)
        self.encoder, self.decoder = _resnet(config, width, outputs=2)

    def _posterior(self, x: Tensor) -> Gaussian:
        found = self.encoder(x)
        return Gaussian(found.embedding, found.log_covariance.exp())

    def _decoded(self, z: Tensor) -> Tensor:
        return self.decoder(z).reconstruction.movedim(1, -1)[:, None]


def _resnet(settings: object, width: int, outputs: int = 1) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder: two strided convolutions to 2x2 pixels, two residual blocks, a linear layer; and back.

    One output is held between black and white, as pythae does.
    """
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.models.nn.benchmarks.utils import ResBlock

    wide, latent = 2 * width, getattr(settings, "latent_dim", None) or settings.latent

    def blocks() -> list[nn.Module]:
        return [ResBlock(in_channels=wide, out_channels=wide // 4) for _ in range(2)]

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(
                nn.Conv2d(1, width, 4, 2, padding=1), nn.Conv2d(width, wide, 4, 2, padding=1), *blocks(), nn.Flatten()
            )
            self.embedding, self.log_var = nn.Linear(4 * wide, latent), nn.Linear(4 * wide, latent)

        def forward(self, x: Tensor) -> ModelOutput:
            h = self.layers(x)
            return ModelOutput(embedding=self.embedding(h), log_covariance=self.log_var(h))

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(
                nn.Linear(latent, 4 * wide),
                nn.Unflatten(1, (wide, 2, 2)),
                *blocks(),
                nn.ReLU(),
                nn.ConvTranspose2d(wide, width, 4, 2, padding=1),
                nn.ReLU(),
                nn.ConvTranspose2d(width, outputs, 4, 2, padding=1),
                nn.Sigmoid() if outputs == 1 else nn.Identity(),
            )

        def forward(self, z: Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=self.layers(z))

    return Encoder(), Decoder()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=800, help="(default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=2, help="(default: %(default)s)")
    parser.add_argument("--samples", type=int, default=64, help="draws of z for the bound (default: %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)

    config, training = COMPARED["vae"]["digits"]
    training = replace(training, steps=options.steps, minutes=None)
    gaussian = replace(config, decoder="gaussian", prior=1)
    images, held_out = data.load("digits"), data.load("digits", "test").images

    def size_of(network: str, sizes: range) -> int:
        """The size that makes its weights nearly as many as ours."""
        return min(sizes, key=lambda size: abs(weights(Pythae(gaussian, network, size, 0.01)) - weights(VAE(config))))

    sizes = {"mlp": size_of("mlp", range(8, 129)), "resnet": size_of("resnet", range(8, 97, 2))}

    def measure(name: str, rate: float, seed: int, **choices: object) -> dict:
        """Train one model and tell its bits."""
        torch.manual_seed(seed)
        if name == "pythae":
            model = Pythae(gaussian, choices["network"], sizes[choices["network"]], choices["beta"])
        elif name == "pythae's networks":
            model = Borrowed(replace(config, prior=1), sizes["resnet"])
        else:
            model = VAE(config if name == "diffcourse" else gaussian)
        chosen = replace(training, learning_rate=rate, seed=seed)
        model, seconds = timed_training(model, images, chosen)
        if name == "pythae":
            model.fit_std(images.images, torch.Generator().manual_seed(0))
        bits = model.bits_per_dim(held_out, generator=torch.Generator().manual_seed(0), samples=options.samples)
        return row(name, model, chosen, seconds, bits, **choices)

    choices = itertools.product(sizes, (0.01, 0.02, 0.04), sorted({1e-3, training.learning_rate}))
    search = [measure("pythae", rate, 0, network=network, beta=beta) for network, beta, rate in choices]
    best = min(search, key=lambda run: run["bits_per_dim"])
    names = ("pythae", "pythae's networks", "diffcourse", "diffcourse, Gaussian")
    runs = [best]
    for seed in range(options.seeds):
        if seed > 0:
            runs.append(measure("pythae", best["learning_rate"], seed, network=best["network"], beta=best["beta"]))
        runs += [measure(name, training.learning_rate, seed) for name in names[1:]]
    mean = {}
    for name in names:
        found = [run["bits_per_dim"] for run in runs if run["name"] == name]
        mean[name] = sum(found) / len(found)
    result = {
        "command": f"python benchmarks/reference_vae.py --steps {options.steps} --seeds {options.seeds} --samples {options.samples}",
        "ratio_to_pythae": round(mean["diffcourse"] / mean["pythae"], 4),
        "ratio_to_pythaes_networks": round(mean["diffcourse"] / mean["pythae's networks"], 4),
        "mean_bits_per_dim": {name: round(value, 4) for name, value in mean.items()},
        "runs": runs,
        "search": search,
    }
    write(__file__, result, {"pythae": version("pythae")})
    print(
        f"held-out bits per dimension, ours over pythae's: {result['ratio_to_pythae']}, "
        f"over pythae's networks in our model: {result['ratio_to_pythaes_networks']}"
    )


if __name__ == "__main__":
    main()
