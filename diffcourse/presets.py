"""What to train by default on which data: a network that suits the images, and how to train it."""

from __future__ import annotations

import math
from dataclasses import replace

from diffcourse.config import DDPMConfig, FlowConfig, GANConfig, ImageConfig, PixelCNNConfig, TrainConfig, VAEConfig
from diffcourse.errors import InputError

_THREE_MINUTES = TrainConfig(minutes=3.0)
_GREY_28 = DDPMConfig(
    height=28,
    width=28,
    schedule="cosine",
    base_width=16,
    multipliers=(1, 2, 4),
    blocks=2,
    attention=(2,),
    classes=10,
    learned_variance=True,
)
_GREY_28_TRAINING = TrainConfig(minutes=60.0, warmup_steps=500, ema_decay=0.999)

PRESETS: dict[str, tuple[DDPMConfig, TrainConfig]] = {
    "digits": (DDPMConfig(schedule="cosine"), _THREE_MINUTES),
    "mnist": (_GREY_28, _GREY_28_TRAINING),
    "fashion": (_GREY_28, _GREY_28_TRAINING),
    # Ho et al. (2020), appendix B, and their program: 35.7 million weights, 800,000 steps of 128 images on a TPU.
    "cifar10": (
        DDPMConfig(
            channels=3,
            height=32,
            width=32,
            base_width=128,
            multipliers=(1, 2, 2, 2),
            blocks=2,
            attention=(1,),
            heads=1,
            dropout=0.1,
            groups=32,
            scale_shift=False,
        ),
        TrainConfig(
            steps=800_000,
            batch=128,
            learning_rate=2e-4,
            warmup_steps=5000,
            decay="none",
            weight_decay=0.0,
            ema_decay=0.9999,
            flip=True,
        ),
    ),
}
"""For the data sets that the package knows, by name."""


COMPARED: dict[str, dict[str, tuple[ImageConfig, TrainConfig]]] = {
    "ddpm": {
        "digits": (DDPMConfig(schedule="cosine", levels=17, learned_variance=True), TrainConfig(steps=1, batch=32)),
        "mnist": (
            replace(_GREY_28, classes=0),
            TrainConfig(steps=1, warmup_steps=200, ema_decay=0.998, precision="bf16"),
        ),
        "toy": (
            DDPMConfig(
                height=1, width=2, schedule="cosine", base_width=16, multipliers=(1,), attention=(), learned_variance=True
            ),
            TrainConfig(steps=1, batch=512, learning_rate=3e-3),
        ),
    },
    "pixelcnn": {
        "digits": (
            PixelCNNConfig(levels=17, features=52, layers=4, dropout=0.1),
            TrainConfig(steps=1, batch=32, learning_rate=4e-3),
        ),
        "mnist": (
            PixelCNNConfig(height=28, width=28, features=88, layers=7, first_kernel=7, head=128, dropout=0.05),
            TrainConfig(steps=1, batch=16, precision="bf16"),
        ),
        "toy": (
            PixelCNNConfig(height=1, width=2, output="logistics", mixtures=10, features=16, first_kernel=3, head=32),
            TrainConfig(steps=1, batch=256, learning_rate=5e-3),
        ),
    },
    # A mixture for a prior fills the holes between the digits' codes; on toys it follows the codes until they say nothing.
    "vae": {
        "digits": (
            VAEConfig(levels=17, latent=26, base_width=24, dropout=0.1, prior=64),
            TrainConfig(steps=1, learning_rate=3e-3),
        ),
        "mnist": (
            VAEConfig(height=28, width=28, latent=36, base_width=48, patch=2, decoder="mixture", prior=128),
            TrainConfig(steps=1, learning_rate=2e-3, ema_decay=0.998, precision="bf16"),
        ),
        "toy": (
            VAEConfig(height=1, width=2, latent=2, base_width=24, multipliers=(1,), blocks=2, groups=1),
            TrainConfig(steps=1, batch=512, learning_rate=1e-3),
        ),
    },
    # With a third of the digits' penalty the discriminator ran away; with momentum = 0.9 the ring of Gaussians collapses,
    # and with none at all the digits are learned in fewer steps than with the usual 0.5: benchmarks/README.md.
    "gan": {
        "digits": (
            GANConfig(levels=17, multipliers=(), hidden=(270, 270)),
            TrainConfig(steps=1, batch=128, learning_rate=3e-3, momentum=0.0, weight_decay=0.0, gradient_clip=1000.0),
        ),
        "mnist": (
            GANConfig(height=28, width=28, latent=50, base_width=96),
            TrainConfig(
                steps=1,
                batch=32,
                learning_rate=1e-3,
                momentum=0.0,
                weight_decay=0.0,
                ema_decay=0.998,
                gradient_clip=1000.0,
                precision="bf16",
            ),
        ),
        "toy": (
            GANConfig(height=1, width=2, latent=2, multipliers=(), hidden=(96, 96), gamma=0.02),
            TrainConfig(steps=1, batch=128, learning_rate=3e-3, momentum=0.5, weight_decay=0.0, gradient_clip=1000.0),
        ),
    },
    "flow": {
        "digits": (
            FlowConfig(levels=17, scales=3, couplings=3, hidden=101, dropout=0.1),
            TrainConfig(steps=1, learning_rate=5e-3),
        ),
        "mnist": (
            FlowConfig(height=28, width=28, scales=2, couplings=6, hidden=250),
            TrainConfig(steps=1, batch=32, learning_rate=2e-3, ema_decay=0.998, precision="bf16"),
        ),
        "toy": (
            FlowConfig(height=1, width=2, kind="realnvp", scales=0, couplings=8, hidden=45),
            TrainConfig(steps=1, batch=128, learning_rate=5e-3),
        ),
    },
}
"""What stands for each family in a comparison, on each data set: models of nearly as many weights, but for the toys."""


