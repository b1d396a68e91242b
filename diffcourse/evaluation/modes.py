"""Mode collapse, counted: in a mixture of narrow bells it is plain what is to be found.

Srivastava et al. (2017), "VEEGAN", section 5, count so: a point within three standard deviations of a mode is of high
quality, and a mode is found where there is at least one such point. Two numbers, since either alone can be had for
nothing: a model that draws a single mode perfectly has a high-quality share of 1, and one that scatters points
everywhere finds every mode.
"""

from __future__ import annotations

import torch
from torch import Tensor

from diffcourse.errors import InputError


def modes_found(points: Tensor, centres: Tensor, radius: float, least: int = 1) -> int:
    """How many of the modes have at least `least` points within the radius; a point counts for the nearest mode alone.

    Args:
        points: [N, D].
        centres: of the modes, [K, D].
        radius: usually three standard deviations of a mode.
        least: one point is the paper's choice; more tell a mode from a stray point.

    Raises:
        InputError: for shapes that do not fit, a radius that is not above 0, NaN or infinity.
    """
    nearest, distance = _nearest(points, centres, radius)
    return int((torch.bincount(nearest[distance <= radius], minlength=len(centres)) >= least).sum())


def high_quality_share(points: Tensor, centres: Tensor, radius: float) -> float:
    """The share of the points that lie within the radius of a mode. Arguments and errors as in `modes_found`.

    Of data with Gaussian modes in the plane, a radius of three standard deviations leaves out exp(-9/2), 1.1 %.
    """
    _, distance = _nearest(points, centres, radius)
    return (distance <= radius).double().mean().item()


def _nearest(points: Tensor, centres: Tensor, radius: float) -> tuple[Tensor, Tensor]:
    """The number of the mode nearest to each point, int64 [N], and the distance to it, [N]."""
    shapes = list(points.shape), list(centres.shape)
    if points.ndim != 2 or centres.ndim != 2 or points.shape[1] != centres.shape[1] or 0 in shapes[0] + shapes[1]:
        raise InputError(f"points have shape {shapes[0]} and centres {shapes[1]}: give [N, D] and [K, D], with rows")
    if not points.isfinite().all():
        raise InputError("the points contain NaN or infinity: the model that made them is broken")
    if not radius > 0:
        raise InputError(f"radius = {radius:g}: give a number above 0, such as three standard deviations of a mode")
    distance, nearest = torch.cdist(points.double(), centres.to(points.device).double()).min(1)
    return nearest, distance
