"""Two questions that one distance mixes up: are the samples like real images, and are all real images like some sample?

Kynkäänniemi et al. (2019), "Improved Precision and Recall Metric for Assessing Generative Models", answer both with
balls. Around each real image's features lies a ball that reaches to its k-th nearest fellow; together the balls cover
where real images are. Precision is the share of samples in there. With the parts exchanged, recall is the share of real
images that lie in the balls of the samples.

Both depend on how many images there are: with fewer, the balls grow. So the paper compares equally many of each, and
held-out real images in the place of the samples tell what a perfect model would reach, which is not 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from diffcourse.errors import InputError
from diffcourse.evaluation.frechet import check_features, some
from diffcourse.families.base import Progress

BLOCK = 4_000_000
"""How many distances are held in memory at a time."""


class PrecisionRecall(NamedTuple):
    """What `precision_recall` found. Print it."""

    precision: float
    """Share of samples that lie where real images are."""
    recall: float
    """Share of real images that lie where samples are."""
    k: int
    """A ball reaches to the k-th nearest."""
    n: int
    """How many samples."""
    n_real: int
    """How many real images."""
    real_precision: float | None = None
    """The precision that held-out real images have in the place of the samples; None if none were given."""
    real_recall: float | None = None
    """Their recall."""
    n_held_out: int = 0
    """How many of them; as many as samples, where there are enough."""
    seed: int | None = None
    """The seed that the samples were drawn with; None if it is not known."""
    real_seed: int = 0
    """The seed by which the held-out images were chosen."""

    def __str__(self) -> str:
        seed = "unknown" if self.seed is None else self.seed
        text = (
            f"precision {self.precision:.3f}, recall {self.recall:.3f} with {self.n} samples (seed {seed}) and {self.n_real} "
            f"real images, k = {self.k}"
        )
        if self.real_precision is None:
            return f"{text}\nno held-out real images were given to compare with"
        fewer = "" if self.n_held_out == self.n else f": take {self.n_held_out} samples to compare"
        return (
            f"{text}\nprecision {self.real_precision:.3f}, recall {self.real_recall:.3f} with {self.n_held_out} held-out real "
            f"images (seed {self.real_seed}) in their place{fewer}"
        )


def precision_recall(
    samples: Tensor,
    real: Tensor,
    k: int = 3,
    *,
    held_out: Tensor | None = None,
    seed: int | None = None,
    real_seed: int = 0,
    progress: Progress | None = None,
) -> PrecisionRecall:
    """Improved precision and recall, exact: every distance is computed, a block at a time.

    Args:
        samples: features of the samples, [N, D], from `features.extract`.
        real: features of real images, [M, D]; the paper takes M = N.
        k: a ball reaches to the k-th nearest. A larger k makes both numbers larger.
        held_out: features of other real images, [K, D]. As many of them as there are samples, chosen at random, take the
            samples' place once, which tells what to expect.
        seed: the seed that the samples were drawn with, for the report.
        real_seed: of the choice among the held-out images.
        progress: called after each block of distances with (images done, images in all).

    Raises:
        InputError: for features of different sizes, NaN or infinity, k below 1, or fewer than k + 1 of some kind.
    """
    if k < 1:
        raise InputError(f"k = {k}: give at least 1")
    others = None if held_out is None else some(held_out, len(samples), real_seed)
    for features in (samples, real) if others is None else (samples, real, others):
        check_features(features, least=k + 1)
        if features.shape[1] != real.shape[1]:
            raise InputError(
                f"features of sizes {features.shape[1]} and {real.shape[1]} cannot be compared: take both from one extractor"
            )
    done, total = 0, 2 * len(samples) + 2 * len(real) + (0 if others is None else 2 * len(others) + len(real))

    def count(block: Tensor) -> None:
        nonlocal done
        done += len(block)
        if progress is not None:
            progress(done, total)

    def one_way(of: Tensor, radii: Tensor, among: Tensor) -> float:
        return _covered(of, among, radii, count).double().mean().item()

    real_radii, radii = _radii(real, k, count), _radii(samples, k, count)
    found = PrecisionRecall(
        precision=one_way(samples, real_radii, real),
        recall=one_way(real, radii, samples),
        k=k,
        n=len(samples),
        n_real=len(real),
        seed=seed,
        real_seed=real_seed,
    )
    if others is None:
        return found
    return found._replace(
        real_precision=one_way(others, real_radii, real),
        real_recall=one_way(real, _radii(others, k, count), others),
        n_held_out=len(others),
    )


def _radii(features: Tensor, k: int, count: Callable[[Tensor], None]) -> Tensor:
    """The distance from each to its k-th nearest fellow, [N]; the nearest of all is each itself."""
    blocks = _distances(features, features, count)
    return torch.cat([block.topk(k + 1, dim=1, largest=False).values[:, -1] for block in blocks])


def _covered(points: Tensor, centres: Tensor, radii: Tensor, count: Callable[[Tensor], None]) -> Tensor:
    """Whether each point lies in some ball, its edge included, bool [N]."""
    return torch.cat([(block <= radii).any(1) for block in _distances(points, centres, count)])


def _distances(points: Tensor, centres: Tensor, count: Callable[[Tensor], None]) -> Iterator[Tensor]:
    """Distances [n, M] for some points after the other.

    Differences are squared one by one. The usual short cut, |a|^2 + |b|^2 - 2 a b as a matrix product, is quicker, but
    loses the small distances of features that lie far from the origin.
    """
    centres = centres.double()
    for chunk in points.double().split(max(1, BLOCK // len(centres))):
        distances = torch.cdist(chunk, centres, compute_mode="donot_use_mm_for_euclid_dist")
        count(distances)
        yield distances
