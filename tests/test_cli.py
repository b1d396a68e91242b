"""The command line: what it makes, and that every bad input is answered in one line with nothing half-written."""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_data import write_image, write_mnist

from diffcourse import cli, evaluation
from diffcourse.data import load
from diffcourse.errors import InputError
from diffcourse.families import DDPM
from diffcourse.presets import PRESETS, preset
from diffcourse.training import checkpoint, read_log

Fails = Callable[..., str]


@pytest.fixture
def fails(capsys: pytest.CaptureFixture) -> Fails:
    """Run a command that must fail; returns what it says."""

    def run(*arguments: object) -> str:
        capsys.readouterr()
        try:
            code = cli.main([str(a) for a in arguments])
        except SystemExit as error:  # argparse leaves by itself
            code = error.code
        out, err = capsys.readouterr()
        last = err.splitlines()[-1]  # a progress bar may stand before it
        assert code == 2 and last.startswith("diffcourse: error: ") and "Traceback" not in err and not out, err
        return last

    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a very short run with few diffusion steps."""
    out = tmp_path_factory.mktemp("runs") / "short"
    options = ["--steps", "2", "--T", "20", "--width", "8", "--batch", "4", "--processes", "1"]
    assert cli.main(["train", "--data", "digits", *options, "--out", str(out)]) == 0
    return out


@contextmanager
def small_files(size: int) -> Iterator[None]:
    """As on a full disk: no file may grow beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# --- what works -------------------------------------------------------------------------------------------------------


def test_help_is_quick_and_shows_examples():
    code = "import sys, diffcourse.cli\n"
    code += "try: diffcourse.cli.main(['train', '--help'])\nfinally: assert 'torch' not in sys.modules"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "diffcourse train --data digits --minutes 3 --out runs/digits" in shown and "(default: 1000)" in shown


def test_samples_as_numbers(run: Path, tmp_path: Path):
    out = tmp_path / "samples.npy"
    for _ in range(2):  # an existing file is replaced
        assert cli.main(["sample", str(run), "--n", "3", "--seed", "1", "--out", str(out)]) == 0
    images = np.load(out)
    assert images.shape == (3, 1, 8, 8) and images.dtype == np.uint8
    cli.main(["sample", str(run), "--n", "3", "--seed", "2", "--out", str(tmp_path / "other.npy")])
    assert not np.array_equal(images, np.load(tmp_path / "other.npy"))
    assert sorted(os.listdir(tmp_path)) == ["other.npy", "samples.npy"]


def test_samples_as_a_grid(run: Path, tmp_path: Path):
    arguments = ["--n", "5", "--sampler", "ddim", "--steps", "4", "--out", str(tmp_path / "samples.png")]
    assert cli.main(["sample", str(run), *arguments]) == 0
    assert Image.open(tmp_path / "samples.png").width > 5 * 8


def test_many_samples_come_in_batches(run: Path):
    model = cli_model(run)
    images = evaluation.draw(model, 7, torch.Generator().manual_seed(0), batch=3, sampler="ddim", steps=2)
    assert images.shape == (7, 1, 8, 8) and images.dtype == torch.uint8


def cli_model(run: Path) -> DDPM:
    from diffcourse import weights

    return weights.load(run)


def test_sampling_uses_the_averaged_weights(run: Path):
    state = checkpoint.load(run / "checkpoint.pt")
    for name, tensor in cli_model(run).state_dict().items():
        assert torch.equal(tensor, state["average"][name])
    assert any(not torch.equal(state["average"][name], tensor) for name, tensor in state["weights"].items())


def test_resume_from_the_command_line(tmp_path: Path, fails: Fails):
    base = ["train", "--data", "digits", "--T", "20", "--width", "8", "--batch", "4", "--processes", "1", "--out", str(tmp_path / "run")]
    assert cli.main([*base, "--steps", "2"]) == 0
    assert "exists already" in fails(*base, "--steps", "4")
    assert "batch = 4, not 2" in fails(*base, "--batch", 2, "--steps", 4, "--resume")
    assert cli.main([*base, "--steps", "4", "--resume"]) == 0
    assert checkpoint.load(tmp_path / "run" / "checkpoint.pt")["step"] == 4


