"""The families of generative models, one file each, behind one interface."""

from diffcourse.config import DDPMConfig, FlowConfig
from diffcourse.errors import InputError
from diffcourse.families.base import GenerativeModel
from diffcourse.families.ddpm import DDPM
from diffcourse.families.flow import Flow

FAMILIES: dict[str, type[GenerativeModel]] = {family.family: family for family in (DDPM, Flow)}
"""By the names they go by on the command line."""


def build(configuration: dict) -> GenerativeModel:
    """The untrained model of any family that a configuration describes.

    Raises:
        InputError: if the family is unknown, or the configuration is not one of this version.
    """
    family = configuration.get("family", "ddpm")
    if family not in FAMILIES:
        raise InputError(f"unknown family {family!r}; choose one of {', '.join(FAMILIES)}")
    return FAMILIES[family].from_configuration(configuration)


__all__ = ["DDPM", "FAMILIES", "DDPMConfig", "Flow", "FlowConfig", "GenerativeModel", "build"]
