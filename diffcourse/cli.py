"""The command line: `diffcourse train` and `diffcourse sample`.

torch is imported only once the arguments are understood, so that --help and a mistyped option answer at once.
"""

from __future__ import annotations

import argparse
import io
import os
import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, get_type_hints

from diffcourse import __version__
from diffcourse.config import DDPMConfig, TrainConfig
from diffcourse.errors import InputError
from diffcourse.presets import PRESETS, preset

if TYPE_CHECKING:
    import torch

DESCRIPTION = "Train a diffusion model on small images and draw samples from it."

EXAMPLES = """\
examples:
  diffcourse train --data digits --minutes 3 --out runs/digits
  diffcourse sample runs/digits --n 64 --out samples.png
  diffcourse sample digits --n 64 --sampler ddim --steps 50 --out samples.png
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
    """The options of both commands."""
    layout = argparse.RawDescriptionHelpFormatter  # keeps the lines of the examples
    top = Parser("diffcourse", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=layout)
    top.add_argument("--version", action="version", version=f"diffcourse {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, help: str, epilog: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=help, description=help, epilog=epilog, formatter_class=layout)

    train = command("train", "Train a DDPM and write it to a folder.", TRAIN_EXAMPLES)
    train.set_defaults(run=run_train)
    train.add_argument("--data", required=True, help="digits, mnist, fashion, cifar10, or a folder of images")
    train.add_argument("--root", default="data", help="where mnist, fashion, cifar10 lie or go (default: %(default)s)")
    train.add_argument("--download", action="store_true", help="fetch the data set if it is missing")
    train.add_argument("--size", type=int, help="for a folder: crop and resize every image to SIZE x SIZE pixels")
    train.add_argument("--preset", help=f"{', '.join(PRESETS)} (default: that of the data, or by the size of the images)")
    train.add_argument("--device", default="auto", help="auto, cpu or cuda (default: %(default)s)")
    train.add_argument("--processes", type=int, help="on the CPU, processes that share each batch (default: 2 for tiny images)")
    train.add_argument("--resume", action="store_true", help="go on with the run in OUT")
    train.add_argument("--out", required=True, help="the folder of the run; must be new or empty without --resume")
    add_fields(train.add_argument_group("network"), DDPMConfig)
    add_fields(train.add_argument_group("training"), TrainConfig)

    sample = command("sample", "Draw images from a trained model.", SAMPLE_EXAMPLES)
    sample.set_defaults(run=run_sample)
    sample.add_argument("model", metavar="RUN", help="the folder of a run, or digits, which comes with diffcourse")
    sample.add_argument("--n", type=int, default=64, help="how many images (default: %(default)s)")
    sample.add_argument("--out", required=True, help="a .png for a grid of all images, a .npy for the numbers")
    sample.add_argument("--sampler", default="ddpm", help="ddpm, ddim, heun or dpm-solver (default: %(default)s)")
    sample.add_argument("--steps", type=int, help="steps (default: T for ddpm, 50 ddim, 25 heun, 20 dpm-solver)")
    sample.add_argument("--class", dest="classes", type=numbers, help="numbers of classes, as in 3 or 0,1,2; drawn in turns")
    sample.add_argument("--guidance", type=float, default=1.0, help="above 1: more typical of the class (default: %(default)s)")
    sample.add_argument("--seed", type=int, default=0, help="of the noise (default: %(default)s)")
    sample.add_argument("--device", default="auto", help="auto, cpu or cuda (default: %(default)s)")
    return top


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
    if options.preset is not None and options.preset not in PRESETS:
        raise InputError(f"unknown preset {options.preset!r}; choose one of {', '.join(PRESETS)}")
    data = load(options.data, root=options.root, download=options.download, size=options.size)
    model_config, config = preset(options.preset or options.data, data.image_shape)
    if options.base_width is not None and (options.base_width < 8 or options.base_width % 8):
        raise InputError(f"width = {options.base_width}: give a multiple of 8")
    model_config = replace(model_config, **changed(DDPMConfig, options))
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
