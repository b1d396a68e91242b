"""`diffcourse evaluate`."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffcourse.cli.options import add_sampling, as_json, bar, choose_device, limit_threads, names, sampling_options
from diffcourse.errors import InputError

if TYPE_CHECKING:
    from diffcourse.data import ImageData

SUMMARY = "Measure a trained model, beside what real images reach."

EXAMPLES = """\
examples:
  diffcourse evaluate digits --sampler ddim --out report.json
  diffcourse evaluate runs/mnist --n 5000 --sampler dpm-solver --metrics frechet,precision-recall
  diffcourse evaluate runs/cifar10 --n 10000 --sampler ddim --inception weights-inception-2015-12-05-6726825d.pth

  frechet            distance between samples and training images, beside that of held-out images
  precision-recall   are samples like real images, and real images like samples
  samples            are they convincing, does every class appear, are they copies
  copies             the last of these alone, for images without classes
  bits               bits per dimension of held-out images

Left out, all that the data allow. A model that knows classes is asked for them in the shares of its training set.
"""

METRICS = ("frechet", "precision-recall", "samples", "copies", "bits")


def add_options(command: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    command.add_argument("model", metavar="RUN", help="the folder of a run, or a model that comes with diffcourse")
    command.add_argument("--metrics", type=names, metavar="NAMES", help=f"any of {','.join(METRICS)} (see below)")
    command.add_argument("--data", help="what to compare with (default: what the model was trained on)")
    command.add_argument("--root", default="data", help="where mnist, fashion, cifar10 lie (default: %(default)s)")
    command.add_argument("--held-out", metavar="FOLDER", help="images the model has not seen, if the data are a folder")
    command.add_argument("--n", type=int, help="how many samples (default: as many as are held out, at most 1000)")
    command.add_argument("--n-bits", type=int, default=128, help="held-out images for the bits (default: %(default)s)")
    add_sampling(command)
    command.add_argument("--seed", type=int, default=0, help="of the samples, their classes and the bits (default: %(default)s)")
    command.add_argument("--batch", type=int, default=256, help="images at a time (default: %(default)s)")
    command.add_argument("--inception", metavar="FILE", help="torch-fidelity's Inception weights: compare by their features")
    command.add_argument("--device", default="auto", help="auto, cpu or cuda (default: %(default)s)")
    command.add_argument("--out", help="write the report to this .json as well")


def run(options: argparse.Namespace, started: float, arguments: Sequence[str]) -> int:
    import torch

    from diffcourse import evaluation, weights
    from diffcourse.evaluation.frechet import some
    from diffcourse.training.checkpoint import write_file
    from diffcourse.training.loop import hardware, versions

    # Whatever can be wrong is found before the long work begins.
    device, seed = choose_device(options.device), options.seed
    for name, least in (("n", 4), ("n_bits", 2), ("batch", 1), ("seed", 0)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise InputError(f"{name.replace('_', '-')} = {value}: give at least {least}")
    if options.out is not None and not (options.out.lower().endswith(".json") and Path(options.out).parent.is_dir()):
        raise InputError(f"cannot write {options.out!r}: give a file name that ends in .json, in a folder that exists")
    model = weights.load(options.model, device)
    limit_threads(model.image_shape)
    extra = sampling_options(options, model)
    train, held_out = real_images(options, model)
    metrics = choose_metrics(options.metrics, train, options.inception, model.has_likelihood)
    n = min(len(held_out), 1000) if options.n is None else options.n
    extractor, whose = None, train.name
    if {"frechet", "precision-recall"} & set(metrics):
        if options.inception is None:
            extractor = evaluation.features.load(train.name, device)
        else:
            extractor, whose = evaluation.features.InceptionFeatures(options.inception).to(device), "inception"
        evaluation.features.extract(extractor, train.images[:1])

    report = {"model": options.model, "data": train.name, "n_train": len(train), "n_held_out": len(held_out), "seed": seed}
    told = f"{options.model} beside {train.name}: {len(train)} training images, {len(held_out)} held out"
    if set(metrics) - {"bits"}:
        classes = None
        if model.classes:
            chosen = torch.randint(len(train), (n,), generator=torch.Generator().manual_seed(seed))
            classes = train.labels[chosen].tolist()
        generator = torch.Generator(device).manual_seed(seed)
        with bar("sampling") as progress:
            samples = evaluation.draw(model, n, generator, classes, batch=options.batch, progress=progress, **extra)
        report |= {"n": n, **extra}
        how = [f"{name} {value if isinstance(value, str) else format(value, 'g')}" for name, value in extra.items()]
        told += f"\n{n} samples: {', '.join([*how, f'seed {seed}'])}"
        if model.classes:
            told += ", of the training images' classes in their shares"
    print(told, flush=True)
    found: dict[str, Any] = {}
    if extractor is not None:
        with bar("features") as progress:
            every = torch.cat([samples, train.images, held_out.images])
            parts = evaluation.features.extract(extractor, every, options.batch, progress)
        of_samples, of_train, of_held_out = parts.split([n, len(train), len(held_out)])
    for metric in metrics:
        if metric == "frechet":
            found[metric] = evaluation.frechet(of_samples, of_train, of_held_out, features=whose, seed=seed)
        elif metric == "precision-recall":
            with bar(metric) as progress:  # as many real images as samples, as in the paper
                real = some(of_train, n, 0)
                found[metric] = evaluation.precision_recall(
                    of_samples, real, held_out=of_held_out, seed=seed, progress=progress
                )
        elif metric == "samples":
            found[metric] = evaluation.evaluate(samples, train, held_out)
        elif metric == "copies":
            found[metric] = evaluation.memorisation(samples, train.images, held_out.images)
        else:
            chosen = torch.randperm(len(held_out), generator=torch.Generator().manual_seed(seed))[: options.n_bits]
            labels = held_out.labels[chosen] if model.classes else None
            generator = torch.Generator(device).manual_seed(seed)
            with bar("bits per dimension") as progress:
                found[metric] = evaluation.likelihood(
                    model, held_out.images[chosen], labels, generator=generator, batch=options.batch, progress=progress
                )
        print(f"\n{metric}\n{found[metric]}", flush=True)
    if options.out is not None:
        report |= {
            "metrics": {name: as_json(answer) for name, answer in found.items()},
            "command": shlex.join(["diffcourse", *arguments]),
            "seconds": round(time.monotonic() - started, 1),
            "hardware": hardware(device),
            "versions": versions(),
        }
        write_file(options.out, (json.dumps(report, indent=2) + "\n").encode())
    return 0


def real_images(options: argparse.Namespace, model: Any) -> tuple[ImageData, ImageData]:
    """What a model was trained on, or --data, and images of the same kind that are held out.

    Raises:
        InputError: if nothing is held out, the images are not the model's, or it does not know their classes.
    """
    import zlib

    from diffcourse import weights
    from diffcourse.data import SOURCES, load

    name, _, rest = weights.trained_on(options.model).rpartition(" [")
    source = name if options.data is None else options.data
    if source not in SOURCES and not Path(source).is_dir():
        raise InputError(f"the data {source!r} are none of {', '.join(SOURCES)}: give their folder with --data FOLDER")
    size = None if source in SOURCES else model.image_shape[1]
    train = load(source, root=options.root, size=size)
    if options.held_out is not None:
        held_out = load(options.held_out, root=options.root, size=model.image_shape[1])
    elif source in SOURCES:
        held_out = load(source, "test", root=options.root)
    else:
        raise InputError(f"the folder {source!r} has no held-out images to compare with: give some with --held-out FOLDER")
    for kind, data in (("training", train), ("held-out", held_out)):
        if data.image_shape != tuple(model.image_shape):
            raise InputError(
                f"the {kind} images have shape {list(data.image_shape)}, the model draws {list(model.image_shape)}: "
                "give the data it was trained on"
            )
        if model.classes and data.labels.max() >= model.classes:
            raise InputError(f"the {kind} images have class {data.labels.max()}, the model knows 0 to {model.classes - 1}")
    if f"checksum {zlib.crc32(train.images.contiguous().numpy()):08x}" not in rest:
        print(f"note: {options.model} was trained on other images than {source}", file=sys.stderr)
    return train, held_out


def choose_metrics(
    asked: tuple[str, ...] | None, train: ImageData, inception: str | None, likelihood: bool
) -> tuple[str, ...]:
    """The metrics asked for, or all that the data allow.

    Raises:
        InputError: for an unknown one, none at all, or one that needs classes where there are none.
    """
    from diffcourse.evaluation import features

    labelled = len(train.labels.unique()) > 1
    if asked is not None:
        if unknown := [name for name in asked if name not in METRICS]:
            raise InputError(f"unknown metric {unknown[0]!r}; choose among {', '.join(METRICS)}")
        if not asked:
            raise InputError(f"no metric was named: choose among {', '.join(METRICS)}")
        if "samples" in asked and not labelled:
            raise InputError(f"{train.name} has one class only, and samples needs at least two: choose copies instead")
        if "bits" in asked and not likelihood:
            raise InputError("a GAN has no likelihood, so there are no bits to count: judge its samples instead")
        return tuple(dict.fromkeys(asked))
    by_features = ("frechet", "precision-recall")
    if inception is None and train.name not in features.names():
        print(f"note: no features come along for {train.name}; --inception FILE adds frechet, precision-recall", file=sys.stderr)
        by_features = ()
    return (*by_features, "samples" if labelled else "copies", *(("bits",) if likelihood else ()))
