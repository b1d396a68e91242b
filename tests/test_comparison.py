"""The comparison of all families: equally large models, runs that can be interrupted, a table that is right."""

import json
import multiprocessing
import os
import signal
import statistics
import threading
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load as read_tensors
from safetensors.torch import save as tensor_bytes

from diffcourse import cli, comparison
from diffcourse.comparison import Settings, compare, run_one
from diffcourse.comparison.report import Cell, floors, rows
from diffcourse.comparison.run import extract_real, read_real
from diffcourse.data import load
from diffcourse.errors import InputError
from diffcourse.evaluation import features
from diffcourse.families import FAMILIES
from diffcourse.presets import BUDGETS, COMPARED
from diffcourse.training import checkpoint

TINY = Settings(data="digits", families=("gan", "flow"), seeds=(0, 1), equal="steps", budget=2, n=8, n_bits=4)


# Equal terms


@pytest.mark.parametrize("data", BUDGETS)
def test_all_families_have_as_many_weights(data: str) -> None:
    sizes = {f: sum(p.numel() for p in FAMILIES[f](COMPARED[f][data][0]).parameters()) for f in FAMILIES}
    middle = sizes["ddpm"]
    assert all(abs(size / middle - 1) <= 0.05 for size in sizes.values()), sizes


@pytest.mark.parametrize("data", BUDGETS)
def test_all_families_see_the_same_levels(data: str) -> None:
    assert {COMPARED[f][data][0].levels for f in FAMILIES} == {17 if data == "digits" else 256}


def test_equal_operations_are_equal(tmp_path: Path) -> None:
    spent = []
    for family in ("gan", "vae"):
        result = run_one(replace(TINY, equal="flops", budget=1.2e10), family, 0, tmp_path)
        spent.append(result["training_flops"])
    assert max(spent) / min(spent) < 1.5  # whole steps of a few each; over thousands of steps they are equal
    assert all(abs(s / 1.2e10 - 1) < 0.25 for s in spent)


def test_equal_seconds_are_equal(tmp_path: Path) -> None:
    result = run_one(replace(TINY, equal="seconds", budget=2), "gan", 0, tmp_path)
    assert 2 <= result["training_seconds"] < 4 and result["steps"] > 2


# Runs


def test_a_comparison_is_measured_once_and_reported(tmp_path: Path) -> None:
    seen = []
    found = comparison.compare(TINY, tmp_path / "out", processes=1, progress=seen.append)
    assert [(r["family"], r["seed"]) for r in found["runs"]] == [("gan", 0), ("gan", 1), ("flow", 0), ("flow", 1)]
    assert len(seen) == 4 and all(r["steps"] == 2 for r in seen)
    assert found == json.loads((tmp_path / "out" / "comparison.json").read_text())
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*/result.json")}
    assert comparison.compare(TINY, tmp_path / "out", processes=1)["runs"] == found["runs"]
    assert written == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*/result.json")}
    gan, flow = (next(r for r in found["runs"] if r["family"] == f) for f in ("gan", "flow"))
    assert gan["bits"] is None and 0 < flow["bits"] < 20
    assert set(gan["samples"]) == {"gan"} and gan["samples"]["gan"]["frechet"] > gan["samples"]["gan"]["frechet_floor"]
    with pytest.raises(InputError, match="holds a comparison with n = 8, not 9"):
        comparison.compare(replace(TINY, n=9), tmp_path / "out")


def test_diffusion_is_drawn_from_in_many_and_in_few_steps(tmp_path: Path) -> None:
    result = run_one(TINY, "ddpm", 0, tmp_path)
    assert list(result["samples"]) == ["ddpm, 1000 steps", "ddpm, 20 steps"]
    many, few = (way["milliseconds_per_image"] for way in result["samples"].values())
    assert many > 10 * few


