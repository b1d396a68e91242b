"""Is a sample a copy of a training image? The nearest one tells, beside what new real images have for their nearest."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from diffcourse.errors import InputError
from diffcourse.families.base import unscale


class Nearest(NamedTuple):
    """The nearest neighbour of each image."""

    distance: Tensor
    """[N], root mean square over the components; from black to white is 1."""
    index: Tensor
    """int64 [N], which one it is."""


class MemorisationReport(NamedTuple):
    """What `memorisation` found. Print it."""

    copies: float
    """Share of samples nearer to a training image than all but the nearest 1 % of the held-out images; those reach 0.01."""
    nearest: float
    """Median distance from a sample to the nearest training image, as measured by `nearest`."""
    nearest_real: float
    """The same for held-out real images."""
    n: int
    """How many samples."""
    n_real: int
    """How many held-out real images."""

    def __str__(self) -> str:
        return (
            f"copies {self.copies:.3f} (real 0.010), median distance to the nearest training image {self.nearest:.3f} "
            f"(real {self.nearest_real:.3f}) with {self.n} samples and {self.n_real} held-out real images"
        )


def memorisation(samples: Tensor, train: Tensor, held_out: Tensor) -> MemorisationReport:
    """Are the samples nearer to the training images than new real images are?

    In pixels: a shifted copy escapes. A model that has learned the data puts its samples where held-out images lie; its copies
    are then about 0.01.

    Args:
        samples: [N, C, H, W], uint8 or floats in [-1, 1].
        train: uint8 [M, C, H, W], what the model was trained on.
        held_out: uint8 [K, C, H, W], real images that it has not seen.

    Raises:
        InputError: if the shapes differ, there are no samples, or they are NaN or infinite.
    """
    samples = as_bytes(samples)
    check_shapes(samples, train, held_out)
    near, near_real = nearest_distance(samples, train), nearest_distance(held_out, train)
    return MemorisationReport(
        copies=float((near < near_real.quantile(0.01)).float().mean()),
        nearest=float(near.median()),
        nearest_real=float(near_real.median()),
        n=len(samples),
        n_real=len(held_out),
    )


def nearest(images: Tensor, among: Tensor) -> Nearest:
    """Each image's nearest one of `among`.

    Both are uint8, [N, C, H, W] and [M, C, H, W].
    """
    other = among.flatten(1).float() / 255
    chunks = (images.flatten(1).float() / 255).split(256)  # a block of distances at a time, not all N M
    index = torch.cat([torch.cdist(chunk, other).argmin(1) for chunk in chunks])
    # The blocks come from a matrix product, whose rounding would keep a copy from being at distance zero.
    difference = (images.flatten(1).int() - among[index].flatten(1).int()).double() / 255
    return Nearest(difference.square().mean(1).sqrt().float(), index)


def nearest_distance(images: Tensor, among: Tensor) -> Tensor:
    """Each image's distance to the nearest one of `among`, [N], see `nearest`."""
    return nearest(images, among).distance


def as_bytes(samples: Tensor) -> Tensor:
    """Samples as uint8, from floats in [-1, 1] if need be.

    Raises:
        InputError: if they are NaN or infinite.
    """
    if not samples.is_floating_point():
        return samples
    if not samples.isfinite().all():
        raise InputError("the samples contain NaN or infinity: the model that made them is broken")
    return unscale(samples)


def check_shapes(samples: Tensor, train: Tensor, held_out: Tensor) -> None:
    """Raise an InputError unless all three hold images of one shape, and there is a sample."""
    if not samples.shape[1:] == train.shape[1:] == held_out.shape[1:]:
        raise InputError(
            f"samples of shape {list(samples.shape[1:])} cannot be compared with training images of shape "
            f"{list(train.shape[1:])} and held-out images of shape {list(held_out.shape[1:])}"
        )
    if len(samples) == 0:
        raise InputError("there are no samples to judge: give at least one")
