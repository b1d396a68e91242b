"""What every generative model of the course can do, whatever its family."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

Progress = Callable[[int, int], None]
"""Called during sampling with (calls done, calls in all)."""


def scale(images: Tensor) -> Tensor:
    """uint8 images 0..255 -> float32 in [-1, 1]."""
    return images.float() / 127.5 - 1


def unscale(x: Tensor) -> Tensor:
    """Values in [-1, 1] -> uint8 0..255, rounded and clipped; the inverse of `scale`."""
    return ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


class GenerativeModel(nn.Module, ABC):
    """A model of images [N, C, H, W]: it has a loss to train by and can be sampled from."""

    image_shape: tuple[int, int, int]
    """(C, H, W) of what it models."""

    @abstractmethod
    def loss(self, images: Tensor, *, generator: torch.Generator) -> Tensor:
        """A differentiable scalar for a batch of uint8 images [B, C, H, W]."""

    @abstractmethod
    def sample(self, n: int, *, generator: torch.Generator, progress: Progress | None = None) -> Tensor:
        """n new images, float [n, C, H, W] in [-1, 1]."""

    @abstractmethod
    def configuration(self) -> dict:
        """Everything needed to build an equal, untrained model: plain JSON values, with the family's name."""
