"""Instant checks and hints for the exercises.

In a sheet, `practice.check("q-sample", q_sample)` judges an answer, and `practice.hints("q-sample")` helps in steps.
"""

from typing import Any

from diffcourse.practice import (
    autoregressive,
    comparison,
    elbo,
    errata,
    evaluation,
    flows,
    forward_process,
    gan,
    gaussians,
    landscape,
    reverse_process,
    sampling,
    simplified_loss,
    training,
    unet,
    vae,
)
from diffcourse.practice.check import Exercise, Hints, Mistake, NotAttempted

SHEETS = (landscape, gaussians, autoregressive, vae, gan, flows, forward_process, reverse_process, elbo, simplified_loss, unet, training, sampling, evaluation, comparison, errata)
"""The modules of the sheets, in the order of the book."""

EXERCISES: dict[str, Exercise] = {exercise.name: exercise for sheet in SHEETS for exercise in sheet.EXERCISES}
"""Every exercise with a check, by its name."""

__all__ = ["EXERCISES", "Exercise", "Hints", "Mistake", "NotAttempted", "check", "hints"]


def check(name: str, *answers: Any) -> None:
    """Judge an answer and print the outcome. Never raises."""
    print(EXERCISES[name].outcome(*answers) if name in EXERCISES else f"✗ {_unknown(name)}")


def hints(name: str) -> Hints:
    """Hints that open one by one."""
    return Hints(EXERCISES[name].hints if name in EXERCISES else (_unknown(name),))


def _unknown(name: object) -> str:
    return f"there is no exercise {name!r}; there are {', '.join(EXERCISES)}"
