"""Every family on every toy of the plane: what it takes for the density, drawn in chapter 1.

    python benchmarks/toys.py

A toy's points are images of two pixels with 256 grey levels, so that a model of images takes them as they are and a probability
can be summed over all 65,536 images. Each model is trained by the package's own training loop. For the PixelCNN, the flow and the
VAE the density is read off the model, for the VAE by its importance-weighted bound; for the GAN and the diffusion model it is
a histogram of samples. For the diffusion model the score is kept as well. Writes toys.json among the package's measured results.
"""

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from diffcourse import evaluation, measured
from diffcourse.data import TOYS, toy_images
from diffcourse.families import FAMILIES, GenerativeModel
from diffcourse.families.base import level_value
from diffcourse.presets import COMPARED
from diffcourse.training import checkpoint, train
from diffcourse.training.loop import hardware, versions

SIDE = 64
"""Cells of the drawing along each axis: four grey levels each."""
SCORE_SIDE = 16
SCORE_SNR = 25.0
"""The signal-to-noise ratio at which the score is drawn: noise a fifth as wide as the data."""


def all_images() -> Tensor:
    """Every image of two pixels, uint8 [65536, 1, 1, 2], row by row of the first pixel."""
    k = torch.arange(256, dtype=torch.uint8)
    return torch.cartesian_prod(k, k)[:, None, None]


def binned(mass: Tensor) -> Tensor:
    """[256, 256] -> [SIDE, SIDE], the sum over each cell."""
    step = 256 // SIDE
    return mass.reshape(SIDE, step, SIDE, step).sum((1, 3))


@torch.no_grad()
def density(model: GenerativeModel, n: int, seed: int = 0) -> tuple[Tensor, float]:
    """The probability of each cell, [SIDE, SIDE], and what all of them sum to before they are scaled."""
    generator = torch.Generator().manual_seed(seed)
    if model.family in ("gan", "ddpm"):
        options = {"sampler": "sde-dpm-solver", "steps": 50} if model.family == "ddpm" else {}
        drawn = evaluation.draw(model, n, generator, batch=10_000, **options).flatten(1).long()
        mass = torch.zeros(256 * 256).index_add_(0, 256 * drawn[:, 0] + drawn[:, 1], torch.full((n,), 1 / n)).reshape(256, 256)
    else:
        bits = torch.cat([model.bits_per_dim(part, generator=generator) for part in all_images().split(4096)])
        mass = torch.exp2(-2 * bits.double()).reshape(256, 256)
    return binned(mass), mass.sum().item()


@torch.no_grad()
def score(model: GenerativeModel) -> tuple[Tensor, int]:
    """The score that a diffusion model knows at one noise level, on a grid of points, [SCORE_SIDE, SCORE_SIDE, 2], and the step t."""
    t = int((model.schedule.snr(model.schedule.steps) - SCORE_SNR).abs().argmin()) + 1
    keep = model.schedule.alpha_bar(t)
    k = torch.linspace(0, 255, SCORE_SIDE)
    points = torch.cartesian_prod(k, k)[:, None, None]
    xt = keep.sqrt().float() * level_value(points, 256)
    eps = model.denoiser()(xt, torch.full((len(xt),), t))
    eps = getattr(eps, "eps", eps)
    return (-eps / (1 - keep).sqrt().float()).reshape(SCORE_SIDE, SCORE_SIDE, 2), t


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=3000, help="of each training (default: %(default)s)")
    parser.add_argument("--points", type=int, default=50_000, help="to learn from (default: %(default)s)")
    parser.add_argument("--n", type=int, default=50_000, help="samples for a histogram (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    result = {
        "command": f"python benchmarks/toys.py --steps {options.steps} --points {options.points} --n {options.n} --seed {options.seed}",
        "hardware": hardware(torch.device("cpu")),
        "versions": versions(),
        "toys": {},
    }
    bar = tqdm(total=len(TOYS) * len(FAMILIES), desc="trainings", bar_format="{l_bar}{bar}| {n}/{total} {elapsed}<{remaining}")
    for toy in TOYS:
        data = toy_images(toy, options.points, torch.Generator().manual_seed(options.seed))
        held_out = toy_images(toy, 2_000, torch.Generator().manual_seed(options.seed + 1))
        flat = data.images.flatten(1).long()
        true = torch.bincount(256 * flat[:, 0] + flat[:, 1], minlength=65536).reshape(256, 256) / len(flat)
        result["toys"][toy] = {"data": {"density": whole(binned(true))}}
        for family, made in FAMILIES.items():
            model_config, config = COMPARED[family]["toy"]
            torch.manual_seed(options.seed)
            model = made(model_config)
            started = time.monotonic()
            with tempfile.TemporaryDirectory() as folder:
                config = replace(config, steps=options.steps, minutes=None, seed=options.seed)
                model = train(model, data, config, Path(folder) / "run", progress=False).model
            found = {
                "parameters": sum(p.numel() for p in model.parameters()),
                "training_seconds": round(time.monotonic() - started, 1),
            }
            mass, total = density(model, options.n, options.seed)
            found |= {"density": whole(mass), "sum": round(total, 4)}
            if family == "ddpm":
                arrows, t = score(model)
                found |= {"score": [[[round(v, 2) for v in point] for point in row] for row in arrows.tolist()], "score_t": t}
            if model.has_likelihood:
                few = held_out.images[:200] if family == "ddpm" else held_out.images
                bits = evaluation.likelihood(model, few, generator=torch.Generator().manual_seed(options.seed), batch=2_000)
                found |= {"bits": round(bits.total, 4), "bits_error": round(bits.total_error, 4)}
            result["toys"][toy][family] = found
            bar.set_postfix_str(f"{toy}, {family}")
            bar.update()
    checkpoint.write_file(measured.FOLDER / "toys.json", (json.dumps(result) + "\n").encode())


def whole(mass: Tensor) -> list[list[int]]:
    """A density in thousandths of its largest value: enough for a picture."""
    return (mass / mass.max() * 999).round().int().tolist()


if __name__ == "__main__":
    main()
