"""Precision and recall on toy sets whose answer is known, and against other people's programs."""

import math
from importlib import import_module

import pytest
import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from diffcourse.data import load, torchvision_datasets
from diffcourse.errors import InputError
from diffcourse.evaluation import features, precision_recall
from diffcourse.evaluation.features import extract


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def line(*points: float) -> Tensor:
    return torch.tensor(points, dtype=torch.float64)[:, None]


# By hand


def test_on_a_line() -> None:
    """k = 1. Real 0, 1, 10: balls [-1, 1], [0, 2], [1, 19]. Samples 1.5, 30, 31: balls [-27, 30], [29, 31], [30, 32]."""
    found = precision_recall(line(1.5, 30, 31), line(0, 1, 10), k=1)
    assert found.precision == pytest.approx(1 / 3) and found.recall == 1
    assert (found.k, found.n, found.n_real) == (1, 3, 3)


def test_the_edge_of_a_ball_belongs_to_it() -> None:
    assert precision_recall(line(2, 3), line(0, 1), k=1).precision == 0.5


def test_k_counts_fellows_not_the_point_itself() -> None:
    """Real 0, 1, 3: with k = 2 the balls reach 3, 2 and 3."""
    real = line(0, 1, 3)
    for point, inside in ((-3.0, 1), (-3.1, 0), (6.0, 1), (6.1, 0)):
        assert precision_recall(line(point, point, point), real, k=2).precision == inside


# Properties


def test_the_same_set_twice() -> None:
    x = normal(50, 5)
    assert precision_recall(x, x.flip(0))[:2] == (1, 1)


def test_copies_are_always_inside() -> None:
    """Also those of points without a radius, which lie k + 1 times upon each other."""
    real = torch.cat([normal(30, 6), normal(1, 6, seed=1).repeat(5, 1)])
    assert precision_recall(real[20:].clone(), real).precision == 1


def test_far_from_the_origin_nothing_is_lost() -> None:
    x, y = normal(80, 4), normal(60, 4, seed=1) * 0.7
    assert precision_recall(x + 1e7, y + 1e7)[:2] == precision_recall(x, y)[:2]


def test_a_mode_is_dropped() -> None:
    """Of two equal modes far apart one is missing: recall falls to its half, and precision stays."""
    near, far = normal(200, 3), normal(200, 3, seed=1) + 100
    real = torch.cat([near, far])
    full = precision_recall(torch.cat([normal(100, 3, seed=2), normal(100, 3, seed=3) + 100]), real)
    dropped = precision_recall(normal(200, 3, seed=2), real)
    assert full.recall > 0.8 and full.precision > 0.8
    assert dropped.recall == pytest.approx(full.recall / 2, abs=0.06) and dropped.precision > 0.8


def test_junk_is_added() -> None:
    """A quarter of the samples lies nowhere near: precision falls by a quarter, and recall stays."""
    real, good = normal(300, 3), normal(300, 3, seed=1)
    clean = precision_recall(good, real)
    spoilt = precision_recall(torch.cat([good[:225], 1e3 * normal(75, 3, seed=2).sign() + 500 * normal(75, 3, seed=3)]), real)
    assert spoilt.precision == pytest.approx(0.75 * clean.precision, abs=0.05)
    assert spoilt.recall >= clean.recall - 0.1


def test_exchanging_the_two_exchanges_the_numbers() -> None:
    x, y = normal(80, 4), normal(60, 4, seed=1) * 0.7
    assert precision_recall(x, y)[:2] == precision_recall(y, x)[1::-1]


def test_turns_shifts_and_scales_of_both_do_not_matter() -> None:
    x, y = normal(80, 4), normal(60, 4, seed=1) * 0.7
    turn = torch.linalg.qr(normal(4, 4, seed=2)).Q
    assert precision_recall(3 * x @ turn + 1, 3 * y @ turn + 1)[:2] == precision_recall(x, y)[:2]


def test_larger_k_and_fewer_images_make_larger_balls() -> None:
    x, y = normal(200, 8), normal(200, 8, seed=1) * 1.2
    by_k = [precision_recall(x, y, k=k) for k in (1, 3, 9)]
    assert by_k[0].precision < by_k[1].precision < by_k[2].precision and by_k[0].recall < by_k[1].recall < by_k[2].recall


