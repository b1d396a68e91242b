"""What every generative model of the course can do, whatever its family."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, fields
from typing import ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn

from diffcourse.config import ImageConfig
from diffcourse.diffusion.bound import Bound
from diffcourse.errors import InputError

Progress = Callable[[int, int], None]
"""Called during sampling with (calls done, calls in all)."""


def scale(images: Tensor) -> Tensor:
    """uint8 images 0..255 -> float32 in [-1, 1]."""
    return images.float() / 127.5 - 1


def unscale(x: Tensor) -> Tensor:
    """Values in [-1, 1] -> uint8 0..255, rounded and clipped; the inverse of `scale`."""
    return ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def to_levels(images: Tensor, levels: int) -> Tensor:
    """uint8 images 0..255 -> int64 numbers 0..levels - 1 of their grey levels.

    With 256 levels these are the same numbers. Data with fewer shades, like the digits' 17, stand in a uint8 image at
    round(255 k / (levels - 1)), and k comes back.

    Raises:
        InputError: if a value is no such level.
    """
    if levels == 256:  # nothing to check, which would make a GPU wait
        return images.long()
    k = (images.double() * ((levels - 1) / 255)).round().long()
    if not torch.equal(from_levels(k, levels), images):
        raise InputError(f"the images have other values than {levels} evenly spaced grey levels: give levels = 256")
    return k


def from_levels(k: Tensor, levels: int) -> Tensor:
    """Numbers 0..levels - 1 of grey levels -> uint8 0..255; the inverse of `to_levels`."""
    return unscale(level_value(k, levels))


def level_value(k: Tensor, levels: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Numbers 0..levels - 1 of grey levels -> values in [-1, 1], evenly spaced. `unscale` of it is `from_levels(k, levels)`."""
    return 2 * k.to(dtype) / (levels - 1) - 1


def nearest_level(x: Tensor, levels: int) -> Tensor:
    """Values -> int64 numbers of the nearest grey levels; the inverse of `level_value`, and clipped outside [-1, 1]."""
    return ((x + 1) * ((levels - 1) / 2)).round().clamp(0, levels - 1).long()


def at_least_float32(x: Tensor) -> Tensor:
    """What a network says in half precision, in float32: logarithms, exponentials and sums over many values need the digits."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class Losses(NamedTuple):
    """What a model has to say about a batch."""

    per_example: Tensor
    """[B], differentiable; training minimises the mean."""
    time: Tensor | None = None
    """[B] in (0, 1]: t/T, where each example's loss was looked at. None in families that know no time."""


class GenerativeModel(nn.Module, ABC):
    """A model of images [N, C, H, W]: it has a loss to train by and can be sampled from."""

    family: ClassVar[str]
    """The family's name on the command line and in checkpoints."""
    config_type: ClassVar[type[ImageConfig]]
    """The dataclass that describes a model of the family."""

    has_likelihood: ClassVar[bool] = True
    """Whether `bits_per_dim` answers."""

    config: ImageConfig
    """The `config_type` that the model was built from."""
    image_shape: tuple[int, int, int]
    """(C, H, W) of what it models."""
    classes: int = 0
    """How many classes it can be asked for; 0 if it knows none."""

    def __init__(self, config: ImageConfig) -> None:
        super().__init__()
        self.config = config
        self.image_shape = (config.channels, config.height, config.width)

    @classmethod
    def from_configuration(cls, configuration: dict) -> Self:
        """The untrained model that `configuration` describes.

        Raises:
            InputError: if it describes a model of another family or version.
        """
        family = configuration.get("family", "ddpm")
        if family != cls.family:
            raise InputError(f"this is the configuration of a model of the family {family!r}, not {cls.family!r}")
        given = {key: tuple(v) if isinstance(v, list) else v for key, v in configuration.items() if key != "family"}
        if unknown := given.keys() - {f.name for f in fields(cls.config_type)}:
            raise InputError(f"this is no configuration of a {cls.family} of this version: it has {', '.join(sorted(unknown))}")
        return cls(cls.config_type(**given))

    def configuration(self) -> dict:
        """Everything needed to build an equal, untrained model: plain JSON values, with the family's name."""
        return {"family": self.family, **asdict(self.config)}

    def prepare(self, images: Tensor) -> None:
        """Set what starts from the data rather than from chance; training calls this once, with a first batch of uint8 images."""

    @abstractmethod
    def forward(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        generator: torch.Generator,
        part: slice = slice(None),
    ) -> Losses:
        """The losses of a batch of uint8 images [B, C, H, W] with classes int64 [B].

        Args:
            labels: needed by a model that knows classes, and ignored by one that does not.
            part: the rows to work on. Random numbers are drawn for the whole batch, so that processes which share a batch
                compute together what a single one would.
        """

    def loss(self, images: Tensor, labels: Tensor | None = None, *, generator: torch.Generator) -> Tensor:
        """A differentiable scalar: the mean of the batch's losses."""
        return self(images, labels, generator=generator).per_example.mean()

    @abstractmethod
    def sample(
        self, n: int, labels: Tensor | None = None, *, generator: torch.Generator, progress: Progress | None = None
    ) -> Tensor:
        """n new images, float [n, C, H, W] in [-1, 1], of the classes int64 [n] where they are given."""

    def bound(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        generator: torch.Generator,
        progress: Progress | None = None,
    ) -> Bound | None:
        """The terms of the variational bound in nats for uint8 images; None in families whose likelihood has no such terms."""
        return None

    def bits_per_dim(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        generator: torch.Generator,
        progress: Progress | None = None,
    ) -> Tensor | None:
        """Minus the log2 of a batch's probability, [B], per component of the uint8 images; None without a likelihood."""
        return None
