"""Images side by side: on the page with `image_grid`, in a file with `save_grid`.

Images are a tensor [N, C, H, W] with one or three channels, either floats in [-1, 1] or uint8. Floats outside the range, such
as those of a noisy x_t, are clipped.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath
from PIL import Image

from diffcourse.errors import InputError

GAP = 1  # white pixels between neighbours
FONT_SIZE = 10
LABEL_HEIGHT = 0.25  # inches: a line of labels above the columns


def image_grid(
    images: torch.Tensor,
    *,
    columns: int | None = None,
    width: float = 6.4,
    column_labels: Sequence[str] = (),
    row_labels: Sequence[str] = (),
) -> Figure:
    """A figure of all images, read row by row, about `width` inches wide.

    The figure is not pyplot's: make it a cell's last expression, or return it from what `frame_slider` draws.
    """
    mosaic, shape = _mosaic(images, columns)
    left = max((_inches(label) + 0.1 for label in row_labels), default=0)
    top = LABEL_HEIGHT if column_labels else 0
    dpi = 100
    # A whole number of dots per pixel, so that all pixels come out equally large.
    dots = max(1, round((width - left) * dpi / mosaic.shape[1]))
    w, h = (mosaic.shape[i] * dots / dpi for i in (1, 0))
    figure = Figure(figsize=(left + w, h + top), dpi=dpi, facecolor="white", layout="none")
    ax = figure.add_axes((left / (left + w), 0, w / (left + w), h / (h + top)))
    _show(ax, mosaic, shape, column_labels, row_labels)
    return figure


def draw_grid(
    ax: Axes,
    images: torch.Tensor,
    *,
    columns: int | None = None,
    column_labels: Sequence[str] = (),
    row_labels: Sequence[str] = (),
) -> None:
    """Draw the grid into an axes of a larger figure."""
    mosaic, shape = _mosaic(images, columns)
    _show(ax, mosaic, shape, column_labels, row_labels)


def save_grid(images: torch.Tensor, path: str | Path, *, columns: int | None = None) -> None:
    """Write the grid as a PNG, each image enlarged by a whole factor to at least 64 pixels a side.

    The file appears complete or not at all: it is written beside its place and then moved there.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise InputError(f"cannot write a grid to {str(path)!r}: give a file name that ends in .png")
    mosaic, _ = _mosaic(images, columns)
    zoom = math.ceil(64 / min(images.shape[-2:]))
    picture = Image.fromarray(mosaic.repeat(zoom, axis=0).repeat(zoom, axis=1))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    except OSError as error:
        raise InputError(f"cannot write {str(path)!r} ({error.strerror}): choose another folder") from None
    try:
        with os.fdopen(handle, "wb") as file:
            picture.save(file, format="PNG", optimize=True)
        os.chmod(part, 0o644)  # mkstemp's files are private
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise


def _pixels(images: torch.Tensor) -> np.ndarray:
    """[N, C, H, W] -> uint8 [N, H, W, 3]."""
    if images.ndim != 4 or images.shape[1] not in (1, 3) or 0 in images.shape:
        raise InputError(f"images have shape {tuple(images.shape)}: give [N, C, H, W] with one or three channels")
    images = images.detach().cpu()
    if images.is_floating_point():
        images = ((images.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    elif images.dtype != torch.uint8:
        raise InputError(f"images have dtype {images.dtype}: give floats in [-1, 1] or uint8")
    return images.permute(0, 2, 3, 1).expand(-1, -1, -1, 3).numpy()


def _mosaic(images: torch.Tensor, columns: int | None) -> tuple[np.ndarray, tuple[int, int]]:
    """One uint8 image of all tiles on white, and a tile's height and width with its gap."""
    tiles = _pixels(images)
    n, height, width, _ = tiles.shape
    columns = min(n, 10) if columns is None else columns
    if columns < 1:
        raise InputError(f"columns is {columns}: give a number of at least 1")
    rows = math.ceil(n / columns)
    h, w = height + GAP, width + GAP
    mosaic = np.full((rows * h - GAP, columns * w - GAP, 3), 255, dtype=np.uint8)
    for i, tile in enumerate(tiles):
        y, x = i // columns * h, i % columns * w
        mosaic[y : y + height, x : x + width] = tile
    return mosaic, (h, w)


def _inches(text: str) -> float:
    return TextPath((0, 0), text, size=FONT_SIZE).get_extents().width / 72


def _show(
    ax: Axes, mosaic: np.ndarray, shape: tuple[int, int], column_labels: Sequence[str], row_labels: Sequence[str]
) -> None:
    h, w = shape
    ax.imshow(mosaic, interpolation="nearest")
    ax.set_frame_on(False)
    ax.grid(False)
    ax.set_xticks([i * w + (w - GAP - 1) / 2 for i in range(len(column_labels))], column_labels)
    ax.set_yticks([i * h + (h - GAP - 1) / 2 for i in range(len(row_labels))], row_labels)
    ax.tick_params(length=0, labelsize=FONT_SIZE, labeltop=True, labelbottom=False)