def test_one_diffusion_step_works(tmp_path: Path):
    options = ["--T", "1", "--steps", "2", "--width", "8", "--batch", "4", "--processes", "1", "--out", str(tmp_path / "run")]
    assert cli.main(["train", "--data", "digits", *options]) == 0
    assert cli.main(["sample", str(tmp_path / "run"), "--n", "2", "--out", str(tmp_path / "a.npy")]) == 0
    assert np.load(tmp_path / "a.npy").shape == (2, 1, 8, 8)


def test_a_folder_of_colour_images(tmp_path: Path):
    for i in range(3):
        write_image(tmp_path / "photos" / f"{i}.png", size=(17 + i, 16), mode="RGB", colour=(i, 0, 0))
    options = ["--size", "16", "--T", "5", "--steps", "1", "--width", "8", "--batch", "2"]
    command = ["train", "--data", str(tmp_path / "photos"), *options, "--out", str(tmp_path / "run")]
    assert cli.main(command) == 0
    assert cli.main(["sample", str(tmp_path / "run"), "--n", "1", "--out", str(tmp_path / "a.npy")]) == 0
    assert np.load(tmp_path / "a.npy").shape == (1, 3, 16, 16)


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 7, 7), (1, 28, 28), (3, 32, 32), (3, 20, 30), (3, 64, 48)])
def test_default_networks_fit_their_images(shape: tuple[int, int, int]):
    model, training = preset("some folder", shape)
    images = torch.zeros(1, *shape, dtype=torch.uint8)
    assert DDPM(model).loss(images, generator=torch.Generator()).isfinite() and training.minutes == 3


def test_images_that_cannot_be_halved():
    with pytest.raises(InputError, match="25x25 pixels cannot be halved.*--size 24"):
        preset("some folder", (1, 25, 25))


def test_the_preset_of_cifar10_is_the_published_network():
    """Ho et al. (2020), appendix B: 35.7 million parameters."""
    model, training = PRESETS["cifar10"]
    assert sum(p.numel() for p in DDPM(model).parameters()) == 35_746_307
    assert (training.batch, training.learning_rate, training.ema_decay, training.flip) == (128, 2e-4, 0.9999, True)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_fit_their_data(name: str):
    shapes = {"digits": (1, 8, 8), "mnist": (1, 28, 28), "fashion": (1, 28, 28), "cifar10": (3, 32, 32)}
    assert preset(name, shapes[name])[0] == PRESETS[name][0]


def test_options_change_the_preset(tmp_path: Path):
    options = ["--width", "16", "--multipliers", "1,1", "--attention", "", "--no-scale-shift", "--target", "v", "--T", "9"]
    training = ["--steps", "2", "--batch", "6", "--accumulate", "3", "--ema-decay", "0.5", "--flip", "--processes", "1"]
    assert cli.main(["train", "--data", "digits", *options, *training, "--out", str(tmp_path / "run")]) == 0
    made = json.loads((tmp_path / "run" / "config.json").read_text())
    expected = {"base_width": 16, "multipliers": [1, 1], "attention": [], "scale_shift": False, "target": "v", "T": 9}
    assert {key: made["model"][key] for key in expected} == expected and made["model"]["schedule"] == "cosine"
    expected = {"steps": 2, "minutes": None, "batch": 6, "accumulate": 3, "ema_decay": 0.5, "flip": True}
    assert {key: made["training"][key] for key in expected} == expected and made["training"]["learning_rate"] == 2e-3


def test_a_model_with_classes(tmp_path: Path, fails: Fails):
    options = ["--classes", "10", "--learned-variance", "--T", "9", "--width", "8", "--steps", "2", "--batch", "4"]
    assert cli.main(["train", "--data", "digits", *options, "--processes", "1", "--out", str(tmp_path / "run")]) == 0
    draw = ["sample", str(tmp_path / "run"), "--n", "5", "--out", str(tmp_path / "a.npy")]
    assert cli.main([*draw, "--class", "3,8", "--guidance", "2"]) == 0
    assert np.load(tmp_path / "a.npy").shape == (5, 1, 8, 8)
    assert "class 10 is unknown: this model knows 0 to 9" in fails(*draw, "--class", "1,10")
    assert "guidance = 2 needs labels" in fails(*draw, "--guidance", 2)
    assert "'three': give whole numbers" in fails(*draw, "--class", "three")


