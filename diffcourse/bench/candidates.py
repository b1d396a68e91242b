"""What is compared: our DDPM, diffusers' UNet2DModel, and denoising-diffusion-pytorch's Unet, each brought to one interface.

All are trained on the same batch with L_simple, AdamW, clipped gradients and an average of the weights, so that a difference
in speed is a difference of the networks. "diffusers as found" is the exception: the loop of diffusers' own example
`train_unconditional.py`, with its data loader, in single precision and without an average.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from diffcourse.config import DDPMConfig
from diffcourse.data import ImageData, torchvision_datasets
from diffcourse.diffusion.loss import draw_steps
from diffcourse.diffusion.process import q_sample, standard_normal_like
from diffcourse.diffusion.sample import sample_ddim
from diffcourse.errors import InputError
from diffcourse.families import DDPM
from diffcourse.families.base import scale

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Setting:
    """What all candidates share."""

    config: DDPMConfig
    """Our model; the others get as many weights."""
    data: ImageData
    batch: int
    device: torch.device
    precision: str = "fp32"
    compile: bool = False
    channels_last: bool = False
    seed: int = 0


class Candidate:
    """A noise predictor with its training step and its sampling step.

    Args:
        network: [B, C, H, W], [B] -> [B, C, H, W], on the setting's device.
    """

    def __init__(self, network: nn.Module, setting: Setting) -> None:
        self.setting = setting
        self.parameters = sum(p.numel() for p in network.parameters())
        layout = torch.channels_last if setting.channels_last else torch.contiguous_format
        self.network = network.to(setting.device, memory_format=layout).train()
        self.schedule = DDPM(replace(setting.config, schedule="linear")).schedule
        self.average = [p.detach().clone() for p in self.network.parameters()]
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=2e-4, fused=True)
        self.generator = torch.Generator(setting.device).manual_seed(setting.seed)
        self.images = setting.data.images.to(setting.device)
        if setting.compile:
            self.network.compile()

    def predict(self, xt: Tensor, t: Tensor) -> Tensor:
        """The noise in x_t, in the setting's precision."""
        dtype = DTYPES[self.setting.precision]
        with torch.autocast(self.setting.device.type, dtype, enabled=dtype != torch.float32):
            return self.network(xt, t).float()

    def train_step(self) -> None:
        """One step on a random batch: the training loop's work, without its bookkeeping."""
        chosen = torch.randint(len(self.images), (self.setting.batch,), generator=self.generator, device=self.setting.device)
        x0 = scale(self.images[chosen])
        t = draw_steps(self.schedule, len(x0), self.generator)
        eps = standard_normal_like(x0, self.generator)
        F.mse_loss(self.predict(q_sample(self.schedule, x0, t, eps), t), eps).backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            torch._foreach_lerp_(self.average, list(self.network.parameters()), 1e-3)

    @torch.no_grad()
    def sample(self, steps: int) -> Tensor:
        """A batch of images by DDIM, [B, C, H, W]."""
        self.network.eval()
        x_T = torch.randn(self.setting.batch, *self.images.shape[1:], generator=self.generator, device=self.setting.device)
        x0 = sample_ddim(self.schedule, self.predict, x_T, steps=steps)
        self.network.train()
        return x0

    @torch.no_grad()
    def held_out_loss(self, images: Tensor, seed: int = 1) -> float:
        """L_simple of the averaged weights, with the same times and noises for every candidate."""
        now = [p.detach().clone() for p in self.network.parameters()]
        torch._foreach_copy_(list(self.network.parameters()), self.average)
        self.network.eval()
        generator = torch.Generator(self.setting.device).manual_seed(seed)
        losses = []
        for part in images.to(self.setting.device).split(self.setting.batch):
            x0 = scale(part)
            t = draw_steps(self.schedule, len(x0), generator)
            eps = standard_normal_like(x0, generator)
            error = eps - self.predict(q_sample(self.schedule, x0, t, eps), t)
            losses.append(error.square().flatten(1).mean(1))
        self.network.train()
        torch._foreach_copy_(list(self.network.parameters()), now)
        return torch.cat(losses).mean().item()

    def flops(self) -> float:
        """Floating-point operations of a training step per image, counted."""
        x = torch.zeros(2, *self.images.shape[1:], device=self.setting.device)
        t = torch.ones(2, dtype=torch.int64, device=self.setting.device)
        with FlopCounterMode(display=False) as counter:
            self.predict(x, t).sum().backward()
        self.network.zero_grad(set_to_none=True)
        return counter.get_total_flops() / 2


