"""What each part of the U-Net buys: train the digits' network again and again, each time with one part taken out.

    python benchmarks/ablation.py                     everything; about half an hour on one core; writes
                                                      diffcourse/measured/ablation.json, which chapter 11 reads
    python benchmarks/ablation.py --only "no skips"   one variant; prints, writes nothing

All variants see the same images, steps and noise in training, and the same held-out digits, steps and noise afterwards, so their
losses can be compared one to one; another seed draws other weights and another training, and shows how much chance there is. Seconds
depend on what else the machine does. Operations do not.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from diffcourse import measured
from diffcourse.data import ImageData, load
from diffcourse.families import DDPM, DDPMConfig
from diffcourse.nets.unet import Block, ResBlock, SelfAttention, UNet
from diffcourse.presets import PRESETS
from diffcourse.training import TrainConfig, train
from diffcourse.training.flops import training_flops
from diffcourse.training.loop import by_quarter, hardware, versions

FULL, _ = PRESETS["digits"]
DRAWS = 20  # noises and steps for each held-out image


# Parts taken out of a network that is already built, so that the rest starts with the same random weights


def no_skips(net: UNet) -> None:
    """The way up gets zeros where the skips' channels are; their weights stay, and do nothing."""
    channels = [layer.out_channels if isinstance(layer, nn.Conv2d) else layer.residual.conv2.out_channels for layer in (net.first, *net.down)]

    def without(skip: int) -> Callable:
        def cut(block: Block, given: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            x, embedding = given
            return torch.cat([x[:, :-skip], torch.zeros_like(x[:, -skip:])], dim=1), embedding

        return cut

    for block in net.up:
        if isinstance(block, Block):
            block.register_forward_pre_hook(without(channels.pop()))


def no_time(net: UNet) -> None:
    """Every step looks like step 0."""
    net.register_forward_pre_hook(lambda net, given: (given[0], torch.zeros_like(given[1]), *given[2:]))


def no_attention(net: UNet) -> None:
    for block in net.modules():
        if isinstance(block, Block):
            block.attention = None


def no_zero_start(net: UNet) -> None:
    """The last layers of blocks, attention and network start at random, as all others do."""
    for module in net.modules():
        if isinstance(module, ResBlock):
            module.conv2.reset_parameters()
        elif isinstance(module, SelfAttention):
            module.out.reset_parameters()
    net.last[-1].reset_parameters()


def never_halved(net: UNet) -> None:
    """All levels at full resolution: as many weights, more arithmetic."""
    for layer in net.down:
        if isinstance(layer, nn.Conv2d):
            layer.stride = (1, 1)
    for i, layer in enumerate(net.up):
        if not isinstance(layer, Block):
            net.up[i] = layer.conv


def other_norm(make: Callable[[int], nn.Module]) -> Callable[[UNet], None]:
    """Each group normalisation replaced by what `make` builds for its channels."""

    def change(net: UNet) -> None:
        for module in list(net.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, nn.GroupNorm):
                    setattr(module, name, make(child.num_channels))

    return change


def nothing(net: UNet) -> None:
    pass


ONE_LEVEL = replace(FULL, multipliers=(1,), attention=())
VARIANTS: dict[str, tuple[DDPMConfig, Callable[[UNet], None]]] = {
    "everything": (FULL, nothing),
    "no skips": (FULL, no_skips),
    "no time": (FULL, no_time),
    "no attention": (FULL, no_attention),
    "time added only": (replace(FULL, scale_shift=False), nothing),
    "no zero start": (FULL, no_zero_start),
    "one group": (FULL, other_norm(lambda channels: nn.GroupNorm(1, channels))),
    "batch norm": (FULL, other_norm(nn.BatchNorm2d)),
    "no norm": (FULL, other_norm(lambda channels: nn.Identity())),
    "one level": (ONE_LEVEL, nothing),
    "one level, wider": (replace(ONE_LEVEL, base_width=32), nothing),
    "never halved": (FULL, never_halved),
}
"""Name -> the network's configuration, and what is done to it when it is built."""


@torch.no_grad()
def held_out_loss(model: DDPM, data: ImageData, draws: int = DRAWS) -> Tensor:
    """L_simple and its four quarters of t, [5], on fixed steps and noise."""
    generator = torch.Generator().manual_seed(2024)
    drawn = [model(data.images, generator=generator) for _ in range(draws)]
    losses, times = torch.cat([d.per_example for d in drawn]), torch.cat([d.time for d in drawn])
    return torch.tensor([losses.mean().item(), *by_quarter(losses, times)])


def run(name: str, steps: int, seed: int, train_set: ImageData, held_out: ImageData) -> dict:
    """Train one variant and measure it."""
    config, change = VARIANTS[name]
    torch.manual_seed(seed)
    model = DDPM(config)
    change(model.net)
    at_start = held_out_loss(model.eval(), held_out, draws=2)[0].item()
    flops = training_flops(model, torch.device("cpu"))
    training = replace(PRESETS["digits"][1], minutes=None, steps=steps, seed=seed, save_every_seconds=1e9)
    with tempfile.TemporaryDirectory() as out:
        trained = train(model, train_set, training, out, progress=False)
    loss, *quarters = held_out_loss(trained.model, held_out).tolist()
    return {
        "seed": seed,
        "loss": round(loss, 5),
        "loss_by_quarter": [round(q, 5) for q in quarters],
        "loss_at_start": round(at_start, 5),
        "seconds": round(trained.seconds, 1),
        "parameters": sum(p.numel() for p in model.parameters()),
        "training_mflops_per_image": round(flops / 1e6, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=700, help="training steps of 64 images, for every variant (default: 700)")
    parser.add_argument("--seeds", type=int, default=2, help="runs of each variant (default: 2)")
    parser.add_argument("--only", choices=list(VARIANTS), help="one variant; prints, writes nothing")
    parser.add_argument("--out", type=Path, default=measured.FOLDER / "ablation.json")
    options = parser.parse_args()
    torch.set_num_threads(1)  # more are slower for images this small

    train_set, held_out = load("digits"), load("digits", "test")
    names = [options.only] if options.only else list(VARIANTS)
    runs = {name: [] for name in names}
    with tqdm(total=options.seeds * len(names), desc="ablation") as bar:
        for seed in range(options.seeds):
            for name in names:
                bar.set_postfix_str(f"{name}, seed {seed}")
                found = run(name, options.steps, seed, train_set, held_out)
                runs[name].append(found)
                bar.update()
                tqdm.write(f"{name:18s} seed {seed}: held-out loss {found['loss']:.4f}, {found['seconds']:.0f} s")
    if options.only:
        return
    result = {
        "command": f"python benchmarks/ablation.py --steps {options.steps} --seeds {options.seeds}",
        "model": asdict(FULL),
        "training": asdict(TrainConfig(**{**asdict(PRESETS["digits"][1]), "minutes": None, "steps": options.steps})),
        "held_out": f"{len(held_out)} digits, {DRAWS} steps and noises each, the same for all",
        "hardware": hardware(torch.device("cpu")),
        "load": "a shared machine, other programs ran: the seconds say little",
        "versions": versions(),
        "variants": runs,
    }
    options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
