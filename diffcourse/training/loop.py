"""Training, to be read from top to bottom: Ho et al. (2020), algorithm 1, with what a real run needs around it.

A run lives in a folder: `checkpoint.pt` (everything that is needed to go on), `log.jsonl` (one line of numbers every
few steps), `config.json` (what was trained, on what, with what), and `tensorboard/` where that package is installed.
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
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

import diffcourse
from diffcourse.config import TrainConfig
from diffcourse.data import ImageData
from diffcourse.errors import InputError
from diffcourse.families.base import GenerativeModel
from diffcourse.training import checkpoint, distributed, log
from diffcourse.training.ema import EMA
from diffcourse.training.flops import matrix_rate, training_flops

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


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
    that was stopped and resumed ends with the same bits as one that never stopped, on a CPU with as many threads. Within
    `distributed.process_group` every process calls this with the same arguments, and takes its share of each batch.

    A line of the log has: step, seconds, loss, loss_by_quarter (of t, from small to large; None where nothing fell, or for
    a model without time), gradient_norm (before clipping), learning_rate, images_per_second, and utilisation, the share of the machine's
    measured matrix rate that the network's own arithmetic came to.

    Args:
        out: the run's folder; it must not exist or be empty, unless `resume`.
        resume: go on from the checkpoint in `out`. The model, the data, the batch size and the seed must be the same.
        progress: show a bar on stderr.
        started: the `time.monotonic()` from which `minutes` count; now, when left out.
        command: how the run was started, for config.json.

    Raises:
        InputError: if model and data do not fit, the batch does not divide among the processes, there are more processes
            than images, the folder is taken, the checkpoint belongs to another run, the loss is no longer finite, or the disk is full.
    """
    out, device = Path(out), torch.device(device)
    started = time.monotonic() if started is None else started
    first = distributed.rank() == 0
    if data.image_shape != model.image_shape:
        raise InputError(f"the model makes images of (C, H, W) = {model.image_shape}, the data have {data.image_shape}")
    if model.classes and int(data.labels.max()) >= model.classes:
        raise InputError(f"the data have class {int(data.labels.max())}, the model knows 0 to {model.classes - 1}")
    if distributed.world_size() > len(data):
        raise InputError(f"{distributed.world_size()} processes are more than the {len(data)} images: start at most {len(data)}")
    parts = shares(config.batch, distributed.world_size(), config.accumulate)[distributed.rank()]
    if first and not resume and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{str(out)!r} exists already: choose another folder, or go on with --resume (resume=True)")

    model.to(device, memory_format=torch.channels_last if config.channels_last else torch.preserve_format).train()
    images, labels = data.images.to(device), data.labels.to(device)
    if not resume:
        model.prepare(images[_to_device(batch_indices(len(images), config.batch, 0, config.seed), device)])
    ema = EMA(model, config.ema_decay)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=config.learning_rate,
        betas=(config.momentum, 0.999),
        weight_decay=config.weight_decay,
        fused=True,
    )
    # Gradients of half precision underflow; the scaler multiplies the loss and divides the gradients again.
    scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
    generator = torch.Generator(device)
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
        scaler.load_state_dict(state["scaler"])
        step = state["step"]
        started -= state["seconds"]
    last_saved = step

    def save() -> None:
        nonlocal last_saved
        if first:
            state = {
                "identity": identity,
                "weights": model.state_dict(),
                "average": ema.model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "scaler": scaler.state_dict(),
                "step": step,  # tells the position in the data, in the warm-ups and in all random numbers as well
                "seconds": time.monotonic() - started,
            }
            checkpoint.save(out / "checkpoint.pt", state)
        last_saved = step

    (rate,) = distributed.agree(matrix_rate(device, DTYPES[config.precision], torch.get_num_threads()))
    utilisation_of_one = training_flops(model, device) / (rate * distributed.world_size())  # of one image per second
    if first:
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
        log.cut(out, step)

    # Of the steps since the last line in the log; looked at only there, so that a GPU never waits.
    losses, times, norms = [], [], []
    last_time, saved_time = time.monotonic(), time.monotonic()

    def write_log() -> None:
        """Write a line about the steps since the last one, and stop the run if they went wrong."""
        nonlocal last_time
        loss, norm = distributed.gather(torch.stack(losses).float().cpu()), torch.stack(norms).cpu()  # [steps, B], [steps]
        time_of = distributed.gather(torch.stack(times).cpu()) if times else None
        # In half precision a norm that is not finite is the scaler's business: it skips the step.
        bad = ~loss.isfinite().all(1) | (~norm.isfinite() & (config.precision != "fp16"))
        if bad.any():
            row = int(bad.nonzero()[0])
            where = ""
            if time_of is not None and not loss[row].isfinite().all():
                where = f", quarter {int(quarter(time_of[row][~loss[row].isfinite()][0])) + 1} of 4 of the times"
            raise InputError(
                f"the loss or its gradient is not finite at step {step - len(losses) + row + 1}{where}: the last good "
                f"checkpoint is {str(out / 'checkpoint.pt')!r} at step {last_saved}; resume it with a lower learning rate"
            )
        now = time.monotonic()
        per_second = len(losses) * config.batch / (now - last_time)
        line = {
            "step": step,
            "seconds": round(now - started, 3),
            "loss": loss.mean().item(),
            "loss_by_quarter": None if time_of is None else by_quarter(loss, time_of),
            "gradient_norm": norm[norm.isfinite()].mean().item() if norm.isfinite().any() else None,
            "learning_rate": optimizer.param_groups[0]["lr"],
            "images_per_second": round(per_second, 1),
            "utilisation": round(per_second * utilisation_of_one, 4),
        }
        if first:
            log.append(out, line)
            show(line)
        bar.set_postfix_str(f"step {step}, loss {line['loss']:.4f}, {per_second:.0f} images/s", refresh=False)
        losses.clear(), times.clear(), norms.clear()
        last_time = now

    def elapsed_share() -> float:
        """The part of the budget that is used up."""
        if config.steps is not None:
            return step / config.steps
        return (time.monotonic() - started) / (60 * config.minutes)

    def state_of_affairs() -> tuple[float, int | None, bool]:
        """Share of the budget, signal and whether to save: the same for all processes. The first one's clock counts."""
        due = first and time.monotonic() - saved_time >= config.save_every_seconds
        share, number, due = distributed.agree(elapsed_share() if first else 0.0, stop.signal or 0, due)
        return share, int(number) or None, bool(due)

    if config.compile:
        for network in model.children():
            network.compile()
    replica = distributed.replicate(model)
    layout = "{l_bar}{bar}| {elapsed}<{remaining}{postfix}"
    done_before = min(100.0, 100 * elapsed_share())  # not done at this session's speed: the bar's remaining time leaves it out
    with (
        _catch_signals() as stop,
        tqdm(total=100, initial=done_before, disable=not (progress and first), desc="training", bar_format=layout) as bar,
        log.tensorboard(out, step) if first else nullcontext() as show,
    ):
        share, stopped_by, due = state_of_affairs()
        while share < 1 and stopped_by is None:
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * rate_factor(step, share, config.warmup_steps, config.decay)
            chosen = _to_device(batch_indices(len(images), config.batch, step, config.seed), device)
            batch, classes = images[chosen], labels[chosen]
            step_seed = _seed(config.seed, step)
            generator.manual_seed(step_seed)
            if config.flip:
                batch = mirror_some(batch, generator)
            drawn_so_far = generator.get_state()
            torch.manual_seed(step_seed + distributed.rank())  # for dropout
            for part in parts:
                generator.set_state(drawn_so_far)  # every part is one of the same batch, with the same random numbers
                last_part = part is parts[-1]
                with (
                    distributed.connected(),
                    nullcontext() if last_part or replica is model else replica.no_sync(),
                    torch.autocast(device.type, DTYPES[config.precision], enabled=config.precision != "fp32"),
                ):
                    result = replica(batch, classes, generator=generator, part=part)
                    scaler.scale(result.per_example.mean() / len(parts)).backward()
                losses.append(result.per_example.detach())
                if result.time is not None:
                    times.append(result.time)
            scaler.unscale_(optimizer)
            norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), config.gradient_clip))
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad(set_to_none=True)
            ema.update(model, step)
            step += 1
            if len(parts) > 1:  # one row of losses a step
                losses[-len(parts) :] = [torch.cat(losses[-len(parts) :])]
                times[-len(parts) :] = [torch.cat(times[-len(parts) :])] if times else []

            if step % config.log_every == 0:
                write_log()
            share, stopped_by, due = state_of_affairs()
            if due:
                if losses:
                    write_log()  # looks at the losses first: a checkpoint is written only of a run that is well
                save()
                saved_time = time.monotonic()
            bar.update(min(100, 100 * share) - bar.n)
        if losses:
            write_log()
        save()
    return Run(ema.model, step, time.monotonic() - started, stopped_by)


