"""What took too long to be measured on a page: results of the programs in `benchmarks/`, which a chapter reads and draws.

Each is a JSON file that one program has written; `command` in it says how, and on what machine. They are part of the package
so that a notebook finds them in Colab as well.
"""

import json
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

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


def images(name: str) -> dict[str, Tensor]:
    """Images that belong to the result of that name, by what drew them, uint8 [N, C, H, W] each.

    Raises:
        InputError: if there is no such result, or no images belong to it.
    """
    load(name)
    path = FOLDER / f"{name}.safetensors"
    if not path.exists():
        raise InputError(f"no images belong to the result {name!r}")
    return load_file(path)
