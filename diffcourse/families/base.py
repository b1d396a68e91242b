"""What every generative model of the course can do, whatever its family."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from diffcourse.diffusion.bound import Bound

Progress = Callable[[int, int], None]
"""Called during sampling with (calls done, calls in all)."""


def scale(images: Tensor) -> Tensor:
    """uint8 images 0..255 -> float32 in [-1, 1]."""
    return images.float() / 127.5 - 1


def unscale(x: Tensor) -> Tensor:
    """Values in [-1, 1] -> uint8 0..255, rounded and clipped; the inverse of `scale`."""
    return ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


class Losses(NamedTuple):
    """What a model has to say about a batch."""

    per_example: Tensor
    """[B], differentiable; training minimises the mean."""
    time: Tensor | None = None
    """[B] in (0, 1]: t/T, where each example's loss was looked at. None in families that know no time."""


class GenerativeModel(nn.Module, ABC):
    """A model of images [N, C, H, W]: it has a loss to train by and can be sampled from."""

    image_shape: tuple[int, int, int]
    """(C, H, W) of what it models."""
    classes: int = 0
    """How many classes it can be asked for; 0 if it knows none."""

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

    @abstractmethod
    def configuration(self) -> dict:
        """Everything needed to build an equal, untrained model: plain JSON values, with the family's name."""
