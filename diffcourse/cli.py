"""The command line: `diffcourse train` and `diffcourse sample`.

torch is imported only once the arguments are understood, so that --help and a mistyped option answer at once.
"""

from __future__ import annotations

import argparse
import io
import math
import os
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from diffcourse import __version__
from diffcourse.errors import InputError

if TYPE_CHECKING:
    import torch

    from diffcourse.families import DDPMConfig

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

Ctrl-C ends the run after the current step and saves it. To go on, repeat the command with --resume. The network follows
from the size of the images; --width makes it larger or smaller.
"""

SAMPLE_EXAMPLES = """\
examples:
  diffcourse sample digits --n 128 --out samples.png
  diffcourse sample runs/digits --n 1000 --sampler ddim --steps 50 --out samples.npy

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
    budget = train.add_mutually_exclusive_group()
    budget.add_argument("--minutes", type=float, help="train for so long, start-up included (default: 3)")
    budget.add_argument("--steps", type=int, help="train for so many steps instead")
    train.add_argument("--batch", type=int, default=64, help="images per step (default: %(default)s)")
    train.add_argument("--learning-rate", type=float, help="the highest (default: by the size of the images)")
    train.add_argument("--schedule", help="linear, cosine or sigmoid (default: by the size of the images)")
    train.add_argument("--T", type=int, default=1000, help="steps of the diffusion (default: %(default)s)")
    train.add_argument("--width", type=int, help="channels at full size, a multiple of 8 (default: by image size)")
    train.add_argument("--seed", type=int, default=0, help="of everything random (default: %(default)s)")
    train.add_argument("--device", default="auto", help="auto, cpu or cuda (default: %(default)s)")
    train.add_argument("--resume", action="store_true", help="go on with the run in OUT")
    train.add_argument("--out", required=True, help="the folder of the run; must be new or empty without --resume")

    sample = command("sample", "Draw images from a trained model.", SAMPLE_EXAMPLES)
    sample.set_defaults(run=run_sample)
    sample.add_argument("model", metavar="RUN", help="the folder of a run, or digits, which comes with diffcourse")
    sample.add_argument("--n", type=int, default=64, help="how many images (default: %(default)s)")
    sample.add_argument("--out", required=True, help="a .png for a grid of all images, a .npy for the numbers")
    sample.add_argument("--sampler", default="ddpm", help="ddpm or ddim (default: %(default)s)")
    sample.add_argument("--steps", type=int, help="calls of the network (default: T for ddpm, 50 for ddim)")
    sample.add_argument("--seed", type=int, default=0, help="of the noise (default: %(default)s)")
    sample.add_argument("--device", default="auto", help="auto, cpu or cuda (default: %(default)s)")
    return top


def run_train(options: argparse.Namespace, started: float, arguments: Sequence[str]) -> int:
    import torch

    from diffcourse.data import load
    from diffcourse.families import DDPM
    from diffcourse.training import TrainConfig, train

    device = choose_device(options.device)
    minutes = 3.0 if options.minutes is None and options.steps is None else options.minutes
    config = TrainConfig(steps=options.steps, minutes=minutes, batch=options.batch, seed=options.seed)
    data = load(options.data, root=options.root, download=options.download, size=options.size)
    network, learning_rate = defaults_for(data.image_shape)
    if options.width is not None and (options.width < 8 or options.width % 8):
        raise InputError(f"width = {options.width}: give a multiple of 8")
    network = replace(
        network,
        T=options.T,
        schedule=options.schedule or network.schedule,
        base_width=network.base_width if options.width is None else options.width,
    )
    config = replace(config, learning_rate=learning_rate if options.learning_rate is None else options.learning_rate)
    limit_threads(data.image_shape)
    torch.manual_seed(options.seed)  # the initial weights
    command = shlex.join(["diffcourse", *arguments])
    run = train(
        DDPM(network), data, config, options.out, device=device, resume=options.resume, started=started, command=command
    )
    if run.stopped_by is not None:
        print(f"stopped at step {run.step} and saved; go on with: {command} --resume", file=sys.stderr)
        return 128 + run.stopped_by
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
    write_images(draw(model, options.n, generator, options.sampler, options.steps), out)
    return 0


def defaults_for(image_shape: tuple[int, int, int]) -> tuple[DDPMConfig, float]:
    """A network that suits images of (C, H, W), and the learning rate for it.

    Raises:
        InputError: if larger images cannot be halved even once.
    """
    from diffcourse.families import DDPMConfig

    channels, height, width = image_shape
    image = {"channels": channels, "height": height, "width": width}
    side = max(height, width)
    if side <= 8:
        config, learning_rate = DDPMConfig(**image, schedule="cosine"), 2e-3
    elif side <= 28:
        config, learning_rate = DDPMConfig(**image, base_width=32, multipliers=(1, 2, 2), attention=(2,)), 1e-3
    else:  # a quarter of the channels of Ho et al. (2020), appendix B, made for a GPU
        config = DDPMConfig(**image, base_width=64, multipliers=(1, 2, 2, 2), blocks=2, attention=(1,), dropout=0.1)
        learning_rate = 2e-4
    halvings = 0
    while halvings < len(config.multipliers) - 1 and math.gcd(height, width) % 2 ** (halvings + 1) == 0:
        halvings += 1
    if halvings == 0 and side > 8:
        raise InputError(
            f"images of {height}x{width} pixels cannot be halved, which the network needs: "
            f"resize them with --size {max(8, min(height, width) // 4 * 4)}"
        )
    return replace(config, multipliers=config.multipliers[: halvings + 1]), learning_rate


def choose_device(name: str) -> torch.device:
    """The device for auto, cpu or cuda."""
    import torch

    if name not in ("auto", "cpu", "cuda"):
        raise InputError(f"unknown device {name!r}; choose auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("no CUDA device was found: choose --device cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def limit_threads(image_shape: tuple[int, int, int]) -> None:
    """One thread for images of (C, H, W) up to 8x8: two need longer, since sharing so little work costs more than it
    saves (benchmarks/README.md)."""
    import torch

    if max(image_shape[1:]) <= 8:
        torch.set_num_threads(1)


def draw(model, n: int, generator: torch.Generator, sampler: str, steps: int | None, batch: int = 256) -> torch.Tensor:
    """n images, uint8 [n, C, H, W] on the CPU; in batches, so that memory does not limit n, and with a bar."""
    import torch
    from tqdm import tqdm

    from diffcourse.families.base import unscale

    sizes = [batch] * (n // batch) + [n % batch] * (n % batch > 0)
    drawn = []
    with tqdm(total=n, desc="sampling", bar_format="{l_bar}{bar}| {elapsed}<{remaining}", delay=1) as bar:
        for size in sizes:
            before = bar.n

            def progress(done: int, calls: int) -> None:
                bar.update(before + size * done / calls - bar.n)

            x = model.sample(size, generator=generator, sampler=sampler, steps=steps, progress=progress)
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