def rate_factor(step: int, share: float, warmup_steps: int, decay: str = "cosine") -> float:
    """What the learning rate is multiplied with: a linear rise over the warm-up and, for "cosine", half a cosine down to 0.

    The book's eq-rate.

    Args:
        step: 0, 1, ..
        share: the part of the budget used up, 0 to 1; of the steps or of the minutes.
    """
    warmup = min(1.0, (step + 1) / max(1, warmup_steps))
    return warmup * ((1 + math.cos(math.pi * min(1.0, share))) / 2 if decay == "cosine" else 1.0)


def shares(batch: int, processes: int, accumulate: int) -> list[list[slice]]:
    """Which rows of a batch each process works on, part by part: equal parts, whose means average to the batch's.

    The book's eq-accumulate.

    Raises:
        InputError: if the parts are not equally large, as their mean would then not be the batch's.
    """
    if batch % (processes * accumulate):
        raise InputError(
            f"batch = {batch} does not divide among processes = {processes} times accumulate = {accumulate}: "
            f"give a multiple of {processes * accumulate}"
        )
    size = batch // (processes * accumulate)
    rows = [slice(i * size, (i + 1) * size) for i in range(processes * accumulate)]
    return [rows[i * accumulate : (i + 1) * accumulate] for i in range(processes)]


