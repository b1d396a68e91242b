"""Is the course's PixelCNN as good as a library's? Train both on the digits: python benchmarks/reference_pixelcnn.py --peer FOLDER

The other is the GatedPixelCNN of pytorch-generative (Hotaj, 2020 to 2023), which no package index has. FOLDER is a checkout of it:

    git clone https://github.com/EugenHotaj/pytorch-generative FOLDER

Both have as many weights and layers, see the same batches for as many steps of the same optimiser, and are judged by the bits per
dimension of the held-out digits, which both have exactly. The learning rate is ours to choose for ours; for the other the better of
ours and of the one that its own training uses, 0.001, counts. It has no dropout; ours has what its preset says, unless
--dropout 0 takes it away. Writes benchmarks/reference_pixelcnn.json.
"""

import argparse
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import torch
from beside import best_mean_bits, row, timed_training, weights, write

from diffcourse import data
from diffcourse.config import PixelCNNConfig
from diffcourse.families.pixelcnn import PixelCNN
from diffcourse.presets import COMPARED


class Peer(PixelCNN):
    """pytorch-generative's network behind the course's interface: it shares the levels and the bits with ours, and no layer."""

    def __init__(self, config: PixelCNNConfig) -> None:
        from pytorch_generative.models import GatedPixelCNN

        super().__init__(config)
        self.net = GatedPixelCNN(
            in_channels=config.channels,
            out_channels=config.levels,
            n_gated=config.layers - 1,  # it does not count the first
            gated_channels=config.features,
            head_channels=config.head,
        )
        self.net(torch.zeros(1, *self.image_shape))  # it makes its buffers when it first sees an image


def import_peer(folder: Path) -> str:
    """Make pytorch-generative importable, without the tensorboard that only its trainer needs; returns its commit."""
    data.torchvision_datasets()
    sys.modules.setdefault("torch.utils.tensorboard", ModuleType("torch.utils.tensorboard"))
    sys.path.insert(0, str(folder))
    import pytorch_generative  # noqa: F401

    found = subprocess.run(["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True)
    return found.stdout.strip() or "unknown"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, required=True, help="folder of pytorch-generative")
    parser.add_argument("--steps", type=int, default=800, help="(default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=2, help="(default: %(default)s)")
    parser.add_argument("--dropout", type=float, help="of ours (default: its preset's)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    commit = import_peer(options.peer)

    config, training = COMPARED["pixelcnn"]["digits"]
    config = config if options.dropout is None else replace(config, dropout=options.dropout)
    training = replace(training, steps=options.steps, minutes=None)
    ours = weights(PixelCNN(config))
    features = min(range(8, 129), key=lambda n: abs(weights(Peer(replace(config, features=n))) - ours))
    rates = sorted({1e-3, training.learning_rate})
    contestants = [
        ("diffcourse", PixelCNN, config, training.learning_rate),
        *(("pytorch-generative", Peer, replace(config, features=features), rate) for rate in rates),
    ]
    images, held_out = data.load("digits"), data.load("digits", "test").images
    runs = []
    for seed in range(options.seeds):
        for name, kind, settings, rate in contestants:
            chosen = replace(training, learning_rate=rate, seed=seed)
            torch.manual_seed(seed)
            model, seconds = timed_training(kind(settings), images, chosen)
            runs.append(row(name, model, chosen, seconds, model.bits_per_dim(held_out)))
    best = best_mean_bits(runs)
    arguments = "".join(f" --{k} {v}" for k, v in vars(options).items() if k != "peer" and v is not None)
    result = {
        "command": f"python benchmarks/reference_pixelcnn.py --peer FOLDER{arguments}",
        "ratio": round(best["diffcourse"] / best["pytorch-generative"], 4),
        "mean_bits_per_dim": {name: round(value, 4) for name, value in best.items()},
        "runs": runs,
    }
    write(__file__, result, {"pytorch-generative": commit})
    print(f"held-out bits per dimension, ours over theirs: {result['ratio']}")


if __name__ == "__main__":
    main()