@pytest.mark.parametrize("block", [1, 500])
def test_blocks_do_not_matter(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = normal(40, 4), normal(60, 4, seed=1)
    expected, done = precision_recall(x, y, held_out=y.flip(0)), []
    monkeypatch.setattr(import_module("diffcourse.evaluation.precision_recall"), "BLOCK", block)
    assert precision_recall(x, y, held_out=y.flip(0), progress=lambda *count: done.append(count)) == expected
    assert done[-1] == (340, 340) and [count for count, _ in done] == sorted({count for count, _ in done})


# Other people's programs


def by_scikit_learn(samples: Tensor, real: Tensor, k: int) -> tuple[float, float]:
    def inside(points: Tensor, centres: Tensor) -> float:
        neighbours = NearestNeighbors(algorithm="kd_tree").fit(centres)
        radii = neighbours.kneighbors(n_neighbors=k)[0][:, -1]  # without an argument the point itself does not count
        distances, index = neighbours.kneighbors(points, n_neighbors=len(centres))
        return (distances <= radii[index]).any(1).mean().item()

    return inside(samples, real), inside(real, samples)


@pytest.mark.parametrize("k", [1, 3, 7])
@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_scikit_learn(k: int, seed: int) -> None:
    samples, real = normal(70, 5, seed=seed) * 1.3 + 0.3, normal(110, 5, seed=seed + 10)
    assert precision_recall(samples, real, k)[:2] == pytest.approx(by_scikit_learn(samples, real, k), abs=1e-12)


def test_agrees_with_torch_fidelity_on_digits() -> None:
    torchvision_datasets()
    theirs = pytest.importorskip("torch_fidelity.metric_prc").calculate_precision_recall_full
    net = features.load("digits")
    real, other = extract(net, load("digits").images[:400]), extract(net, load("digits", "test").images[:300])
    samples = other + 0.3 * normal(300, 64)
    # Float64, whose rounding in their matrix products is far below the gaps between distances.
    assert precision_recall(samples, real)[:2] == pytest.approx(theirs(samples, real, 3), abs=1e-6)


# The report


def test_real_images_in_the_samples_place() -> None:
    samples, real, held_out = normal(60, 4) + 3, normal(100, 4, seed=1), normal(90, 4, seed=2)
    found = precision_recall(samples, real, held_out=held_out, seed=5, real_seed=2)
    chosen = held_out[torch.randperm(90, generator=torch.Generator().manual_seed(2))[:60]]
    assert (found.real_precision, found.real_recall) == precision_recall(chosen, real)[:2]
    assert found.n_held_out == 60 and found.real_precision > found.precision
    for part in ("60 samples (seed 5)", "100 real images", "k = 3", "60 held-out", "(seed 2)"):
        assert part in str(found)
    assert "to compare" not in str(found)
    assert "take 20 samples to compare" in str(precision_recall(samples, real, held_out=held_out[:20]))
    assert "no held-out real images were given" in str(precision_recall(samples, real))


BAD = [
    (lambda: precision_recall(normal(9, 3), normal(9, 3), k=0), "k = 0"),
    (lambda: precision_recall(normal(3, 3), normal(9, 3)), "there are 3 features, but at least 4"),
    (lambda: precision_recall(normal(9, 3), normal(3, 3)), "there are 3 features, but at least 4"),
    (lambda: precision_recall(normal(9, 3), normal(9, 4)), "sizes 3 and 4 cannot be compared"),
    (lambda: precision_recall(normal(9, 4), normal(9, 4), held_out=normal(9, 3)), "sizes 3 and 4 cannot be compared"),
    (lambda: precision_recall(normal(9, 4) * math.inf, normal(9, 4)), "NaN or infinity"),
    (lambda: precision_recall(normal(9), normal(9, 4)), r"shape \[9\]"),
]


@pytest.mark.parametrize("wrong, message", BAD, ids=range(len(BAD)))
def test_bad_input(wrong: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        wrong()