def batch_indices(n: int, batch: int, step: int, seed: int) -> Tensor:
    """Which of n images make up the batch of step 0, 1, ..: int64 [batch].

    All epochs' permutations are thought of as one endless row, and step s takes the places from s batch to
    (s + 1) batch. So each epoch shows every image exactly once, and the step alone tells the position.
    """
    places = np.arange(step * batch, (step + 1) * batch)
    epochs = range(places[0] // n, places[-1] // n + 1)
    return torch.from_numpy(np.concatenate([_permutation(n, seed, e)[places[places // n == e] % n] for e in epochs]))


def mirror_some(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image [B, C, H, W] mirrored left to right with probability one half."""
    mirrored = torch.rand(len(images), generator=generator, device=generator.device) < 0.5
    return torch.where(mirrored[:, None, None, None], images.flip(3), images)


def quarter(time: Tensor) -> Tensor:
    """t/T in (0, 1] -> 0, 1, 2 or 3."""
    return (time * 4).ceil().long().clamp(1, 4) - 1


def by_quarter(loss: Tensor, time: Tensor) -> list[float | None]:
    """The mean loss in each quarter of the times, from small t to large; None where no time fell."""
    which = quarter(time)
    return [loss[which == k].mean().item() if (which == k).any() else None for k in range(4)]


@lru_cache(maxsize=4)
def _permutation(n: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(n)


def _seed(seed: int, step: int) -> int:
    """The seed of a step's random numbers: the step alone tells them, so nothing can be lost between runs."""
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> 2)


def _to_device(indices: Tensor, device: torch.device) -> Tensor:
    """Without making the host wait for the GPU, as a plain copy would."""
    return indices.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else indices


def hardware(device: torch.device) -> dict:
    """What a figure was measured on."""
    try:
        processor = Path("/proc/cpuinfo").read_text().split("model name")[1].split(":")[1].split("\n")[0].strip()
    except (OSError, IndexError):
        processor = platform.processor() or platform.machine()
    found = {"device": device.type, "processor": processor, "cores": os.cpu_count(), "threads": torch.get_num_threads()}
    if distributed.world_size() > 1:
        found["processes"] = distributed.world_size()
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
