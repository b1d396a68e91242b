"""What is compared: our DDPM, diffusers' UNet2DModel, and denoising-diffusion-pytorch's Unet, each brought to one interface.

All are trained on the same batch with L_simple, AdamW, clipped gradients and an average of the weights, so that a difference
in speed is a difference of the networks. "diffusers-as-found" is the exception: the loop of diffusers' own example
`train_unconditional.py`, with its data loader, in single precision and without an average. "diffusers-as-ours" has its channels where
ours has them, "diffusers" where the preset has them.
"""

from __future__ import annotations

import copy
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffcourse.config import DDPMConfig
from diffcourse.data import ImageData, torchvision_datasets
from diffcourse.diffusion.loss import draw_steps, simple_loss
from diffcourse.diffusion.process import q_sample, standard_normal_like
from diffcourse.diffusion.sample import sample_ddim
from diffcourse.errors import InputError
from diffcourse.families import DDPM
from diffcourse.families.base import scale
from diffcourse.training.ema import decay_at
from diffcourse.training.flops import count
from diffcourse.training.loop import DTYPES, rate_factor


@dataclass(frozen=True)
class Setting:
    """What all candidates share."""

    config: DDPMConfig
    """Our model; the others get as many weights."""
    data: ImageData
    batch: int
    device: torch.device
    peer: DDPMConfig | None = None
    """A model whose levels, blocks and attention the others have, but for the number of channels; ours when left out."""
    learning_rate: float = 2e-4
    precision: str = "fp32"
    compile: bool = False
    channels_last: bool = False
    seed: int = 0

    @property
    def arranged(self) -> DDPMConfig:
        """The model that the others are arranged like."""
        return self.peer or self.config


def comparable(config: DDPMConfig) -> DDPMConfig:
    """Our model without what the others lack: the noise is predicted, with L_simple, on the linear schedule, for no class."""
    return replace(
        config, schedule="linear", target="eps", weighting="simple", learned_variance=False, classes=0
    )