BUDGETS: dict[str, dict[str, float]] = {
    "digits": {"steps": 2000, "flops": 1.5e12, "seconds": 50},
    "mnist": {"steps": 10_000, "flops": 1.5e14, "seconds": 3600},
}
"""What each run of a comparison may spend, by data set, counted in training steps, floating-point operations or seconds."""


def preset(name: str, image_shape: tuple[int, int, int], family: str = "ddpm") -> tuple[ImageConfig, TrainConfig]:
    """The preset of that name, for images of (C, H, W); for other names one that suits the size of the images.

    Raises:
        InputError: if larger images cannot be halved even once.
    """
    if family == "ddpm":
        return _ddpm(name, image_shape)
    channels, height, width = image_shape
    model, training = COMPARED[family][name if name in COMPARED[family] else "digits" if max(height, width) <= 8 else "mnist"]
    if name not in COMPARED[family]:
        model = replace(model, levels=256)
    return replace(model, channels=channels, height=height, width=width), replace(training, steps=None, minutes=3.0)


def _ddpm(name: str, image_shape: tuple[int, int, int]) -> tuple[DDPMConfig, TrainConfig]:
    channels, height, width = image_shape
    side = max(height, width)
    if name in PRESETS:
        model, training = PRESETS[name]
    elif side <= 8:
        model, training = PRESETS["digits"]
    elif side <= 28:
        model = DDPMConfig(schedule="cosine", base_width=32, multipliers=(1, 2, 2), attention=(2,))
        training = replace(_THREE_MINUTES, learning_rate=1e-3)
    else:  # half the channels of the preset cifar10, and scaled and shifted features, which learn faster
        model = DDPMConfig(base_width=64, multipliers=(1, 2, 2, 2), blocks=2, attention=(1,), dropout=0.1)
        training = replace(_THREE_MINUTES, learning_rate=2e-4)
    halvings = 0
    while halvings < len(model.multipliers) - 1 and math.gcd(height, width) % (model.patch * 2 ** (halvings + 1)) == 0:
        halvings += 1
    if halvings == 0 and side > 8:
        raise InputError(
            f"images of {height}x{width} pixels cannot be halved, which the network needs: "
            f"resize them with --size {max(8, min(height, width) // 4 * 4)}"
        )
    shape = {"channels": channels, "height": height, "width": width}
    return replace(model, **shape, multipliers=model.multipliers[: halvings + 1]), training
