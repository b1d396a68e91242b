"""What is trained by default, and that importing the package costs little more than importing torch."""

import statistics
import subprocess
import sys

import pytest

from diffcourse.config import DDPMConfig
from diffcourse.errors import InputError
from diffcourse.presets import PRESETS, preset


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_adapts_to_other_images(name: str) -> None:
    """The preset asked for by name, for images it was not made for: the size follows the images, all else stays."""
    model, training = preset(name, (3, 16, 16))
    assert (model.channels, model.height, model.width) == (3, 16, 16) and training == PRESETS[name][1]
    assert model.base_width == PRESETS[name][0].base_width and model.patch * 2 ** (len(model.multipliers) - 1) <= 16


def test_levels_that_images_cannot_be_halved_for_are_left_out() -> None:
    assert preset("photos", (3, 36, 36))[0].multipliers == (1, 2, 2)  # 36, 18, 9
    assert preset("cifar10", (3, 32, 32))[0].multipliers == (1, 2, 2, 2)
    with pytest.raises(InputError, match="27x27 pixels cannot be halved.*--size 24"):
        preset("photos", (1, 27, 27))


def test_a_budget_is_steps_or_minutes() -> None:
    assert all((training.steps is None) != (training.minutes is None) for _, training in PRESETS.values())
    assert all(isinstance(model, DDPMConfig) for model, _ in PRESETS.values())


@pytest.mark.parametrize("module", ["diffcourse", "diffcourse.families", "diffcourse.training"])
def test_importing_costs_little_more_than_torch(module: str) -> None:
    """Under 1.5 times `import torch`, in processor time of fresh interpreters by turns."""

    def seconds(name: str) -> float:
        code = f"import time, {name}; print(time.process_time())"
        return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)

    rounds = [(seconds(module), seconds("torch")) for _ in range(3)]
    assert statistics.median(ours / torch for ours, torch in rounds) < 1.5, rounds
