"""The log of a run: one line of JSON every few steps, which survives a crash and can be read while the run goes on.

Where the package tensorboard is installed, its pages show the same numbers: `tensorboard --logdir RUN`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from diffcourse.errors import InputError
from diffcourse.training import checkpoint


def read_log(out: str | Path) -> list[dict]:
    """The lines of a run's log, see `loop.train`.

    A last line that was cut short when the run was killed is left out.
    """
    path = Path(out) / "log.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []  # what follows the last newline is not complete
    return [json.loads(line) for line in lines]


def append(out: Path, line: dict) -> None:
    """Add a line.

    Raises:
        InputError: if the disk is full or writing is not allowed.
    """
    path = out / "log.jsonl"
    try:
        with open(path, "a") as file:
            file.write(json.dumps(line) + "\n")
    except OSError as error:
        raise InputError(f"cannot write {str(path)!r} ({error.strerror}): make room, then --resume") from None


def cut(out: Path, step: int) -> None:
    """Drop what was logged after the checkpoint at `step`: those steps are taken again."""
    path = out / "log.jsonl"
    if path.exists():
        kept = [json.dumps(line) + "\n" for line in read_log(out) if line["step"] <= step]
        checkpoint.write_file(path, "".join(kept).encode())


@contextmanager
def tensorboard(out: Path, step: int) -> Iterator[Callable[[dict], None]]:
    """Within, a function that shows a line of the log in TensorBoard; without the package it does nothing.

    Args:
        step: what an earlier run showed of later steps is dropped, as `cut` does.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        yield lambda line: None
        return

    def show(line: dict) -> None:
        for name, value in line.items():
            values = {f"{name}/{k + 1}": v for k, v in enumerate(value)} if isinstance(value, list) else {name: value}
            for tag, number in values.items():
                if number is not None and tag != "step":
                    writer.add_scalar(tag, number, line["step"])

    with SummaryWriter(str(out / "tensorboard"), purge_step=step + 1) as writer:
        yield show
