"""What the commands share: options, the choice of a device and of threads, bars."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields, is_dataclass, replace
from inspect import signature
from typing import TYPE_CHECKING, Any, get_type_hints

from diffcourse.config import CONFIGS, TrainConfig
from diffcourse.errors import InputError
from diffcourse.presets import COMPARED, PRESETS, preset

if TYPE_CHECKING:
    import torch

    from diffcourse.families import GenerativeModel


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
        usual = {getattr(chosen, f.name) for chosen in presets_of(config)}
        default = plain(usual.pop()) if len(usual) == 1 else "by preset"
        name = NAMES.get(f.name, "--" + f.name.replace("_", "-"))
        help = f"{f.metadata['help']} (default: {default})"
        if types[f.name] is bool:
            group.add_argument(name, action=argparse.BooleanOptionalAction, default=None, dest=f.name, help=help)
        else:
            kind = next((k for k in (int, float) if k.__name__ in str(types[f.name])), str)
            kind = numbers if "tuple" in str(types[f.name]) else kind
            group.add_argument(name, type=kind, dest=f.name, metavar=name[2:].upper(), help=help)


def presets_of(config: type) -> list[Any]:
    """All presets' configurations of a kind."""
    compared = [pair for choices in COMPARED.values() for pair in choices.values()]
    return [chosen for pair in [*PRESETS.values(), *compared] for chosen in pair if isinstance(chosen, config)]


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


def add_sampling(command: argparse.ArgumentParser) -> None:
    """How to draw; not every family has all of these. Left out, the family's own default counts."""
    command.add_argument(
        "--sampler", help="of a diffusion model: ddpm, ddim, heun, dpm-solver or sde-dpm-solver (default: ddpm)"
    )
    command.add_argument("--steps", type=int, help="of the sampler (default: T for ddpm, 50 ddim, 25 heun, 20 the others)")
    command.add_argument(
        "--eta", type=float, help="fresh noise of ddim and dpm-solver (default: 0, none) or sde-dpm-solver (1, as much as ddpm)"
    )
    command.add_argument("--guidance", type=float, help="above 1: more typical of the class, of a model that knows classes")
    command.add_argument("--temperature", type=float, help="of a flow or a PixelCNN; below 1: more usual images (default: 1)")


def sampling_options(options: argparse.Namespace, model: GenerativeModel) -> dict[str, Any]:
    """What was given of the options of `add_sampling`, as arguments of the model's `sample`.

    Raises:
        InputError: for an option that the model's family does not have.
    """
    given = {name: getattr(options, name) for name in ("sampler", "steps", "eta", "guidance", "temperature")}
    given = {name: value for name, value in given.items() if value is not None}
    known = signature(model.sample).parameters
    if unknown := [name for name in given if name not in known]:
        raise InputError(f"a model of the family {model.family} is drawn from without --{unknown[0]}: leave it out")
    if model.family == "ddpm":
        given["sampler"] = given.get("sampler", "ddpm")
        given["steps"] = model.steps_of(given["sampler"], given.get("steps"))
    return given


def chosen_configurations(
    options: argparse.Namespace, image_shape: tuple[int, int, int], family: str = "ddpm"
) -> tuple[Any, TrainConfig]:
    """The model that was asked for on the command line, and its preset's training."""
    if options.preset is not None and options.preset not in PRESETS:
        raise InputError(f"unknown preset {options.preset!r}; choose one of {', '.join(PRESETS)}")
    model_config, config = preset(options.preset or options.data, image_shape, family)
    width = getattr(options, "base_width", None)
    if width is not None and (width < 8 or width % 8):
        raise InputError(f"width = {width}: give a multiple of 8")
    return replace(model_config, **changed(CONFIGS[family], options)), config


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
