"""Networks. Nothing here knows diffusion: a U-Net maps an image and a number t to an image."""

from diffcourse.nets.unet import UNet

__all__ = ["UNet"]
