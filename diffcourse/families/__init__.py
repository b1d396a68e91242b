"""The families of generative models, one file each, behind one interface."""

from diffcourse.families.base import GenerativeModel
from diffcourse.families.ddpm import DDPM, DDPMConfig

__all__ = ["DDPM", "DDPMConfig", "GenerativeModel"]
