"""Training: the average, the order of the data, checkpoints, and runs that are stopped, killed and resumed."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from diffcourse.data import ImageData
from diffcourse.errors import InputError
from diffcourse.families import DDPM, DDPMConfig
from diffcourse.families.base import Losses
from diffcourse.training import EMA, Run, TrainConfig, checkpoint, read_log, train
from diffcourse.training.ema import decay_at
from diffcourse.training.loop import batch_indices, rate_factor

TINY = DDPMConfig(height=4, width=4, T=10, base_width=8, multipliers=(1,), attention=(), heads=1, dropout=0.1)


def tiny_model(seed: int = 0, **changes: object) -> DDPM:
    torch.manual_seed(seed)
    return DDPM(DDPMConfig(**{**vars(TINY), **changes}))


def tiny_data(n: int = 23) -> ImageData:
    images = torch.randint(0, 256, (n, 1, 4, 4), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    return ImageData(images, torch.zeros(n, dtype=torch.int64), ("noise",), "noise")


def tiny_config(**changes: object) -> TrainConfig:
    return TrainConfig(**{"steps": 20, "batch": 8, "warmup_steps": 3, "log_every": 5, **changes})


def tiny_run(out: Path, *, resume: bool = False, model: DDPM | None = None, **changes: object) -> Run:
    model = tiny_model() if model is None else model
    return train(model, tiny_data(), tiny_config(**changes), out, resume=resume, progress=False)


def change_forward(monkeypatch: pytest.MonkeyPatch, model: DDPM, change: Callable[[int, Losses], Losses]) -> None:
    """Let `change` see and replace the losses of each step, 1, 2, .."""
    calls, forward = 0, model.forward

    def changed(images: torch.Tensor, labels: torch.Tensor | None = None, **options: object) -> Losses:
        nonlocal calls
        losses = forward(images, labels, **options)
        if len(images) == 2:  # the pass that counts operations, before the first step
            return losses
        calls += 1
        return change(calls, losses)

    monkeypatch.setattr(model, "forward", changed)


def assert_equal(a: object, b: object) -> None:
    """Two checkpoints are the same to the last bit, but for the time that they took."""
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a.keys() - {"seconds"}:
            assert_equal(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b):
            assert_equal(x, y)
    else:
        assert a == b


# --- the parts --------------------------------------------------------------------------------------------------------


def test_the_average_follows_its_formula():
    assert decay_at(0, 0.99) == 0.1 and decay_at(10, 0.99) == 11 / 20 and decay_at(100_000, 0.99) == 0.99
    model = tiny_model()
    ema = EMA(model, decay=0.5)
    expected = [p.detach().clone() for p in model.parameters()]
    for t in range(15):
        with torch.no_grad():
            for p in model.parameters():
                p.add_(torch.randn_like(p))
        ema.update(model, t)
        d = min(0.5, (1 + t) / (10 + t))
        expected = [d * e + (1 - d) * p.detach() for e, p in zip(expected, model.parameters())]
    for average, e in zip(ema.model.parameters(), expected):
        assert torch.allclose(average, e, atol=1e-6) and not average.requires_grad


@pytest.mark.parametrize("n, batch", [(23, 8), (8, 8), (3, 10), (1, 4), (100, 1)])
def test_each_epoch_shows_every_image_once(n: int, batch: int):
    row = torch.cat([batch_indices(n, batch, step, seed=5) for step in range(4 * n)])
    epochs = row[: len(row) // n * n].reshape(-1, n)
    assert (epochs.sort(1).values == torch.arange(n)).all()
    if n > 8:
        assert not torch.equal(epochs[0], epochs[1])
        assert not torch.equal(batch_indices(n, n, 0, seed=5), batch_indices(n, n, 0, seed=6))


def test_the_rate_rises_and_falls_to_zero():
    assert rate_factor(0, 0.0, 100) == 0.01 and rate_factor(1000, 1.0, 100) == 0 and rate_factor(0, 0.0, 0) == 1
    assert rate_factor(1000, 0.5, 100) == pytest.approx(0.5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"steps": None},
        {"minutes": 1.0},
        {"steps": None, "minutes": 0.0},
        {"steps": None, "minutes": float("nan")},
        {"batch": 0},
        {"learning_rate": 0.0},
        {"learning_rate": float("inf")},
        {"gradient_clip": -1.0},
        {"log_every": 0},
        {"seed": -1},
        {"warmup_steps": -1},
    ],
)
def test_impossible_configurations(wrong: dict):
    with pytest.raises(InputError, match="=") as error:
        tiny_config(**wrong)
    assert "\n" not in str(error.value)


# --- a run ------------------------------------------------------------------------------------------------------------


def test_a_run_leaves_what_it_says(tmp_path: Path):
    model = tiny_model()
    before = [p.detach().clone() for p in model.parameters()]
    run = tiny_run(tmp_path / "a" / "run", model=model)
    assert run.step == 20 and run.stopped_by is None and not run.model.training
    assert any(not torch.equal(b, p) for b, p in zip(before, model.parameters()))
    assert sorted(p.name for p in (tmp_path / "a" / "run").iterdir()) == ["checkpoint.pt", "config.json", "log.jsonl"]
    log = read_log(tmp_path / "a" / "run")
    assert [line["step"] for line in log] == [5, 10, 15, 20]
    assert set(log[0]) == {
        "step", "seconds", "loss", "loss_by_quarter", "gradient_norm", "learning_rate", "images_per_second", "utilisation"
    }  # fmt: skip
    for line in log:
        quarters = line["loss_by_quarter"]
        assert min(q for q in quarters if q is not None) <= line["loss"] <= max(q for q in quarters if q is not None)
        assert 0 < line["utilisation"] < 1
    made = json.loads((tmp_path / "a" / "run" / "config.json").read_text())
    assert made["training"]["batch"] == 8 and made["model"]["family"] == "ddpm" and made["versions"]["torch"]
    assert DDPM.from_configuration(made["model"]).config == TINY
    state = checkpoint.load(tmp_path / "a" / "run" / "checkpoint.pt")
    assert_equal(state["average"], dict(run.model.state_dict()))


def test_a_run_overfits_one_batch(tmp_path: Path):
    """Sixteen images learnt by heart: the loss falls far below that of the useless prediction, which is 1."""
    data = ImageData(tiny_data(16).images // 255 * 255, torch.zeros(16, dtype=torch.int64), ("noise",), "noise")
    config = TrainConfig(steps=300, batch=32, learning_rate=1e-2, warmup_steps=20, log_every=50)
    model = tiny_model(base_width=16, dropout=0.0)
    train(model, data, config, tmp_path, progress=False)
    losses = [line["loss"] for line in read_log(tmp_path)]
    assert losses[-1] < 0.1 < 0.3 < losses[0], losses


def test_a_budget_of_minutes_ends(tmp_path: Path):
    run = tiny_run(tmp_path, steps=None, minutes=0.01)
    assert run.step > 0 and run.seconds < 60
    assert read_log(tmp_path)[-1]["learning_rate"] < 1e-3  # on its way to zero


def test_a_taken_folder_is_refused_and_left_alone(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="exists already.*--resume"):
        tiny_run(tmp_path)
    assert os.listdir(tmp_path) == ["notes.txt"]
    with pytest.raises(InputError, match="there is no checkpoint"):
        tiny_run(tmp_path, resume=True)
    with pytest.raises(InputError, match="exists already"):
        tiny_run(tmp_path / "notes.txt")


def test_model_and_data_must_fit(tmp_path: Path):
    with pytest.raises(InputError, match=r"\(1, 8, 8\).*\(1, 4, 4\)"):
        tiny_run(tmp_path / "run", model=tiny_model(height=8, width=8))
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_not_finite_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    model = tiny_model()

    def broken(call: int, losses: Losses) -> Losses:
        bad = torch.where(losses.time > 0.75, float("nan"), 1.0) if call == 13 else 1.0
        return Losses(losses.per_example * bad, losses.time)

    change_forward(monkeypatch, model, broken)
    expected = r"not finite at step 13, quarter 4 of 4 of the times: the last good checkpoint is .*\.pt' at step 0"
    with pytest.raises(InputError, match=expected):
        tiny_run(tmp_path, model=model)
    good = checkpoint.load(tmp_path / "checkpoint.pt")
    assert all(tensor.isfinite().all() for tensor in good["weights"].values())


# --- resume -----------------------------------------------------------------------------------------------------------


def test_stopped_and_resumed_is_as_if_never_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tiny_run(tmp_path / "whole")
    model = tiny_model()

    def interrupted(call: int, losses: Losses) -> Losses:
        if call == 7:  # in the middle of a step: the step is finished first
            os.kill(os.getpid(), signal.SIGTERM)
        return losses

    change_forward(monkeypatch, model, interrupted)
    stopped = tiny_run(tmp_path / "parts", model=model)
    assert stopped.step == 7 and stopped.stopped_by == signal.SIGTERM
    assert checkpoint.load(tmp_path / "parts" / "checkpoint.pt")["step"] == 7
    torch.randn(3)  # the resumed process has another history
    tiny_run(tmp_path / "parts", resume=True, model=tiny_model(seed=99))
    whole, parts = (checkpoint.load(tmp_path / name / "checkpoint.pt") for name in ("whole", "parts"))
    assert_equal(whole, parts)


def test_resume_of_a_finished_run_changes_nothing(tmp_path: Path):
    tiny_run(tmp_path)
    before = checkpoint.load(tmp_path / "checkpoint.pt")
    run = tiny_run(tmp_path, resume=True)
    assert run.step == 20
    assert_equal(before, checkpoint.load(tmp_path / "checkpoint.pt"))


def test_resume_drops_what_was_logged_after_the_checkpoint(tmp_path: Path):
    tiny_run(tmp_path, steps=10)
    with open(tmp_path / "log.jsonl", "a") as file:
        file.write('{"step": 15, "loss": 1.0}\n{"step": 20, "lo')
    tiny_run(tmp_path, resume=True)
    assert [line["step"] for line in read_log(tmp_path)] == [5, 10, 15, 20]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"batch": 4}, "batch = 8, not 4"),
        ({"seed": 1}, "seed = 0, not 1"),
        ({"model": tiny_model(base_width=16)}, "model = .*'base_width': 8.* not .*'base_width': 16"),
    ],
)
def test_resume_refuses_another_run(tmp_path: Path, change: dict, message: str):
    tiny_run(tmp_path)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(InputError, match=message):
        tiny_run(tmp_path, resume=True, **change)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


CHILD = """
import os, sys, torch
os.fsync = lambda descriptor: None  # a killed process loses nothing that it wrote; only a power cut does
sys.path.insert(0, {tests!r})
import test_training as t
torch.set_num_threads(1)
t.train(t.tiny_model(), t.tiny_data(), t.tiny_config(steps=400, save_every_seconds=0.0), sys.argv[1],
        resume=sys.argv[2] == "resume", progress=False)
