"""Timing by turns: a machine's speed drifts, so what is compared is measured in the same minute, and compared pair by pair."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch


class Ratio(NamedTuple):
    """Seconds of one over seconds of the other, in rounds measured side by side."""

    median: float
    lowest: float
    highest: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.lowest:.2f} to {self.highest:.2f})"


def interleave(
    calls: Mapping[str, Callable[[], object]],
    rounds: int,
    *,
    warm_up: int = 2,
    repeat: int = 1,
    progress: Callable[[], object] = lambda: None,
) -> dict[str, list[float]]:
    """Seconds of each call: one number a round, the mean of `repeat` calls. Each round runs all calls, one after the other.

    Args:
        warm_up: calls of each that are not timed: compilation, memory, caches.
        progress: called after each timing.
    """
    for call in calls.values():
        for _ in range(warm_up):
            call()
    seconds = {name: [] for name in calls}
    for turn in range(rounds):
        order = list(calls) if turn % 2 == 0 else list(reversed(calls))  # nobody always comes first
        for name in order:
            _wait()
            started = time.perf_counter()
            for _ in range(repeat):
                calls[name]()
            _wait()
            seconds[name].append((time.perf_counter() - started) / repeat)
            progress()
    return seconds


def ratio(ours: list[float], theirs: list[float]) -> Ratio:
    """Of the seconds in the same rounds; below 1 means that ours are fewer."""
    each = [a / b for a, b in zip(ours, theirs, strict=True)]
    return Ratio(statistics.median(each), min(each), max(each))


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
