"""`diffcourse train`."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace

from diffcourse.cli.options import (
    add_data,
    add_fields,
    changed,
    choose_device,
    chosen_configurations,
    how_many_processes,
    limit_threads,
)
from diffcourse.config import CONFIGS, TrainConfig
from diffcourse.errors import InputError

SUMMARY = "Train a model and write it to a folder."

EXAMPLES = """\
examples:
  diffcourse train --data digits --minutes 3 --out runs/digits
  diffcourse train --data mnist --download --minutes 30 --out runs/mnist
  diffcourse train --data digits --family flow --steps 3000 --out runs/flow
  diffcourse train --data photos/ --size 32 --steps 20000 --out runs/photos

Ctrl-C ends the run after the current step and saves it. To go on, repeat the command with --resume. Network and training
follow from the data set's preset, or from the size of the images; every option changes one choice of it. On several GPUs or
machines start it with torchrun: torchrun --nproc-per-node 8 -m diffcourse.cli train --data cifar10 --out runs/cifar10
"""


def add_options(command: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """All options; those of the network are the family's."""
    family = family_of(arguments)
    add_data(command)
    command.add_argument("--family", default=family, help=f"{', '.join(CONFIGS)}; with --help, whose options to show (default: ddpm)")
    command.add_argument("--device", default="auto", help="auto, cpu or cuda (default: %(default)s)")
    command.add_argument("--processes", type=int, help="on the CPU, processes that share each batch (default: 2 for tiny images)")
    command.add_argument("--resume", action="store_true", help="go on with the run in OUT")
    command.add_argument("--out", required=True, help="the folder of the run; must be new or empty without --resume")
    add_fields(command.add_argument_group(f"model of the family {family}"), CONFIGS[family])
    add_fields(command.add_argument_group("training"), TrainConfig)


def family_of(arguments: Sequence[str]) -> str:
    """The family that --family names among all arguments, ahead of the proper parsing.

    Raises:
        InputError: if there is no such family.
    """
    first = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    first.add_argument("--family", nargs="?")
    family = first.parse_known_args(arguments)[0].family or "ddpm"
    if family not in CONFIGS:
        raise InputError(f"unknown family {family!r}; choose one of {', '.join(CONFIGS)}")
    return family


def run(options: argparse.Namespace, started: float, arguments: Sequence[str]) -> int:
    import torch

    from diffcourse.data import load
    from diffcourse.families import FAMILIES
    from diffcourse.training import distributed, train

    device = choose_device(options.device)
    if options.steps is not None and options.minutes is not None:
        raise InputError(f"--steps {options.steps} and --minutes {options.minutes:g}: give one of the two")
    data = load(options.data, root=options.root, download=options.download, size=options.size)
    model_config, config = chosen_configurations(options, data.image_shape, options.family)
    budget = {"steps": None, "minutes": None} if options.steps is not None or options.minutes is not None else {}
    config = replace(config, **{**budget, **changed(TrainConfig, options)})
    processes = how_many_processes(options.processes, device, data.image_shape, config.batch)
    limit_threads(data.image_shape, processes)
    torch.manual_seed(config.seed)  # the initial weights
    model = FAMILIES[options.family](model_config)
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
