"""A slider over pictures that moves in a live notebook and in a page without a kernel."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from html import escape
from typing import TypeVar

from matplotlib.figure import Figure
from PIL import Image

from diffcourse.errors import InputError

Value = TypeVar("Value")

DPI = 90
COLOURS = 96  # a frame is a few curves or a grey image: a palette makes it three times smaller

# Shows the frame at the slider's position. `autocomplete=off` keeps a reloaded page from restoring a position without
# its frame. The handler is inline because frontends that insert HTML late do not run its <script>.
_MOVE = (
    "const b=this.closest('.frame-slider'),f=b.querySelectorAll('img');"
    "f.forEach((m,i)=>{m.hidden=i!=this.value});"
    "const v=f[this.value].dataset.value;"
    "this.setAttribute('aria-valuetext',v);b.querySelector('output').textContent=v"
)


def frame_slider(draw: Callable[[Value], Figure | Image.Image], values: Sequence[Value], *, label: str, alt: str) -> None:
    """Display `draw(value)` for the value that the reader picks.

    All frames are drawn once, into an HTML slider that needs no kernel and no network. A live notebook with ipywidgets shows
    a widget in its place, which draws anew at each move and so follows what you changed in other cells. `label` names
    the values, `alt` says in words what a frame shows.
    """
    from IPython.display import display

    if not values:
        raise InputError("values is empty: give the slider at least one value to draw")
    frames = [_png(draw(value)) for value in values]
    bundle: dict[str, object] = {
        "text/html": _html(frames, [str(v) for v in values], label, alt),
        "text/plain": f"A slider over {label}: run the cell in a notebook to move it.",
    }
    if (model_id := _widget(draw, values, frames[0], label)) is not None:
        bundle["application/vnd.jupyter.widget-view+json"] = {
            "version_major": 2,
            "version_minor": 0,
            "model_id": model_id,
        }
    display(bundle, raw=True)


def _png(drawn: Figure | Image.Image) -> bytes:
    """The drawing as a PNG with a palette. A pyplot figure is closed, else the notebook would show it once more."""
    if isinstance(drawn, Figure):
        from matplotlib import pyplot as plt

        buffer = io.BytesIO()
        drawn.savefig(buffer, format="png", dpi=DPI)
        plt.close(drawn)
        drawn = Image.open(buffer)
    out = io.BytesIO()
    drawn.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(out, format="PNG", optimize=True)
    return out.getvalue()


def _html(frames: Sequence[bytes], values: Sequence[str], label: str, alt: str) -> str:
    images = "\n".join(
        f'<img style="max-width: 100%" src="data:image/png;base64,{base64.b64encode(frame).decode()}"'
        f' data-value="{escape(value)}" alt="{escape(f"{alt}, {label} {value}")}"{" hidden" if i else ""}>'
        for i, (frame, value) in enumerate(zip(frames, values, strict=True))
    )
    return f"""<div class="frame-slider" role="group" aria-label="{escape(alt)}">
{images}
<div style="display: flex; gap: .75em; align-items: center; max-width: 36em">
<span aria-hidden="true">{escape(label)}</span>
<input type="range" min="0" max="{len(frames) - 1}" value="0" step="1" autocomplete="off" style="flex: 1; min-width: 0"
 aria-label="{escape(label)}" aria-valuetext="{escape(values[0])}" oninput="{_MOVE}">
<output aria-live="off" style="min-width: 4ch; text-align: right">{escape(values[0])}</output>
</div>
</div>"""


def _widget(
    draw: Callable[[Value], Figure | Image.Image], values: Sequence[Value], first: bytes, label: str
) -> str | None:
    """The id of a live slider, or None where ipywidgets is not installed."""
    try:
        import ipywidgets
    except ImportError:
        return None
    image = ipywidgets.Image(value=first, format="png", layout={"max_width": "100%"})
    slider = ipywidgets.SelectionSlider(
        options=[(str(v), i) for i, v in enumerate(values)],
        description=label,
        continuous_update=False,  # a slow kernel draws where the reader stops, not at every step on the way
        style={"description_width": "initial"},
        layout={"width": "36em", "max_width": "100%"},
    )

    def move(change: dict[str, int]) -> None:
        image.value = _png(draw(values[change["new"]]))

    slider.observe(move, names="value")
    return ipywidgets.VBox([image, slider]).model_id
