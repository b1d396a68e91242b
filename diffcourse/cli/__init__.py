"""The command line: one module a command, and what they share in `options`.

torch is imported only once the arguments are understood, so that --help and a mistyped option answer at once.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from typing import NoReturn

from diffcourse import __version__
from diffcourse.cli import bench, compare, evaluate, sample, train
from diffcourse.errors import InputError

DESCRIPTION = "Train a generative model on small images, draw samples from it, measure it, and compare it with others."

EXAMPLES = """\
examples:
  diffcourse train --data digits --minutes 3 --out runs/digits
  diffcourse sample runs/digits --n 64 --out samples.png
  diffcourse sample digits --n 64 --sampler ddim --steps 50 --out samples.png
  diffcourse evaluate digits --sampler ddim
  diffcourse compare --data digits --out runs/compared
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
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        options = parser(arguments).parse_args(arguments)
        return options.run(options, started, arguments)
    except InputError as error:
        message = str(error)
    except OSError as error:
        message = f"{error.filename or 'a file'}: {error.strerror or error}"
    except KeyboardInterrupt:
        return 130
    print(f"diffcourse: error: {message}", file=sys.stderr)
    return 2


def parser(arguments: Sequence[str] = ()) -> Parser:
    """The options of all commands. Those of `train` depend on the family that the arguments name."""
    layout = argparse.RawDescriptionHelpFormatter  # keeps the lines of the examples
    top = Parser("diffcourse", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=layout)
    top.add_argument("--version", action="version", version=f"diffcourse {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    for name, module in (("train", train), ("sample", sample), ("evaluate", evaluate), ("compare", compare), ("bench", bench)):
        command = commands.add_parser(
            name, help=module.SUMMARY, description=module.SUMMARY, epilog=module.EXAMPLES, formatter_class=layout
        )
        command.set_defaults(run=module.run)
        module.add_options(command, arguments)
    return top
