"""The denoising diffusion probabilistic model: a U-Net, a schedule, L_simple, ancestral sampling. Ho et al. (2020)."""

from dataclasses import asdict, dataclass
from typing import Literal

import torch
from torch import Tensor

from diffcourse.diffusion import Schedule
from diffcourse.diffusion.loss import draw_steps, simple_loss
from diffcourse.diffusion.process import standard_normal_like
from diffcourse.diffusion.sample import Watch, sample_ddim, sample_ddpm
from diffcourse.diffusion.schedule import SCHEDULES
from diffcourse.errors import InputError
from diffcourse.families.base import GenerativeModel, Progress, scale
from diffcourse.nets import UNet


@dataclass(frozen=True)
class DDPMConfig:
    """Everything that decides a DDPM's shape. Image and network sizes as in `nets.UNet`."""

    channels: int = 1
    height: int = 8
    width: int = 8
    T: int = 1000
    schedule: str = "linear"
    base_width: int = 16
    multipliers: tuple[int, ...] = (1, 2)
    blocks: int = 1
    attention: tuple[int, ...] = (1,)
    heads: int = 4
    dropout: float = 0.0
    groups: int = 8


class DDPM(GenerativeModel):
    """A noise predictor eps(x_t, t) with the schedule it belongs to.

    Raises:
        InputError: if the schedule's name is unknown or the image cannot be halved as often as the network asks.
    """

    def __init__(self, config: DDPMConfig) -> None:
        super().__init__()
        if config.schedule not in SCHEDULES:
            raise InputError(f"unknown schedule {config.schedule!r}; choose one of {', '.join(SCHEDULES)}")
        step = 2 ** (len(config.multipliers) - 1)
        if config.height % step or config.width % step:
            raise InputError(
                f"images of {config.height}x{config.width} pixels cannot be halved {len(config.multipliers) - 1} times; "
                "pad them or use fewer multipliers"
            )
        self.config = config
        self.image_shape = (config.channels, config.height, config.width)
        self.schedule: Schedule = SCHEDULES[config.schedule](config.T)
        self.net = UNet(
            channels=config.channels,
            width=config.base_width,
            multipliers=config.multipliers,
            blocks=config.blocks,
            attention=config.attention,
            heads=config.heads,
            dropout=config.dropout,
            groups=config.groups,
        )

    @classmethod
    def from_configuration(cls, configuration: dict) -> "DDPM":
        """The untrained model that `configuration` describes."""
        if configuration.get("family", "ddpm") != "ddpm":
            raise InputError(f"this is the configuration of a model of the family {configuration['family']!r}, not of a DDPM")
        fields = {key: tuple(v) if isinstance(v, list) else v for key, v in configuration.items() if key != "family"}
        try:
            return cls(DDPMConfig(**fields))
        except TypeError as error:
            raise InputError(f"this is not the configuration of a DDPM of this version: {error}") from error

    def configuration(self) -> dict:
        return {"family": "ddpm", **asdict(self.config)}

    def loss(self, images: Tensor, *, generator: torch.Generator) -> Tensor:
        """L_simple, averaged over a batch of uint8 images [B, C, H, W]: Ho et al. (2020), algorithm 1."""
        x0 = scale(images).to(next(self.parameters()).dtype)
        t = draw_steps(self.schedule, len(x0), generator)
        eps = standard_normal_like(x0, generator)
        return simple_loss(self.schedule, self.net, x0, t, eps).mean()

    @torch.no_grad()
    def sample(
        self,
        n: int,
        *,
        generator: torch.Generator,
        sampler: Literal["ddpm", "ddim"] = "ddpm",
        steps: int | None = None,
        x_T: Tensor | None = None,
        watch: Watch | None = None,
        progress: Progress | None = None,
    ) -> Tensor:
        """n new images, float [n, C, H, W] in [-1, 1].

        Args:
            sampler: "ddpm" (Ho et al.'s algorithm 2) or "ddim" (deterministic given x_T).
            steps: network calls: T for ddpm and 50 for ddim when left out.
            x_T: the starting noise, [n, C, H, W]; drawn from the generator when left out.
            watch: called after each step, see `diffusion.sample.Watch`.
            progress: called after each step with (calls done, calls in all).

        Raises:
            InputError: for n < 1, an unknown sampler, or steps outside 1..T.
        """
        if n < 1:
            raise InputError(f"n = {n}: ask for at least one image")
        if sampler not in ("ddpm", "ddim"):
            raise InputError(f"unknown sampler {sampler!r}; choose ddpm or ddim")
        if steps is None:
            steps = self.schedule.T if sampler == "ddpm" else min(50, self.schedule.T)
        if x_T is None:
            like = next(self.parameters())
            x_T = standard_normal_like(like.new_empty(n, *self.image_shape), generator)
        elif x_T.shape != (n, *self.image_shape):
            raise InputError(f"x_T has shape {list(x_T.shape)}; n = {n} images need {[n, *self.image_shape]}")
        calls = 0

        def watch_and_count(s: int, x: Tensor, x0_hat: Tensor) -> None:
            nonlocal calls
            calls += 1
            if watch is not None:
                watch(s, x, x0_hat)
            if progress is not None:
                progress(calls, steps)

        walk = sample_ddpm if sampler == "ddpm" else sample_ddim
        return walk(self.schedule, self.net, x_T, generator=generator, steps=steps, watch=watch_and_count).clamp(-1, 1)