"""


def start_child(out: Path, resume: bool) -> subprocess.Popen:
    """A process that trains for 400 steps and saves after every one."""
    code = CHILD.format(tests=str(Path(__file__).parent))
    arguments = [str(out), "resume" if resume else "new"]
    return subprocess.Popen([sys.executable, "-c", code, *arguments], stderr=subprocess.PIPE)


def wait_for_step(child: subprocess.Popen, out: Path, step: int) -> None:
    deadline = time.monotonic() + 60
    while not (log := read_log(out)) or log[-1]["step"] < step:
        assert child.poll() is None, child.stderr.read().decode()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_killed_at_random_moments_and_resumed_is_as_if_never_killed(tmp_path: Path):
    """A process that saves all the time is killed: whatever it was doing, the last complete checkpoint is there."""
    out, step, rng = tmp_path / "run", 0, random.Random(0)
    for attempt in range(3):
        child = start_child(out, resume=attempt > 0)
        wait_for_step(child, out, step + 3)
        time.sleep(rng.random() * 0.1)
        child.kill()
        child.wait()
        child.stderr.close()
        state = checkpoint.load(out / "checkpoint.pt")
        assert state["step"] > step
        step = state["step"]
    tiny_run(out, resume=True, steps=400)
    tiny_run(tmp_path / "whole", steps=400)
    assert_equal(checkpoint.load(out / "checkpoint.pt"), checkpoint.load(tmp_path / "whole" / "checkpoint.pt"))


def test_sigterm_and_ctrl_c_save_and_leave(tmp_path: Path):
    for number in (signal.SIGTERM, signal.SIGINT):
        out = tmp_path / str(number)
        child = start_child(out, resume=False)
        wait_for_step(child, out, 2)
        child.send_signal(number)
        _, errors = child.communicate(timeout=30)
        assert child.returncode == 0 and not errors
        assert checkpoint.load(out / "checkpoint.pt")["step"] == read_log(out)[-1]["step"]


# --- checkpoints ------------------------------------------------------------------------------------------------------


def fail_with(code: int):
    def fsync(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    return fsync


def test_a_full_disk_keeps_the_previous_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "checkpoint.pt"
    checkpoint.save(path, {"step": 1})
    monkeypatch.setattr(os, "fsync", fail_with(errno.ENOSPC))
    with pytest.raises(InputError, match="No space left on device.*make room.*before is intact"):
        checkpoint.save(path, {"step": 2})
    assert os.listdir(tmp_path) == ["checkpoint.pt"] and checkpoint.load(path)["step"] == 1


def test_a_full_disk_ends_a_run_with_its_last_checkpoint_intact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tiny_run(tmp_path, steps=5)
    monkeypatch.setattr(os, "fsync", fail_with(errno.ENOSPC))
    with pytest.raises(InputError, match="No space left"):
        tiny_run(tmp_path, resume=True)
    assert checkpoint.load(tmp_path / "checkpoint.pt")["step"] == 5
    assert not list(tmp_path.glob("*.part"))


def test_bytes_reach_the_disk_before_the_name_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    done, replace = [], os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: done.append("fsync"))
    monkeypatch.setattr(os, "replace", lambda *paths: done.append("replace") or replace(*paths))
    checkpoint.write_file(tmp_path / "file", b"x")
    assert done == ["fsync", "replace"]


def test_files_are_not_written_into_nothing(tmp_path: Path):
    with pytest.raises(InputError, match="create the folder"):
        checkpoint.write_file(tmp_path / "missing" / "file", b"x")
    with pytest.raises(InputError, match="it is a folder"):
        checkpoint.write_file(tmp_path, b"x")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("damage", ["empty", "cut", "text", "bit", "other"])
def test_a_damaged_checkpoint_says_so(tmp_path: Path, damage: str):
    path = tmp_path / "checkpoint.pt"
    checkpoint.save(path, {"weights": torch.arange(1000.0)})
    content = bytearray(path.read_bytes())
    if damage == "bit":
        content[content.index(torch.arange(1000.0).numpy().tobytes()) + 2000] ^= 1
    if damage == "other":
        torch.save({"weights": torch.arange(3)}, path)
    else:
        path.write_bytes({"empty": b"", "cut": content[: len(content) // 2], "text": b"hello", "bit": content}[damage])
    with pytest.raises(InputError, match="damaged|not a checkpoint") as error:
        checkpoint.load(path)
    assert "\n" not in str(error.value)


def test_a_checkpoint_cannot_run_code(tmp_path: Path):
    torch.save({"format": checkpoint.FORMAT, "weights": os.system}, tmp_path / "evil.pt")
    with pytest.raises(InputError, match="damaged or no checkpoint"):
        checkpoint.load(tmp_path / "evil.pt")
