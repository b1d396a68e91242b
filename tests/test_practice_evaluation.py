"""Chapter 14's checks accept right answers in any form and name the mistake in wrong ones."""

import math
from typing import Any

import pytest
import sympy as sp
import torch
from torch import Tensor

from diffcourse import evaluation as measures
from diffcourse.practice import evaluation
from sheets import outcome

m, n_few, n_many, F_few, F_many = sp.symbols("m n_few n_many F_few F_many")  # without assumptions: names alone must do
gap = n_many - n_few


def fits(samples: Tensor, real: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Squared distance of the means, and both covariances."""
    return (samples.mean(0) - real.mean(0)).square().sum(), samples.T.cov(), real.T.cov()


def root_of(covariance: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp(min=0).sqrt() @ vectors.T


def frechet(samples: Tensor, real: Tensor, power: float = 1.0, twice: float = 2.0, entries: bool = False) -> Tensor:
    """By the symmetric form; the defaults are right."""
    apart, one, other = fits(samples, real)
    root = (one @ other).abs().sqrt() if entries else root_of(root_of(one) @ other @ root_of(one))
    return apart**power + (one + other).trace() - twice * root.trace()


def frechet_by_diagonals(samples: Tensor, real: Tensor) -> Tensor:
    apart, one, other = fits(samples, real)
    return apart + (one.diagonal().sqrt() - other.diagonal().sqrt()).square().sum()


def frechet_over_n(samples: Tensor, real: Tensor) -> Tensor:
    apart, one, other = fits(samples, real)
    one, other = (c * (len(x) - 1) / len(x) for c, x in ((one, samples), (other, real)))
    return apart + (one + other).trace() - 2 * root_of(root_of(one) @ other @ root_of(one)).trace()


def bits(nats: Tensor, images: Tensor, unit: float = 127.5) -> Tensor:
    return nats / math.log(2) / images[0].numel() + math.log(unit) / math.log(2)


def precision(samples: Tensor, real: Tensor, k: int, shift: int = 0, how: str = "any") -> Tensor:
    radii = torch.stack([(row - real).norm(dim=1).sort().values[k - shift] for row in real])
    inside = torch.stack([(row - real).norm(dim=1) <= radii for row in samples])
    return getattr(inside, how)(1).double().mean()


def by_nearest(samples: Tensor, real: Tensor, k: int) -> Tensor:
    distance = torch.cdist(samples, real).min(1)
    return (distance.values <= torch.cdist(real, real).sort(1).values[distance.indices, k]).double().mean()


def one_radius(samples: Tensor, real: Tensor, k: int) -> Tensor:
    return (torch.cdist(samples, real).amin(1) <= torch.cdist(real, real).sort(1).values[:, k].mean()).double().mean()


RIGHT = [
    ("lost-class", 2 * m**2 + 2 - 2 * sp.sqrt(1 + m**2)),
    ("no-limit", F_many + (F_many - F_few) * n_few / gap),
    ("no-limit", F_few - (F_few - F_many) / (1 / n_few - 1 / n_many) / n_few),
    ("frechet", frechet),
    ("frechet", lambda s, r: measures.frechet_distance(measures.fit_gaussian(s), measures.fit_gaussian(r))),
    ("image-bits", bits),
    ("precision", precision),
    ("precision", lambda s, r, k: measures.precision_recall(s, r, k).precision),
    ("lucky", 0.627),
    ("lucky", torch.tensor(0.65)),
]


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_right_answers_in_other_forms(name: str, answer: Any) -> None:
    assert outcome(name, answer).startswith("✓")


WRONG = [
    ("lost-class", m**2, "squared distance of the means"),
    ("lost-class", m**2 + m**4, "you compare variances"),
    ("lost-class", 2 * m**2, "nothing else"),
    ("lost-class", 4 * m**2 + (sp.sqrt(1 + m**2) - 1) ** 2, "between the two classes"),
    ("lost-class", 2 + 2 * m**2, "do not add up"),
    ("lost-class", sp.sqrt(m**2 + (sp.sqrt(1 + m**2) - 1) ** 2), "root of it"),
    ("lost-class", m, "your answer is off by"),
    ("no-limit", (F_few - F_many) / (1 / n_few - 1 / n_many), "constant over n"),
    ("no-limit", (n_few * F_few - n_many * F_many) / gap, "weights are exchanged"),
    ("no-limit", (n_many * F_few - n_few * F_many) / gap, "other's number"),
    ("no-limit", (n_few * F_few + n_many * F_many) / (n_few + n_many), "below both"),
    ("no-limit", 2 * F_many - F_few, "twice as large"),
    ("no-limit", F_few - F_many, "has fallen"),
    ("frechet", lambda s, r: frechet(s, r, entries=True), "every entry; the root"),
    ("frechet", lambda s, r: frechet(s, r, power=0.5, entries=True), "neither is repaired"),
    ("frechet", lambda s, r: frechet(s, r, power=0.5), "to be squared"),
    ("frechet", lambda s, r: frechet(s, r, twice=1.0), "counts twice"),
    ("frechet", frechet_by_diagonals, "diagonals"),
    ("frechet", frechet_over_n, "n - 1"),
    ("frechet", lambda s, r: frechet(s, r) - fits(s, r)[0], "means do not take part"),
    ("frechet", lambda s, r: frechet(s, r).sqrt(), "squared distance is meant"),
    ("frechet", lambda s, r: frechet(s, r) + 1, "is off by"),
    ("image-bits", lambda nats, images: bits(nats, images, 1.0), "not one wide"),
    ("image-bits", lambda nats, images: bits(nats, images, 1 / 127.5), "wrong direction"),
    ("image-bits", lambda nats, images: bits(nats, images) * math.log(2), "these are nats"),
    ("image-bits", lambda nats, images: bits(nats * math.log(2) ** 2, images), "multiply by log 2"),
    ("image-bits", lambda nats, images: bits(nats / len(images), images), "whole batch"),
    ("image-bits", lambda nats, images: nats / images[0, 0].numel() / math.log(2) + math.log2(127.5), "channels"),
    ("image-bits", lambda nats, images: bits(nats, images, 255), "length of two"),
    ("image-bits", lambda nats, images: bits(nats, images, 128), "not 256"),
    ("image-bits", lambda nats, images: (nats / math.log(2) + math.log2(127.5)) / images[0].numel(), "once more"),
    ("precision", lambda s, r, k: precision(s, r, k, shift=1), "itself"),
    ("precision", lambda s, r, k: precision(r, s, k), "recall"),
    ("precision", by_nearest, "farther one"),
    ("precision", lambda s, r, k: precision(s, r, k, how="all"), "one ball is enough"),
    ("precision", one_radius, "radius of its own"),
    ("precision", lambda s, r, k: precision(s, r, k) * len(s), "share"),
    ("lucky", 1, "on average"),
    ("lucky", 0.8, "among twenty"),
    ("lucky", 0.955, "averaging"),
    ("lucky", 0.4, "too small: draw twenty such measurements"),
    ("lucky", 0.9, "too large: draw twenty such measurements"),
    ("lucky", "little", "give one number"),
]


@pytest.mark.parametrize(("name", "answer", "fragment"), WRONG)
def test_wrong_answers_are_told_what_is_wrong(name: str, answer: Any, fragment: str) -> None:
    line = outcome(name, answer)
    assert line.startswith("✗")
    assert fragment in line


def test_the_smallest_of_twenty_against_drawing_them() -> None:
    drawn = 1 + 0.2 * torch.randn(200_000, 20, generator=torch.Generator().manual_seed(0)).amin(1)
    assert abs(evaluation.lucky_reference() - drawn.mean().item()) < 1e-3
