"""What to train and how: every choice in two dataclasses, which are saved with a run and shown by --help.

Nothing here imports torch, so that --help answers at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from diffcourse.errors import InputError

Precision = Literal["fp32", "bf16", "fp16"]
Decay = Literal["cosine", "none"]


def option(default: Any, help: str) -> Any:
    """A field of a configuration with the line that --help shows for it."""
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class ImageConfig:
    """The images that a model of any family makes; what else decides about it, the families add."""

    channels: int = 1
    height: int = 8
    width: int = 8
    levels: int = option(256, "grey levels that the values of the images have")


@dataclass(frozen=True)
class DDPMConfig(ImageConfig):
    """Everything that decides what a DDPM is. Network sizes as in `nets.UNet`."""

    T: int = option(1000, "steps of the diffusion")
    schedule: str = option("linear", "linear, cosine or sigmoid")
    base_width: int = option(16, "channels at full resolution")
    multipliers: tuple[int, ...] = option((1, 2), "channels of each level, in multiples of the first's")
    blocks: int = option(1, "residual blocks per level")
    attention: tuple[int, ...] = option((1,), "levels with self-attention; 0 is full resolution")
    heads: int = option(4, "attention heads")
    dropout: float = option(0.0, "inside the residual blocks")
    groups: int = option(8, "of every group normalisation")
    scale_shift: bool = option(True, "time and class scale and shift a block's features; else they are added")
    patch: int = option(1, "side of the squares of pixels that the network takes for one")
    classes: int = option(0, "classes that the model can be asked for")
    label_dropout: float = option(0.1, "share of the labels that are hidden in training, which makes guidance possible")
    target: str = option("eps", "what the network predicts: eps, x0 or v")
    weighting: str = option("simple", "what an error at step t counts: simple, bound or min_snr")
    learned_variance: bool = option(False, "learn the variance of the reverse steps as well")


@dataclass(frozen=True)
class GANConfig(ImageConfig):
    """Everything that decides what a GAN is."""

    latent: int = option(32, "numbers that an image is drawn from")
    base_width: int = option(48, "channels at half resolution, of both networks")
    multipliers: tuple[int, ...] = option((1, 2), "channels after each halving, in multiples of the first's; none: fully connected")
    hidden: tuple[int, ...] = option((), "sizes of more linear layers, behind the latents and before the verdict")
    groups: int = option(8, "of every group normalisation in the generator")
    loss: str = option("non-saturating", "of the generator: non-saturating or original")
    remedy: str = option("r1", "for the discriminator: r1, spectral or none")
    gamma: float = option(1.0, "what the penalty of the remedy r1 counts")


@dataclass(frozen=True)
class VAEConfig(ImageConfig):
    """Everything that decides what a VAE is. Its encoder and decoder are made of the same levels."""

    latent: int = option(16, "numbers in the code z")
    base_width: int = option(32, "channels at full resolution")
    multipliers: tuple[int, ...] = option((1, 2), "channels of each level, in multiples of the first's")
    blocks: int = option(1, "residual blocks per level, in the encoder and in the decoder")
    dropout: float = option(0.0, "inside the residual blocks")
    groups: int = option(8, "of every group normalisation")
    patch: int = option(1, "side of the squares of pixels that the networks take for one")
    decoder: str = option("logistic", "distribution of a value given z: bernoulli, gaussian, logistic or mixture")
    prior: int = option(1, "Gaussians that the prior of the codes is a learned mixture of; 1 stands for N(0, I)")
    beta: float = option(1.0, "weight of the divergence from the prior in the loss; 1 is the bound itself")


@dataclass(frozen=True)
class FlowConfig(ImageConfig):
    """Everything that decides what a normalizing flow is. Layers as in `families.flow`."""

    kind: str = option("glow", "nice, realnvp or glow")
    scales: int = option(1, "how often squares of 2 x 2 pixels become channels; all but a glow's last one finish half of the channels")
    couplings: int = option(8, "couplings at each scale; for realnvp with either mask")
    hidden: int = option(64, "channels inside the couplings' networks")
    depth: int = option(1, "hidden layers of the couplings' networks")
    dropout: float = option(0.0, "inside the couplings' networks")
    margin: float = option(0.05, "what the logit of the first layer keeps away from 0 and 1; 0 for no logit")


@dataclass(frozen=True)
class PixelCNNConfig(ImageConfig):
    """Everything that decides what a PixelCNN is. Network sizes as in `families.pixelcnn.GatedStack`."""

    output: str = option("softmax", "softmax (a probability for each level) or logistics (a mixture of discretised logistics)")
    mixtures: int = option(5, "logistics in a mixture")
    features: int = option(32, "channels of each of the two stacks")
    layers: int = option(4, "gated layers")
    kernel: int = option(3, "side of the kernels, odd")
    first_kernel: int = option(5, "side of the first layer's kernel, odd")
    head: int = option(64, "channels of the hidden layer before the output")
    dropout: float = option(0.0, "after every gate")


CONFIGS: dict[str, type[ImageConfig]] = {
    "ddpm": DDPMConfig,
    "pixelcnn": PixelCNNConfig,
    "vae": VAEConfig,
    "gan": GANConfig,
    "flow": FlowConfig,
}
"""The configuration of each family, by its name."""


@dataclass(frozen=True)
class TrainConfig:
    """How to train. Give either `steps` or `minutes`; resumed minutes count what was spent before.

    Raises:
        InputError: if a value is out of range.
    """

    steps: int | None = option(None, "train for so many steps")
    minutes: float | None = option(None, "train for so long, start-up included")
    batch: int = option(64, "images per step, of all processes together")
    accumulate: int = option(1, "parts of a process's share of the batch, one after the other, to save memory")
    learning_rate: float = option(2e-3, "the highest")
    warmup_steps: int = option(100, "steps over which the learning rate rises from 0")
    decay: Decay = option("cosine", "cosine lets the learning rate fall to 0 by the end, none keeps it")
    momentum: float = option(0.9, "of AdamW, its first beta")
    weight_decay: float = option(0.01, "of AdamW")
    ema_decay: float = option(0.995, "of the average of the weights that is sampled from")
    gradient_clip: float = option(1.0, "largest norm of a step's gradient")
    flip: bool = option(False, "mirror half of the images left to right")
    precision: Precision = option("fp32", "fp32, bf16 or fp16 in the network; the weights stay fp32")
    compile: bool = option(False, "torch.compile the network: a slow start, then faster steps")
    channels_last: bool = option(False, "memory layout that suits GPUs' convolutions")
    save_every_seconds: float = option(60.0, "seconds between checkpoints")
    log_every: int = option(50, "steps between lines in the log")
    seed: int = option(0, "of everything random")

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.minutes is None):
            raise InputError(f"steps = {self.steps} and minutes = {self.minutes}: give one of the two, not both")
        for name in ("steps", "batch", "accumulate", "log_every"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} = {value}: give at least 1")
        for name in ("minutes", "learning_rate", "gradient_clip"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise InputError(f"{name} = {value:g}: give a number above 0")
        if not 0 <= self.momentum < 1:
            raise InputError(f"momentum = {self.momentum:g}: give a number from 0 to below 1")
        for name in ("warmup_steps", "weight_decay", "save_every_seconds", "seed"):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name} = {getattr(self, name)}: it must not be negative")
        for name, known in (("precision", get_args(Precision)), ("decay", get_args(Decay))):
            if getattr(self, name) not in known:
                raise InputError(f"unknown {name} {getattr(self, name)!r}; choose one of {', '.join(known)}")