def test_training_in_two_processes_and_resuming_in_one(tmp_path: Path, capfd: pytest.CaptureFixture):
    """Two processes with half of the batch each compute what one does, within rounding; only the first one speaks."""
    options = ["--T", "9", "--width", "8", "--batch", "8", "--dropout", "0"]
    for processes in ("1", "2"):
        out = ["--steps", "3", "--processes", processes, "--out", str(tmp_path / processes)]
        command = [sys.executable, "-m", "diffcourse.cli", "train", "--data", "digits", *options, *out]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0 and done.stdout.count("3 steps in") == 1, done.stderr
    one, two = (checkpoint.load(tmp_path / name / "checkpoint.pt") for name in ("1", "2"))
    for name, tensor in one["average"].items():
        assert torch.allclose(tensor, two["average"][name], atol=1e-5), name
    logs = [read_log(tmp_path / name)[-1] for name in ("1", "2")]
    assert logs[0]["loss"] == pytest.approx(logs[1]["loss"], rel=1e-5)
    assert logs[0]["gradient_norm"] == pytest.approx(logs[1]["gradient_norm"], rel=1e-4)
    assert logs[0]["loss_by_quarter"] == pytest.approx(logs[1]["loss_by_quarter"], rel=1e-4)
    out = ["--steps", "4", "--processes", "1", "--resume", "--out", str(tmp_path / "2")]
    assert cli.main(["train", "--data", "digits", *options, *out]) == 0


@pytest.mark.parametrize("family", ["pixelcnn", "vae", "gan", "flow"])
def test_every_family_is_trained_drawn_from_and_evaluated(family: str, tmp_path: Path, capsys: pytest.CaptureFixture, fails: Fails):
    out = str(tmp_path / "run")
    assert cli.main(["train", "--data", "digits", "--family", family, "--steps", "2", "--batch", "4", "--processes", "1", "--out", out]) == 0
    assert cli.main(["sample", out, "--n", "2", "--out", str(tmp_path / "a.npy")]) == 0
    assert np.load(tmp_path / "a.npy").shape == (2, 1, 8, 8)
    capsys.readouterr()
    assert cli.main(["evaluate", out, "--n", "8", "--n-bits", "4"]) == 0
    shown = capsys.readouterr().out
    assert ("bits per dimension" in shown) == (family != "gan") and "floor" in shown
    assert f"family {family} is drawn from without --sampler" in fails("sample", out, "--sampler", "ddim", "--out", tmp_path / "b.npy")
    assert "knows no classes" in fails("sample", out, "--class", "3", "--out", tmp_path / "b.npy")
    if family == "gan":
        assert "a GAN has no likelihood" in fails("evaluate", out, "--metrics", "bits")


def test_unknown_family(tmp_path: Path, fails: Fails):
    assert "unknown family 'magic'" in fails("train", "--data", "digits", "--family", "magic", "--steps", 1, "--out", tmp_path / "run")