class Candidate:
    """A noise predictor with its training step and its sampling step.

    Args:
        network: [B, C, H, W], [B] -> [B, C, H, W].
    """

    def __init__(self, network: nn.Module, setting: Setting) -> None:
        self.setting = setting
        self.parameters = sum(p.numel() for p in network.parameters())
        layout = torch.channels_last if setting.channels_last else torch.contiguous_format
        self.network = network.to(setting.device, memory_format=layout).train()
        self.schedule = DDPM(setting.config).schedule
        self.average = [p.detach().clone() for p in self.network.parameters()]
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=setting.learning_rate, fused=True)
        self.generator = torch.Generator(setting.device).manual_seed(setting.seed)
        self.images = setting.data.images.to(setting.device)
        self.step = 0
        # fp16 gradients underflow without a scaler, which costs time as well
        self.scaler = torch.amp.GradScaler(setting.device.type, enabled=setting.precision == "fp16")
        if setting.compile:
            self.network.compile()

    def predict(self, xt: Tensor, t: Tensor) -> Tensor:
        """The noise in x_t, in the setting's precision."""
        dtype = DTYPES[self.setting.precision]
        with torch.autocast(self.setting.device.type, dtype, enabled=dtype != torch.float32):
            return self.network(xt, t).float()

    def train_step(self) -> None:
        """One step on a random batch: the training loop's work, without its bookkeeping."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.setting.learning_rate * rate_factor(self.step, 0.0, warmup_steps=100, decay="none")
        chosen = torch.randint(len(self.images), (self.setting.batch,), generator=self.generator, device=self.setting.device)
        x0 = scale(self.images[chosen])
        t = draw_steps(self.schedule, len(x0), self.generator)
        eps = standard_normal_like(x0, self.generator)
        loss = F.mse_loss(self.predict(q_sample(self.schedule, x0, t, eps), t), eps)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            torch._foreach_lerp_(self.average, list(self.network.parameters()), 1 - decay_at(self.step, 0.999))
        self.step += 1

    @torch.no_grad()
    def sample(self, steps: int) -> Tensor:
        """A batch of images by DDIM in so many network calls, [B, C, H, W]."""
        self.network.eval()
        x_T = torch.randn(self.setting.batch, *self.images.shape[1:], generator=self.generator, device=self.setting.device)
        x0 = sample_ddim(self.schedule, self.predict, x_T, steps=steps)
        self.network.train()
        return x0

    @torch.no_grad()
    def held_out_loss(self, images: Tensor, seed: int = 1) -> float:
        """L_simple of the averaged weights, in fp32 and with the same times and noises for every candidate.

        Args:
            images: uint8 [N, C, H, W].
        """
        network = copy.deepcopy(self.network).eval()
        torch._foreach_copy_(list(network.parameters()), self.average)
        generator = torch.Generator(self.setting.device).manual_seed(seed)
        losses = []
        for part in images.to(self.setting.device).split(self.setting.batch):
            x0 = scale(part)
            t = draw_steps(self.schedule, len(x0), generator)
            eps = standard_normal_like(x0, generator)
            losses.append(simple_loss(self.schedule, network, x0, t, eps))
        return torch.cat(losses).mean().item()

    def flops(self, backward: bool = True) -> float:
        """Floating-point operations per image of a training step or, without `backward`, of a sampling step."""
        x = torch.zeros(2, *self.images.shape[1:], device=self.setting.device)
        t = torch.ones(2, dtype=torch.int64, device=self.setting.device)
        network = copy.deepcopy(self.network)  # never compiled, which would hide the operations
        return count(lambda: network(x, t).sum().backward() if backward else network(x, t)) / 2


class DiffusersAsFound(Candidate):
    """The loop of diffusers' examples/unconditional_image_generation/train_unconditional.py with its default options."""

    def __init__(self, network: nn.Module, setting: Setting) -> None:
        super().__init__(network, replace(setting, precision="fp32", compile=False, channels_last=False))
        from diffusers import DDPMScheduler
        from diffusers.optimization import get_scheduler

        self.average = [p.detach() for p in self.network.parameters()]  # the very weights
        self.noise = DDPMScheduler(num_train_timesteps=setting.config.T)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=1e-4, betas=(0.95, 0.999), weight_decay=1e-6, eps=1e-8
        )
        steps = 100 * (len(setting.data.images) // setting.batch)
        self.rate = get_scheduler("cosine", self.optimizer, num_warmup_steps=500, num_training_steps=steps)
        self.batches = self._batches()

    def _batches(self) -> Iterator[Tensor]:
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
        pixels = self.setting.data.images
        pixels = pixels[:, 0] if pixels.shape[1] == 1 else pixels.permute(0, 2, 3, 1)
        loader = torch.utils.data.DataLoader(
            [Image.fromarray(p.numpy()) for p in pixels],
            self.setting.batch,
            shuffle=True,
            drop_last=True,
            generator=torch.Generator().manual_seed(self.setting.seed),
            collate_fn=lambda pictures: torch.stack([prepare(p) for p in pictures]),
        )
        while True:
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
        self.step += 1


# The networks


def our_network(setting: Setting) -> nn.Module:
    """Our U-Net."""
    torch.manual_seed(setting.seed)
    return DDPM(setting.config).net


class _Sample(nn.Module):
    """diffusers' networks answer with a dataclass."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return self.network(x, t, return_dict=False)[0]


def diffusers_network(setting: Setting) -> nn.Module:
    """diffusers' UNet2DModel with the details of the published CIFAR-10 weights, and about as many weights as ours.

    A patch becomes a level of its own, since diffusers works at full resolution.
    """
    with suppress(InputError):  # diffusers imports torchvision where it is installed, and needs it mended
        torchvision_datasets()
    try:
        from diffusers import UNet2DModel
    except ImportError:
        raise InputError("diffusers is not installed: pip install diffusers") from None
    config = setting.arranged
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
    try:
        torchvision_datasets()  # mends torchvision, which the package imports
        from denoising_diffusion_pytorch.denoising_diffusion_pytorch import Unet
    except (ImportError, InputError):
        raise InputError(
            "denoising-diffusion-pytorch is not installed: pip install denoising-diffusion-pytorch, or, to keep your torch, "
            "pip install --no-deps denoising-diffusion-pytorch einops ema-pytorch accelerate"
        ) from None
    config = setting.arranged
    levels = (1,) * (config.patch > 1) + config.multipliers

    def build(width: int) -> nn.Module:
        torch.manual_seed(setting.seed)
        return Unet(dim=width, dim_mults=levels, channels=config.channels, dropout=config.dropout)

    return _closest(build, setting, multiple=8)


def _closest(build: Callable[[int], nn.Module], setting: Setting, multiple: int) -> nn.Module:
    """The network whose number of weights is nearest to ours, over all widths that are multiples of `multiple`."""

    def weights(width: int) -> int:
        with torch.device("meta"):  # counts without taking memory
            return sum(p.numel() for p in build(width).parameters())

    target = sum(p.numel() for p in our_network(setting).parameters())
    widths = range(multiple, 16 * setting.config.base_width + 1, multiple)
    first_above = bisect_left(widths, target, key=weights)
    around = widths[max(0, first_above - 1) : first_above + 1]
    return build(min(around, key=lambda width: abs(weights(width) - target)))


CANDIDATES: dict[str, Callable[[Setting], Candidate]] = {
    "diffcourse": lambda setting: Candidate(our_network(setting), setting),
    "diffusers": lambda setting: Candidate(diffusers_network(setting), setting),
    "diffusers-as-ours": lambda setting: Candidate(diffusers_network(replace(setting, peer=None)), setting),
    "diffusers-as-found": lambda setting: DiffusersAsFound(diffusers_network(setting), setting),
    "denoising-diffusion-pytorch": lambda setting: Candidate(denoising_diffusion_network(setting), setting),
}
"""By name: how to build each for a setting."""


def peer_versions() -> dict[str, str]:
    """The versions of those peers that are installed."""
    found = {}
    for name in ("diffusers", "denoising-diffusion-pytorch"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
