"""A comparison as a table and as a figure. Every number is the mean over the seeds, with their spread."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Cell(NamedTuple):
    """A number of one row."""

    mean: float
    spread: float | None
    """Standard deviation over the seeds; None of a single one."""
    values: tuple[float, ...]
    """One for each seed."""

    def __str__(self) -> str:
        digits = max(0, 3 - len(str(int(abs(self.mean))))) if abs(self.mean) >= 1 else 3
        text = f"{self.mean:,.{digits}f}"
        return text if self.spread is None else f"{text} ± {self.spread:.{digits}f}"


HEADINGS: dict[str, str] = {
    "bits": "bits/dim",
    "frechet": "Fréchet",
    "precision": "precision",
    "recall": "recall",
    "copies": "copies",
    "training_seconds": "train s",
    "milliseconds_per_image": "sample ms",
    "training_memory_mb": "memory MB",
    "parameters": "weights",
    "steps": "steps",
}
"""What is measured, and what a table calls it. Fewer bits, less distance, more precision and recall are better."""


def rows(comparison: dict) -> dict[str, dict[str, Cell | None]]:
    """For each way to draw from each family, by name, what was measured; None where there is nothing to measure.

    Args:
        comparison: what `compare` returns.
    """
    found: dict[str, dict[str, Cell | None]] = {}
    runs = comparison["runs"]
    for family in comparison["settings"]["families"]:
        own = [run for run in runs if run["family"] == family]
        for way in own[0]["samples"]:
            values = {name: [run["samples"][way].get(name, run.get(name)) for run in own] for name in HEADINGS}
            found[way] = {name: None if None in column else _cell(column) for name, column in values.items()}
    return found


def _cell(values: list[float]) -> Cell:
    spread = statistics.stdev(values) if len(values) > 1 else None
    return Cell(statistics.mean(values), spread, tuple(values))


def floors(comparison: dict) -> dict[str, float]:
    """What held-out real images reach in the place of samples: Frechet distance, precision and recall."""
    first = next(iter(comparison["runs"][0]["samples"].values()))
    return {"frechet": first["frechet_floor"], "precision": first["precision_real"], "recall": first["recall_real"]}


def table(comparison: dict) -> str:
    """The comparison in lines of text, all of them Markdown."""
    settings, reached = comparison["settings"], floors(comparison)
    lines = [[settings["data"], *HEADINGS.values()]]
    for name, cells in rows(comparison).items():
        lines.append([name, *("" if cell is None else str(cell) for cell in cells.values())])
    lines.append(["real images, held out", *(f"{reached[name]:.3f}" if name in reached else "" for name in HEADINGS)])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in lines]
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(text)


PANELS: dict[str, tuple[str, str]] = {
    "bits": ("bits per dimension", "linear"),
    "frechet": ("Fréchet distance", "log"),
    "precision": ("precision", "linear"),
    "recall": ("recall", "linear"),
    "training_seconds": ("training, seconds", "linear"),
    "milliseconds_per_image": ("sampling, ms per image", "log"),
}


def figure(comparison: dict) -> Figure:
    """Six panels, a row for each way to draw from each family: the seeds as dots, their mean as a line, the floor dotted."""
    import matplotlib.pyplot as plt

    found, reached = rows(comparison), floors(comparison)
    names = list(found)[::-1]
    shown, axes = plt.subplots(2, 3, figsize=(9.5, 1.6 + 0.62 * len(names)), sharey=True, layout="constrained")
    for ax, (key, (title, scale)) in zip(axes.flat, PANELS.items()):
        for height, name in enumerate(names):
            cell: Any = found[name][key]
            if cell is None:
                ax.text(0.5, height, "has none", transform=ax.get_yaxis_transform(), ha="center", va="center", fontsize="small")
                continue
            ax.plot(cell.values, [height] * len(cell.values), "o", color="C0", alpha=0.7)
            ax.plot([cell.mean, cell.mean], [height - 0.3, height + 0.3], color="C0")
        if key in reached:
            ax.axvline(reached[key], color="C1", linestyle=":")
        ax.set(title=title, xscale=scale, ylim=(-0.6, len(names) - 0.4))
        ax.set_yticks(range(len(names)), names)
    return shown
