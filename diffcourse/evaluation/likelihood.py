"""How many bits a model needs for an image it has not seen, and at which steps it spends them."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from diffcourse.errors import InputError
from diffcourse.families.base import GenerativeModel, Progress


class LikelihoodReport(NamedTuple):
    """What `likelihood` found: means over the images in bits for each of an image's values, with standard errors. Print it.

    The terms are None for families whose likelihood does not come as a sum of them.
    """

    total: float
    """A + sum of B_t + C, an upper bound of minus the log2 of the probability."""
    total_error: float
    """Its standard error, from the choice of the images and from the noise."""
    prior: float | None
    """A."""
    denoising: Tensor | None
    """B_2 .. B_T, float64 [T - 1]; B_t stands at index t - 2."""
    reconstruction: float | None
    """C."""
    prior_error: float | None
    denoising_error: Tensor | None
    """[T - 1]."""
    reconstruction_error: float | None
    n: int
    """How many images."""
    seed: int
    """Of the generator that the noise was drawn with."""
    classes: int
    """How many classes the model was told the image's from; 0 if it was not told."""
    values: int
    """How many values an image has."""

    def __str__(self) -> str:
        text = f"{self.total:.4f} +- {self.total_error:.4f} bits per dimension of {self.n} images (noise seed {self.seed})"
        if self.denoising is not None:
            text += (
                f"\nof these A {self.prior:.4f} +- {self.prior_error:.4f}, all B_t {self.denoising.sum():.4f}, "
                f"C {self.reconstruction:.4f} +- {self.reconstruction_error:.4f}"
            )
        if self.classes:
            more = math.log2(self.classes) / self.values
            text += f"\ngiven the class; naming it costs {more:.4f} more at most"
        return text


@torch.no_grad()
def likelihood(
    model: GenerativeModel,
    images: Tensor,
    labels: Tensor | None = None,
    *,
    generator: torch.Generator,
    batch: int = 128,
    progress: Progress | None = None,
) -> LikelihoodReport:
    """Bits per dimension of images, term by term, a batch at a time.

    A diffusion model is called T times for each image, with one draw of the noise for each t. That is unbiased, and since
    each image has noise of its own, the spread over the images tells the error of the mean.

    Args:
        images: uint8 [N, C, H, W], which the model has not been trained on.
        labels: int64 [N], to ask for the bits given the class.
        generator: of the noise, on the model's device.
        progress: called with (images done, images in all); the parts of a batch count.

    Raises:
        InputError: for fewer than two images, of another type or shape than the model's, or a model without a likelihood.
    """
    if images.dtype != torch.uint8 or tuple(images.shape[1:]) != tuple(model.image_shape):
        raise InputError(
            f"images of type {images.dtype} and shape {list(images.shape[1:])}: this model gives the probability of uint8 images "
            f"of shape {list(model.image_shape)}"
        )
    if len(images) < 2:
        raise InputError(f"{len(images)} images: give at least two, so that the error can be told")
    device, bits_per_nat = generator.device, 1 / (images[0].numel() * math.log(2))
    seed = generator.initial_seed()
    totals, terms = [], []
    for start in range(0, len(images), batch):
        x = images[start : start + batch].to(device)
        y = None if labels is None else labels[start : start + batch].to(device)

        def count(calls: int, of: int) -> None:
            if progress is not None:
                progress(start + len(x) * calls // of, len(images))

        bound = model.bound(x, y, generator=generator, progress=count)
        bits = model.bits_per_dim(x, y, generator=generator, progress=count) if bound is None else bound.total * bits_per_nat
        if bits is None:
            raise InputError(f"{type(model).__name__} has no likelihood: judge its samples instead")
        totals.append(bits.double().cpu())
        if bound is not None:
            terms.append([term.double().cpu() * bits_per_nat for term in bound])
    total, total_error = _mean(torch.cat(totals))
    none = (None, None)
    prior, denoising, reconstruction = [_mean(torch.cat(parts)) for parts in zip(*terms)] or (none, none, none)
    return LikelihoodReport(
        total=total,
        total_error=total_error,
        prior=prior[0],
        denoising=denoising[0],
        reconstruction=reconstruction[0],
        prior_error=prior[1],
        denoising_error=denoising[1],
        reconstruction_error=reconstruction[1],
        n=len(images),
        seed=seed,
        classes=0 if labels is None else model.classes,
        values=images[0].numel(),
    )


def _mean(x: Tensor) -> tuple[float, float] | tuple[Tensor, Tensor]:
    """Mean over the images and its standard error: numbers for x [N], tensors [K] for [N, K]."""
    mean, error = x.mean(0), x.std(0) / len(x) ** 0.5
    return (mean.item(), error.item()) if x.ndim == 1 else (mean, error)
