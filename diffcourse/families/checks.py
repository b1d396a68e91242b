"""What every family asks of a configuration: the same mistake gets the same line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from diffcourse.errors import InputError


def at_least_one(n: int) -> None:
    """Raise an InputError unless n images can be drawn."""
    if n < 1:
        raise InputError(f"n = {n}: ask for at least one image")


def known(config: Any, name: str, choices: Iterable[str]) -> None:
    """Raise an InputError unless the field is one of the choices."""
    if getattr(config, name) not in choices:
        raise InputError(f"unknown {name} {getattr(config, name)!r}; choose one of {', '.join(choices)}")


def at_least(config: Any, least: int, *names: str) -> None:
    """Raise an InputError unless each field is at least so large."""
    for name in names:
        if getattr(config, name) < least:
            raise InputError(f"{name} = {getattr(config, name)}: give at least {least}")


def below_one(config: Any, *names: str) -> None:
    """Raise an InputError unless each field is a share from 0 to below 1."""
    for name in names:
        if not 0 <= getattr(config, name) < 1:
            raise InputError(f"{name} = {getattr(config, name):g}: give a share from 0 to below 1")


def groups_divide(config: Any) -> None:
    """Raise an InputError unless the channels of every level fall into the groups of its normalisation."""
    for channels in {config.base_width * m for m in config.multipliers}:
        if channels % config.groups:
            raise InputError(f"a level of {channels} channels does not divide into groups = {config.groups}")


def can_be_halved(config: Any, halvings: int, patch: int | None = None) -> None:
    """Raise an InputError unless height and width can be halved so often, after patches have become pixels where there are any."""
    step = (patch or 1) * 2**halvings
    if config.height % step or config.width % step:
        raise InputError(
            f"images of {config.height}x{config.width} pixels do not divide by {step}, which {halvings} halvings "
            f"{'' if patch is None else f'of patches of {patch} '}ask for; pad them or use fewer multipliers"
        )
