"""One run: train a model of one family with one seed and measure it. And all runs of a comparison, several at a time.

A comparison lives in a folder: `settings.json`, the features of the real images, a folder for each run with its checkpoint, log and
`result.json`, and in the end `comparison.json`. What is there already is not done again, so a comparison that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import load as read_tensors
from safetensors.torch import save as tensor_bytes
from torch import Tensor

from diffcourse import evaluation
from diffcourse.config import TrainConfig
from diffcourse.data import ImageData, load
from diffcourse.errors import InputError
from diffcourse.evaluation import features
from diffcourse.evaluation.frechet import some
from diffcourse.families import FAMILIES, GenerativeModel
from diffcourse.presets import COMPARED
from diffcourse.training import train
from diffcourse.training.checkpoint import write_file
from diffcourse.training.flops import training_flops
from diffcourse.training.loop import hardware, versions
from diffcourse.training.memory import peak_memory

Equal = Literal["steps", "flops", "seconds"]
"""What every family gets equally much of: training steps, floating-point operations in training, or seconds of training."""


@dataclass(frozen=True)
class Settings:
    """What is compared, and how.

    Raises:
        InputError: for an unknown family, no family, no seed, or a budget or number of images that makes no sense.
    """

    data: str
    families: tuple[str, ...]
    seeds: tuple[int, ...]
    equal: Equal
    budget: float
    """For each run: steps, floating-point operations, or seconds."""
    n: int
    """How many samples are drawn from each model, and compared with as many held-out images."""
    n_bits: int
    """Of how many held-out images the bits are counted."""
    root: str = "data"
    precision: str | None = None
    """Of the networks in training; that of the presets when left out."""

    def __post_init__(self) -> None:
        if self.data not in known_data():
            raise InputError(f"there is no comparison on {self.data!r}; choose one of {', '.join(known_data())}")
        for family in self.families:
            if family not in FAMILIES:
                raise InputError(f"unknown family {family!r}; choose among {', '.join(FAMILIES)}")
        if not self.families:
            raise InputError(f"no family was named: choose among {', '.join(FAMILIES)}")
        if not self.seeds:
            raise InputError("no seed was given: give at least one, better three, so that the spread can be told")
        if self.equal not in get_args(Equal):
            raise InputError(f"equal {self.equal!r} is unknown; choose one of {', '.join(get_args(Equal))}")
        if not (self.budget > 0 and math.isfinite(self.budget)):
            raise InputError(f"budget = {self.budget:g}: give a number above 0")
        TrainConfig(steps=1, precision=self.precision or "fp32", seed=min(self.seeds))  # refuses what no training takes
        for name in ("n", "n_bits"):
            if getattr(self, name) < 4:
                raise InputError(f"{name.replace('_', '-')} = {getattr(self, name)}: give at least 4")


def known_data() -> list[str]:
    """The data sets for which every family has a model to compare."""
    return [name for name in ("digits", "mnist") if all(name in chosen for chosen in COMPARED.values())]


def compare(
    settings: Settings,
    out: str | Path,
    *,
    device: str = "cpu",
    processes: int = 1,
    progress: Callable[[dict], object] = lambda result: None,
) -> dict | None:
    """All runs of a comparison; returns what `comparison.json` then holds, or None if a signal ended it early.

    Args:
        out: the comparison's folder, new or that of the same comparison.
        processes: runs at a time, each in a process of its own with its share of the threads.
        progress: called with the result of each run, those found in the folder included.

    Raises:
        InputError: if the folder holds another comparison, or the data are missing.
    """
    out = Path(out)
    _begin(settings, out)
    waiting = [(family, seed) for seed in settings.seeds for family in settings.families]  # a seed is complete as soon as can be
    threads = max(1, (os.cpu_count() or 1) // processes)
    results = []
    spawn = multiprocessing.get_context("spawn")
    # A process for each run: what it holds in memory at most is then that run's.
    with ProcessPoolExecutor(processes, mp_context=spawn, max_tasks_per_child=1) as pool:
        try:
            if not all((run_folder(out, *run) / "result.json").exists() for run in waiting):
                pool.submit(extract_real, settings, out, device, threads).result()  # once, before all runs want them at a time
            jobs = [pool.submit(run_one, settings, family, seed, out, device, threads) for family, seed in waiting]
            for job in as_completed(jobs):
                result = job.result()
                if result is None:  # a signal reached the run, which has saved itself
                    raise KeyboardInterrupt
                results.append(result)
                progress(result)
        except BaseException as error:
            pool.shutdown(wait=True, cancel_futures=True)
            if isinstance(error, KeyboardInterrupt):
                return None
            raise
    order = {pair: place for place, pair in enumerate((f, s) for f in settings.families for s in settings.seeds)}
    results.sort(key=lambda result: order[result["family"], result["seed"]])
    comparison = {"settings": _plain(settings), "processes": processes, "versions": versions(), "runs": results}
    write_file(out / "comparison.json", (json.dumps(comparison, indent=1) + "\n").encode())
    return comparison


def run_folder(out: str | Path, family: str, seed: int) -> Path:
    """Where a comparison keeps the run of a family with a seed."""
    return Path(out) / f"{family}-{seed}"


def run_one(settings: Settings, family: str, seed: int, out: str | Path, device: str = "cpu", threads: int = 1) -> dict | None:
    """Train and measure one model, or read what was measured before; None if a signal ended the training, which is saved.

    The result: family, seed, parameters, steps; training seconds, operations and memory; and for each way to draw samples
    the seconds an image takes and the distances; bits per dimension with their standard error.
    """
    folder = run_folder(out, family, seed)
    if (folder / "result.json").exists():
        return json.loads((folder / "result.json").read_text())
    torch.set_num_threads(threads)
    where = torch.device(device)
    training_set, held_out = load(settings.data, root=settings.root), load(settings.data, "test", root=settings.root)
    model_config, config = COMPARED[family][settings.data]
    torch.manual_seed(seed)
    model = FAMILIES[family](model_config).to(where)
    parameters = sum(p.numel() for p in model.parameters())
    operations = training_flops(model, where) * config.batch
    config = replace(config, seed=seed, precision=settings.precision or config.precision, **_budget(settings, operations))
    before = peak_memory(where)
    trained = train(
        model,
        training_set,
        config,
        folder,
        device=where,
        resume=(folder / "checkpoint.pt").exists(),
        progress=False,
        command=f"diffcourse compare --data {settings.data}",
    )
    if trained.stopped_by is not None:
        return None
    held = peak_memory(where)
    real = read_real(extract_real(settings, out, device, threads))
    result = {
        "family": family,
        "seed": seed,
        "parameters": parameters,
        "steps": trained.step,
        "batch": config.batch,
        "training_seconds": round(trained.seconds, 1),
        "training_flops": float(f"{operations * trained.step:.4g}"),
        "training_memory_mb": None if before is None else round(held - before, 1),
        **measure(trained.model, settings, seed, training_set, held_out, real),
        "hardware": hardware(where),
    }
    write_file(folder / "result.json", (json.dumps(result, indent=1) + "\n").encode())
    return result


def extract_real(settings: Settings, out: str | Path, device: str = "cpu", threads: int = 1) -> Path:
    """The file with the features of all real images, which every run compares its samples with; made if it is missing."""
    path = Path(out) / "features.safetensors"
    if not path.exists():
        torch.set_num_threads(threads)
        extractor = features.load(settings.data, device)
        images = {split: load(settings.data, split, root=settings.root).images for split in ("train", "test")}
        write_file(path, tensor_bytes({split: features.extract(extractor, images[split], 500) for split in images}))
    return path


def read_real(path: Path) -> dict[str, Tensor]:
    """The features, float64 [N, D], of the splits "train" and "test", from the file that `extract_real` wrote.

    Raises:
        InputError: if the file is damaged.
    """
    try:
        return read_tensors(path.read_bytes())
    except SafetensorError:
        raise InputError(f"{str(path)!r} is damaged: delete it, and repeat the command") from None


WAYS: dict[str, dict[str, dict[str, Any]]] = {
    "ddpm": {"ddpm, 1000 steps": {}, "ddpm, 20 steps": {"sampler": "sde-dpm-solver", "steps": 20}},
}
"""The ways to draw samples, for families that have more than one."""


def measure(
    model: GenerativeModel, settings: Settings, seed: int, train: ImageData, held_out: ImageData, real: dict[str, Tensor]
) -> dict:
    """Samples and likelihood of a trained model, in plain values; `real` are the real images' features, from `read_real`."""
    device = next(model.parameters()).device
    extractor = features.load(settings.data, device)
    of_train, of_held_out = real["train"], real["test"]
    found: dict[str, Any] = {"samples": {}}
    for name, options in WAYS.get(model.family, {model.family: {}}).items():
        generator = torch.Generator(device).manual_seed(seed)
        model.sample(2, generator=generator, **{**options, **({"steps": 2} if model.family == "ddpm" else {})})  # warms up
        started = time.perf_counter()
        images = evaluation.draw(model, settings.n, generator, **options)
        seconds = time.perf_counter() - started
        of_samples = features.extract(extractor, images, 500)
        distance = evaluation.frechet(of_samples, of_train, of_held_out, features=settings.data, seed=seed)
        both = evaluation.precision_recall(of_samples, some(of_train, settings.n, 0), held_out=of_held_out, seed=seed)
        copied = evaluation.memorisation(images, train.images, held_out.images)
        found["samples"][name] = {
            "milliseconds_per_image": float(f"{1000 * seconds / settings.n:.4g}"),
            "frechet": round(distance.distance, 4),
            "frechet_floor": round(distance.floor, 4),
            "n_floor": distance.n_floor,
            "precision": round(both.precision, 4),
            "precision_real": round(both.real_precision, 4),
            "recall": round(both.recall, 4),
            "recall_real": round(both.real_recall, 4),
            "copies": round(copied.copies, 4),
        }
    found["bits"] = found["bits_error"] = None
    if model.has_likelihood:
        chosen = torch.randperm(len(held_out), generator=torch.Generator().manual_seed(0))[: settings.n_bits]
        generator = torch.Generator(device).manual_seed(seed)
        bits = evaluation.likelihood(model, held_out.images[chosen], generator=generator)
        found |= {"bits": round(bits.total, 4), "bits_error": round(bits.total_error, 4)}
    return found


