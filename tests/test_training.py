"""Training: the average, the order of the data, checkpoints, and runs that are stopped, killed and resumed."""

import errno
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from diffcourse.data import ImageData
from diffcourse.errors import InputError
from diffcourse.families import DDPM, DDPMConfig
from diffcourse.families.base import Losses
from diffcourse.training import EMA, Run, TrainConfig, checkpoint, log, loop, read_log, train
from diffcourse.training.ema import decay_at
from diffcourse.training.flops import matrix_rate, training_flops
from diffcourse.training.loop import batch_indices, by_quarter, mirror_some, quarter, rate_factor, shares

TINY = DDPMConfig(height=4, width=4, T=10, base_width=8, multipliers=(1,), attention=(), heads=1, dropout=0.1)


def tiny_model(seed: int = 0, **changes: object) -> DDPM:
    torch.manual_seed(seed)
    return DDPM(DDPMConfig(**{**vars(TINY), **changes}))


def tiny_data(n: int = 23) -> ImageData:
    images = torch.randint(0, 256, (n, 1, 4, 4), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    return ImageData(images, torch.arange(n) % 3, ("a", "b", "c"), "noise")


def tiny_config(**changes: object) -> TrainConfig:
    return TrainConfig(**{"steps": 20, "batch": 8, "warmup_steps": 3, "log_every": 5, **changes})


def tiny_run(out: Path, *, resume: bool = False, model: DDPM | None = None, **changes: object) -> Run:
    model = tiny_model() if model is None else model
    return train(model, tiny_data(), tiny_config(**changes), out, resume=resume, progress=False)


def change_forward(monkeypatch: pytest.MonkeyPatch, model: DDPM, change: Callable[[int, Losses], Losses]) -> None:
    """Let `change` see and replace the losses of each pass, 1, 2, .."""
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


def test_the_rate_without_decay_stays():
    assert rate_factor(1000, 0.99, 100, "none") == 1 and rate_factor(49, 0.99, 100, "none") == 0.5


def test_shares_of_a_batch_cover_it_once():
    parts = shares(24, processes=2, accumulate=3)
    assert [len(of_one) for of_one in parts] == [3, 3]
    assert torch.cat([torch.arange(24)[part] for of_one in parts for part in of_one]).tolist() == list(range(24))
    with pytest.raises(InputError, match="batch = 24 .* processes = 5 times accumulate = 2: give a multiple of 10"):
        shares(24, 5, 2)


def test_half_of_the_images_are_mirrored():
    images = torch.arange(2.0).expand(1000, 1, 1, 2)
    mirrored = mirror_some(images, torch.Generator().manual_seed(0))
    is_mirrored = (mirrored == images.flip(3)).all(3).flatten()
    assert 440 < is_mirrored.sum() < 560  # four standard deviations
    assert torch.equal(mirrored[~is_mirrored], images[~is_mirrored])


def test_quarters_of_the_times():
    """With T = 8: steps 1, 2 are the first quarter, 7, 8 the last."""
    t = torch.arange(1, 9)
    assert quarter(t / 8).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert by_quarter(t.float(), t / 8) == [1.5, 3.5, 5.5, 7.5]
    assert by_quarter(t[:3].float(), t[:3] / 8) == [1.5, 3.0, None, None]


class OneLayer(DDPM):
    """A model whose network is one layer."""

    def __init__(self, layer: nn.Module, shape: tuple[int, int, int]) -> None:
        super().__init__(TINY)
        self.net, self.image_shape = layer, shape

    def forward(self, images: torch.Tensor, labels: torch.Tensor | None = None, **options: object) -> Losses:
        return Losses(self.net(images.float().requires_grad_()).flatten(1).mean(1))


def test_operations_of_a_convolution_are_counted():
    """2 k^2 C_in C_out H W forward; as many for the gradient of the weights, and as many for that of the input."""
    model = OneLayer(nn.Conv2d(3, 5, 3, padding=1), (3, 6, 4))
    assert training_flops(model, torch.device("cpu")) == 3 * (2 * 3**2 * 3 * 5 * 6 * 4)


def test_operations_of_attention_are_counted():
    """Q K^T and the weights times V are 2 N^2 d each; backward, two products for each of the two."""

    class Attend(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = x * self.scale
            return nn.functional.scaled_dot_product_attention(x, x, x)

    n, d = 16, 8
    counted = training_flops(OneLayer(Attend(), (1, n, d)), torch.device("cpu"))
    assert counted == 6 * (2 * n**2 * d)


def test_the_matrix_rate_is_measured():
    rate = matrix_rate(torch.device("cpu"), torch.float32, torch.get_num_threads())
    assert 1e8 < rate < 1e14


# --- a run ------------------------------------------------------------------------------------------------------------


def test_a_run_leaves_what_it_says(tmp_path: Path):
    model = tiny_model()
    before = [p.detach().clone() for p in model.parameters()]
    run = tiny_run(tmp_path / "a" / "run", model=model)
    assert run.step == 20 and run.stopped_by is None and not run.model.training
    assert any(not torch.equal(b, p) for b, p in zip(before, model.parameters()))
    left = {p.name for p in (tmp_path / "a" / "run").iterdir()}
    assert left - {"tensorboard"} == {"checkpoint.pt", "config.json", "log.jsonl"}
    lines = read_log(tmp_path / "a" / "run")
    assert [line["step"] for line in lines] == [5, 10, 15, 20]
    assert set(lines[0]) == {
        "step", "seconds", "loss", "loss_by_quarter", "gradient_norm", "learning_rate", "images_per_second", "utilisation"
    }  # fmt: skip
    for line in lines:
        quarters = line["loss_by_quarter"]
        assert min(q for q in quarters if q is not None) <= line["loss"] <= max(q for q in quarters if q is not None)
        assert 0 < line["utilisation"] < 1
    made = json.loads((tmp_path / "a" / "run" / "config.json").read_text())
    assert made["training"]["batch"] == 8 and made["model"]["family"] == "ddpm" and made["versions"]["torch"]
    assert DDPM.from_configuration(made["model"]).config == TINY
    state = checkpoint.load(tmp_path / "a" / "run" / "checkpoint.pt")
    assert_equal(state["average"], dict(run.model.state_dict()))


def test_the_log_says_what_happened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The loss and its quarters are the means over all images since the last line; the gradient's norm is that before clipping."""
    model, seen, norms = tiny_model(), [], []
    change_forward(monkeypatch, model, lambda call, losses: (seen.append(losses), losses)[1])
    clip = nn.utils.clip_grad_norm_
    monkeypatch.setattr(nn.utils, "clip_grad_norm_", lambda *a: (norms.append(clip(*a)), norms[-1])[1])
    tiny_run(tmp_path, model=model, steps=7, gradient_clip=1e-3, decay="none", warmup_steps=0)
    lines = read_log(tmp_path)
    assert [line["step"] for line in lines] == [5, 7]
    for line, steps in zip(lines, (slice(0, 5), slice(5, 7))):
        loss = torch.cat([losses.per_example.detach() for losses in seen[steps]])
        time = torch.cat([losses.time for losses in seen[steps]])
        assert line["loss"] == pytest.approx(loss.mean().item())
        for k, mean in enumerate(line["loss_by_quarter"]):
            inside = (time > k / 4) & (time <= (k + 1) / 4)
            assert mean == (pytest.approx(loss[inside].mean().item()) if inside.any() else None)
        assert line["gradient_norm"] == pytest.approx(torch.stack(norms[steps]).mean().item()) and line["gradient_norm"] > 1e-3
        assert line["learning_rate"] == 2e-3 and line["images_per_second"] > 0


class Transfers(TorchDispatchMode):
    """Counts the operations that make the host wait for a GPU: a number or a shape that depends on the data is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.found = 0

    def __torch_dispatch__(self, operation, types, arguments=(), options=None):
        name = str(operation)
        self.found += any(part in name for part in ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "aten.equal"))
        return operation(*arguments, **(options or {}))


@pytest.mark.parametrize("changes", [{}, {"accumulate": 2, "flip": True}, {"precision": "bf16"}], ids=str)
def test_the_host_does_not_wait_between_two_lines_of_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict):
    """On a GPU every look at a number stops the queue of work. `Schedule` looks on a CPU alone, so its check is taken out."""
    from diffcourse.diffusion.schedule import Schedule

    monkeypatch.setattr(Schedule, "_lookup", lambda self, name, t, first: self._tables[t.device][name].take(t.long()))
    model = tiny_model(classes=3, learned_variance=True)
    next(model.parameters()).device  # the tables exist
    counts, mode = [], Transfers()
    change_forward(monkeypatch, model, lambda call, losses: (counts.append(mode.found), losses)[1])
    with mode:
        tiny_run(tmp_path, model=model, steps=12, log_every=100, **changes)
    parts = changes.get("accumulate", 1)
    assert len(counts) == 12 * parts
    assert counts[-1] - counts[parts] == 0, counts
    assert mode.found > counts[-1]  # the line of the log: the counter does count


def test_accumulated_parts_equal_the_whole_batch(tmp_path: Path):
    """The same gradient, but for rounding: the same random numbers, and the mean of equal parts' means."""
    options = {"steps": 6, "log_every": 2, "flip": True}
    whole = tiny_run(tmp_path / "1", model=tiny_model(base_width=16, dropout=0.0, classes=3), **options)
    parts = tiny_run(tmp_path / "4", model=tiny_model(base_width=16, dropout=0.0, classes=3), accumulate=4, **options)
    for a, b in zip(whole.model.parameters(), parts.model.parameters()):
        assert torch.allclose(a, b, atol=2e-4)  # Adam makes much of tiny gradients, rounding included
    for a, b in zip(read_log(tmp_path / "1"), read_log(tmp_path / "4")):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-4)
        assert a["gradient_norm"] == pytest.approx(b["gradient_norm"], rel=1e-3)
        assert a["loss_by_quarter"] == pytest.approx(b["loss_by_quarter"], rel=1e-3)


def test_what_does_not_fit_is_refused_before_anything_is_written(tmp_path: Path):
    with pytest.raises(InputError, match="batch = 8 does not divide .* accumulate = 3"):
        tiny_run(tmp_path / "run", accumulate=3)
    with pytest.raises(InputError, match="the data have class 2, the model knows 0 to 1"):
        tiny_run(tmp_path / "run", model=tiny_model(classes=2))
    assert not (tmp_path / "run").exists()


def test_a_model_with_classes_needs_labels():
    with pytest.raises(InputError, match="knows 3 classes: its training needs labels"):
        tiny_model(classes=3).loss(tiny_data().images, generator=torch.Generator())


def test_half_precision_trains_and_keeps_the_weights_whole(tmp_path: Path):
    for precision in ("bf16", "fp16"):
        model = tiny_model(dropout=0.0, base_width=16)
        run = train(model, tiny_data(8), tiny_config(steps=60, precision=precision, learning_rate=1e-2), tmp_path / precision, progress=False)
        losses = [line["loss"] for line in read_log(tmp_path / precision)]
        assert losses[-1] < 0.8 * losses[0]
        assert all(p.dtype == torch.float32 and p.isfinite().all() for p in run.model.parameters())
    assert "scale" in checkpoint.load(tmp_path / "fp16" / "checkpoint.pt")["scaler"]


def test_a_gradient_that_overflows_in_fp16_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The scaler halves its factor and goes on; in other precisions such a gradient ends the run."""
    def overflow(call: int, losses: Losses) -> Losses:
        if call == 3:
            losses.per_example.register_hook(lambda gradient: gradient * math.inf)
        return losses

    for precision in ("fp16", "bf16"):
        model = tiny_model()
        change_forward(monkeypatch, model, overflow)
        if precision == "bf16":
            with pytest.raises(InputError, match=r"not finite at step 3: the last good checkpoint is .* at step 0"):
                tiny_run(tmp_path / precision, model=model, precision=precision)
            continue
        tiny_run(tmp_path / precision, model=model, precision=precision)
        state = checkpoint.load(tmp_path / precision / "checkpoint.pt")
        assert state["scaler"]["scale"] == 2.0**15 and all(w.isfinite().all() for w in state["weights"].values())
        assert state["optimizer"]["state"][0]["step"] == 19
        assert all(math.isfinite(line["gradient_norm"]) for line in read_log(tmp_path / precision))


def test_channels_last_and_compile_give_the_same_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    compiled = []
    monkeypatch.setattr(nn.Module, "compile", lambda self: compiled.append(type(self).__name__))  # compiling takes a minute
    plain = tiny_run(tmp_path / "plain", model=tiny_model(base_width=16, dropout=0.0), steps=6)
    other = tiny_run(tmp_path / "other", model=tiny_model(base_width=16, dropout=0.0), steps=6, channels_last=True, compile=True)
    assert compiled == ["UNet"]
    for a, b in zip(plain.model.parameters(), other.model.parameters()):
        assert torch.allclose(a, b, atol=2e-4)
        assert b.ndim < 4 or b.is_contiguous(memory_format=torch.channels_last)


class FakeWriter:
    """Stands for torch.utils.tensorboard.SummaryWriter."""

    made: list["FakeWriter"] = []

    def __init__(self, folder: str, purge_step: int) -> None:
        self.folder, self.purge_step, self.scalars, self.closed = folder, purge_step, {}, False
        self.made.append(self)

    def __enter__(self) -> "FakeWriter":
        return self

    def __exit__(self, *error: object) -> None:
        self.closed = True

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        self.scalars[tag, step] = value


def test_tensorboard_shows_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(FakeWriter, "made", [])
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", types.SimpleNamespace(SummaryWriter=FakeWriter))
    tiny_run(tmp_path / "run", steps=10)
    tiny_run(tmp_path / "run", resume=True)
    first, second = FakeWriter.made
    assert first.folder == second.folder == str(tmp_path / "run" / "tensorboard") and first.closed and second.closed
    assert (first.purge_step, second.purge_step) == (1, 11)
    shown = first.scalars | second.scalars
    for line in read_log(tmp_path / "run"):
        assert shown["loss", line["step"]] == line["loss"]
        for k, value in enumerate(line["loss_by_quarter"]):
            assert shown.get((f"loss_by_quarter/{k + 1}", line["step"])) == value


def test_without_tensorboard_nothing_is_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # an import fails
    with log.tensorboard(tmp_path, 0) as show:
        show({"step": 1, "loss": 1.0})
    assert os.listdir(tmp_path) == []


def test_a_run_overfits_one_batch(tmp_path: Path):
    """Sixteen images learnt by heart: the loss falls far below that of the useless prediction, which is 1."""
    data = ImageData(tiny_data(16).images // 255 * 255, torch.zeros(16, dtype=torch.int64), ("noise",), "noise")
    config = TrainConfig(steps=300, batch=32, learning_rate=1e-2, warmup_steps=20, log_every=50)
    model = tiny_model(base_width=16, dropout=0.0)
    train(model, data, config, tmp_path, progress=False)
    losses = [line["loss"] for line in read_log(tmp_path)]
    assert losses[-1] < 0.1 < 0.3 < losses[0], losses


def test_a_budget_of_minutes_ends(tmp_path: Path):
    run = tiny_run(tmp_path, steps=None, minutes=0.05)
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


@pytest.mark.parametrize(
    "network, training",
    [
        ({"classes": 3, "learned_variance": True}, {"flip": True}),
        ({"target": "v", "weighting": "min_snr", "schedule": "cosine"}, {"accumulate": 2, "decay": "none"}),
        ({"classes": 3}, {"precision": "bf16", "channels_last": True}),
        ({}, {"precision": "fp16", "batch": 46}),  # two epochs a step
    ],
    ids=str,
)
def test_resume_is_exact_whatever_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: dict, training: dict):
    """Stopped at step 7, in the middle of an epoch of 23 images, of the warm-up, of the decay, between two lines of the log.

    The scaler grows every third step here, so that its factor and its count of steps are no longer those at the start.
    """
    scaler = torch.amp.GradScaler
    monkeypatch.setattr(torch.amp, "GradScaler", lambda device, enabled: scaler(device, enabled=enabled, growth_interval=3))
    training = {"steps": 14, "warmup_steps": 10, **training}
    tiny_run(tmp_path / "whole", model=tiny_model(**network), **training)
    model = tiny_model(**network)

    def interrupted(call: int, losses: Losses) -> Losses:
        if call == 7 * training.get("accumulate", 1):
            os.kill(os.getpid(), signal.SIGTERM)
        return losses

    change_forward(monkeypatch, model, interrupted)
    assert tiny_run(tmp_path / "parts", model=model, **training).step == 7
    torch.randn(3), random.random()  # another history
    tiny_run(tmp_path / "parts", resume=True, model=tiny_model(seed=99, **network), **training)
    whole, parts = (checkpoint.load(tmp_path / name / "checkpoint.pt") for name in ("whole", "parts"))
    assert whole["step"] == 14
    assert_equal(whole, parts)
    if training.get("precision") == "fp16":
        assert whole["scaler"]["scale"] != 2.0**16


@pytest.mark.parametrize("forgotten", ["optimizer", "average", "scaler", "step"])
def test_nothing_that_is_saved_could_be_left_out(tmp_path: Path, forgotten: str):
    """A run resumed without one of these ends elsewhere: the comparison above would see it."""
    tiny_run(tmp_path / "whole", precision="fp16")
    tiny_run(tmp_path / "parts", steps=7, decay="none", precision="fp16")
    tiny_run(tmp_path / "fresh", steps=1, decay="none", precision="fp16")
    state, fresh = (checkpoint.load(tmp_path / name / "checkpoint.pt") for name in ("parts", "fresh"))
    if forgotten == "scaler":
        fresh["scaler"]["scale"] = 2.0
    checkpoint.save(tmp_path / "parts" / "checkpoint.pt", {**state, forgotten: fresh[forgotten]})
    tiny_run(tmp_path / "parts", resume=True, precision="fp16")
    whole, parts = (checkpoint.load(tmp_path / name / "checkpoint.pt") for name in ("whole", "parts"))
    with pytest.raises(AssertionError):
        assert_equal(whole, parts)


def test_the_global_random_numbers_do_not_matter(tmp_path: Path):
    """Every number follows from the seed and the step, whatever was drawn before: nothing of it needs saving."""
    for name, other in (("a", 0), ("b", 1)):
        model = tiny_model(classes=3)
        torch.manual_seed(other), random.seed(other)
        train(model, tiny_data(), tiny_config(flip=True), tmp_path / name, progress=False)
    assert_equal(*(checkpoint.load(tmp_path / name / "checkpoint.pt") for name in ("a", "b")))
    train(tiny_model(classes=3), tiny_data(), tiny_config(flip=True, seed=1), tmp_path / "c", progress=False)
    a, c = (checkpoint.load(tmp_path / name / "checkpoint.pt") for name in ("a", "c"))
    assert not torch.equal(a["weights"]["net.first.weight"], c["weights"]["net.first.weight"])


def test_resume_of_a_finished_run_changes_nothing(tmp_path: Path):
    tiny_run(tmp_path)
    before = checkpoint.load(tmp_path / "checkpoint.pt")
    run = tiny_run(tmp_path, resume=True)
    assert run.step == 20
    assert_equal(before, checkpoint.load(tmp_path / "checkpoint.pt"))


def test_the_bar_of_a_resumed_run_counts_only_its_own_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What was done before the resume has taken no time now: counted in, the remaining time would be far too short."""
    tiny_run(tmp_path, steps=30)
    bars = []

    class Spy(loop.tqdm):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            bars.append((self.initial, self.n))

    monkeypatch.setattr(loop, "tqdm", Spy)
    train(tiny_model(), tiny_data(), tiny_config(steps=40), tmp_path, resume=True)
    assert bars == [(75.0, 75.0)]


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


def test_checkpoints_of_other_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for made, message in ((checkpoint.FORMAT + 1, "written by a newer version"), (checkpoint.FORMAT - 1, "of an older version")):
        with monkeypatch.context() as other:
            other.setattr(checkpoint, "FORMAT", made)
            checkpoint.save(tmp_path / "checkpoint.pt", {"step": 1})
        with pytest.raises(InputError, match=message):
            tiny_run(tmp_path, resume=True)


def test_a_checkpoint_cannot_run_code(tmp_path: Path):
    torch.save({"format": checkpoint.FORMAT, "weights": os.system}, tmp_path / "evil.pt")
    with pytest.raises(InputError, match="damaged or no checkpoint"):
        checkpoint.load(tmp_path / "evil.pt")