def test_evaluate_reports_and_writes(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    out = tmp_path / "report.json"
    base = ["evaluate", str(run), "--n", "30", "--n-bits", "5", "--sampler", "ddim", "--steps", "4", "--seed", "3"]
    capsys.readouterr()
    assert cli.main([*base, "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    for part in ("1347 training images, 450 held out", "30 samples: sampler ddim, steps 4, seed 3", "floor", "30 held-out real images"):
        assert part in shown
    assert "bits per dimension of 5 images (noise seed 3)" in shown and "convincing" in shown and "k = 3" in shown
    report = json.loads(out.read_text())
    expected = {"data": "digits", "n": 30, "sampler": "ddim", "steps": 4, "seed": 3, "n_held_out": 450}
    assert {key: report[key] for key in expected} == expected and report["command"].startswith("diffcourse evaluate")
    found = report["metrics"]
    assert list(found) == ["frechet", "precision-recall", "samples", "bits"]
    assert found["frechet"]["floor"] < found["frechet"]["distance"] and found["frechet"]["features"] == "digits"
    assert found["precision-recall"]["n_real"] == 30 and found["samples"]["n"] == 30
    bits = found["bits"]
    assert len(bits["denoising"]) == len(bits["denoising_error"]) == 19 and bits["n"] == 5
    assert bits["total"] == pytest.approx(bits["prior"] + sum(bits["denoising"]) + bits["reconstruction"])
    assert os.listdir(tmp_path) == ["report.json"]
    # The numbers are those of the functions, for the images that `sample` draws with the same seed.
    draw = ["--n", "30", "--sampler", "ddim", "--steps", "4", "--seed", "3", "--out", str(tmp_path / "a.npy")]
    cli.main(["sample", str(run), *draw])
    samples = torch.from_numpy(np.load(tmp_path / "a.npy"))
    net = evaluation.features.load("digits")
    parts = (samples, load("digits").images, load("digits", "test").images)
    features = [evaluation.features.extract(net, part) for part in parts]
    again = evaluation.frechet(*features, features="digits", seed=3)
    assert found["frechet"]["distance"] == pytest.approx(again.distance, rel=1e-4)
    assert found["frechet"]["floor"] == pytest.approx(again.floor, rel=1e-4)
    assert found["samples"] == vars(evaluation.evaluate(samples, load("digits"), load("digits", "test")))


def test_evaluate_only_what_was_asked(run: Path, tmp_path: Path):
    out = tmp_path / "report.json"
    assert cli.main(["evaluate", str(run), "--metrics", "bits", "--n-bits", "2", "--out", str(out)]) == 0
    report = json.loads(out.read_text())
    assert list(report["metrics"]) == ["bits"] and "sampler" not in report
    base = ["evaluate", str(run), "--n", "9", "--steps", "2", "--out", str(out)]
    assert cli.main([*base, "--metrics", "copies,frechet,copies"]) == 0
    assert list(json.loads(out.read_text())["metrics"]) == ["copies", "frechet"]


def test_evaluate_a_model_with_classes(tmp_path: Path, capsys: pytest.CaptureFixture):
    options = ["--classes", "10", "--T", "5", "--width", "8", "--steps", "1", "--batch", "4", "--processes", "1"]
    cli.main(["train", "--data", "digits", *options, "--out", str(tmp_path / "run")])
    capsys.readouterr()
    base = ["evaluate", str(tmp_path / "run"), "--n", "8", "--n-bits", "3"]
    assert cli.main([*base, "--guidance", "2"]) == 0
    shown = capsys.readouterr().out
    assert "guidance 2" in shown and "of the training images' classes in their shares" in shown and "given the class" in shown


def test_evaluate_beside_a_folder(run: Path, tmp_path: Path, fails: Fails, capsys: pytest.CaptureFixture):
    """Without labels and features of its own: copies and bits remain, and frechet is named as missing."""
    for kind in ("photos", "fresh"):
        for i in range(6):
            write_image(tmp_path / kind / f"{i}.png", size=(8, 8), colour=20 * i)
    base = ["evaluate", run, "--data", tmp_path / "photos", "--n", "4", "--steps", "2", "--n-bits", "2"]
    assert "no held-out images to compare with: give some with --held-out" in fails(*base)
    held_out = [*base, "--held-out", tmp_path / "fresh"]
    assert "no features come along for 'photos'" in fails(*held_out, "--metrics", "frechet")
    assert "photos has one class only" in fails(*held_out, "--metrics", "samples")
    capsys.readouterr()
    assert cli.main([str(a) for a in held_out]) == 0
    out, err = capsys.readouterr()
    assert "copies" in out and "frechet" not in out
    assert "no features come along for photos" in err and "was trained on other images than" in err


# --- bad input --------------------------------------------------------------------------------------------------------

BAD_TRAINING = [
    (["--data", "emnist"], "unknown data set 'emnist'; choose digits"),
    (["--data", "mnist", "--root", "nowhere"], "mnist is missing or damaged in 'nowhere': fetch it with --download"),
    (["--steps", "0"], "steps = 0"),
    (["--steps", "-3"], "steps = -3"),
    (["--steps", "many"], "invalid int value: 'many'"),
    (["--minutes", "0"], "minutes = 0"),
    (["--minutes", "nan"], "minutes = nan"),
    (["--minutes", "1", "--steps", "1"], "--steps 1 and --minutes 1: give one of the two"),
    (["--preset", "imagenet"], "unknown preset 'imagenet'; choose one of digits"),
    (["--multipliers", "1,two"], "'1,two': give whole numbers with commas"),
    (["--target", "noise"], "unknown target 'noise'; choose one of eps, x0, v"),
    (["--weighting", "heavy"], "unknown weighting 'heavy'"),
    (["--precision", "fp8"], "unknown precision 'fp8'; choose one of fp32, bf16, fp16"),
    (["--decay", "linear"], "unknown decay 'linear'"),
    (["--processes", "0"], "processes = 0"),
    (["--processes", "3"], "batch = 64 does not divide among processes = 3"),
    (["--processes", "2", "--batch", "7"], "batch = 7 does not divide among processes = 2"),
    (["--accumulate", "5", "--processes", "1"], "batch = 64 does not divide among processes = 1 times accumulate = 5"),
    (["--classes", "4"], "the data have class 9, the model knows 0 to 3"),
    (["--classes", "-1"], "classes=-1"),
    (["--dropout", "1"], "dropout = 1"),
    (["--patch", "3"], "do not divide by 6"),
    (["--batch", "0"], "batch = 0"),
    (["--learning-rate", "-1"], "learning_rate = -1"),
    (["--T", "0"], "T = 0"),
    (["--schedule", "quadratic"], "unknown schedule 'quadratic'; choose one of linear"),
    (["--width", "12"], "width = 12: give a multiple of 8"),
    (["--width", "0"], "width = 0"),
    (["--seed", "-1"], "seed = -1"),
    (["--device", "tpu"], "unknown device 'tpu'; choose auto, cpu or cuda"),
    (["--size", "16"], "size = 16 works on a folder"),
    (["--out"], "expected one argument"),
]


@pytest.mark.parametrize("arguments, message", BAD_TRAINING, ids=lambda v: " ".join(v) if isinstance(v, list) else "")
def test_bad_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: Fails, arguments: list[str], message: str
):
    monkeypatch.chdir(tmp_path)
    data = [] if "--data" in arguments else ["--data", "digits"]
    assert message in fails("train", *data, "--out", "run", *arguments)
    assert os.listdir(tmp_path) == []


def test_truncated_data_set(tmp_path: Path, fails: Fails):
    path = write_mnist(tmp_path) / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:1000])
    assert "damaged" in fails("train", "--data", "mnist", "--root", tmp_path, "--steps", 1, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_folder_with_a_broken_or_an_odd_image(tmp_path: Path, fails: Fails):
    write_image(tmp_path / "photos" / "a.png", size=(8, 8))
    odd = write_image(tmp_path / "photos" / "b.png", size=(9, 8))
    command = ["train", "--data", tmp_path / "photos", "--steps", 1, "--out", tmp_path / "run"]
    assert "b.png' has 9x8 pixels" in fails(*command)
    odd.write_bytes(b"no image")
    assert "b.png" in fails(*command)
    assert not (tmp_path / "run").exists()


def test_run_folder_that_cannot_be_made(tmp_path: Path, fails: Fails):
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "run"
    assert "cannot make the folder" in fails("train", "--data", "digits", "--steps", 1, "--out", out)


BAD_SAMPLING = [
    (["--n", "0"], "n = 0"),
    (["--n", "-1"], "n = -1"),
    (["--sampler", "euler"], "unknown sampler 'euler'; choose one of ddpm, ddim"),
    (["--steps", "0"], "steps = 0"),
    (["--steps", "21"], "between 1 and T = 20"),
    (["--eta", "1"], "eta = 1: the sampler ddpm has no choice of it"),
    (["--sampler", "ddim", "--eta", "1.2"], "eta = 1.2: DDIM takes at most 1"),
    (["--sampler", "sde-dpm-solver", "--eta", "nan"], "eta = nan: eta is at least 0"),
    (["--seed", "-1"], "seed = -1"),
    (["--device", "tpu"], "unknown device 'tpu'"),
    (["--out", "samples.gif"], "ends in .png or .npy"),
    (["--out", "samples"], "ends in .png or .npy"),
    (["--out", "missing/samples.png"], "create the folder 'missing' first"),
    (["--out", "missing/samples.npy"], "create the folder 'missing' first"),
]


BAD_BENCH = [
    (["--peers", "edm"], "unknown peer 'edm'; choose among diffusers"),
    (["--rounds", "0"], "rounds = 0"),
    (["--batch", "0"], "batch = 0"),
    (["--precision", "fp8"], "unknown precision 'fp8'"),
    (["--precision", "best", "--channels-last"], "leave out --channels-last"),
    (["--equal-time", "0"], "equal time = 0"),
    (["--equal-time", "nan"], "equal time = nan"),
    (["--preset", "imagenet"], "unknown preset 'imagenet'"),
    (["--width", "12"], "width = 12: give a multiple of 8"),
    (["--device", "tpu"], "unknown device 'tpu'"),
    (["--out", "missing/speed.json"], "create the folder 'missing' first"),
]


@pytest.mark.parametrize("arguments, message", BAD_BENCH, ids=lambda v: " ".join(v) if isinstance(v, list) else "")
def test_bad_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: Fails, arguments: list[str], message: str):
    monkeypatch.chdir(tmp_path)
    assert message in fails("bench", "--data", "digits", *arguments)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("arguments, message", BAD_SAMPLING, ids=lambda v: " ".join(v) if isinstance(v, list) else "")
