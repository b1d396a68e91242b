"""Training, to be read from top to bottom: Ho et al. (2020), algorithm 1, with what a real run needs around it.

A run lives in a folder: `checkpoint.pt` (everything that is needed to go on), `log.jsonl` (one line of numbers every
few steps) and `config.json` (what was trained, on what, with what).
"""

from __future__ import annotations

import json
import math
import os
import platform
import signal
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

import diffcourse
from diffcourse.data import ImageData
from diffcourse.errors import InputError
from diffcourse.families.base import GenerativeModel
from diffcourse.training import checkpoint
from diffcourse.training.ema import EMA


@dataclass(frozen=True)
class TrainConfig:
    """How to train. Give either `steps` or `minutes`; resumed minutes count what was spent before.

    Raises:
        InputError: if a value is out of range.
    """

    steps: int | None = None
    minutes: float | None = None
    batch: int = 64
    learning_rate: float = 2e-3
    warmup_steps: int = 100
    ema_decay: float = 0.995
    gradient_clip: float = 1.0
    save_every_seconds: float = 60.0
    log_every: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.minutes is None):
            raise InputError(f"steps = {self.steps} and minutes = {self.minutes}: give one of the two, not both")
        for name in ("steps", "batch", "log_every"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} = {value}: give at least 1")
        for name in ("minutes", "learning_rate", "gradient_clip"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise InputError(f"{name} = {value:g}: give a number above 0")
        for name in ("warmup_steps", "save_every_seconds", "seed"):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name} = {getattr(self, name)}: it must not be negative")


@dataclass(frozen=True)
class Run:
    """What `train` hands back."""

    model: GenerativeModel
    """The averaged weights, in eval mode: the model to sample from."""
    step: int
    """Steps taken, those before a resume included."""
    seconds: float
    """Time spent, that before a resume included."""
    stopped_by: int | None
    """The number of the signal that ended the run early, else None."""


def train(
    model: GenerativeModel,
    data: ImageData,
    config: TrainConfig,
    out: str | Path,
    *,
    device: str | torch.device = "cpu",
    resume: bool = False,
    progress: bool = True,
    started: float | None = None,
    command: str = "",
) -> Run:
    """Train a model in place and return its averaged copy.

    SIGINT (Ctrl-C) and SIGTERM end the run after the current step, with a checkpoint. With a budget of steps, a run
    that was stopped and resumed ends with the same bits as one that never stopped, on a CPU with as many threads.

    Args:
        out: the run's folder; it must not exist or be empty, unless `resume`.
        resume: go on from the checkpoint in `out`. The model, the data, the batch size and the seed must be the same.
        progress: show a bar on stderr.
        started: the `time.monotonic()` from which `minutes` count; now, when left out.
        command: how the run was started, for config.json.

    Raises:
        InputError: if model and data do not fit, the folder is taken, the checkpoint belongs to another run, the loss
            is no longer finite, or the disk is full.
    """
    out, device = Path(out), torch.device(device)
    started = time.monotonic() if started is None else started
    if data.image_shape != model.image_shape:
        raise InputError(f"the model makes images of (C, H, W) = {model.image_shape}, the data have {data.image_shape}")
    if not resume and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{str(out)!r} exists already: choose another folder, or go on with --resume (resume=True)")

    torch.manual_seed(config.seed)  # for dropout; everything else draws from the generator
    generator = torch.Generator(device).manual_seed(config.seed)
    model.to(device).train()
    images = data.images.to(device)
    ema = EMA(model, config.ema_decay)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate)
    identity = {
        "model": _plain(model.configuration()),
        "data": f"{data.name} {list(data.images.shape)}, checksum {zlib.crc32(data.images.contiguous().numpy()):08x}",
        "batch": config.batch,
        "seed": config.seed,
    }

    step = 0
    if resume:
        state = checkpoint.load(out / "checkpoint.pt", device)
        _check_same(state["identity"], identity, out)
        model.load_state_dict(state["weights"])
        ema.model.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        generator.set_state(state["generator"].cpu())
        torch.set_rng_state(state["global_rng"].cpu())
        step = state["step"]
        started -= state["seconds"]
    last_saved = step

    def save() -> None:
        nonlocal last_saved
        state = {
            "identity": identity,
            "weights": model.state_dict(),
            "average": ema.model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "generator": generator.get_state(),
            "global_rng": torch.get_rng_state(),
            "step": step,  # tells the position in the data and in the warm-ups as well
            "seconds": time.monotonic() - started,
        }
        checkpoint.save(out / "checkpoint.pt", state)
        last_saved = step

    def elapsed_share() -> float:
        """The part of the budget that is used up."""
        if config.steps is not None:
            return step / config.steps
        return (time.monotonic() - started) / (60 * config.minutes)

    _make_folder(out)
    if not resume:
        save()  # a run that is killed at any later moment can be resumed, and a full disk shows now
    description = {
        "model": identity["model"],
        "parameters": sum(p.numel() for p in model.parameters()),
        "training": asdict(config),
        "data": identity["data"],
        "hardware": hardware(device),
        "versions": versions(),
        "command": command,
    }
    checkpoint.write_file(out / "config.json", (json.dumps(description, indent=2) + "\n").encode())
    _cut_log(out / "log.jsonl", step)

    losses, norms = [], []  # of the steps since the last line in the log; read only there, so that a GPU never waits
    last_time, saved_time = time.monotonic(), time.monotonic()

    def log() -> None:
        """Write a line about the steps since the last one, and stop the run if they went wrong."""
        nonlocal last_time
        loss, norm = torch.stack(losses).cpu(), torch.stack(norms).cpu()
        wrong = (~(loss.isfinite() & norm.isfinite())).nonzero()
        if len(wrong):
            first = step - len(losses) + int(wrong[0]) + 1
            raise InputError(
                f"the loss or its gradient is not finite at step {first}: the last good checkpoint is "
                f"{str(out / 'checkpoint.pt')!r} at step {last_saved}; resume it with a lower learning rate"
            )
        now = time.monotonic()
        line = {
            "step": step,
            "seconds": round(now - started, 3),
            "loss": loss.mean().item(),
            "gradient_norm": norm.mean().item(),
            "learning_rate": optimizer.param_groups[0]["lr"],
            "images_per_second": round(len(losses) * config.batch / (now - last_time), 1),
        }
        _append(out / "log.jsonl", json.dumps(line) + "\n")
        news = f"step {step}, loss {line['loss']:.4f}, {line['images_per_second']:.0f} images/s"
        bar.set_postfix_str(news, refresh=False)
        losses.clear(), norms.clear()
        last_time = now

    layout = "{l_bar}{bar}| {elapsed}<{remaining}{postfix}"
    with (
        _catch_signals() as stop,
        tqdm(total=100, disable=not progress, desc="training", bar_format=layout) as bar,
    ):
        bar.update(min(100, 100 * elapsed_share()))
        while (share := elapsed_share()) < 1 and stop.signal is None:
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * rate_factor(step, share, config.warmup_steps)
            batch = images[batch_indices(len(images), config.batch, step, config.seed).to(device)]
            loss = model.loss(batch, generator=generator)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.gradient_clip)
            optimizer.step()
            ema.update(model, step)
            step += 1

            losses.append(loss.detach())
            norms.append(norm)
            if step % config.log_every == 0:
                log()
            if time.monotonic() - saved_time >= config.save_every_seconds:
                if losses:
                    log()  # looks at the losses first: a checkpoint is written only of a run that is well
                save()
                saved_time = time.monotonic()
            bar.update(min(100, 100 * elapsed_share()) - bar.n)
        if losses:
            log()
        save()
    return Run(ema.model, step, time.monotonic() - started, stop.signal)


