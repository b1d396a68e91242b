"""What the programs share that train a family's model beside another implementation's: a training with its time, and its bits."""

import json
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor

from diffcourse.config import TrainConfig
from diffcourse.data import ImageData
from diffcourse.families.base import GenerativeModel
from diffcourse.training import checkpoint, train
from diffcourse.training.loop import hardware, versions


def weights(model: torch.nn.Module) -> int:
    """How many numbers are learned."""
    return sum(p.numel() for p in model.parameters())


def timed_training(model: GenerativeModel, data: ImageData, training: TrainConfig) -> tuple[GenerativeModel, float]:
    """The averaged model after the package's own training loop, and the processor's seconds."""
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        model = train(model, data, training, Path(folder) / "run", progress=False).model
    return model, time.process_time() - started


def row(name: str, model: GenerativeModel, training: TrainConfig, seconds: float, bits: Tensor, **more: object) -> dict:
    """What is written, and printed at once, of one training; bits [N] of held-out images."""
    found = {
        "name": name,
        "seed": training.seed,
        "learning_rate": training.learning_rate,
        **more,
        "weights": weights(model),
        "cpu_seconds": round(seconds, 1),
        "bits_per_dim": round(bits.mean().item(), 4),
        "standard_error": round(bits.std().item() / len(bits) ** 0.5, 4),
    }
    print(json.dumps(found), flush=True)
    return found


def best_mean_bits(runs: list[dict]) -> dict[str, float]:
    """For each name the mean over its seeds, at the best of its learning rates."""
    found: dict[str, dict[float, list[float]]] = {}
    for run in runs:
        found.setdefault(run["name"], {}).setdefault(run["learning_rate"], []).append(run["bits_per_dim"])
    return {name: min(sum(bits) / len(bits) for bits in of_rates.values()) for name, of_rates in found.items()}


def write(program: str, result: dict, peer: dict[str, str]) -> None:
    """The result as JSON beside the program, with the machine and the versions.

    Args:
        peer: the other implementation's version by its name.
    """
    result = {**result, "hardware": hardware(torch.device("cpu")), "versions": {**versions(), **peer}}
    checkpoint.write_file(Path(program).with_suffix(".json"), (json.dumps(result, indent=2) + "\n").encode())
