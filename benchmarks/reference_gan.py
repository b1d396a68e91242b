"""Our GAN beside the DCGAN of PyTorch's examples, both of one size, on the digits: python benchmarks/reference_gan.py

The reference is the network of github.com/pytorch/examples, dcgan/main.py, rebuilt from its description for 8x8 pixels: two of its
stages in place of four. It is trained as there: batch normalisation in both networks, first weights of standard deviation 0.02,
the discriminator's step and then the generator's, Adam with a beta_1 of 0.5, 64 images a step. Its own learning rate, 0.0002, is meant
for longer runs, so that a higher one is tried as well, and its generator is judged averaged too, as ours is: what counts is its best.

Ours is the network of the comparison in the common training loop: once for as many steps of as many images, and once for as many
steps as take the processor time that the reference's best run took.

Writes reference_gan.json beside this file: for each seed the Frechet distance of 450 samples, the mean of four such sets since two sets
of one generator differ by up to 0.6, and the ratios of the means over the seeds.
"""

import argparse
import copy
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from statistics import fmean

import torch
import torch.nn.functional as F
from beside import timed_training, weights, write
from torch import Tensor, nn

from diffcourse import data
from diffcourse.evaluation import features, frechet, precision_recall
from diffcourse.families import GAN
from diffcourse.families.base import scale
from diffcourse.presets import COMPARED
from diffcourse.training.loop import batch_indices

LATENT, WIDTH = 100, 48


