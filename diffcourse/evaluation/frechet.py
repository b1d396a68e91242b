"""The Frechet distance between two sets of images: how far apart the Gaussians are that fit their features.

Heusel et al. (2017), "GANs Trained by a Two Time-Scale Update Rule", call it FID when the features are Inception's.

A distance alone says nothing. It falls as the number of samples grows, since the covariance of few samples is estimated
badly, and even real images are not at distance zero from other real images. So `frechet` always tells the number of
samples and the floor beside the distance: what new real images get in place of the samples, measured against the same
reference. A model cannot be shown to be better than that; one that is below the floor may have copied the reference.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from diffcourse.errors import InputError


class Gaussian(NamedTuple):
    """Mean [D] and covariance [D, D] of n features, in float64."""

    mean: Tensor
    covariance: Tensor
    n: int


class FrechetReport(NamedTuple):
    """What `frechet` found. Print it: a Frechet distance is never quoted without the rest."""

    distance: float
    """Squared Frechet distance of the samples from the reference, in units of the squared features."""
    n: int
    """How many samples."""
    n_reference: int
    """How many real images the reference has."""
    floor: float
    """The same distance for held-out real images."""
    n_floor: int
    """How many held-out images; as many as there are samples, where there are enough."""
    features: str
    """Whose features were compared."""
    seed: int | None
    """The seed that the samples were drawn with; None if it is not known."""
    floor_seed: int
    """The seed by which the held-out images were chosen."""

    def __str__(self) -> str:
        seed = "unknown" if self.seed is None else self.seed
        fewer = "" if self.n_floor == self.n else f": take {self.n_floor} samples to compare"
        return (
            f"{self.distance:.4g} with {self.n} samples (seed {seed}) against {self.n_reference} real images, "
            f"features {self.features}\n"
            f"floor {self.floor:.4g} with {self.n_floor} held-out real images (seed {self.floor_seed}) "
            f"against the same{fewer}"
        )


def fit_gaussian(features: Tensor) -> Gaussian:
    """Mean and covariance (divided by n - 1) of features [N, D], in float64.

    Raises:
        InputError: for another shape, fewer than two rows, NaN or infinity.
    """
    check_features(features)
    features = features.double()
    return Gaussian(features.mean(0), torch.cov(features.T, correction=1).reshape(2 * features.shape[1:]), len(features))


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """Squared Frechet distance |m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^1/2) of N(m_a, S_a) and N(m_b, S_b).

    The book's eq-frechet: eq-frechet-1d for single numbers, eq-frechet-commuting where the axes agree.
    Dowson and Landau (1982); Heusel et al. (2017), equation 6. S_a S_b is not symmetric, and roots of such matrices are
    delicate; but it has the eigenvalues of S_a^1/2 S_b S_a^1/2, which is symmetric, and the trace needs no more.

    Raises:
        InputError: if the two have different numbers of features.
    """
    if a.mean.shape != b.mean.shape:
        raise InputError(f"features of sizes {len(a.mean)} and {len(b.mean)} cannot be compared: take both from one extractor")
    root = _root(a.covariance)
    # Rounding leaves eigenvalues slightly below zero where there are fewer images than features.
    eigenvalues = torch.linalg.eigvalsh(root @ b.covariance @ root).clamp(min=0)
    squared = (a.mean - b.mean).square().sum() + a.covariance.trace() + b.covariance.trace() - 2 * eigenvalues.sqrt().sum()
    return max(squared.item(), 0.0)


def _root(covariance: Tensor) -> Tensor:
    """The symmetric square root of a symmetric matrix without negative eigenvalues."""
    eigenvalues, vectors = torch.linalg.eigh(covariance)
    return vectors * eigenvalues.clamp(min=0).sqrt() @ vectors.T


def frechet(
    samples: Tensor, reference: Tensor, held_out: Tensor, *, features: str, seed: int | None = None, floor_seed: int = 0
) -> FrechetReport:
    """The Frechet distance of samples from real images, with the floor that held-out real images set.

    The convention: the reference is the training set. The floor takes as many held-out images as there are samples, chosen
    at random, in the place of the samples. Where fewer are held out, all of them are taken, and the floor is higher than it
    would be, so draw no more samples than that to compare.

    Args:
        samples: features of the samples, [N, D], from `features.extract`.
        reference: features of the training images, [M, D].
        held_out: features of real images that are not in the reference, [K, D].
        features: whose features they are, for the report.
        seed: the seed that the samples were drawn with, for the report.
        floor_seed: of the choice among the held-out images.

    Raises:
        InputError: for features of different sizes, fewer than two, NaN or infinity.
    """
    fitted, drawn = fit_gaussian(reference), fit_gaussian(samples)
    chosen = some(held_out, len(samples), floor_seed)
    return FrechetReport(
        distance=frechet_distance(drawn, fitted),
        n=len(samples),
        n_reference=fitted.n,
        floor=frechet_distance(fit_gaussian(chosen), fitted),
        n_floor=len(chosen),
        features=features,
        seed=seed,
        floor_seed=floor_seed,
    )


def some(features: Tensor, n: int, seed: int) -> Tensor:
    """n of the rows, chosen at random, or all of them in another order if there are no more than n."""
    return features[torch.randperm(len(features), generator=torch.Generator().manual_seed(seed))[:n]]


def check_features(features: Tensor, least: int = 2) -> None:
    """Raise an InputError unless the features are finite and [N, D] with N at least `least`."""
    if features.ndim != 2 or 0 in features.shape[1:]:
        raise InputError(f"features have shape {list(features.shape)}: give [N, D], a row for each image")
    if len(features) < least:
        raise InputError(f"there are {len(features)} features, but at least {least} are needed: draw more samples")
    if not features.isfinite().all():
        raise InputError("the features contain NaN or infinity: the images or their extractor are broken")
