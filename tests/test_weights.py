"""The models that come with the package, and how a run becomes one."""

import zlib
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from diffcourse import evaluation, weights
from diffcourse.data import load
from diffcourse.errors import InputError
from diffcourse.evaluation import SampleReport, evaluate
from diffcourse.families import DDPM, DDPMConfig, build
from diffcourse.training import TrainConfig, checkpoint, train

CARD = {
    "name",
    "data",
    "model",
    "parameters",
    "training",
    "seed",
    "steps",
    "minutes",
    "hardware",
    "versions",
    "command",
    "metrics",
    "sha256",
}


@pytest.mark.parametrize("name", weights.names())
def test_cards_are_complete(name: str):
    card = weights.card(name)
    assert set(card) == CARD and card["name"] == name
    assert card["command"].startswith(("diffcourse train ", "diffcourse compare ")) and card["steps"] > 0 and card["minutes"] > 0
    assert set(card["versions"]) == {"diffcourse", "torch", "python"} and card["hardware"]["processor"]
    compared = card["command"].startswith("diffcourse compare ")
    judged = {"samples", "bits", "bits_error"} if compared else {"sampler", *asdict(SampleReport(*[0] * 10))}
    assert set(card["metrics"]) == judged
    model = weights.load(name)
    assert not model.training and sum(p.numel() for p in model.parameters()) == card["parameters"]
    assert model.configuration() == build(card["model"]).configuration()


def test_digits_are_there_and_small():
    assert "digits" in weights.names()
    assert sum(path.stat().st_size for path in weights.FOLDER.iterdir()) < 20_000_000


def test_the_card_says_which_data_were_used():
    images = load("digits").images
    assert weights.card("digits")["data"].endswith(f"checksum {zlib.crc32(images.numpy()):08x}")


def test_shipped_digits_convince():
    """Samples of the shipped weights look real to the classifier, show all ten digits, and are no copies.

    250 samples of few-step sampling, to be quick; the card holds the figures of all steps. For a share of 0.95, 250
    samples have a standard error of 0.014.
    """
    samples = evaluation.draw(weights.load("digits"), 250, torch.Generator().manual_seed(1), steps=60)
    report = evaluate(samples, load("digits"), load("digits", "test"))
    assert report.convincing > 0.88, report
    assert min(report.class_counts.values()) >= 8, report
    assert report.copies < 0.06, report
    stored = weights.card("digits")["metrics"]
    assert stored["convincing"] > 0.92 and stored["copies"] < 0.04 and min(stored["class_counts"].values()) >= 25


@pytest.fixture
def run(tmp_path: Path) -> Path:
    model, config = DDPM(DDPMConfig(T=5, base_width=8)), TrainConfig(steps=2, batch=4)
    train(model, load("digits"), config, tmp_path / "run", progress=False, command="diffcourse train")
    return tmp_path / "run"


def test_export_and_load_again(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "package").mkdir()
    monkeypatch.setattr(weights, "FOLDER", tmp_path / "package")
    weights.export(run, "tiny", {"convincing": 0.0})
    assert weights.names() == ["tiny"] and set(weights.card("tiny")) == CARD
    state = checkpoint.load(run / "checkpoint.pt")
    for source in ("tiny", run):
        for name, tensor in weights.load(source).state_dict().items():
            assert torch.equal(tensor, state["average"][name])
    path = tmp_path / "package" / "tiny.safetensors"
    content = path.read_bytes()
    for damaged in (content[:-1], content[:-1] + bytes([content[-1] ^ 1]), b""):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="do not match their card"):
            weights.load("tiny")


def test_export_of_what_is_no_run(tmp_path: Path):
    with pytest.raises(InputError, match="there is no checkpoint"):
        weights.export(tmp_path, "tiny", {})


def test_unknown_names(tmp_path: Path):
    for call in (weights.load, weights.card):
        with pytest.raises(InputError, match="unknown model 'faces'"):
            call("faces")
