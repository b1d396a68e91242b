"""Everything that the course wants to know of a GPU, in under nine minutes: python benchmarks/gpu.py

1. The network of the preset cifar10 (35.7 million weights) against diffusers, as its example script trains ("as found") and at its best
   (bf16, channels last, compiled), and against denoising-diffusion-pytorch where it is installed.
2. The network for 28x28 images, the same way.
3. Training as a user runs it: images per second and utilisation of `diffcourse train`, and whether a resumed run ends like a whole one.
4. What a batch that is too large says.

Writes gpu.json beside this file after each part, so that what was measured before a time limit is kept. Speed does not depend on what the
images show, so random ones stand in for data sets that are not there.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path

import torch

from diffcourse import bench
from diffcourse.data import ImageData
from diffcourse.families import DDPM, DDPMConfig
from diffcourse.presets import PRESETS
from diffcourse.training import TrainConfig, checkpoint, read_log, train
from diffcourse.training.checkpoint import write_file
from diffcourse.training.loop import hardware, versions


def noise(shape: tuple[int, int, int], n: int) -> ImageData:
    images = torch.randint(0, 256, (n, *shape), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    return ImageData(images, torch.arange(n) % 10, tuple("0123456789"), "random images")


def speed(config: DDPMConfig, batch: int, device: torch.device, peers: list[str], rounds: int) -> dict:
    """Ours and the peers: bf16, channels last, compiled; "as found" stays as it is."""
    data = noise((config.channels, config.height, config.width), 10_000)
    setting = bench.Setting(bench.comparable(config), data, batch, device, precision="bf16", compile=True, channels_last=True)
    settings = {name: setting for name in bench.available(peers, setting, print)}
    report = bench.compare(settings, settings, rounds=rounds)
    print(bench.table(report), flush=True)
    return {"model": asdict(setting.config), "batch": batch, **report}


def training(config: DDPMConfig, usual: TrainConfig, steps: int, device: torch.device) -> dict:
    """A run of the training loop, and the largest difference that stopping and resuming makes to a weight."""
    data = noise((config.channels, config.height, config.width), 10_000)
    how = replace(usual, minutes=None, precision="bf16", channels_last=True, save_every_seconds=1e9)
    with tempfile.TemporaryDirectory() as folder:

        def run(name: str, steps: int, resume: bool = False, **changes: object) -> None:
            torch.manual_seed(0)
            made = replace(how, steps=steps, decay="none", **changes)
            train(DDPM(config), data, made, Path(folder) / name, device=device, resume=resume, progress=False)

        run("compiled", steps, compile=True)
        lines = read_log(Path(folder) / "compiled")[len(range(0, steps, how.log_every)) // 2 :]  # the first wait for compilation
        run("whole", 40)
        run("again", 40)
        run("parts", 20)
        run("parts", 40, resume=True)
        whole, again, parts = (checkpoint.load(Path(folder) / name / "checkpoint.pt")["weights"] for name in ("whole", "again", "parts"))
    return {
        "images_per_second": max(line["images_per_second"] for line in lines),
        "utilisation": max(line["utilisation"] for line in lines),
        "memory_mb": round(torch.cuda.max_memory_allocated() / 1e6) if device.type == "cuda" else None,
        "largest_difference_of_a_resumed_run": max((whole[k] - parts[k]).abs().max().item() for k in whole),
        "largest_difference_of_a_repeated_run": max((whole[k] - again[k]).abs().max().item() for k in whole),
    }


def too_large(config: DDPMConfig, device: torch.device) -> str:
    """The first line of what a step on far too many images says."""
    model = DDPM(config).to(device)
    try:
        model.loss(torch.zeros(2**18, *model.image_shape, dtype=torch.uint8, device=device), generator=torch.Generator(device)).backward()
    except RuntimeError as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return "no error"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=300, help="of the training run (default: 300)")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no CUDA device was found")

    cifar, usual = PRESETS["cifar10"]
    grey = replace(PRESETS["mnist"][0], base_width=48)
    peers = ["diffusers", "diffusers-as-found", "denoising-diffusion-pytorch"]
    result = {"command": "python benchmarks/gpu.py", "hardware": hardware(device), "versions": versions() | bench.peer_versions()}
    parts = {
        "cifar10": lambda: speed(cifar, 128, device, peers, options.rounds),
        "training": lambda: training(cifar, usual, options.steps, device),
        "28x28": lambda: speed(grey, 128, device, peers[:2], options.rounds),
        "too large a batch": lambda: too_large(cifar, device),
    }
    for name, part in parts.items():
        started = time.monotonic()
        result[name] = part()
        print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)
        write_file(options.out, (json.dumps(result, indent=2) + "\n").encode())


if __name__ == "__main__":
    main()