def rate_factor(step: int, share: float, warmup_steps: int) -> float:
    """What the learning rate is multiplied with: a linear rise over the warm-up, half a cosine down to 0 at the end.

    Args:
        step: 0, 1, ..
        share: the part of the budget used up, 0 to 1; of the steps or of the minutes.
    """
    warmup = min(1.0, (step + 1) / max(1, warmup_steps))
    return warmup * (1 + math.cos(math.pi * min(1.0, share))) / 2


def batch_indices(n: int, batch: int, step: int, seed: int) -> Tensor:
    """Which of n images make up the batch of step 0, 1, ..: int64 [batch].

    All epochs' permutations are thought of as one endless row, and step s takes the places from s batch to
    (s + 1) batch. So each epoch shows every image exactly once, and the step alone tells the position.
    """
    places = np.arange(step * batch, (step + 1) * batch)
    epochs = range(places[0] // n, places[-1] // n + 1)
    return torch.from_numpy(np.concatenate([_permutation(n, seed, e)[places[places // n == e] % n] for e in epochs]))


@lru_cache(maxsize=4)
def _permutation(n: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(n)


def read_log(out: str | Path) -> list[dict]:
    """The lines of a run's log: step, seconds, loss, gradient_norm, learning_rate, images_per_second.

    A last line that was cut short when the run was killed is left out.
    """
    path = Path(out) / "log.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []  # what follows the last newline is not complete
    return [json.loads(line) for line in lines]


def hardware(device: torch.device) -> dict:
    """What a figure was measured on."""
    try:
        processor = Path("/proc/cpuinfo").read_text().split("model name")[1].split(":")[1].split("\n")[0].strip()
    except (OSError, IndexError):
        processor = platform.processor() or platform.machine()
    found = {"device": device.type, "processor": processor, "cores": os.cpu_count(), "threads": torch.get_num_threads()}
    if device.type == "cuda":
        found["gpu"] = torch.cuda.get_device_name(device)
    return found


def versions() -> dict:
    """The versions that decide what a run computes."""
    return {"diffcourse": diffcourse.__version__, "torch": str(torch.__version__), "python": platform.python_version()}


def _plain(value: dict) -> dict:
    """As JSON would give it back: tuples become lists."""
    return json.loads(json.dumps(value))


def _check_same(before: dict, now: dict, out: Path) -> None:
    for key, value in now.items():
        if before[key] != value:
            raise InputError(
                f"{str(out)!r} holds a run with {key} = {before[key]}, not {value}: "
                "repeat its command with --resume added, or train in another folder"
            )


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {str(out)!r} ({error.strerror}): choose another place") from None


def _append(path: Path, line: str) -> None:
    try:
        with open(path, "a") as file:
            file.write(line)
    except OSError as error:
        raise InputError(f"cannot write {str(path)!r} ({error.strerror}): make room, then --resume") from None


def _cut_log(path: Path, step: int) -> None:
    """Drop what was logged after the checkpoint at `step`: those steps are taken again."""
    if path.exists():
        kept = [json.dumps(line) + "\n" for line in read_log(path.parent) if line["step"] <= step]
        checkpoint.write_file(path, "".join(kept).encode())


@dataclass
class _Stop:
    signal: int | None = None


@contextmanager
def _catch_signals() -> Iterator[_Stop]:
    """Within, the first SIGINT or SIGTERM is only noted; a second one acts as ever, for somebody in a hurry."""
    stop, before = _Stop(), {}

    def note(number: int, frame: object) -> None:
        stop.signal = number
        signal.signal(number, before[number])

    if threading.current_thread() is threading.main_thread():  # Python allows handlers nowhere else
        before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
