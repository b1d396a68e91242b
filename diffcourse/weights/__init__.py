"""Small trained models that come with the package, each with a card that says how it was made; models of your own runs.

A card is a JSON file beside the weights. Its keys: name, data, model (the configuration), parameters, training (the
configuration), seed, steps, minutes, hardware, versions, command, metrics, sha256.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as read_tensors
from safetensors.torch import save as tensor_bytes

from diffcourse.errors import InputError
from diffcourse.families import GenerativeModel, build
from diffcourse.training import checkpoint

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The models that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.safetensors"))


def load(name: str | Path, device: str | torch.device = "cpu") -> GenerativeModel:
    """A trained model in eval mode: one that comes with the package, or the averaged weights of a run's folder.

    Raises:
        InputError: if there is no such model, or its files are damaged.
    """
    if str(name) in names():
        description = card(str(name))
        tensors = _read(str(name), description["sha256"])
        return _build(description["model"], tensors, f"the weights {str(name)!r}", device)
    if not Path(name).is_dir():
        raise InputError(f"unknown model {str(name)!r}; choose {', '.join([*names(), 'the folder of a run'])}")
    state = checkpoint.load(Path(name) / "checkpoint.pt")
    return _build(state["identity"]["model"], state["average"], f"the checkpoint in {str(name)!r}", device)


def card(name: str) -> dict:
    """How a model that comes with the package was made, and how well it did.

    Raises:
        InputError: if there is no such model.
    """
    if name not in names():
        raise InputError(f"unknown model {name!r}; choose one of {', '.join(names())}")
    return json.loads((FOLDER / f"{name}.json").read_text())


def trained_on(name: str | Path) -> str:
    """Which data a model was trained on, in the words of its card or of its run: name, shape and checksum.

    Raises:
        InputError: if there is no such model, or the run does not say.
    """
    if str(name) in names():
        return card(str(name))["data"]
    path = Path(name) / "config.json"
    try:
        return json.loads(path.read_text())["data"]
    except (OSError, ValueError, LookupError, TypeError):
        raise InputError(f"{str(path)!r} does not say what the model was trained on: put back the file of the run") from None


def export(run: str | Path, name: str, metrics: dict) -> Path:
    """Put the averaged weights of a run into the package, with their card; returns the path of the weights.

    Args:
        run: the folder of the run.
        metrics: what was measured on samples of these weights, for the card.

    Raises:
        InputError: if the folder holds no run, or is not writable.
    """
    state = checkpoint.load(Path(run) / "checkpoint.pt")
    made = json.loads((Path(run) / "config.json").read_text())
    content = tensor_bytes({key: tensor.contiguous() for key, tensor in state["average"].items()})
    description = {
        "name": name,
        "data": made["data"],
        "model": made["model"],
        "parameters": made["parameters"],
        "training": made["training"],
        "seed": made["training"]["seed"],
        "steps": state["step"],
        "minutes": round(state["seconds"] / 60, 1),
        "hardware": made["hardware"],
        "versions": made["versions"],
        "command": made["command"],
        "metrics": metrics,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    checkpoint.write_file(FOLDER / f"{name}.safetensors", content)
    checkpoint.write_file(FOLDER / f"{name}.json", (json.dumps(description, indent=2) + "\n").encode())
    return FOLDER / f"{name}.safetensors"


def _read(name: str, sha256: str) -> dict[str, torch.Tensor]:
    content = (FOLDER / f"{name}.safetensors").read_bytes()
    try:
        if hashlib.sha256(content).hexdigest() == sha256:
            return read_tensors(content)
    except SafetensorError:
        pass
    raise InputError(f"the weights {name!r} do not match their card: install diffcourse anew")


def _build(configuration: dict, tensors: dict[str, torch.Tensor], what: str, device: str | torch.device) -> GenerativeModel:
    model = build(configuration)
    try:
        model.load_state_dict(tensors)
    except RuntimeError:
        raise InputError(f"{what} belongs to another model than its configuration says: train it anew") from None
    return model.to(device).eval().requires_grad_(False)
