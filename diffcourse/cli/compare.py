"""`diffcourse compare`."""

from __future__ import annotations

import argparse
import math
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from diffcourse.cli.options import choose_device, names, numbers
from diffcourse.config import CONFIGS
from diffcourse.errors import InputError
from diffcourse.presets import BUDGETS

SUMMARY = "Train all families on the same images with the same budget, and measure them."

EXAMPLES = """\
examples:
  diffcourse compare --data digits --out runs/compared
  diffcourse compare --data digits --families ddpm,flow --seeds 0 --equal seconds --budget 30 --out runs/two
  diffcourse compare --data mnist --root data --device cuda --precision bf16 --out runs/compared-mnist

Each family has a model with nearly as many weights as the others. Each run trains one of them with one seed, draws samples and
measures them: bits per dimension, Frechet distance, precision, recall, time and memory. Ctrl-C saves what is under way; the same
command goes on with it. At the end the table is printed, and written to OUT with a figure and all numbers.
"""


def add_options(command: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    command.add_argument("--data", required=True, help=f"{' or '.join(BUDGETS)}")
    command.add_argument("--out", required=True, help="the folder of the comparison: new, or one to go on with")
    command.add_argument("--families", type=names, default=tuple(CONFIGS), help=f"any of {','.join(CONFIGS)} (default: all)")
    command.add_argument("--seeds", type=numbers, default=(0, 1, 2), help="of the trainings and the samples (default: 0,1,2)")
    command.add_argument("--equal", default="flops", help="what all get equally much of: steps, flops or seconds (default: %(default)s)")
    command.add_argument("--budget", type=float, help="so many steps, operations or seconds for each run (default: by data)")
    command.add_argument("--n", type=int, help="samples of each model (default: 450 for digits, 1000 for mnist)")
    command.add_argument("--n-bits", type=int, default=128, help="held-out images whose bits are counted (default: %(default)s)")
    command.add_argument("--precision", help="of the networks in training: fp32, bf16 or fp16 (default: by preset)")
    command.add_argument("--processes", type=int, help="runs at a time (default: one for each core; 1 on a GPU)")
    command.add_argument("--device", default="auto", help="auto, cpu or cuda (default: %(default)s)")
    command.add_argument("--root", default="data", help="where mnist lies (default: %(default)s)")


def run(options: argparse.Namespace, started: float, arguments: Sequence[str]) -> int:
    import os

    from tqdm import tqdm

    from diffcourse import comparison
    from diffcourse.show import use_style
    from diffcourse.training.checkpoint import write_file

    device = choose_device(options.device)
    if options.processes is not None and options.processes < 1:
        raise InputError(f"processes = {options.processes}: give at least 1")
    usual = BUDGETS.get(options.data, {}).get(options.equal, math.nan)  # `Settings` refuses what has no budget
    settings = comparison.Settings(
        data=options.data,
        families=tuple(dict.fromkeys(options.families)),
        seeds=tuple(dict.fromkeys(options.seeds)),
        equal=options.equal,
        budget=usual if options.budget is None else options.budget,
        n=(450 if options.data == "digits" else 1000) if options.n is None else options.n,
        n_bits=options.n_bits,
        root=options.root,
        precision=options.precision,
    )
    processes = options.processes or (1 if device.type == "cuda" else os.cpu_count() or 1)
    total = len(settings.families) * len(settings.seeds)
    with tqdm(total=total, desc="runs", bar_format="{l_bar}{bar}| {n}/{total} {elapsed}<{remaining}{postfix}") as bar:

        def progress(result: dict) -> None:
            bar.set_postfix_str(f"last {result['family']}, seed {result['seed']}", refresh=False)
            bar.update()

        found = comparison.compare(settings, options.out, device=device.type, processes=processes, progress=progress)
    if found is None:
        command = shlex.join(["diffcourse", *arguments])
        print(f"stopped, and saved what was under way; go on with: {command}", file=sys.stderr)
        return 130
    text, out = comparison.table(found), Path(options.out)
    write_file(out / "table.md", (text + "\n").encode())
    use_style()
    comparison.figure(found).savefig(out / "comparison.png", dpi=150)
    print(f"{text}\n\nwritten to {str(out)!r}: comparison.json, table.md, comparison.png")
    return 0