def reference() -> tuple[nn.Module, nn.Module]:
    """Generator, latents [B, 100, 1, 1] to images [B, 1, 8, 8], and discriminator, images to logits [B, 1, 1, 1]."""
    generator = nn.Sequential(
        nn.ConvTranspose2d(LATENT, 2 * WIDTH, 2, bias=False),
        nn.BatchNorm2d(2 * WIDTH),
        nn.ReLU(),
        nn.ConvTranspose2d(2 * WIDTH, WIDTH, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(WIDTH),
        nn.ReLU(),
        nn.ConvTranspose2d(WIDTH, 1, 4, stride=2, padding=1, bias=False),
        nn.Tanh(),
    )
    discriminator = nn.Sequential(
        nn.Conv2d(1, WIDTH, 4, stride=2, padding=1, bias=False),
        nn.LeakyReLU(0.2),
        nn.Conv2d(WIDTH, 2 * WIDTH, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(2 * WIDTH),
        nn.LeakyReLU(0.2),
        nn.Conv2d(2 * WIDTH, 1, 2, bias=False),
    )
    for network in (generator, discriminator):
        for layer in network:
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(layer.weight, 0.0, 0.02)
            elif isinstance(layer, nn.BatchNorm2d):
                nn.init.normal_(layer.weight, 1.0, 0.02)
    return generator, discriminator


def train_reference(images: Tensor, steps: int, batch: int, rate: float, seed: int) -> dict[str, nn.Module]:
    """The generator after so many steps, as it is and averaged."""
    torch.manual_seed(seed)
    generator, discriminator = reference()
    average = copy.deepcopy(generator).requires_grad_(False)
    step_g = torch.optim.Adam(generator.parameters(), lr=rate, betas=(0.5, 0.999))
    step_d = torch.optim.Adam(discriminator.parameters(), lr=rate, betas=(0.5, 0.999))
    ones, zeros = torch.ones(batch, 1, 1, 1), torch.zeros(batch, 1, 1, 1)
    for step in range(steps):
        real = scale(images[batch_indices(len(images), batch, step, seed)])
        fake = generator(torch.randn(batch, LATENT, 1, 1))
        discriminator.zero_grad()
        F.binary_cross_entropy_with_logits(discriminator(real), ones).backward()
        F.binary_cross_entropy_with_logits(discriminator(fake.detach()), zeros).backward()
        step_d.step()
        generator.zero_grad()
        F.binary_cross_entropy_with_logits(discriminator(fake), ones).backward()
        step_g.step()
        with torch.no_grad():
            decay = min(0.995, (1 + step) / (10 + step))
            torch._foreach_lerp_(list(average.parameters()), list(generator.parameters()), 1 - decay)
            for kept, buffer in zip(average.buffers(), generator.buffers(), strict=True):
                kept.copy_(buffer)
    return {"as it is": generator.eval(), "averaged": average.eval()}


@torch.no_grad()
def reference_sample(network: nn.Module, n: int, *, generator: torch.Generator) -> Tensor:
    """Images [n, 1, 8, 8] of the reference's generator."""
    return network(torch.randn(n, LATENT, 1, 1, generator=generator))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rates", type=float, nargs="+", default=[2e-4, 1e-3], help="learning rates of the reference")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--n", type=int, default=450, help="samples for each distance")
    parser.add_argument("--sets", type=int, default=4, help="such sets, whose distances are averaged")
    options = parser.parse_args()

    digits, held_out = data.load("digits"), data.load("digits", "test")
    extractor = features.load("digits")
    real, others = features.extract(extractor, digits.images), features.extract(extractor, held_out.images)
    config, training = COMPARED["gan"]["digits"]
    sizes = {
        "ours": weights(GAN(config)),
        "reference": sum(map(weights, reference())),
    }
    runs: dict[str, list[dict]] = {}
    floor = None

    def judge(name: str, seed: int, draw: Callable[..., Tensor], seconds: float) -> None:
        nonlocal floor
        generator = torch.Generator().manual_seed(seed)
        sets = [features.extract(extractor, draw(generator=generator)) for _ in range(options.sets)]
        reports = [frechet(drawn, real, others, features="digits", seed=seed) for drawn in sets]
        shares = [precision_recall(drawn, real) for drawn in sets]
        floor = reports[0].floor
        row = {
            "frechet": fmean(report.distance for report in reports),
            "precision": fmean(share.precision for share in shares),
            "recall": fmean(share.recall for share in shares),
            "seconds": seconds,
        }
        runs.setdefault(name, []).append({"seed": seed, **{key: round(value, 3) for key, value in row.items()}})
        print(f"{name}: {runs[name][-1]}", flush=True)

    def ours(name: str, seed: int, steps: int) -> None:
        torch.manual_seed(seed)
        setting = replace(training, steps=steps, minutes=None, batch=options.batch, seed=seed)
        model, seconds = timed_training(GAN(config), digits, setting)
        judge(name, seed, partial(model.sample, options.n), seconds)

    def mean(name: str, what: str = "frechet") -> float:
        return fmean(row[what] for row in runs[name])

    for seed in range(options.seeds):
        ours("ours, as many steps", seed, options.steps)
        for rate in options.rates:
            started = time.process_time()
            generators = train_reference(digits.images, options.steps, options.batch, rate, seed)
            seconds = time.process_time() - started
            for name, network in generators.items():
                judge(f"reference, learning rate {rate:g}, {name}", seed, partial(reference_sample, network, options.n), seconds)
    best = min((name for name in runs if name.startswith("reference")), key=mean)
    longer = round(options.steps * mean(best, "seconds") / mean("ours, as many steps", "seconds"))
    for seed in range(options.seeds):
        ours("ours, as many seconds", seed, longer)

    ratios = {name: round(mean(name) / mean(best), 3) for name in runs if name.startswith("ours")}
    result = {
        "command": " ".join(["python benchmarks/reference_gan.py", *sys.argv[1:]]),
        "weights": sizes,
        "steps": options.steps,
        "steps in as many seconds": longer,
        "batch": options.batch,
        "samples": options.n,
        "sets of samples": options.sets,
        "floor": round(floor, 3),
        "runs": runs,
        "best reference": best,
        "ratio of mean distances to the best reference": ratios,
    }
    write(__file__, result, {})  # the reference is written above, so it has no version
    print(f"{best} {mean(best):.3f}; ratios {ratios}; floor {floor:.3f}; weights {sizes}")


if __name__ == "__main__":
    main()