def test_bad_sampling(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: Fails, arguments: list[str], message: str
):
    monkeypatch.chdir(tmp_path)
    assert message in fails("sample", run, "--out", "a.npy", *arguments)
    assert os.listdir(tmp_path) == []


BAD_EVALUATING = [
    (["--metrics", "fid"], "unknown metric 'fid'; choose among frechet, precision-recall"),
    (["--metrics", "bits,frechett"], "unknown metric 'frechett'"),
    (["--metrics", ""], "no metric was named"),
    (["--sampler", "euler"], "unknown sampler 'euler'; choose one of ddpm, ddim"),
    (["--steps", "21"], "steps = 21: choose a number between 1 and T = 20"),
    (["--steps", "0"], "steps = 0"),
    (["--n", "3"], "n = 3: give at least 4"),
    (["--n-bits", "1"], "n-bits = 1: give at least 2"),
    (["--batch", "0"], "batch = 0"),
    (["--seed", "-1"], "seed = -1"),
    (["--guidance", "2"], "guidance = 2 needs labels"),
    (["--data", "emnist"], "the data 'emnist' are none of digits, mnist"),
    (["--data", "mnist", "--root", "nowhere"], "mnist is missing or damaged in 'nowhere'"),
    (["--held-out", "nowhere"], "unknown data set 'nowhere'"),
    (["--inception", "nowhere.pth"], "there is no file 'nowhere.pth'"),
    (["--device", "tpu"], "unknown device 'tpu'"),
    (["--out", "report.txt"], "ends in .json"),
    (["--out", "missing/report.json"], "in a folder that exists"),
]


