"""What holds for every family, and the few functions that they share."""

import pytest
import torch

from diffcourse.errors import InputError
from diffcourse.families import FAMILIES, build
from diffcourse.families.base import from_levels, level_value, nearest_level, scale, to_levels, unscale


@pytest.mark.parametrize("levels", range(2, 257))
def test_levels_and_images_are_each_others_inverse(levels: int) -> None:
    k = torch.arange(levels)
    assert torch.equal(to_levels(from_levels(k, levels), levels), k)
    assert torch.equal(unscale(level_value(k, levels)), from_levels(k, levels))


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_the_nearest_level_is_the_inverse_of_its_value(levels: int) -> None:
    k = torch.arange(levels)
    assert torch.equal(nearest_level(level_value(k, levels), levels), k)
    off = 0.9 / (levels - 1)  # a level reaches half way to the next
    for shift in (-off, off):
        assert torch.equal(nearest_level(level_value(k, levels, torch.float64) + shift, levels), k)
    assert nearest_level(torch.tensor([-3.0, 3.0]), levels).tolist() == [0, levels - 1]


def test_256_levels_are_the_bytes_themselves() -> None:
    images = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_levels(images, 256), images.long())
    assert torch.allclose(level_value(to_levels(images, 256), 256), scale(images))


def test_the_digits_have_17_levels() -> None:
    from diffcourse.data import load

    k = to_levels(load("digits").images, 17)
    assert k.min() == 0 and k.max() == 16 and len(k.unique()) == 17


def test_values_between_the_levels_are_refused() -> None:
    with pytest.raises(InputError, match="other values than 17 evenly spaced grey levels"):
        to_levels(torch.tensor([0, 15], dtype=torch.uint8), 17)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_configuration_builds_an_equal_model(name: str) -> None:
    model = FAMILIES[name](FAMILIES[name].config_type())
    again = build(model.configuration())
    assert again.config == model.config and type(again) is type(model)
    assert [p.shape for p in again.parameters()] == [p.shape for p in model.parameters()]


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(InputError, match="unknown family 'magic'; choose one of .*ddpm"):
        build({"family": "magic"})
