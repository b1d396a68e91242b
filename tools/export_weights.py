"""Put the averaged weights of a finished run into the package, with a card that says how they were made and how well they draw.

    python tools/export_weights.py runs/digits digits
    python tools/export_weights.py runs/mnist mnist --root data --sampler dpm-solver

Draws samples, of all classes in turns where the model knows classes, judges them and writes the answers on the card.
"""

import argparse
import sys
from dataclasses import asdict

import torch

from diffcourse import evaluation, weights
from diffcourse.data import load
from diffcourse.errors import InputError
from diffcourse.evaluation import evaluate


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="the folder of a run on digits, mnist, fashion or cifar10")
    parser.add_argument("name", help="the name to load the weights by")
    parser.add_argument("--root", default="data", help="where the data lie (default: %(default)s)")
    parser.add_argument("--n", type=int, default=500, help="samples to judge (default: %(default)s)")
    parser.add_argument("--sampler", default="ddpm", help="ddpm, ddim, heun or dpm-solver (default: %(default)s)")
    parser.add_argument("--steps", type=int, help="steps of the sampler (default: its usual number)")
    options = parser.parse_args()
    try:
        model = weights.load(options.run)
        source = weights.trained_on(options.run).split(" [")[0]
        train, held_out = (load(source, split, root=options.root) for split in ("train", "test"))
        classes = range(model.classes) if model.classes else None
        generator = torch.Generator().manual_seed(0)
        samples = evaluation.draw(model, options.n, generator, classes, sampler=options.sampler, steps=options.steps)
        report = evaluate(samples, train, held_out)
        print(report)
        steps = model.steps_of(options.sampler, options.steps)
        how = f"{options.sampler}, {'all' if steps == model.schedule.T else steps} steps, seed 0"
        print(weights.export(options.run, options.name, {"sampler": how, **asdict(report)}))
    except InputError as error:
        print(f"export_weights: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
