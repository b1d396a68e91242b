"""One look for every figure of the course."""

from __future__ import annotations

import matplotlib as mpl
from cycler import cycler

# Okabe and Ito's colours, which colour-blind readers tell apart. Their yellow is left out: too faint on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")


def use_style() -> None:
    """Set matplotlib's defaults: readable text, a white ground in dark mode too, sharp figures in a notebook."""
    mpl.rcParams.update(
        {
            "figure.figsize": (6.4, 3.6),
            "figure.dpi": 100,
            "figure.facecolor": "white",
            "savefig.facecolor": "white",
            "figure.constrained_layout.use": True,
            "font.size": 11,
            "axes.titlesize": 11,
            "axes.prop_cycle": cycler(color=COLOURS),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.color": "#e5e7eb",
            "grid.linewidth": 0.8,
            "axes.axisbelow": True,
            "lines.linewidth": 2,
            "legend.frameon": False,
            "image.cmap": "gray",
            "image.interpolation": "nearest",
            "mathtext.fontset": "cm",
        }
    )
    try:
        from IPython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:  # a plain script: nothing is displayed
        return
    if get_ipython() is not None:
        # Twice the pixels at the same size on the page, and figures made without pyplot are displayed too.
        set_matplotlib_formats("retina")
