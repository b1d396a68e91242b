"""Quality against the number of network calls, for every sampler.

    python benchmarks/few_steps.py digits --seeds 2
    python benchmarks/few_steps.py mnist --root data --n 1000 --seeds 4 --precision bf16 --max-calls 25

Each seed's noises are taken to images by every sampler in many and in few steps. Each set of images gets the Frechet distance
between it and the training set, in the features of the data set's own classifier. Writes DATA-few-steps.json among
the package's measured results, from where chapter 13 draws its figure.
"""

import argparse
import json
import time
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from diffcourse import data, measured, weights
from diffcourse.cli.options import choose_device
from diffcourse.diffusion import sample
from diffcourse.errors import InputError
from diffcourse.evaluation import features
from diffcourse.evaluation.frechet import FrechetReport, frechet
from diffcourse.families import DDPM
from diffcourse.families.base import unscale
from diffcourse.training import checkpoint
from diffcourse.training.loop import DTYPES


class Run(NamedTuple):
    """One sampler in one number of steps."""

    sampler: str
    steps: int
    spacing: str = "t"
    """What the steps are evenly spaced in: "t" or "log-SNR"."""
    options: dict[str, str | float] = {}

    @property
    def name(self) -> str:
        marks = [value if isinstance(value, str) else f"{key} = {value:g}" for key, value in self.options.items()]
        return " ".join([self.sampler, *marks])

    @property
    def calls(self) -> int:
        """How often the network is asked, at most: steps that fall together are taken once."""
        return 2 * self.steps - 1 if self.sampler == "heun" else self.steps


def runs(learned_variance: bool, max_calls: int = 100) -> list[Run]:
    """All that is measured. The first is what the others are compared with, which have no more than max_calls: all 1000 steps of DDPM."""
    sigmas = ["learned"] * learned_variance + ["posterior", "beta"]
    found = [Run("ddpm", 1000, options={"sigma": sigmas[0]})]
    found += [Run("ddpm", steps, options={"sigma": sigma}) for sigma in sigmas for steps in (100, 50, 20, 10, 5)]
    found += [Run("ddim", steps) for steps in (100, 50, 20, 10, 5)] + [Run("ddim", steps, "log-SNR") for steps in (50, 20, 10, 5)]
    for spacing in ("t", "log-SNR"):
        found += [Run("heun", steps, spacing) for steps in (25, 10, 5, 3)]  # 2 steps - 1 calls
        found += [Run("dpm-solver", steps, spacing) for steps in (50, 20, 15, 10, 5)]
    found += [Run("sde-dpm-solver", steps) for steps in (100, 50, 20, 10, 5)]
    found += [Run("sde-dpm-solver", steps, "log-SNR") for steps in (50, 20, 10, 5)]
    # The 1.2 was chosen on other seeds: benchmarks/README.md.
    found += [Run("sde-dpm-solver", steps, options={"eta": 1.2}) for steps in (100, 50, 20, 10, 5)]
    return found[:1] + [run for run in found[1:] if run.calls <= max_calls]


@torch.no_grad()
def draw(model: DDPM, run: Run, n: int, seed: int, batch: int) -> tuple[Tensor, int]:
    """n images, uint8 on the CPU, and the network calls that each has taken. The same seed means the same noises x_T."""
    device = next(model.parameters()).device
    # One generator for all: a second one of the same seed would repeat x_T as the noise of the first step.
    generator = torch.Generator(device).manual_seed(seed)
    x_T = torch.randn(n, *model.image_shape, generator=generator, device=device)
    labels = torch.arange(n) % model.classes if model.classes else None
    steps = run.steps if run.spacing == "t" else sample.even_in_log_snr(model.schedule, run.steps)
    calls, images = 0, []
    for part in torch.arange(n).split(batch):
        predict = model.denoiser(None if labels is None else labels[part].to(device))
        calls = 0

        def counted(xt: Tensor, t: Tensor):
            nonlocal calls
            calls += 1
            return predict(xt, t)

        walk = sample.SAMPLERS[run.sampler][0]
        x = walk(model.schedule, counted, x_T[part], generator=generator, steps=steps, **run.options)
        images.append(unscale(x.clamp(-1, 1)).cpu())
    return torch.cat(images), calls


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="digits or mnist: a data set whose weights and features come along")
    parser.add_argument("--n", type=int, help="images for each distance (default: as many as are held out)")
    parser.add_argument("--seeds", type=int, default=3, help="how many sets of noises (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--max-calls", type=int, default=100, help="leave out slower walks, but for the first (default: %(default)s)")
    parser.add_argument("--precision", default="fp32", choices=DTYPES, help="of the network (default: %(default)s)")
    parser.add_argument("--keep", action="store_true", help="measure only what the file does not have yet, in the same way")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--root", default="data", help="where the data set lies (default: %(default)s)")
    options = parser.parse_args()
    try:
        device = choose_device(options.device)
        model, extractor = weights.load(options.data, device), features.load(options.data, device)
        real = [features.extract(extractor, data.load(options.data, split, options.root).images) for split in ("train", "test")]
    except InputError as problem:
        parser.error(str(problem))
    n, rows = options.n or len(real[1]), []

    def judge(run: Run, seed: int) -> tuple[FrechetReport, int]:
        dtype = DTYPES[options.precision]
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            images, calls = draw(model, run, n, seed, options.batch)
        return frechet(features.extract(extractor, images), *real, features=options.data, seed=seed), calls

    way = {
        "weights": weights.card(options.data)["sha256"],
        "features": features.card(options.data)["sha256"],
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "precision": options.precision,
        "n": n,
    }
    path = measured.FOLDER / f"{options.data}-few-steps.json"
    known = already(path, way) if options.keep else {}
    floor = None
    for run in runs(model.config.learned_variance, options.max_calls):
        started = time.monotonic()
        distances, calls = known.get((run.name, run.spacing, run.steps), ([], 0))
        for seed in range(len(distances), options.seeds):
            report, calls = judge(run, seed)
            distances, floor = [*distances, round(report.distance, 4)], report
        distances = distances[: options.seeds]
        rows.append({"sampler": run.name, "spacing": run.spacing, "steps": run.steps, "calls": calls, "distance": distances})
        mean = sum(distances) / len(distances)
        seconds = time.monotonic() - started
        print(f"{run.name:24} even in {run.spacing:7} {calls:5d} calls: {mean:8.4f}, {seconds:.0f} s", flush=True)

    if floor is None:
        parser.error("everything is measured already: leave out --keep to measure it again")
    result = {
        "command": f"python benchmarks/few_steps.py {options.data} --n {n} --seeds {options.seeds} "
        f"--precision {options.precision} --max-calls {options.max_calls}",
        **way,
        "torch": torch.__version__,
        "max_calls": options.max_calls,
        "seeds": list(range(options.seeds)),
        "n_floor": floor.n_floor,
        "floor": round(floor.floor, 4),
        "rows": rows,
    }
    checkpoint.write_file(path, (json.dumps(result, indent=1) + "\n").encode())
    print(f"floor {result['floor']:.4f}; wrote {path.name}")


def already(path: Path, way: dict) -> dict[tuple[str, str, int], tuple[list[float], int]]:
    """The distances, one a seed, and network calls of each run that a file has, if they were measured in this way."""
    before = {"precision": "fp32", **(json.loads(path.read_text()) if path.exists() else {})}
    if any(before.get(key) != value for key, value in way.items()):
        return {}
    return {(row["sampler"], row["spacing"], row["steps"]): (row["distance"], row["calls"]) for row in before["rows"]}


if __name__ == "__main__":
    main()
