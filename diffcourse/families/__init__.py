"""The families of generative models, one file each, behind one interface."""

from diffcourse.config import DDPMConfig, FlowConfig, GANConfig, PixelCNNConfig, VAEConfig
from diffcourse.errors import InputError
from diffcourse.families.base import GenerativeModel
from diffcourse.families.ddpm import DDPM
from diffcourse.families.flow import Flow
from diffcourse.families.gan import GAN
from diffcourse.families.pixelcnn import PixelCNN
from diffcourse.families.vae import VAE

FAMILIES: dict[str, type[GenerativeModel]] = {family.family: family for family in (DDPM, PixelCNN, VAE, GAN, Flow)}
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


__all__ = [
    "DDPM",
    "FAMILIES",
    "GAN",
    "VAE",
    "DDPMConfig",
    "Flow",
    "FlowConfig",
    "GANConfig",
    "GenerativeModel",
    "PixelCNN",
    "PixelCNNConfig",
    "VAEConfig",
    "build",
]