class DiffusersAsFound(Candidate):
    """The loop of diffusers' examples/unconditional_image_generation/train_unconditional.py with its default options."""

    def __init__(self, network: nn.Module, setting: Setting) -> None:
        super().__init__(network, replace(setting, precision="fp32", compile=False, channels_last=False))
        from diffusers import DDPMScheduler
        from diffusers.optimization import get_scheduler

        self.noise = DDPMScheduler(num_train_timesteps=setting.config.T)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=1e-4, betas=(0.95, 0.999), weight_decay=1e-6, eps=1e-8
        )
        self.rate = get_scheduler("cosine", self.optimizer, num_warmup_steps=500, num_training_steps=100_000)
        self.batches = self._batches()

    def _batches(self):
        torchvision_datasets()
        from PIL import Image
        from torchvision import transforms

        height, width = self.images.shape[2:]
        prepare = transforms.Compose(
            [
                transforms.Resize(height, interpolation=transforms.InterpolationMode.BILINEAR),
                transforms.CenterCrop((height, width)),
                transforms.ToTensor(),
                transforms.Normalize([0.5], [0.5]),
            ]
        )
        mode = "L" if self.images.shape[1] == 1 else "RGB"
        pictures = [image.squeeze(0).numpy() if mode == "L" else image.permute(1, 2, 0).numpy() for image in self.setting.data.images]
        dataset = [lambda p=p: prepare(Image.fromarray(p, mode)) for p in pictures]
        generator = torch.Generator().manual_seed(self.setting.seed)
        while True:
            loader = torch.utils.data.DataLoader(
                dataset, self.setting.batch, shuffle=True, drop_last=True, generator=generator,
                collate_fn=lambda made: torch.stack([make() for make in made]),
            )  # fmt: skip
            yield from loader

    def train_step(self) -> None:
        clean = next(self.batches).to(self.setting.device)
        noise = torch.randn(clean.shape, device=clean.device)
        t = torch.randint(0, self.noise.config.num_train_timesteps, (len(clean),), device=clean.device).long()
        out = self.network(self.noise.add_noise(clean, noise, t), t)
        loss = F.mse_loss(out, noise)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.rate.step()
        self.optimizer.zero_grad()
        loss.detach().item()  # the example logs it at every step


# The networks


def _ours(setting: Setting) -> Candidate:
    torch.manual_seed(setting.seed)
    return Candidate(DDPM(replace(setting.config, classes=0, learned_variance=False)).net, setting)


class _Sample(nn.Module):
    """diffusers' networks answer with a dataclass."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return self.network(x, t, return_dict=False)[0]


def diffusers_network(setting: Setting) -> nn.Module:
    """diffusers' UNet2DModel, as for the published CIFAR-10 weights, with about as many weights as ours.

    A patch of our network becomes a level of its own, since it works at full resolution.
    """
    try:
        from diffusers import UNet2DModel
    except ImportError:
        raise InputError("the comparison with diffusers needs the package: pip install diffusers") from None
    config = setting.config
    levels = (1,) * (config.patch > 1) + config.multipliers
    attention = {level + (config.patch > 1) for level in config.attention}

    def build(width: int) -> nn.Module:
        torch.manual_seed(setting.seed)
        return UNet2DModel(
            sample_size=(config.height, config.width),
            in_channels=config.channels,
            out_channels=config.channels,
            layers_per_block=config.blocks,
            block_out_channels=tuple(width * m for m in levels),
            down_block_types=tuple("AttnDownBlock2D" if i in attention else "DownBlock2D" for i in range(len(levels))),
            up_block_types=tuple("AttnUpBlock2D" if i in attention else "UpBlock2D" for i in reversed(range(len(levels)))),
            norm_num_groups=config.groups,
            attention_head_dim=None if config.heads == 1 else max(config.groups, width * levels[-1] // config.heads),
            dropout=config.dropout,
            norm_eps=1e-6,
            downsample_padding=1,
            flip_sin_to_cos=False,
            freq_shift=1,
        )

    return _Sample(_closest(build, setting, multiple=config.groups))


def denoising_diffusion_network(setting: Setting) -> nn.Module:
    """denoising-diffusion-pytorch's Unet with about as many weights as ours. Its levels always have two blocks and attention."""
    torchvision_datasets()  # mends torchvision, which the package imports
    try:
        from denoising_diffusion_pytorch.denoising_diffusion_pytorch import Unet
    except ImportError:
        raise InputError(
            "the comparison with denoising-diffusion-pytorch needs the package: pip install denoising-diffusion-pytorch"
        ) from None
    config = setting.config
    levels = (1,) * (config.patch > 1) + config.multipliers

    def build(width: int) -> nn.Module:
        torch.manual_seed(setting.seed)
        return Unet(dim=width, dim_mults=levels, channels=config.channels, dropout=config.dropout)

    return _closest(build, setting, multiple=8)


def _closest(build: Callable[[int], nn.Module], setting: Setting, multiple: int) -> nn.Module:
    """The network whose number of weights is nearest to ours, over all widths that are multiples of `multiple`."""
    config = replace(setting.config, classes=0, learned_variance=False)
    target = sum(p.numel() for p in DDPM(config).parameters())

    def distance(width: int) -> int:
        with torch.device("meta"):
            return abs(sum(p.numel() for p in build(width).parameters()) - target)

    widths = range(multiple, 4 * config.base_width + 1, multiple)
    return build(min(widths, key=distance))


CANDIDATES: dict[str, Callable[[Setting], Candidate]] = {
    "diffcourse": _ours,
    "diffusers": lambda setting: Candidate(diffusers_network(setting), setting),
    "diffusers as found": lambda setting: DiffusersAsFound(diffusers_network(setting), setting),
    "denoising-diffusion-pytorch": lambda setting: Candidate(denoising_diffusion_network(setting), setting),
}
"""By name: how to build each for a setting."""
