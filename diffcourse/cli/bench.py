"""`diffcourse bench`."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from diffcourse.cli.options import add_data, add_fields, choose_device, chosen_configurations, limit_threads
from diffcourse.config import DDPMConfig
from diffcourse.errors import InputError
from diffcourse.presets import preset

SUMMARY = "Compare the speed of our network with that of other libraries."

EXAMPLES = """\
examples:
  diffcourse bench --data digits --rounds 5
  diffcourse bench --data mnist --width 48 --batch 64 --precision best --equal-time 10 --out speed.json
  diffcourse bench --data cifar10 --device cuda --precision bf16 --channels-last --compile --peers diffusers,diffusers-as-found

Our network, that of the preset and of the options below, trains and samples beside others of as many weights, on the same images
and in the same minutes. The others have the preset's levels, and diffusers-as-ours those of the options. With --precision best each is run in its own fastest way of fp32 and bf16 and two memory layouts.
"""


def add_options(command: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    add_data(command)
    command.add_argument("--device", default="auto", help="auto, cpu or cuda (default: %(default)s)")
    command.add_argument("--peers", default="diffusers,denoising-diffusion-pytorch", help="whom to compare with (default: %(default)s)")
    command.add_argument("--batch", type=int, help="images per step (default: by preset)")
    command.add_argument("--precision", default="fp32", help="fp32, bf16, fp16 or best (default: %(default)s)")
    command.add_argument("--channels-last", action="store_true", help="the memory layout that suits GPUs' convolutions")
    command.add_argument("--compile", action="store_true", help="torch.compile all networks first")
    command.add_argument("--rounds", type=int, default=10, help="timings of each (default: %(default)s)")
    command.add_argument("--equal-time", type=float, metavar="MINUTES", help="train each so long, compare the held-out losses")
    command.add_argument(
        "--learning-rates", type=float, nargs="+", metavar="RATE", help="for equal time: each is trained with all of them (default: by preset)"
    )
    command.add_argument("--out", help="a .json for all numbers")
    add_fields(command.add_argument_group("network"), DDPMConfig)


def run(options: argparse.Namespace, started: float, arguments: Sequence[str]) -> int:
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
    if options.learning_rates is not None and options.equal_time is None:
        raise InputError("--learning-rates are for trainings of equal time: give --equal-time as well")
    for rate in options.learning_rates or ():
        if not 0 < rate < float("inf"):
            raise InputError(f"learning rate = {rate:g}: give a number above 0")
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
        peer=bench.comparable(preset(options.data, data.image_shape)[0]),
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
            rates = options.learning_rates or [config.learning_rate]
            share = 100 / (60 * options.equal_time * len(names) * len(rates))
            report["equal_time"] = bench.equal_time(
                to_train,
                options.equal_time,
                held_out,
                rates,
                progress=lambda seconds: bar.update(min(share * seconds, 100 - bar.n)),
            )
    print(bench.table(report))
    if options.out is not None:
        write_file(options.out, (json.dumps(report, indent=2) + "\n").encode())
    return 0
