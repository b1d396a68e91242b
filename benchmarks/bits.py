"""Where a model spends its bits, and what the variance of its steps is worth: python benchmarks/bits.py mnist --root data

One pass over the steps serves all variances, so that they are compared on the same images, noises and predictions: beta-tilde,
beta and, for a model that has learned it, its own. Writes DATA-bits.json among the package's measured results, which chapter 14 reads.
"""

import argparse
import json

import torch
from torch import Tensor
from tqdm import tqdm

from diffcourse import data, measured, weights
from diffcourse.cli.options import choose_device
from diffcourse.diffusion import bound
from diffcourse.diffusion.process import q_sample, standard_normal_like
from diffcourse.errors import InputError
from diffcourse.families import DDPM
from diffcourse.families.base import scale
from diffcourse.families.ddpm import in_double
from diffcourse.training import checkpoint
from diffcourse.training.loop import hardware, versions


@torch.no_grad()
def terms(model: DDPM, images: Tensor, labels: Tensor | None, sigmas: list[str], generator: torch.Generator) -> dict[str, Tensor]:
    """For each variance A, C, B_2 .. B_T in bits per dimension, [B, T + 1], of uint8 images [B, C, H, W]."""
    schedule, x0, found = model.schedule, scale(images).double(), {sigma: [] for sigma in sigmas}
    predict = in_double(model.denoiser(labels), next(model.parameters()).dtype)
    for t in tqdm(range(1, schedule.T + 1), desc=f"{len(images)} images"):
        eps = standard_normal_like(x0, generator)
        said = predict(q_sample(schedule, x0, t, eps), torch.full((len(x0),), t, device=x0.device))
        for sigma in sigmas:
            if t == 1:
                term = bound.reconstruction_term(schedule, lambda *_: said, x0, eps, sigma, "grey levels", clip=True)
            else:
                term = bound.denoising_term(schedule, lambda *_: said, x0, t, eps, sigma, clip=True)
            found[sigma].append(term)
    prior = bound.prior_term(schedule, x0)
    return {sigma: bound.bits_per_dim(torch.stack([prior, *rows]), x0).T for sigma, rows in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="digits or mnist: a data set whose weights come along")
    parser.add_argument("--n", type=int, default=128, help="held-out images, chosen at random (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice and the noise (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--root", default="data", help="where the data set lies (default: %(default)s)")
    options = parser.parse_args()
    try:
        device = choose_device(options.device)
        model, held_out = weights.load(options.data, device), data.load(options.data, "test", options.root)
    except InputError as problem:
        parser.error(str(problem))
    if not 2 <= options.n <= len(held_out):
        parser.error(f"n = {options.n}: give 2 to {len(held_out)} images")
    chosen = torch.randperm(len(held_out), generator=torch.Generator().manual_seed(options.seed))[: options.n]
    sigmas = ["posterior", "beta", *["learned"] * model.config.learned_variance]
    generator = torch.Generator(device).manual_seed(options.seed)
    parts = []
    for batch in chosen.split(options.batch):
        labels = held_out.labels[batch].to(device) if model.classes else None
        parts.append(terms(model, held_out.images[batch].to(device), labels, sigmas, generator))
    result = {
        "command": f"python benchmarks/bits.py {options.data} --n {options.n} --seed {options.seed}",
        "weights": weights.card(options.data)["sha256"],
        "schedule": model.config.schedule,
        "given_the_class": bool(model.classes),
        "n": options.n,
        "seed": options.seed,
        "hardware": hardware(device),
        "versions": versions(),
        "bits_per_dim": {},
    }
    for sigma in sigmas:
        rows = torch.cat([part[sigma] for part in parts]).cpu()  # [n, T + 1]
        total, mean = rows.sum(1), rows.mean(0)
        result["bits_per_dim"][sigma] = {
            "total": round(total.mean().item(), 4),
            "standard_error": round(total.std().item() / len(total) ** 0.5, 4),
            "prior": float(f"{mean[0]:.4g}"),
            "reconstruction": round(mean[1].item(), 4),
            "denoising": [float(f"{term:.4g}") for term in mean[2:].tolist()],
        }
        print(f"{sigma:9s} {total.mean():.4f} +- {total.std() / len(total) ** 0.5:.4f} bits per dimension")
    path = measured.FOLDER / f"{options.data}-bits.json"
    checkpoint.write_file(path, (json.dumps(result) + "\n").encode())
    print(f"wrote {path.name}")


if __name__ == "__main__":
    main()