def test_an_interrupted_run_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    settings = replace(TINY, budget=150)
    whole = run_one(settings, "flow", 0, tmp_path / "whole")
    threading.Timer(3.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    assert run_one(settings, "flow", 0, tmp_path / "cut") is None
    state = checkpoint.load(tmp_path / "cut" / "flow-0" / "checkpoint.pt")
    assert 0 < state["step"] < 150 and not (tmp_path / "cut" / "flow-0" / "result.json").exists()
    again = run_one(settings, "flow", 0, tmp_path / "cut")
    assert again["steps"] == 150
    assert {k: again[k] for k in ("bits", "bits_error")} == {k: whole[k] for k in ("bits", "bits_error")}


def test_real_features_are_extracted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_one(TINY, "gan", 0, tmp_path)
    path = tmp_path / "features.safetensors"
    kept, extractor = read_real(path), features.load("digits")
    for split in ("train", "test"):
        assert torch.equal(kept[split], features.extract(extractor, load("digits", split).images, 500))
    seen, extract = [], features.extract
    monkeypatch.setattr(features, "extract", lambda net, images, batch: seen.append(len(images)) or extract(net, images, batch))
    run_one(TINY, "gan", 1, tmp_path)
    assert seen == [TINY.n]  # the samples only


def test_nothing_is_extracted_when_all_runs_are_done(tmp_path: Path) -> None:
    done = replace(TINY, families=("gan",), seeds=(0,))
    result = run_one(done, "gan", 0, tmp_path)
    (tmp_path / "features.safetensors").unlink()
    (tmp_path / "settings.json").write_text(json.dumps(asdict(done)))
    assert compare(done, tmp_path)["runs"] == [result]
    assert not (tmp_path / "features.safetensors").exists()


def test_kept_features_change_no_number(tmp_path: Path) -> None:
    numbers = _numbers(run_one(TINY, "flow", 0, tmp_path / "extracted"))
    kept = (tmp_path / "extracted" / "features.safetensors").read_bytes()
    for name, content in (("kept", kept), ("wrong", tensor_bytes({k: 2 * v for k, v in read_tensors(kept).items()}))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "features.safetensors").write_bytes(content)
        assert (_numbers(run_one(TINY, "flow", 0, tmp_path / name)) == numbers) == (name == "kept")


def test_damaged_features_are_told(tmp_path: Path) -> None:
    path = extract_real(TINY, tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="features.safetensors' is damaged: delete it"):
        read_real(path)


def _numbers(result: dict) -> dict:
    """What was measured of samples and likelihood, without what the clock says."""
    ways = {name: {k: v for k, v in way.items() if "milliseconds" not in k} for name, way in result["samples"].items()}
    return {"samples": ways, "bits": result["bits"]}


# The report


def some_comparison() -> dict:
    def run(family: str, seed: int, bits: float | None) -> dict:
        way = {
            "milliseconds_per_image": 2.0, "frechet": 1.0 + seed, "frechet_floor": 0.7, "precision": 0.5, "precision_real": 0.9,
            "recall": 0.25, "recall_real": 0.8, "copies": 0.01,
        }
        return {
            "family": family, "seed": seed, "parameters": 190_000, "steps": 100, "training_seconds": 60.0,
            "training_memory_mb": None, "bits": bits, "samples": {family: way},
        }

    settings = {"data": "digits", "families": ["flow", "gan"], "seeds": [0, 1, 2]}
    return {"settings": settings, "runs": [run(f, s, None if f == "gan" else 2.0 + s) for f in ("flow", "gan") for s in (0, 1, 2)]}


def test_rows_are_means_with_spread() -> None:
    found = rows(some_comparison())
    assert found["flow"]["bits"].mean == 3.0 and found["flow"]["bits"].spread == statistics.stdev([2, 3, 4])
    assert found["gan"]["bits"] is None and found["flow"]["training_memory_mb"] is None
    assert found["gan"]["frechet"].values == (1.0, 2.0, 3.0)
    assert floors(some_comparison()) == {"frechet": 0.7, "precision": 0.9, "recall": 0.8}


def test_the_table_is_markdown() -> None:
    lines = comparison.table(some_comparison()).splitlines()
    assert len(lines) == 5 and len({line.count("|") for line in lines}) == 1
    assert "3.00 ± 1.00" in lines[2] and "190,000 ± 0" in lines[2] and "0.700" in lines[4]


def test_a_table_of_some_columns() -> None:
    text = comparison.table(some_comparison(), ["recall", "steps"])
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    assert lines[0] == ["digits", "recall", "steps"] and lines[-1] == ["real images", "0.800", ""]
    assert lines[2] == ["flow", "0.250 ± 0.000", "100 ± 0"]


@pytest.mark.parametrize(
    ("mean", "text"),
    [(0.0, "0.000"), (0.0041, "0.0041"), (0.01, "0.010"), (0.4567, "0.457"), (2.345, "2.35"), (45.67, "45.7"), (9123.4, "9,123")],
)
def test_a_number_has_the_digits_that_it_needs(mean: float, text: str) -> None:
    assert str(Cell(mean, None, (mean,))) == text


def test_the_figure_has_a_panel_for_each_question() -> None:
    import matplotlib.pyplot as plt

    shown = comparison.figure(some_comparison())
    shown.canvas.draw()
    assert [ax.get_title() for ax in shown.axes][:2] == ["bits per dimension", "Fréchet distance"]
    assert any(text.get_text() == "has none" for text in shown.axes[0].texts)
    assert [text.get_text() for text in shown.legends[0].texts] == ["one seed", "mean of the seeds", "real images, held out"]
    assert shown.axes[1].lines[-1].get_xdata()[0] == floors(some_comparison())["frechet"]
    named = {text.get_text() for text in shown.axes[1].get_xticklabels()}
    assert {"1", "2"} <= named and not any("$" in text for text in named)
    plt.close(shown)


# The command


def test_the_command_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "out"
    options = ["--families", "gan", "--seeds", "3", "--equal", "steps", "--budget", "2", "--n", "8", "--processes", "1"]
    assert cli.main(["compare", "--data", "digits", *options, "--out", str(out)]) == 0
    assert (out / "table.md").read_text().strip() in capsys.readouterr().out
    files = {"settings.json", "features.safetensors", "comparison.json", "table.md", "comparison.png"}
    assert {path.name for path in out.iterdir()} == files | {"gan-3"}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--families", "gan,magic"], "unknown family 'magic'; choose among ddpm"),
        (["--families", ","], "no family was named"),
        (["--seeds", ""], "no seed was given"),
        (["--seeds", "-1"], "seed = -1"),
        (["--equal", "luck"], "equal 'luck' is unknown; choose one of steps, flops, seconds"),
        (["--budget", "0"], "budget = 0: give a number above 0"),
        (["--n", "2"], "n = 2: give at least 4"),
        (["--n-bits", "1"], "n-bits = 1: give at least 4"),
        (["--processes", "0"], "processes = 0"),
        (["--data", "photos"], "no comparison on 'photos'; choose one of digits, mnist"),
        (["--data", "mnist", "--root", "nowhere"], "mnist is missing or damaged in 'nowhere'"),
        (["--precision", "fp8"], "unknown precision 'fp8'"),
    ],
)
def test_bad_input(options: list[str], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert cli.main(["compare", "--data", "digits", *options, "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err.splitlines()
    assert complaint in said[-1] and said[-1].startswith("diffcourse: error: ")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    assert cli.main(["compare", "--data", "digits", "--out", str(tmp_path)]) == 2
    assert "exists already and holds no comparison" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["letter.txt"]


def _grow() -> tuple[float, float]:
    """What a fresh process has held at most, before and after it takes 200 MB more."""
    import torch

    from diffcourse.training.memory import peak_memory

    before = peak_memory(torch.device("cpu"))
    torch.ones(50_000_000)
    return before, peak_memory(torch.device("cpu"))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory can be asked on Linux only")
def test_memory_is_that_of_the_run_and_not_of_what_started_it() -> None:
    """A parent that has held more than the run will would hide all of it."""
    held = bytearray(1_500_000_000)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        before, after = pool.submit(_grow).result()
    del held
    assert before < 1_000 and 190 < after - before < 260
