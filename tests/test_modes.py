"""Modes are counted as one would by hand, and the ring's own points find all eight."""

import math

import pytest
import torch

from diffcourse.data import RING_SPREAD, ring_centres, toy_2d, toy_images, toy_points
from diffcourse.errors import InputError
from diffcourse.evaluation import high_quality_share, modes_found

CENTRES = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
POINTS = torch.tensor([[0.5, 0.0], [-0.1, 0.2], [4.0, 0.9], [2.0, 2.0], [9.0, 9.0]])


def test_counted_by_hand() -> None:
    assert modes_found(POINTS, CENTRES, 1.0) == 2
    assert high_quality_share(POINTS, CENTRES, 1.0) == pytest.approx(3 / 5)
    assert modes_found(POINTS, CENTRES, 1.0, least=2) == 1
    assert modes_found(POINTS, CENTRES, 0.4) == 1
    assert high_quality_share(POINTS, CENTRES, 100.0) == 1


def test_a_point_counts_for_the_nearest_mode_alone() -> None:
    assert modes_found(torch.tensor([[1.0, 0.0]]), CENTRES, 10.0) == 1


def test_edge_counts_as_inside() -> None:
    assert high_quality_share(torch.tensor([[1.0, 0.0]]), CENTRES, 1.0) == 1


def test_the_ring_finds_all_its_modes_and_the_share_that_gaussians_have() -> None:
    points = toy_2d("eight_gaussians", 20_000, torch.Generator().manual_seed(0))
    assert modes_found(points, ring_centres(), 3 * RING_SPREAD, least=2000) == 8
    expected = 1 - math.exp(-4.5)
    error = (expected * (1 - expected) / len(points)) ** 0.5
    assert abs(high_quality_share(points, ring_centres(), 3 * RING_SPREAD) - expected) < 4 * error


def test_the_ring_as_images_of_two_pixels_does_so_too() -> None:
    points = toy_points(toy_images("eight_gaussians", 2000, torch.Generator().manual_seed(0)).images)
    assert modes_found(points, ring_centres(), 3 * RING_SPREAD, least=100) == 8
    assert high_quality_share(points, ring_centres(), 3 * RING_SPREAD) > 0.98


def test_collapse_and_scatter_each_fail_one_of_the_two() -> None:
    one = ring_centres()[:1].repeat(100, 1)
    assert (modes_found(one, ring_centres(), 0.3), high_quality_share(one, ring_centres(), 0.3)) == (1, 1.0)
    scatter = 6 * torch.rand(5000, 2, generator=torch.Generator().manual_seed(0)) - 3
    assert modes_found(scatter, ring_centres(), 0.3) == 8
    assert high_quality_share(scatter, ring_centres(), 0.3) == pytest.approx(8 * math.pi * 0.3**2 / 36, abs=0.015)


def test_the_share_does_not_depend_on_how_the_plane_is_turned() -> None:
    points = toy_2d("moons", 500, torch.Generator().manual_seed(1)).double()
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=torch.float64)
    centres = ring_centres().double()
    assert modes_found(points @ turn, centres @ turn, 0.3) == modes_found(points, centres, 0.3)
    assert high_quality_share(points @ turn, centres @ turn, 0.3) == high_quality_share(points, centres, 0.3)


@pytest.mark.parametrize(
    ("points", "centres", "radius", "message"),
    [
        (torch.zeros(3), CENTRES, 1.0, r"points have shape \[3\] and centres \[3, 2\]"),
        (torch.zeros(3, 3), CENTRES, 1.0, r"points have shape \[3, 3\]"),
        (torch.zeros(0, 2), CENTRES, 1.0, r"points have shape \[0, 2\]"),
        (torch.full((3, 2), torch.nan), CENTRES, 1.0, "NaN or infinity"),
        (POINTS, CENTRES, 0.0, "radius = 0: give a number above 0"),
        (POINTS, CENTRES, math.nan, "radius = nan: give a number above 0"),
    ],
)
def test_what_cannot_be_counted(points: torch.Tensor, centres: torch.Tensor, radius: float, message: str) -> None:
    for count in (modes_found, high_quality_share):
        with pytest.raises(InputError, match=message):
            count(points, centres, radius)
