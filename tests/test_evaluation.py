"""The judge of samples: real images pass, noise does not, copies are found."""

import pytest
import torch

from diffcourse.data import ImageData, load
from diffcourse.errors import InputError
from diffcourse.evaluation import evaluate
from diffcourse.evaluation.memorisation import memorisation, nearest, nearest_distance
from diffcourse.evaluation.samples import fit_judge
from diffcourse.families.base import scale

TRAIN, HELD_OUT = load("digits"), load("digits", "test")


def test_the_judge_knows_the_digits():
    judge = fit_judge(TRAIN)
    accuracy = (judge.predict(HELD_OUT.images.flatten(1).numpy() / 255) == HELD_OUT.labels.numpy()).mean()
    assert accuracy > 0.97


def test_real_images_pass():
    report = evaluate(HELD_OUT.images, TRAIN, HELD_OUT)
    assert report.n == report.n_real == 450
    assert report.convincing == pytest.approx(0.95, abs=0.005) and report.copies == pytest.approx(0.01, abs=0.005)
    assert report.confidence == report.confidence_real and report.nearest == report.nearest_real
    assert report.missing == () and sum(report.class_counts.values()) == 450 and report.class_distance < 0.05
    assert str(report).count("\n") == 4 and "missing: none" in str(report)


def test_floats_and_bytes_are_judged_alike():
    assert evaluate(scale(HELD_OUT.images), TRAIN, HELD_OUT) == evaluate(HELD_OUT.images, TRAIN, HELD_OUT)


def test_noise_is_not_convincing():
    noise = torch.randint(0, 256, (200, 1, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    report = evaluate(noise, TRAIN, HELD_OUT)
    assert report.convincing < 0.02 and report.confidence < 0.5


def test_mixtures_of_two_digits_are_not_convincing():
    other = HELD_OUT.images[torch.randperm(450, generator=torch.Generator().manual_seed(0))]
    mixed = ((HELD_OUT.images.float() + other.float()) / 2).to(torch.uint8)
    assert evaluate(mixed, TRAIN, HELD_OUT).convincing < 0.6


def test_copies_are_found():
    noise = torch.randint(-4, 5, (300, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    nearly = (TRAIN.images[:300].to(torch.int64) + noise).clamp(0, 255).to(torch.uint8)
    assert evaluate(nearly, TRAIN, HELD_OUT).copies > 0.99


def test_missing_classes_are_named():
    report = evaluate(HELD_OUT.images[HELD_OUT.labels < 2], TRAIN, HELD_OUT)
    assert set("456789") & set(report.missing) and report.class_distance > 0.7


def test_nearest_distance_by_hand():
    black, white = torch.zeros(1, 1, 2, 2, dtype=torch.uint8), torch.full((1, 1, 2, 2), 255, dtype=torch.uint8)
    half = torch.tensor([[[[255, 0], [255, 0]]]], dtype=torch.uint8)
    assert nearest_distance(torch.cat([white, half]), black).tolist() == pytest.approx([1.0, 0.5**0.5])
    assert nearest_distance(half, torch.cat([black, white, half])).item() == 0


def test_the_nearest_is_found():
    index = torch.randperm(len(TRAIN), generator=torch.Generator().manual_seed(0))[:300]
    found = nearest(TRAIN.images[index], TRAIN.images)
    assert (found.distance == 0).all() and torch.equal(TRAIN.images[found.index], TRAIN.images[index])
    distances = ((HELD_OUT.images[:40, None].double() - TRAIN.images[None].double()) / 255).square().flatten(2).mean(2).sqrt()
    found = nearest(HELD_OUT.images[:40], TRAIN.images)
    torch.testing.assert_close(found.distance.double(), distances.amin(1), rtol=1e-5, atol=0)
    torch.testing.assert_close(distances[torch.arange(40), found.index], distances.amin(1), rtol=1e-5, atol=0)


def test_memorisation():
    fresh = memorisation(HELD_OUT.images, TRAIN.images, HELD_OUT.images)
    assert fresh.copies == pytest.approx(0.01, abs=0.005) and fresh.nearest == fresh.nearest_real and fresh.n == 450
    mixed = torch.cat([scale(HELD_OUT.images[:300]), scale(TRAIN.images[:100])])
    report = memorisation(mixed, TRAIN.images, HELD_OUT.images)
    assert report.copies == pytest.approx(0.25, abs=0.02) and report.nearest < fresh.nearest and report.n == 400
    assert "copies 0.25" in str(report) and "400 samples and 450 held-out" in str(report)
    whole = evaluate(mixed, TRAIN, HELD_OUT)
    assert (whole.copies, whole.nearest, whole.nearest_real) == report[:3]
    with pytest.raises(InputError, match="cannot be compared"):
        memorisation(torch.zeros(2, 1, 4, 4), TRAIN.images, HELD_OUT.images)


def test_bad_samples():
    with pytest.raises(InputError, match="NaN"):
        evaluate(torch.full((2, 1, 8, 8), float("nan")), TRAIN, HELD_OUT)
    with pytest.raises(InputError, match=r"\[1, 4, 4\] cannot be compared"):
        evaluate(torch.zeros(2, 1, 4, 4), TRAIN, HELD_OUT)
    with pytest.raises(InputError, match="no samples"):
        evaluate(torch.zeros(0, 1, 8, 8), TRAIN, HELD_OUT)
    one_class = ImageData(TRAIN.images[:5], torch.zeros(5, dtype=torch.int64), ("digit",), "digits")
    with pytest.raises(InputError, match="one class only"):
        fit_judge(one_class)
