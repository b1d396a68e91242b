"""Train on the digits for a few minutes, draw samples, judge them: python benchmarks/digits.py --minutes 3

Writes digits.json beside this file. Everything random follows from --seed, but not how many steps fit into the minutes.
"""

import argparse
import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import torch

from diffcourse import cli
from diffcourse.data import load
from diffcourse.evaluation import evaluate
from diffcourse.families import DDPM
from diffcourse.training import TrainConfig, train
from diffcourse.training.loop import hardware, versions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--n", type=int, default=500, help="samples per sampler")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    begun = time.monotonic()
    device = cli.choose_device(options.device)

    train_set, held_out = load("digits"), load("digits", "test")
    network, learning_rate = cli.defaults_for(train_set.image_shape)
    config = TrainConfig(minutes=options.minutes, learning_rate=learning_rate, seed=options.seed)
    cli.limit_threads(train_set.image_shape)
    torch.manual_seed(options.seed)
    with tempfile.TemporaryDirectory() as out:
        run = train(DDPM(network), train_set, config, out, device=device, started=begun)

    samplers = {}
    for name, sampler, steps in [("DDPM, 1000 steps", "ddpm", None), ("DDIM, 50 steps", "ddim", 50)]:
        started = time.monotonic()
        generator = torch.Generator(device).manual_seed(options.seed)
        samples = cli.draw(run.model, options.n, generator, sampler, steps)
        seconds = time.monotonic() - started
        report = evaluate(samples, train_set, held_out)
        samplers[name] = {"seconds": round(seconds, 1), **asdict(report)}
        print(f"\n{name}, {seconds:.0f} s\n{report}", flush=True)

    result = {
        "model": run.model.configuration(),
        "parameters": sum(p.numel() for p in run.model.parameters()),
        "training": asdict(config),
        "steps": run.step,
        "images_per_second": round(run.step * config.batch / run.seconds),
        "hardware": hardware(device),
        "versions": versions(),
        "samplers": samplers,
    }
    options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
