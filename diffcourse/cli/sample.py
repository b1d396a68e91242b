"""`diffcourse sample`."""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from diffcourse.cli.options import add_sampling, bar, choose_device, limit_threads, numbers, sampling_options
from diffcourse.errors import InputError

if TYPE_CHECKING:
    import torch

SUMMARY = "Draw images from a trained model."

EXAMPLES = """\
examples:
  diffcourse sample digits --n 128 --out samples.png
  diffcourse sample runs/digits --n 1000 --sampler ddim --steps 50 --out samples.npy
  diffcourse sample mnist --n 80 --class 0,1,2,3,4,5,6,7,8,9 --guidance 2 --sampler dpm-solver --out samples.png
  diffcourse sample mnist --n 80 --sampler sde-dpm-solver --eta 1.2 --out samples.png

The .npy holds one uint8 array [N, C, H, W] with values from 0 to 255.
"""


def add_options(command: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    command.add_argument("model", metavar="RUN", help="the folder of a run, or a model that comes along: digits, mnist")
    command.add_argument("--n", type=int, default=64, help="how many images (default: %(default)s)")
    command.add_argument("--out", required=True, help="a .png for a grid of all images, a .npy for the numbers")
    add_sampling(command)
    command.add_argument("--class", dest="classes", type=numbers, help="numbers of classes, as in 3 or 0,1,2; drawn in turns")
    command.add_argument("--seed", type=int, default=0, help="of the noise (default: %(default)s)")
    command.add_argument("--device", default="auto", help="auto, cpu or cuda (default: %(default)s)")


def run(options: argparse.Namespace, started: float, arguments: Sequence[str]) -> int:
    import torch

    from diffcourse import weights
    from diffcourse.evaluation import draw

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
    if options.classes and not model.classes:
        raise InputError("this model knows no classes: leave out --class, or train with --classes")
    extra = sampling_options(options, model)
    generator = torch.Generator(device).manual_seed(options.seed)
    with bar("sampling") as progress:
        images = draw(model, options.n, generator, options.classes, progress=progress, **extra)
    write_images(images, out)
    return 0


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
