"""What took too long to be measured on a page: results of the programs in `benchmarks/`, which a chapter reads and draws.

Each is a JSON file that one program has written; `command` in it says how, and on what machine. They are part of the package
so that a notebook finds them in Colab as well.
"""

import json
from pathlib import Path

from diffcourse.errors import InputError

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The results that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def load(name: str) -> dict:
    """The result of that name, as its program wrote it.

    Raises:
        InputError: if there is no such result.
    """
    if name not in names():
        raise InputError(f"unknown result {name!r}; choose one of {', '.join(names())}")
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
