"""The command line: `diffcourse train`, `diffcourse sample` and `diffcourse evaluate`.

torch is imported only once the arguments are understood, so that --help and a mistyped option answer at once.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, get_type_hints

from diffcourse import __version__
from diffcourse.config import DDPMConfig, TrainConfig
from diffcourse.errors import InputError
from diffcourse.presets import PRESETS, preset

if TYPE_CHECKING:
    import torch

    from diffcourse.data import ImageData

DESCRIPTION = "Train a diffusion model on small images, draw samples from it and measure it."

EXAMPLES = """\
examples:
  diffcourse train --data digits --minutes 3 --out runs/digits
  diffcourse sample runs/digits --n 64 --out samples.png
  diffcourse sample digits --n 64 --sampler ddim --steps 50 --out samples.png
  diffcourse evaluate digits --sampler ddim
"""

TRAIN_EXAMPLES = """\
examples:
  diffcourse train --data digits --minutes 3 --out runs/digits
  diffcourse train --data mnist --download --minutes 30 --out runs/mnist
  diffcourse train --data photos/ --size 32 --steps 20000 --out runs/photos

Ctrl-C ends the run after the current step and saves it. To go on, repeat the command with --resume. Network and training
follow from the data set's preset, or from the size of the images; every option changes one choice of it. On several GPUs or
machines start it with torchrun: torchrun --nproc-per-node 8 -m diffcourse.cli train --data cifar10 --out runs/cifar10
"""

SAMPLE_EXAMPLES = """\
examples:
  diffcourse sample digits --n 128 --out samples.png
  diffcourse sample runs/digits --n 1000 --sampler ddim --steps 50 --out samples.npy
  diffcourse sample mnist --n 80 --class 0,1,2,3,4,5,6,7,8,9 --guidance 2 --sampler dpm-solver --out samples.png

The .npy holds one uint8 array [N, C, H, W] with values from 0 to 255.
"""

BENCH_EXAMPLES = """\
examples:
  diffcourse bench --data digits --rounds 5
  diffcourse bench --data mnist --width 48 --batch 64 --precision best --equal-time 10 --out speed.json
  diffcourse bench --data cifar10 --device cuda --precision bf16 --channels-last --compile --peers diffusers,diffusers-as-found

Our network, that of the preset and of the options below, trains and samples beside others of as many weights, on the same images
and in the same minutes. With --precision best each is run in its own fastest way of fp32 and bf16 and two memory layouts.
"""

EVALUATE_EXAMPLES = """\
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


class Parser(argparse.ArgumentParser):
    """argparse, but a mistake is answered in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"diffcourse: error: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 2 for bad input, 128 + the number of the signal that ended it."""
    started = time.monotonic()
    # Read when torch is imported: threads that wait then sleep; else they burn the cores that others compute on.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    options = parser().parse_args(arguments)
    try:
        return options.run(options, started, sys.argv[1:] if arguments is None else arguments)
    except InputError as error:
        message = str(error)
    except OSError as error:
        message = f"{error.filename or 'a file'}: {error.strerror or error}"
    except KeyboardInterrupt:
        return 130
    print(f"diffcourse: error: {message}", file=sys.stderr)
    return 2


