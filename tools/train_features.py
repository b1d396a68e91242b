"""Train the small classifier whose features judge samples, and put it into the package.

    python tools/train_features.py digits
    python tools/train_features.py mnist --root data
    python tools/train_features.py fashion --root data       (its weights are not shipped: the images were not at hand)

Writes NAME.safetensors and its card NAME.json. One thread and a fixed seed: the same machine makes the same weights.

A classifier that is trained until it makes no mistake forgets all but the class: its 64 features shrink to 9 directions,
one less than there are classes (Papyan et al., 2020, call it neural collapse), and a model that draws each class always
in the same way would go unnoticed. So a linear layer must redraw the image from the features as well; it is dropped
afterwards.
"""

import argparse
import hashlib
import json
import shlex
import sys
import time
import zlib
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save as tensor_bytes
from torch import Tensor, nn
from tqdm import tqdm

from diffcourse.data import ImageData, load
from diffcourse.errors import InputError
from diffcourse.evaluation import features
from diffcourse.evaluation.features import FeatureNet
from diffcourse.evaluation.frechet import fit_gaussian, frechet_distance
from diffcourse.families.base import scale
from diffcourse.training.checkpoint import write_file
from diffcourse.training.loop import hardware, versions

EPOCHS = {"digits": 30, "mnist": 4, "fashion": 10}
BATCH, LEARNING_RATE, WEIGHT_DECAY = 64, 3e-3, 1e-2
REDRAW = 1.0  # what the mean squared error of the redrawn pixels counts beside the cross-entropy


def train(net: FeatureNet, redraw: nn.Module, data: ImageData, epochs: int, generator: torch.Generator) -> int:
    """Adam with a rate that rises and falls once (Smith and Topin, 2019); returns the number of steps."""
    per_epoch = len(data) // BATCH
    steps = epochs * per_epoch
    weights = [*net.parameters(), *redraw.parameters()]
    optimizer = torch.optim.AdamW(weights, LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    net.train()
    bar = tqdm(total=steps, desc=f"training on {data.name}", mininterval=1)
    for _ in range(epochs):
        for chosen in torch.randperm(len(data), generator=generator)[: per_epoch * BATCH].split(BATCH):
            images, labels = data.images[chosen], data.labels[chosen]
            found = net(images)
            loss = F.cross_entropy(net.head(found), labels) + REDRAW * F.mse_loss(redraw(found), scale(images).flatten(1))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rate.step()
            bar.update()
            if bar.n % 20 == 0:
                bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    bar.close()
    net.eval().requires_grad_(False)
    return steps


def accuracy(net: FeatureNet, data: ImageData) -> float:
    """The share of images whose class the net sees."""
    right = sum(int((net.classify(x).argmax(1) == y).sum()) for x, y in zip(data.images.split(250), data.labels.split(250)))
    return right / len(data)


def floors(train_features: Tensor, test_features: Tensor, generator: torch.Generator) -> dict[str, float]:
    """The Frechet distance of n held-out images, chosen at random, from the training images: what a perfect model gets."""
    reference = fit_gaussian(train_features)
    n = len(test_features)
    found = {}
    for size in sorted({min(size, n) for size in (100, 200, 450, 1000, 2000, 5000, n)}):
        chosen = test_features[torch.randperm(n, generator=generator)[:size]]
        found[str(size)] = round(frechet_distance(fit_gaussian(chosen), reference), 4)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=list(EPOCHS))
    parser.add_argument("--root", default="data", help="where mnist and fashion lie (default: %(default)s)")
    parser.add_argument("--epochs", type=int, help="passes through the data (default: by data set)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=features.FOLDER, help="where the weights go (default: the package)")
    options = parser.parse_args()
    epochs = EPOCHS[options.data] if options.epochs is None else options.epochs
    torch.set_num_threads(1)
    try:
        if epochs < 1:
            raise InputError(f"epochs = {epochs}: give at least 1")
        train_set, test_set = (load(options.data, split, root=options.root) for split in ("train", "test"))
        torch.manual_seed(options.seed)  # the initial weights
        generator = torch.Generator().manual_seed(options.seed)
        model = {"image_shape": list(train_set.image_shape), "classes": len(train_set.classes), "features": 64}
        net = FeatureNet(**model)
        redraw = nn.Linear(model["features"], train_set.images[0].numel())
        started = time.monotonic()
        steps = train(net, redraw, train_set, epochs, generator)
        minutes = (time.monotonic() - started) / 60
        content = tensor_bytes(net.state_dict())
        found = [features.extract(net, part.images) for part in (train_set, test_set)]
        description = {
            "name": options.data,
            "data": f"{train_set.name} {list(train_set.images.shape)}, checksum {zlib.crc32(train_set.images.numpy()):08x}",
            "model": model,
            "parameters": sum(p.numel() for p in net.parameters()),
            "training": {
                "epochs": epochs,
                "batch": BATCH,
                "learning_rate": LEARNING_RATE,
                "weight_decay": WEIGHT_DECAY,
                "redraw": REDRAW,
            },
            "seed": options.seed,
            "steps": steps,
            "minutes": round(minutes, 2),
            "hardware": hardware(torch.device("cpu")),
            "versions": versions(),
            "command": shlex.join(["python", "tools/train_features.py", *sys.argv[1:]]),
            "metrics": {
                "test_accuracy": round(accuracy(net, test_set), 4),
                "n_test": len(test_set),
                "frechet_floor_by_n": floors(*found, generator),
            },
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        write_file(options.out / f"{options.data}.safetensors", content)
        write_file(options.out / f"{options.data}.json", (json.dumps(description, indent=2) + "\n").encode())
    except InputError as error:
        print(f"train_features: error: {error}", file=sys.stderr)
        return 2
    found = description["metrics"]["test_accuracy"]
    print(f"{options.data}: {minutes * 60:.0f} s, accuracy {found:.4f} on {len(test_set)} images")
    return 0


if __name__ == "__main__":
    sys.exit(main())
