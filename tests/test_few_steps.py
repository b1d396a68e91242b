"""The measurements that chapter 13 draws belong to the weights and features that come along, and can be measured again."""

import json
import sys
from pathlib import Path

import pytest
import torch

from diffcourse import data, measured, weights
from diffcourse.diffusion.process import standard_normal_like
from diffcourse.evaluation import features
from diffcourse.evaluation.frechet import frechet

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import few_steps  # noqa: E402

FILES = sorted(measured.FOLDER.glob("*-few-steps.json"))
every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def test_the_digits_are_measured() -> None:
    assert measured.FOLDER / "digits-few-steps.json" in FILES


@every_file
def test_the_file_is_of_these_weights_and_features(path: Path) -> None:
    result, name = json.loads(path.read_text()), path.stem.removesuffix("-few-steps")
    assert result["weights"] == weights.card(name)["sha256"], f"the weights have changed: python benchmarks/few_steps.py {name}"
    assert result["features"] == features.card(name)["sha256"], f"the features have changed: python benchmarks/few_steps.py {name}"


@every_file
def test_every_sampler_and_number_of_steps_is_there(path: Path) -> None:
    result = json.loads(path.read_text())
    learned = any(row["sampler"] == "ddpm learned" for row in result["rows"])
    kinds = [(row["sampler"], row["spacing"], row["steps"]) for row in result["rows"]]
    assert kinds == [(run.name, run.spacing, run.steps) for run in few_steps.runs(learned, result.get("max_calls", 100))]
    assert result["rows"][0]["calls"] == 1000
    assert all(len(row["distance"]) == len(result["seeds"]) for row in result["rows"])


@pytest.mark.parametrize("spacing", ["t", "log-SNR"])
def test_a_row_is_measured_again(spacing: str) -> None:
    result = measured.load("digits-few-steps")
    (row,) = (row for row in result["rows"] if (row["sampler"], row["spacing"], row["steps"]) == ("dpm-solver", spacing, 5))
    extractor = features.load("digits")
    real = [features.extract(extractor, data.load("digits", split).images) for split in ("train", "test")]
    images, calls = few_steps.draw(weights.load("digits"), few_steps.Run("dpm-solver", 5, spacing), result["n"], seed=0, batch=500)
    report = frechet(features.extract(extractor, images), *real, features="digits")
    assert calls == row["calls"]
    assert report.distance == pytest.approx(row["distance"][0], rel=0.02)
    assert report.floor == pytest.approx(result["floor"], rel=0.02)


def test_the_noise_of_the_steps_is_not_that_of_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = {}

    def walk(schedule, predict, x_T, *, generator, steps, **options):  # noqa: ANN001, ANN003, ANN202
        drawn.update(start=x_T, step=standard_normal_like(x_T, generator))
        return x_T

    monkeypatch.setitem(few_steps.sample.SAMPLERS, "ddpm", few_steps.sample.Sampler(walk, None))
    few_steps.draw(weights.load("digits"), few_steps.Run("ddpm", 5), 400, seed=0, batch=400)
    both = torch.stack([drawn["start"].flatten(), drawn["step"].flatten()])
    assert torch.corrcoef(both)[0, 1].abs() < 5 / both.shape[1] ** 0.5  # five standard errors
