"""Files that are complete or absent, whatever happens while they are written."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path

import torch

from diffcourse.errors import InputError

FORMAT = 2
"""Raised whenever a checkpoint of an older program could not be continued."""


def write_file(path: str | Path, content: bytes) -> None:
    """Write a file in one go: until the new content is safe on the disk, the old file stays what it was.

    The content goes to a second file in the same folder, since only within one file system does `os.replace` swap files
    in a single step. A process killed on the way leaves at most that second file, which the next write reuses.

    Raises:
        InputError: if the folder is missing, the disk is full, or writing is not allowed.
    """
    path = Path(path)
    part = path.with_name(path.name + ".part")
    try:
        with open(part, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # else the rename may reach the disk before the bytes do
        os.replace(part, path)
    except BaseException as error:  # an interrupted write cleans up too
        part.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        raise InputError(f"cannot write {str(path)!r} ({error.strerror}): {_remedy(path)}") from None


def _remedy(path: Path) -> str:
    if not path.parent.is_dir():
        return f"create the folder {str(path.parent)!r} first"
    if path.is_dir():
        return "it is a folder; give the name of a file"
    kept = "; the file that was there before is intact" if path.exists() else ""
    return f"make room on the disk or choose another place{kept}"


def save(path: str | Path, state: dict) -> None:
    """Write a checkpoint: tensors and plain values only, so that `load` need not trust the file.

    Raises:
        InputError: as `write_file`.
    """
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **state}, buffer)
    write_file(path, buffer.getvalue())


def load(path: str | Path, device: str | torch.device = "cpu") -> dict:
    """Read a checkpoint.

    Raises:
        InputError: if the file is missing, damaged, or something else than a checkpoint of this program.
    """
    remedy = "start again in another folder, or put back a copy of the file"
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # torch.load itself does not compare the checksums
        if damaged is not None:
            raise InputError(f"{str(path)!r} is damaged: {remedy}")
        state = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise InputError(f"there is no checkpoint {str(path)!r}: give a run's folder, or leave out --resume") from None
    except (OSError, zipfile.BadZipFile, RuntimeError, ValueError, EOFError, LookupError, pickle.UnpicklingError):
        raise InputError(f"{str(path)!r} is damaged or no checkpoint: {remedy}") from None
    made = state.get("format") if isinstance(state, dict) else None
    if isinstance(made, int) and made > FORMAT:
        raise InputError(f"{str(path)!r} was written by a newer version of diffcourse: install that version")
    if made != FORMAT:
        raise InputError(f"{str(path)!r} is no checkpoint, or one of an older version of diffcourse: {remedy}")
    return state