def _budget(settings: Settings, operations: float) -> dict[str, Any]:
    """The budget as arguments of `TrainConfig`; `operations` are those of one step."""
    if settings.equal == "seconds":
        return {"steps": None, "minutes": settings.budget / 60}
    steps = settings.budget if settings.equal == "steps" else settings.budget / operations
    return {"steps": max(1, round(steps)), "minutes": None}


def _begin(settings: Settings, out: Path) -> None:
    """Make the folder, or see that it is that of the same comparison."""
    path = out / "settings.json"
    if path.exists():
        before, now = json.loads(path.read_text()), _plain(settings)
        for key in now:
            if before.get(key) != now[key]:
                raise InputError(
                    f"{str(out)!r} holds a comparison with {key} = {before.get(key)}, not {now[key]}: "
                    "repeat its command, or choose another folder"
                )
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{str(out)!r} exists already and holds no comparison: choose another folder")
    for split in ("train", "test"):
        load(settings.data, split, root=settings.root)  # what is missing is said now, and not by a process further down
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {str(out)!r} ({error.strerror}): choose another place") from None
    write_file(path, (json.dumps(_plain(settings), indent=1) + "\n").encode())


def _plain(settings: Settings) -> dict:
    """As JSON gives it back, without what does not change the result."""
    return {key: value for key, value in json.loads(json.dumps(asdict(settings))).items() if key != "root"}
