"""Train on the digits for a few minutes, draw samples, judge them: python benchmarks/digits.py --minutes 3

Runs `diffcourse train --data digits` as a user would and writes digits.json beside this file. Everything random follows from
--seed, but not how many steps fit into the minutes.
"""

import argparse
import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import torch

from diffcourse import cli, evaluation, weights
from diffcourse.cli.options import choose_device
from diffcourse.data import load
from diffcourse.evaluation import evaluate
from diffcourse.training import checkpoint, read_log


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--n", type=int, default=500, help="samples per sampler")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()

    train_set, held_out = load("digits"), load("digits", "test")
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        arguments = ["train", "--data", "digits", "--minutes", f"{options.minutes:g}", "--seed", str(options.seed)]
        if code := cli.main([*arguments, "--device", options.device, "--out", str(run)]):
            raise SystemExit(code)
        result = json.loads((run / "config.json").read_text())
        result["steps"] = checkpoint.load(run / "checkpoint.pt")["step"]
        result["images_per_second"] = round(result["steps"] * result["training"]["batch"] / read_log(run)[-1]["seconds"])
        result["command"] = "diffcourse " + " ".join([*arguments, "--out", "run"])
        device = choose_device(options.device)
        model = weights.load(run, device)

    result["samplers"] = {}
    for name, sampler, steps in [("DDPM, 1000 steps", "ddpm", None), ("DDIM, 50 steps", "ddim", 50)]:
        started = time.monotonic()
        generator = torch.Generator(device).manual_seed(options.seed)
        samples = evaluation.draw(model, options.n, generator, sampler=sampler, steps=steps)
        seconds = time.monotonic() - started
        report = evaluate(samples, train_set, held_out)
        result["samplers"][name] = {"seconds": round(seconds, 1), **asdict(report)}
        print(f"\n{name}, {seconds:.0f} s\n{report}", flush=True)
    options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
