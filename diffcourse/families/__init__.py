"""The families of generative models, one file each, behind one interface."""

from diffcourse.config import DDPMConfig
from diffcourse.families.base import GenerativeModel
from diffcourse.families.ddpm import DDPM

__all__ = ["DDPM", "DDPMConfig", "GenerativeModel"]