@pytest.mark.parametrize("arguments, message", BAD_EVALUATING, ids=lambda v: " ".join(v) if isinstance(v, list) else "")
def test_bad_evaluating(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: Fails, arguments: list[str], message: str
):
    monkeypatch.chdir(tmp_path)
    assert message in fails("evaluate", run, "--n", "4", "--out", "report.json", *arguments)
    assert os.listdir(tmp_path) == []


def test_evaluating_other_images_than_the_model_draws(run: Path, tmp_path: Path, fails: Fails):
    write_mnist(tmp_path)
    assert "shape [1, 28, 28], the model draws [1, 8, 8]" in fails("evaluate", run, "--data", "mnist", "--root", tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint.pt").write_bytes((run / "checkpoint.pt").read_bytes())
    assert "does not say what the model was trained on" in fails("evaluate", tmp_path / "run")


def test_full_disk_while_writing_a_report(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    out = tmp_path / "report.json"
    out.write_text("old")
    with small_files(10):
        code = cli.main(["evaluate", str(run), "--metrics", "bits", "--n-bits", "2", "--out", str(out)])
    assert code == 2 and "before is intact" in capsys.readouterr().err
    assert out.read_text() == "old" and os.listdir(tmp_path) == ["report.json"]


def test_unknown_models_and_damaged_checkpoints(run: Path, tmp_path: Path, fails: Fails):
    assert "unknown model 'faces'" in fails("sample", "faces", "--out", tmp_path / "a.npy")
    assert "there is no checkpoint" in fails("sample", tmp_path, "--out", tmp_path / "a.npy")
    content = (run / "checkpoint.pt").read_bytes()
    (tmp_path / "checkpoint.pt").write_bytes(content[: len(content) // 2])
    assert "damaged" in fails("sample", tmp_path, "--out", tmp_path / "a.npy")
    assert os.listdir(tmp_path) == ["checkpoint.pt"]


def test_checkpoint_of_another_model(run: Path, tmp_path: Path, fails: Fails):
    state = checkpoint.load(run / "checkpoint.pt")
    state["identity"]["model"]["base_width"] = 16
    checkpoint.save(tmp_path / "checkpoint.pt", state)
    assert "another model" in fails("sample", tmp_path, "--out", tmp_path / "a.npy")
    state["identity"]["model"] = {"family": "magic", "latent": 3}
    checkpoint.save(tmp_path / "checkpoint.pt", state)
    assert "unknown family 'magic'; choose one of ddpm" in fails("sample", tmp_path, "--out", tmp_path / "a.npy")


def test_full_disk_while_training(tmp_path: Path, fails: Fails):
    with small_files(10_000):
        said = fails("train", "--data", "digits", "--steps", 1, "--width", 8, "--out", tmp_path / "run")
    assert "cannot write" in said and "make room" in said
    assert os.listdir(tmp_path / "run") == []


def test_full_disk_while_resuming_keeps_the_checkpoint(tmp_path: Path, fails: Fails):
    base = ["train", "--data", "digits", "--T", "20", "--width", "8", "--batch", "4", "--out", str(tmp_path / "run")]
    cli.main([*base, "--steps", "1"])
    before = (tmp_path / "run" / "checkpoint.pt").read_bytes()
    with small_files(10_000):
        assert "before is intact" in fails(*base, "--steps", "3", "--resume")
    assert (tmp_path / "run" / "checkpoint.pt").read_bytes() == before
    assert not list((tmp_path / "run").glob("*.part"))


@pytest.mark.parametrize("suffix", [".npy", ".png"])
def test_full_disk_while_writing_samples(run: Path, tmp_path: Path, fails: Fails, suffix: str):
    out = tmp_path / f"a{suffix}"
    out.write_bytes(b"old")
    with small_files(100):
        fails("sample", run, "--n", 4, "--sampler", "ddim", "--steps", 1, "--out", out)
    assert out.read_bytes() == b"old" and os.listdir(tmp_path) == [out.name]


def test_ctrl_c_while_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    forward = DDPM.forward

    def interrupted(self: DDPM, images: torch.Tensor, labels: torch.Tensor | None = None, **options: object):
        if len(images) == 4:  # a step, not the pass that counts operations
            os.kill(os.getpid(), signal.SIGINT)
        return forward(self, images, labels, **options)

    monkeypatch.setattr(DDPM, "forward", interrupted)
    options = ["--steps", "50", "--width", "8", "--batch", "4", "--processes", "1", "--out", str(tmp_path / "run")]
    assert cli.main(["train", "--data", "digits", *options]) == 128 + signal.SIGINT
    assert "stopped at step 1 and saved" in capsys.readouterr().err
    assert checkpoint.load(tmp_path / "run" / "checkpoint.pt")["step"] == 1
