"""Grids show every pixel where it belongs; the slider carries its frames with it."""

from __future__ import annotations

import base64
import io
import re
import sys
from unittest.mock import patch

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from diffcourse.errors import InputError
from diffcourse.show import draw_grid, frame_slider, image_grid, save_grid, use_style


@pytest.fixture(autouse=True)
def _own_rc():
    with mpl.rc_context({"backend": "agg"}):
        yield
    plt.close("all")


def ramp(n: int, channels: int = 1, size: int = 8) -> torch.Tensor:
    """n images of one grey each, from -1 to 1."""
    return torch.linspace(-1, 1, n)[:, None, None, None].expand(n, channels, size, size)


def pixels(figure: mpl.figure.Figure) -> np.ndarray:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


@pytest.mark.parametrize("channels", [1, 3])
def test_saved_grid_has_enlarged_tiles_in_reading_order(tmp_path, channels):
    save_grid(ramp(5, channels), tmp_path / "new" / "grid.png", columns=3)
    picture = np.asarray(Image.open(tmp_path / "new" / "grid.png"))
    assert picture.shape == ((2 * 8 + 1) * 8, (3 * 8 + 2) * 8, 3)
    tile = 9 * 8
    assert [int(picture[(i // 3) * tile, (i % 3) * tile, 0]) for i in range(5)] == [0, 64, 128, 191, 255]
    assert (picture[8 * 8 : 9 * 8] == 255).all(), "the gap between rows is white"
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["grid.png"], "nothing half-written is left"


def test_uint8_and_float_images_come_out_alike(tmp_path):
    bytes_ = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    save_grid(bytes_, tmp_path / "a.png")
    save_grid(bytes_ / 127.5 - 1, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_values_beyond_the_range_are_clipped(tmp_path):
    save_grid(torch.tensor([-9.0, 9.0])[:, None, None, None].expand(2, 1, 8, 8), tmp_path / "a.png")
    save_grid(ramp(2), tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize(
    ("images", "path", "named"),
    [
        (torch.zeros(8, 8), "a.png", "(8, 8)"),
        (torch.zeros(0, 1, 8, 8), "a.png", "(0, 1, 8, 8)"),
        (torch.zeros(2, 4, 8, 8), "a.png", "(2, 4, 8, 8)"),
        (torch.zeros(2, 1, 8, 8, dtype=torch.int64), "a.png", "int64"),
        (torch.zeros(2, 1, 8, 8), "a.jpg", "a.jpg"),
        (torch.zeros(2, 1, 8, 8), "a.png/b.png", "b.png"),
    ],
)
def test_bad_input_is_named_in_one_line(tmp_path, images, path, named):
    (tmp_path / "a.png").write_bytes(b"old")
    with pytest.raises(InputError, match=re.escape(named)) as error:
        save_grid(images, tmp_path / path)
    assert "\n" not in str(error.value)
    assert (tmp_path / "a.png").read_bytes() == b"old"


def test_grid_figure_draws_whole_dots_per_pixel():
    figure = image_grid(ramp(6), columns=3, width=3)
    drawn = pixels(figure)
    dots = drawn.shape[1] / (3 * 9 - 1)
    assert dots == int(dots)
    row = drawn[0, :, 0].reshape(-1, int(dots))
    assert (row == row[:, :1]).all(), "every pixel is one flat block"
    assert not plt.get_fignums(), "pyplot would show the figure a second time"


def test_grid_labels_stand_at_their_tiles():
    figure = image_grid(ramp(4), columns=2, column_labels=["t = 1", "t = 9"], row_labels=["DDPM, 50 steps", "$x_t$"])
    (ax,) = figure.axes
    assert [t.get_text() for t in ax.get_xticklabels()] == ["t = 1", "t = 9"]
    assert list(ax.get_xticks()) == [3.5, 12.5]
    pixels(figure)
    frame = figure.bbox
    for text in ax.get_xticklabels() + ax.get_yticklabels():
        box = text.get_window_extent()
        assert frame.x0 <= box.x0 and box.y1 <= frame.y1, f"{text.get_text()} is cut off"


def test_grid_fits_into_an_axes():
    _, axes = plt.subplots(1, 2)
    draw_grid(axes[1], ramp(4), columns=2)
    assert not axes[0].images and len(axes[1].images) == 1


def curve(power: int) -> mpl.figure.Figure:
    figure, ax = plt.subplots(figsize=(3, 2))
    ax.plot([x**power for x in range(5)])
    return figure


def shown(values, draw=curve, label="power", alt="A curve") -> dict[str, object]:
    with patch("IPython.display.display") as display:
        frame_slider(draw, values, label=label, alt=alt)
    display.assert_called_once()
    return display.call_args.args[0]


def test_slider_is_one_output_for_every_frontend():
    data = shown([1, 2, 3])
    assert {"text/html", "text/plain", "application/vnd.jupyter.widget-view+json"} == set(data)
    html = data["text/html"]
    frames = re.findall(r'<img [^>]*src="data:image/png;base64,([^"]+)"[^>]*alt="([^"]+)"( hidden)?>', html)
    assert [alt for _, alt, _ in frames] == ["A curve, power 1", "A curve, power 2", "A curve, power 3"]
    assert [bool(hidden) for *_, hidden in frames] == [False, True, True]
    sizes = {Image.open(io.BytesIO(base64.b64decode(png))).size for png, *_ in frames}
    assert sizes == {(270, 180)}, "frames of one size: the page does not jump"
    assert "http" not in html and "<script" not in html
    assert not plt.get_fignums()


def test_slider_html_is_the_same_every_time():
    assert shown([1, 2])["text/html"] == shown([1, 2])["text/html"]


def test_slider_takes_images_and_escapes_its_words():
    html = shown(['"a" & <b>'], draw=lambda _: Image.new("L", (4, 4)), label="a<b", alt='"x"')["text/html"]
    assert 'data-value="&quot;a&quot; &amp; &lt;b&gt;"' in html and "a&lt;b" in html


def test_slider_draws_anew_in_a_live_notebook():
    import ipywidgets

    drawn: list[int] = []

    def draw(power: int) -> mpl.figure.Figure:
        drawn.append(power)
        return curve(power)

    model_id = shown([1, 2], draw)["application/vnd.jupyter.widget-view+json"]["model_id"]
    image, slider = ipywidgets.widgets.widget._instances[model_id].children
    before = image.value
    slider.value = 1
    assert drawn == [1, 2, 2] and image.value != before


def test_slider_needs_no_ipywidgets(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    assert set(shown([1])) == {"text/html", "text/plain"}


def test_slider_wants_a_value():
    with pytest.raises(InputError, match="values"):
        frame_slider(curve, [], label="power", alt="A curve")


def test_style_can_be_read_and_told_apart():
    use_style()
    assert mpl.rcParams["figure.facecolor"] == "white" and mpl.rcParams["font.size"] >= 10
    colours = mpl.rcParams["axes.prop_cycle"].by_key()["color"]
    assert len(set(colours)) == len(colours)
