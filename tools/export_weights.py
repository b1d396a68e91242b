"""Put the averaged weights of a finished digits run into the package: python tools/export_weights.py RUN digits

Draws 500 samples with all steps, judges them and writes the answers on the card.
"""

import argparse
from dataclasses import asdict

import torch

from diffcourse import cli, weights
from diffcourse.data import load
from diffcourse.evaluation import evaluate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="the folder of a run on the digits")
    parser.add_argument("name", help="the name to load the weights by")
    options = parser.parse_args()
    model = weights.load(options.run)
    samples = cli.draw(model, 500, torch.Generator().manual_seed(0), "ddpm", None)
    report = evaluate(samples, load("digits"), load("digits", "test"))
    print(report)
    print(weights.export(options.run, options.name, {"sampler": "ddpm, all steps, seed 0", **asdict(report)}))


if __name__ == "__main__":
    main()
