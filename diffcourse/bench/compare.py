"""The comparison itself: which way of running each candidate is its fastest, all of them by turns, and the loss after equal time."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import product

import torch
from torch import Tensor

from diffcourse.bench.candidates import CANDIDATES, Candidate, Setting
from diffcourse.bench.timing import interleave, ratio
from diffcourse.data import ImageData
from diffcourse.errors import InputError
from diffcourse.training.flops import matrix_rate
from diffcourse.training.loop import DTYPES
from diffcourse.training.memory import peak_memory

OURS = "diffcourse"
SAMPLING_STEPS = 4
"""Network calls in one timing of the sampler."""
Say = Callable[[str], object]


def ways_to_run(setting: Setting) -> list[Setting]:
    """fp32 and bf16, in both memory layouts: what a careful user tries."""
    ways = product(("fp32", "bf16"), (False, True))
    return [replace(setting, precision=precision, channels_last=layout) for precision, layout in ways]


def available(names: Sequence[str], setting: Setting, say: Say) -> list[str]:
    """Ours and those of the named peers that are installed; says which are left out.

    Raises:
        InputError: for a name that nobody has.
    """
    for name in names:
        if name not in CANDIDATES or name == OURS:
            raise InputError(f"unknown peer {name!r}; choose among {', '.join(n for n in CANDIDATES if n != OURS)}")
    found = [OURS]
    for name in names:
        try:
            CANDIDATES[name](replace(setting, compile=False))
        except InputError as error:
            say(f"without {name}: {error}")
        else:
            found.append(name)
    return found


def fastest(names: Sequence[str], ways: Sequence[Setting], call: Callable[[Candidate], object], say: Say = print) -> dict[str, Setting]:
    """For each candidate the way to run that was fastest in three trials of each.

    Args:
        call: `train` or `sample`.
    """
    found = {}
    for name in names:
        made = {way(c.setting): c for c in (CANDIDATES[name](setting) for setting in ways)}  # some have but one way
        if len(made) > 1:
            timed = interleave({key: lambda c=c: call(c) for key, c in made.items()}, 3, warm_up=1)
            best = {key: min(seconds) for key, seconds in timed.items()}
            say(f"{name}, to {call.__name__}: " + "; ".join(f"{key} {1000 * s:.0f} ms" for key, s in best.items()))
            made = {key: made[key] for key in [min(best, key=best.get)]}
        found[name] = next(iter(made.values())).setting
    return found


def train(c: Candidate) -> None:
    """One training step."""
    c.train_step()


def sample(c: Candidate) -> None:
    """A few sampling steps."""
    c.sample(SAMPLING_STEPS)


def compare(
    training: dict[str, Setting],
    sampling: dict[str, Setting],
    *,
    rounds: int = 10,
    seconds: float = 0.5,
    progress: Callable[[], object] = lambda: None,
) -> dict:
    """Training and sampling speed of each candidate, in rounds that run all of them.

    Args:
        training, sampling: how to run each candidate, "diffcourse" among them.
        seconds: how long a timing lasts at least: short calls are repeated.
        progress: called after each timing, of which there are `rounds` for each candidate and kind.

    Returns:
        plain values: for each candidate its weights, and milliseconds (median, lowest, highest over the rounds), way to run
        and utilisation in training and in sampling; for each peer the ratios of ours to it.
    """
    report = {"candidates": {name: {} for name in training}, "ratios": {}, "rounds": rounds}
    for kind, call, settings, calls in (("training", train, training, 1), ("sampling", sample, sampling, SAMPLING_STEPS)):
        made = {name: CANDIDATES[name](setting) for name, setting in settings.items()}
        runs = {name: lambda c=c, call=call: call(c) for name, c in made.items()}
        once = min(min(timed) for timed in interleave(runs, 1).values())
        timed = interleave(runs, rounds, warm_up=0, repeat=max(1, round(seconds / once)), progress=progress)
        for name, c in made.items():
            each = [1000 * s / calls for s in timed[name]]
            median = statistics.median(each)
            flops = c.flops(backward=kind == "training")
            rate = matrix_rate(c.setting.device, DTYPES[c.setting.precision], torch.get_num_threads())
            report["candidates"][name]["parameters"] = c.parameters
            report["candidates"][name][kind] = {
                "way": way(c.setting),
                "milliseconds": [round(x, 3) for x in (median, min(each), max(each))],
                "images_per_second": round(1000 * c.setting.batch / median, 1),
                "gflops_per_image": round(flops / 1e9, 4),
                "utilisation": round(flops * c.setting.batch / (median / 1000) / rate, 4),
            }
            if kind == "training":
                report["candidates"][name][kind]["peak_memory_mb"] = _peak_memory(name, c)
        report["ratios"][kind] = {
            name: {key: round(value, 4) for key, value in ratio(timed[OURS], timed[name])._asdict().items()}
            for name in settings
            if name != OURS
        }
        del made, runs, c  # a GPU's memory is for the next kind
    return report


def equal_time(
    settings: dict[str, Setting],
    minutes: float,
    held_out: ImageData,
    rates: Sequence[float],
    *,
    turn: float = 5.0,
    progress: Callable[[float], object] = lambda seconds: None,
) -> dict[str, list[dict]]:
    """Train each candidate for as long as the others, in short turns, and measure its loss on images that none has seen.

    Which learning rate is best differs from network to network, so that each is trained with all of them.

    Args:
        rates: learning rates.

    Returns:
        for each candidate and each rate the steps and the held-out L_simple.
    """
    candidates = {(name, rate): CANDIDATES[name](replace(settings[name], learning_rate=rate)) for rate in rates for name in settings}
    for c in candidates.values():  # what happens once, as compilation, is not counted
        c.train_step()
    spent = dict.fromkeys(candidates, 0.0)
    while any(s < 60 * minutes for s in spent.values()):
        key = min(spent, key=spent.get)
        started = time.perf_counter()
        until = started + min(turn, 60 * minutes - spent[key])
        while time.perf_counter() < until:
            candidates[key].train_step()
            _wait(candidates[key])
        took = time.perf_counter() - started
        spent[key] += took
        progress(took)
    found = {name: [] for name in settings}
    for (name, rate), c in candidates.items():
        loss = c.held_out_loss(held_out.images)
        found[name].append(
            {
                "learning_rate": rate,
                "steps": c.step,
                "seconds": round(spent[name, rate], 1),
                "held_out_loss": loss,
                "way": way(c.setting),
            }
        )
    return found


def way(setting: Setting) -> str:
    """How a candidate is run, in words: "bf16, channels last, compiled"."""
    layout = ", channels last" if setting.channels_last else ""
    return setting.precision + layout + (", compiled" if setting.compile else "")


def table(report: dict) -> str:
    """The report of `compare` in lines of text."""
    lines = [f"{'':28s}{'weights':>9s}  {'training step':>26s}  {'used':>5s}  {'memory':>8s}  {'sampling step':>26s}"]
    for name, found in report["candidates"].items():
        cells = []
        for kind in ("training", "sampling"):
            median, lowest, highest = found[kind]["milliseconds"]
            cells.append(f"{median:.4g} ms ({lowest:.4g} to {highest:.4g})")
        training, memory = found["training"], found["training"]["peak_memory_mb"]
        lines.append(
            f"{name:28s}{found['parameters'] / 1e6:7.2f} M  {cells[0]:>26s}  {training['utilisation']:5.2f}  "
            f"{'' if memory is None else f'{memory:.0f} MB':>8s}  {cells[1]:>26s}"
        )
        lines.append(f"{'':28s}{'':9s}  {training['way']:>26s}  {'':5s}  {'':8s}  {found['sampling']['way']:>26s}")
    for kind, ratios in report["ratios"].items():
        for name, r in ratios.items():
            lines.append(f"{kind}, ours over {name}'s: {r['median']:.2f} ({r['lowest']:.2f} to {r['highest']:.2f})")
    for name, trained in report.get("equal_time", {}).items():
        for found in trained:
            lines.append(
                f"held-out loss after {found['seconds']:.0f} s: {name} {found['held_out_loss']:.5f} "
                f"({found['steps']} steps, learning rate {found['learning_rate']:g})"
            )
    return "\n".join(lines)


def _wait(c: Candidate) -> None:
    if c.setting.device.type == "cuda":
        torch.cuda.synchronize(c.setting.device)


def _peak_memory(name: str, c: Candidate) -> float | None:
    """The most memory that two training steps hold, in MB: weights, optimiser, activations and what the libraries set aside.

    On a GPU what PyTorch has handed out; on a CPU what a process of its own grows by. None where that cannot be asked.
    """
    if c.setting.device.type == "cuda":
        own = {p.untyped_storage().data_ptr(): p.nbytes for p in _tensors(c)}
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        c.train_step()
        return round((torch.cuda.max_memory_allocated() - before + sum(own.values())) / 1e6, 1)
    if peak_memory(c.setting.device) is None or c.setting.compile:
        return None
    few = replace(c.setting.data, images=c.images[: c.setting.batch].clone(), labels=c.setting.data.labels[: c.setting.batch].clone())
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_grown, name, replace(c.setting, data=few), torch.get_num_threads()).result()


def _tensors(c: Candidate) -> list[Tensor]:
    state = [value for values in c.optimizer.state.values() for value in values.values() if isinstance(value, Tensor)]
    return [*c.network.parameters(), *c.average, *state]


def _grown(name: str, setting: Setting, threads: int) -> float:
    """MB that this process grows by at its largest when it builds a candidate and trains two steps."""
    torch.set_num_threads(threads)
    CANDIDATES[name](setting)  # imports what it needs
    before = peak_memory(setting.device)
    c = CANDIDATES[name](setting)
    c.train_step()
    c.train_step()
    return round(peak_memory(setting.device) - before, 1)
