"""A comparison as a table and as a figure. Every number is the mean over the seeds, with their spread."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Cell(NamedTuple):
    """A number of one row."""

    mean: float
    spread: float | None
    """Standard deviation over the seeds; None of a single one."""
    values: tuple[float, ...]
    """One for each seed."""

    def __str__(self) -> str:
        size = abs(self.mean)
        point = math.floor(math.log10(size)) if size else 0  # 2 for hundreds, -1 for tenths
        digits = max(0, 2 - point) if point >= 0 and size else max(3, 1 - point)
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


def table(comparison: dict, columns: Sequence[str] = tuple(HEADINGS)) -> str:
    """The comparison in lines of text, all of them Markdown.

    Args:
        comparison: what `compare` returns.
        columns: those of `HEADINGS` that are wanted, in their order.
    """
    settings, reached = comparison["settings"], floors(comparison)
    lines = [[settings["data"], *(HEADINGS[name] for name in columns)]]
    for way, cells in rows(comparison).items():
        lines.append([way, *("" if cells[name] is None else str(cells[name]) for name in columns)])
    lines.append(["real images", *(f"{reached[name]:.3f}" if name in reached else "" for name in columns)])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in lines]
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(text)


PANELS: dict[str, tuple[str, str]] = {
    "bits": ("bits per dimension", "linear"),
    "frechet": ("Fréchet distance", "log"),
    "precision": ("precision", "linear"),
    "recall": ("recall", "linear"),
    "training_seconds": ("training, s", "linear"),
    "milliseconds_per_image": ("drawing, ms per image", "log"),
}


def figure(comparison: dict) -> Figure:
    """Six panels in two columns, a row for each way to draw from each family, a dot for each seed, a bar at their mean.

    What held-out real images reach is a dashed line. The figure is no wider than a page, to be legible on a phone.
    """
    import matplotlib.pyplot as plt

    found, reached = rows(comparison), floors(comparison)
    names = list(found)[::-1]
    shown, axes = plt.subplots(3, 2, figsize=(6.4, 3 * (0.9 + 0.25 * len(names))), sharey=True, layout="constrained")
    for ax, (key, (title, scale)) in zip(axes.flat, PANELS.items()):
        for height, name in enumerate(names):
            cell: Any = found[name][key]
            if cell is None:
                across = ax.get_yaxis_transform()
                ax.text(0.5, height, "has none", transform=across, ha="center", va="center", fontsize="small")
                continue
            dots = {"color": "C0", "alpha": 0.6, "markeredgewidth": 0}
            ax.plot(cell.values, [height] * len(cell.values), "o", label="one seed", **dots)
            ax.plot([cell.mean] * 2, [height - 0.3, height + 0.3], color="C0", label="mean of the seeds")
        if key in reached:
            dashed = {"color": "C1", "linestyle": "--", "linewidth": 1.5}
            ax.axvline(reached[key], label="real images, held out", **dashed)
        ax.set(title=title, xscale=scale, ylim=(-0.6, len(names) - 0.4))
        ax.set_yticks(range(len(names)), names)
        if scale == "log":
            _name_some_values(ax)
    labelled = {label: line for ax in axes.flat for line, label in zip(*ax.get_legend_handles_labels())}
    shown.legend(list(labelled.values()), list(labelled), loc="outside lower center", ncols=3, fontsize="small")
    return shown


def _name_some_values(ax: Axes) -> None:
    """Plain numbers on a logarithmic axis: its decades, and 2 and 5 as well where there are few."""
    from matplotlib.ticker import LogLocator, StrMethodFormatter

    low, high = ax.get_xlim()
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 100 else (1,)))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.minorticks_off()