def parser() -> Parser:
    """The options of all commands."""
    layout = argparse.RawDescriptionHelpFormatter  # keeps the lines of the examples
    top = Parser("diffcourse", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=layout)
    top.add_argument("--version", action="version", version=f"diffcourse {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, help: str, epilog: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=help, description=help, epilog=epilog, formatter_class=layout)

    train = command("train", "Train a DDPM and write it to a folder.", TRAIN_EXAMPLES)
    train.set_defaults(run=run_train)
    add_data(train)
    train.add_argument("--device", default="auto", help="auto, cpu or cuda (default: %(default)s)")
    train.add_argument("--processes", type=int, help="on the CPU, processes that share each batch (default: 2 for tiny images)")
    train.add_argument("--resume", action="store_true", help="go on with the run in OUT")
    train.add_argument("--out", required=True, help="the folder of the run; must be new or empty without --resume")
    add_fields(train.add_argument_group("network"), DDPMConfig)
    add_fields(train.add_argument_group("training"), TrainConfig)

    sample = command("sample", "Draw images from a trained model.", SAMPLE_EXAMPLES)
    sample.set_defaults(run=run_sample)
    sample.add_argument("model", metavar="RUN", help="the folder of a run, or a model that comes along: digits, mnist")
    sample.add_argument("--n", type=int, default=64, help="how many images (default: %(default)s)")
    sample.add_argument("--out", required=True, help="a .png for a grid of all images, a .npy for the numbers")
    sample.add_argument("--sampler", default="ddpm", help="ddpm, ddim, heun or dpm-solver (default: %(default)s)")
    sample.add_argument("--steps", type=int, help="steps (default: T for ddpm, 50 ddim, 25 heun, 20 dpm-solver)")
    sample.add_argument("--class", dest="classes", type=numbers, help="numbers of classes, as in 3 or 0,1,2; drawn in turns")
    sample.add_argument("--guidance", type=float, default=1.0, help="above 1: more typical of the class (default: %(default)s)")
    sample.add_argument("--seed", type=int, default=0, help="of the noise (default: %(default)s)")
    sample.add_argument("--device", default="auto", help="auto, cpu or cuda (default: %(default)s)")

    evaluate = command("evaluate", "Measure a trained model, beside what real images reach.", EVALUATE_EXAMPLES)
    evaluate.set_defaults(run=run_evaluate)
    evaluate.add_argument("model", metavar="RUN", help="the folder of a run, or a model that comes with diffcourse")
    evaluate.add_argument("--metrics", type=names, metavar="NAMES", help=f"any of {','.join(METRICS)} (see below)")
    evaluate.add_argument("--data", help="what to compare with (default: what the model was trained on)")
    evaluate.add_argument("--root", default="data", help="where mnist, fashion, cifar10 lie (default: %(default)s)")
    evaluate.add_argument("--held-out", metavar="FOLDER", help="images the model has not seen, if the data are a folder")
    evaluate.add_argument("--n", type=int, help="how many samples (default: as many as are held out, at most 1000)")
    evaluate.add_argument("--n-bits", type=int, default=128, help="held-out images for the bits (default: %(default)s)")
    evaluate.add_argument("--sampler", default="ddpm", help="ddpm, ddim, heun or dpm-solver (default: %(default)s)")
    evaluate.add_argument("--steps", type=int, help="steps (default: T for ddpm, 50 ddim, 25 heun, 20 dpm-solver)")
    evaluate.add_argument("--guidance", type=float, default=1.0, help="of a model that knows classes (default: %(default)s)")
    evaluate.add_argument("--seed", type=int, default=0, help="of the samples, their classes and the bits (default: %(default)s)")
    evaluate.add_argument("--batch", type=int, default=256, help="images at a time (default: %(default)s)")
    evaluate.add_argument("--inception", metavar="FILE", help="torch-fidelity's Inception weights: compare by their features")
    evaluate.add_argument("--device", default="auto", help="auto, cpu or cuda (default: %(default)s)")
    evaluate.add_argument("--out", help="write the report to this .json as well")

    bench = command("bench", "Compare the speed of our network with that of other libraries.", BENCH_EXAMPLES)
    bench.set_defaults(run=run_bench)
    add_data(bench)
    bench.add_argument("--device", default="auto", help="auto, cpu or cuda (default: %(default)s)")
    bench.add_argument("--peers", default="diffusers,denoising-diffusion-pytorch", help="whom to compare with (default: %(default)s)")
    bench.add_argument("--batch", type=int, help="images per step (default: by preset)")
    bench.add_argument("--precision", default="fp32", help="fp32, bf16, fp16 or best (default: %(default)s)")
    bench.add_argument("--channels-last", action="store_true", help="the memory layout that suits GPUs' convolutions")
    bench.add_argument("--compile", action="store_true", help="torch.compile all networks first")
    bench.add_argument("--rounds", type=int, default=10, help="timings of each (default: %(default)s)")
    bench.add_argument("--equal-time", type=float, metavar="MINUTES", help="train each so long, compare the held-out losses")
    bench.add_argument("--out", help="a .json for all numbers")
    add_fields(bench.add_argument_group("network"), DDPMConfig)
    return top


def add_data(command: argparse.ArgumentParser) -> None:
    """The options that say which images, and which network and training follow from them."""
    command.add_argument("--data", required=True, help="digits, mnist, fashion, cifar10, or a folder of images")
    command.add_argument("--root", default="data", help="where mnist, fashion, cifar10 lie or go (default: %(default)s)")
    command.add_argument("--download", action="store_true", help="fetch the data set if it is missing")
    command.add_argument("--size", type=int, help="for a folder: crop and resize every image to SIZE x SIZE pixels")
    command.add_argument("--preset", help=f"{', '.join(PRESETS)} (default: that of the data, or by the size of the images)")


NAMES = {"base_width": "--width"}
"""Options that are not called like their field."""


def add_fields(group: Any, config: type) -> None:
    """An option for each field of a configuration that has a help text. Left out it is None, and the preset's value counts."""
    types = get_type_hints(config)
    for f in fields(config):
        if "help" not in f.metadata:
            continue
        usual = {getattr(chosen, f.name) for pair in PRESETS.values() for chosen in pair if isinstance(chosen, config)}
        default = plain(usual.pop()) if len(usual) == 1 else "by preset"
        name = NAMES.get(f.name, "--" + f.name.replace("_", "-"))
        help = f"{f.metadata['help']} (default: {default})"
        if types[f.name] is bool:
            group.add_argument(name, action=argparse.BooleanOptionalAction, default=None, dest=f.name, help=help)
        else:
            kind = next((k for k in (int, float) if k.__name__ in str(types[f.name])), str)
            kind = numbers if "tuple" in str(types[f.name]) else kind
            group.add_argument(name, type=kind, dest=f.name, metavar=name[2:].upper(), help=help)


def plain(value: object) -> object:
    return ",".join(map(str, value)) if isinstance(value, tuple) else value


def numbers(text: str) -> tuple[int, ...]:
    """"1,2,2" -> (1, 2, 2); "" -> ()."""
    try:
        return tuple(int(part) for part in text.split(",") if part)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: give whole numbers with commas between them") from None


def names(text: str) -> tuple[str, ...]:
    """"frechet,bits" -> ("frechet", "bits")."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def changed(config: Any, options: argparse.Namespace) -> dict:
    """The fields of a configuration that were given on the command line."""
    given = {f.name: getattr(options, f.name, None) for f in fields(config) if "help" in f.metadata}
    return {name: value for name, value in given.items() if value is not None}


def run_train(options: argparse.Namespace, started: float, arguments: Sequence[str]) -> int:
    import torch

    from diffcourse.data import load
    from diffcourse.families import DDPM
    from diffcourse.training import distributed, train

    device = choose_device(options.device)
    if options.steps is not None and options.minutes is not None:
        raise InputError(f"--steps {options.steps} and --minutes {options.minutes:g}: give one of the two")
    data = load(options.data, root=options.root, download=options.download, size=options.size)
    model_config, config = chosen_configurations(options, data.image_shape)
    budget = {"steps": None, "minutes": None} if options.steps is not None or options.minutes is not None else {}
    config = replace(config, **{**budget, **changed(TrainConfig, options)})
    processes = how_many_processes(options.processes, device, data.image_shape, config.batch)
    limit_threads(data.image_shape, processes)
    torch.manual_seed(config.seed)  # the initial weights
    model = DDPM(model_config)
    command = shlex.join(["diffcourse", *arguments])
    alone = processes == 1 or distributed.started_by_torchrun()
    others = nullcontext() if alone else distributed.spawn(processes, ["-m", "diffcourse.cli", *arguments])
    with others, distributed.process_group(device) as device:
        run = train(
            model, data, config, options.out, device=device, resume=options.resume, started=started, command=command
        )
        first = distributed.rank() == 0
    if run.stopped_by is not None:
        if first:
            print(f"stopped at step {run.step} and saved; go on with: {command} --resume", file=sys.stderr)
        return 128 + run.stopped_by
    if first:
        sample = shlex.join(["diffcourse", "sample", options.out, "--out", "samples.png"])
        print(f"{run.step} steps in {run.seconds:.0f} s; draw samples with: {sample}")
    return 0


def run_sample(options: argparse.Namespace, started: float, arguments: Sequence[str]) -> int:
    import torch

    from diffcourse import weights

    device = choose_device(options.device)
    out = Path(options.out)
    if out.suffix.lower() not in (".png", ".npy"):
        raise InputError(f"cannot write {options.out!r}: give a file name that ends in .png or .npy")
    if not out.parent.is_dir():
        raise InputError(f"cannot write {options.out!r}: create the folder {str(out.parent)!r} first")
    if options.n < 1:
        raise InputError(f"n = {options.n}: ask for at least one image")
    if options.seed < 0:
        raise InputError(f"seed = {options.seed}: it must not be negative")
    model = weights.load(options.model, device)
    limit_threads(model.image_shape)
    generator = torch.Generator(device).manual_seed(options.seed)
    write_images(draw(model, options.n, generator, options.sampler, options.steps, options.classes, options.guidance), out)
    return 0


def run_evaluate(options: argparse.Namespace, started: float, arguments: Sequence[str]) -> int:
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
    steps = model.steps_of(options.sampler, options.steps)
    train, held_out = real_images(options, model)
    metrics = choose_metrics(options.metrics, train, options.inception)
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
        samples = draw(model, n, generator, options.sampler, steps, classes, options.guidance, options.batch)
        report |= {"n": n, "sampler": options.sampler, "steps": steps, "guidance": options.guidance}
        told += f"\n{n} samples: {options.sampler}, {steps} steps, seed {seed}"
        if model.classes:
            told += f", of the training images' classes in their shares, guidance {options.guidance:g}"
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


def choose_metrics(asked: tuple[str, ...] | None, train: ImageData, inception: str | None) -> tuple[str, ...]:
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
        return tuple(dict.fromkeys(asked))
    by_features = ("frechet", "precision-recall")
    if inception is None and train.name not in features.names():
        print(f"note: no features come along for {train.name}; --inception FILE adds frechet, precision-recall", file=sys.stderr)
        by_features = ()
    return (*by_features, "samples" if labelled else "copies", "bits")


@contextmanager
def bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar for work that says (done, in all); it shows after a second."""
    from tqdm import tqdm

    with tqdm(total=1, desc=what, bar_format="{l_bar}{bar}| {elapsed}<{remaining}", delay=1) as shown:

        def progress(done: int, total: int) -> None:
            shown.total = total
            shown.update(done - shown.n)

        yield progress


def as_json(report: Any) -> dict:
    """A report's fields as plain values."""
    values = asdict(report) if is_dataclass(report) else report._asdict()
    return {name: value.tolist() if hasattr(value, "tolist") else value for name, value in values.items()}


def run_bench(options: argparse.Namespace, started: float, arguments: Sequence[str]) -> int:
    from tqdm import tqdm

    from diffcourse import bench
    from diffcourse.data import load
    from diffcourse.training.checkpoint import write_file
    from diffcourse.training.loop import hardware, versions

    device = choose_device(options.device)
    if options.out is not None and not Path(options.out).parent.is_dir():
        raise InputError(f"cannot write {options.out!r}: create the folder {str(Path(options.out).parent)!r} first")
    if options.rounds < 1:
        raise InputError(f"rounds = {options.rounds}: give at least 1")
    if options.equal_time is not None and not 0 < options.equal_time < float("inf"):
        raise InputError(f"equal time = {options.equal_time:g}: give a number of minutes above 0")
    if options.precision == "best" and options.channels_last:
        raise InputError("--precision best tries both memory layouts: leave out --channels-last")
    data = load(options.data, root=options.root, download=options.download, size=options.size)
    held_out = None if options.equal_time is None else load(options.data, "test", root=options.root, size=options.size)
    model_config, config = chosen_configurations(options, data.image_shape)
    precision = "fp32" if options.precision == "best" else options.precision
    config = replace(config, precision=precision, **({} if options.batch is None else {"batch": options.batch}))
    limit_threads(data.image_shape)
    setting = bench.Setting(
        bench.comparable(model_config),
        data,
        config.batch,
        device,
        learning_rate=config.learning_rate,
        precision=config.precision,
        compile=options.compile,
        channels_last=options.channels_last,
    )
    ways = bench.ways_to_run(setting) if options.precision == "best" else [setting]

    def say(text: str) -> None:
        tqdm.write(text, file=sys.stderr)

    names = bench.available([name for name in options.peers.split(",") if name], setting, say)
    report = {
        "command": shlex.join(["diffcourse", *arguments]),
        "model": asdict(setting.config),
        "data": data.name,
        "batch": config.batch,
        "hardware": hardware(device),
        "versions": versions() | bench.peer_versions(),
    }
    to_train, to_sample = (bench.fastest(names, ways, call, say) for call in (bench.train, bench.sample))
    layout = "{l_bar}{bar}| {elapsed}<{remaining}"
    with tqdm(total=2 * options.rounds * len(names), desc="timing", bar_format=layout) as bar:
        report |= bench.compare(to_train, to_sample, rounds=options.rounds, progress=bar.update)
    if held_out is not None:
        with tqdm(total=100, desc="equal time", bar_format=layout) as bar:
            share = 100 / (60 * options.equal_time * len(names))
            report["equal_time"] = bench.equal_time(
                to_train, options.equal_time, held_out, progress=lambda seconds: bar.update(min(share * seconds, 100 - bar.n))
            )
    print(bench.table(report))
    if options.out is not None:
        write_file(options.out, (json.dumps(report, indent=2) + "\n").encode())
    return 0


def chosen_configurations(options: argparse.Namespace, image_shape: tuple[int, int, int]) -> tuple[DDPMConfig, TrainConfig]:
    """The network that was asked for on the command line, and its preset's training."""
    if options.preset is not None and options.preset not in PRESETS:
        raise InputError(f"unknown preset {options.preset!r}; choose one of {', '.join(PRESETS)}")
    model_config, config = preset(options.preset or options.data, image_shape)
    if options.base_width is not None and (options.base_width < 8 or options.base_width % 8):
        raise InputError(f"width = {options.base_width}: give a multiple of 8")
    return replace(model_config, **changed(DDPMConfig, options)), config


def choose_device(name: str) -> torch.device:
    """The device for auto, cpu or cuda."""
    import torch

    if name not in ("auto", "cpu", "cuda"):
        raise InputError(f"unknown device {name!r}; choose auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("no CUDA device was found: choose --device cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def how_many_processes(asked: int | None, device: torch.device, image_shape: tuple[int, int, int], batch: int) -> int:
    """The number of training processes on this machine; by default two for images up to 8x8 on a CPU with two cores or more.

    Raises:
        InputError: for a number below 1, or above 1 on a GPU, where torchrun starts the processes.
    """
    if asked is None:
        tiny = max(image_shape[1:]) <= 8 and device.type == "cpu" and batch % 2 == 0
        return 2 if tiny and (os.cpu_count() or 1) > 1 else 1
    if asked < 1:
        raise InputError(f"processes = {asked}: give at least 1")
    if asked > 1 and device.type != "cpu":
        raise InputError(f"processes = {asked} works on a CPU; on several GPUs start the command with torchrun")
    return asked


def limit_threads(image_shape: tuple[int, int, int], processes: int = 1) -> None:
    """One thread for images of (C, H, W) up to 8x8, where two need longer, since sharing so little work costs more than it
    saves (benchmarks/README.md); else the machine's threads, shared among the processes."""
    import torch

    if max(image_shape[1:]) <= 8:
        torch.set_num_threads(1)
    elif processes > 1:
        torch.set_num_threads(max(1, torch.get_num_threads() // processes))


def draw(
    model,
    n: int,
    generator: torch.Generator,
    sampler: str = "ddpm",
    steps: int | None = None,
    classes: Sequence[int] | None = None,
    guidance: float = 1.0,
    batch: int = 256,
) -> torch.Tensor:
    """n images, uint8 [n, C, H, W] on the CPU; in batches, so that memory does not limit n, and with a bar.

    Args:
        classes: drawn in turns.
    """
    import torch
    from tqdm import tqdm

    from diffcourse.families.base import unscale

    labels = None if not classes else torch.tensor(classes).repeat(-(-n // len(classes)))[:n]
    drawn = []
    with tqdm(total=n, desc="sampling", bar_format="{l_bar}{bar}| {elapsed}<{remaining}", delay=1) as bar:
        for start in range(0, n, batch):
            size = min(batch, n - start)

            def progress(done: int, calls: int) -> None:
                bar.update(start + size * done / calls - bar.n)

            x = model.sample(
                size,
                None if labels is None else labels[start : start + size],
                generator=generator,
                sampler=sampler,
                steps=steps,
                guidance=guidance,
                progress=progress,
            )
            drawn.append(unscale(x).cpu())
    return torch.cat(drawn)


def write_images(images: torch.Tensor, out: Path) -> None:
    """uint8 images [N, C, H, W] to a .npy or, as a grid, to a .png; complete or not at all."""
    if out.suffix.lower() == ".npy":
        import numpy as np

        from diffcourse.training.checkpoint import write_file

        buffer = io.BytesIO()
        np.save(buffer, images.numpy())
        write_file(out, buffer.getvalue())
    else:
        from diffcourse.show.grid import save_grid

        save_grid(images, out, columns=min(len(images), 8 if len(images) <= 64 else 16))


if __name__ == "__main__":
    sys.exit(main())
