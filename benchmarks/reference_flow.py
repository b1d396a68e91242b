"""Is the course's flow as good as a library's? Train both on the digits: python benchmarks/reference_flow.py

The other is the Glow of normflows (Stimper et al., 2023), put together as its own example does,
but without classes and with the same logit in front: pip install --no-deps normflows==1.7.3

Both have as many weights, see the same batches with the same noise for as many steps of the same optimiser, and are judged by
the same bits per dimension of held-out digits. The learning rate is ours to choose for ours; for the other the better of several
counts, so that it is not handicapped by a rate that suits ours. Writes benchmarks/reference_flow.json.
"""

import argparse
import json
import tempfile
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor

from diffcourse import data
from diffcourse.config import FlowConfig
from diffcourse.families.base import GenerativeModel
from diffcourse.families.flow import Flow
from diffcourse.presets import COMPARED
from diffcourse.training import checkpoint, train
from diffcourse.training.loop import hardware, versions


class Normflows(Flow):
    """normflows' Glow behind the course's interface: it shares dequantisation and bits with ours, and no layer."""

    def __init__(self, config: FlowConfig) -> None:
        import normflows as nf

        GenerativeModel.__init__(self, config)
        c, h, w = self.image_shape
        levels = config.scales
        flows, merges, bases = [], [], []
        for i in range(levels):  # from the noise to the image
            blocks = [nf.flows.GlowBlock(c * 2 ** (levels + 1 - i), config.hidden) for _ in range(config.couplings)]
            flows.append([*blocks, nf.flows.Squeeze()])
            merges += [nf.flows.Merge()] if i else []
            side = levels - i if i else levels
            bases.append(nf.distributions.GlowBase((c * 2 ** (levels - i + (i == 0)), h // 2**side, w // 2**side)))
        transform = nf.transforms.Logit(config.margin)
        self.model = nf.MultiscaleFlow(bases, flows, merges, transform=transform, class_cond=False)

    @torch.no_grad()
    def prepare(self, images: Tensor) -> None:
        """Its actnorms start from the first batch by themselves."""
        self.log_density(self._dequantise(images, torch.Generator(images.device).manual_seed(0)))

    def log_density(self, u: Tensor) -> Tensor:
        return -self.model(u)


DRAWS = 16  # of the noise that dequantises


def weights(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=500, help="(default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=2, help="(default: %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)

    config, training = COMPARED["flow"]["digits"]
    training = replace(training, steps=options.steps, minutes=None)
    ours = weights(Flow(config))
    hidden = min(range(16, 257), key=lambda n: abs(weights(Normflows(replace(config, hidden=n, dropout=0.0))) - ours))
    theirs = replace(config, hidden=hidden, dropout=0.0)
    images, held_out = data.load("digits"), data.load("digits", "test").images
    runs = []
    for seed in range(options.seeds):
        for name, kind, settings, rates in (
            ("diffcourse", Flow, config, [training.learning_rate]),
            ("normflows", Normflows, theirs, sorted({1e-3, training.learning_rate})),
        ):
            for rate in rates:
                torch.manual_seed(seed)
                model, started = kind(settings), time.process_time()
                with tempfile.TemporaryDirectory() as folder:
                    chosen = replace(training, learning_rate=rate, seed=seed)
                    model = train(model, images, chosen, Path(folder) / "run", progress=False).model
                seconds = time.process_time() - started
                bits = model.bits_per_dim(held_out, generator=torch.Generator().manual_seed(0), draws=DRAWS)
                run = {
                    "name": name,
                    "seed": seed,
                    "learning_rate": rate,
                    "weights": weights(model),
                    "cpu_seconds": round(seconds, 1),
                    "bits_per_dim": round(bits.mean().item(), 4),
                    "standard_error": round(bits.std().item() / len(bits) ** 0.5, 4),
                }
                runs.append(run)
                print(json.dumps(run), flush=True)

    def mean_bits(name: str, rate: float) -> float:
        found = [run["bits_per_dim"] for run in runs if (run["name"], run["learning_rate"]) == (name, rate)]
        return sum(found) / len(found)

    best = {
        name: min(mean_bits(name, rate) for rate in {run["learning_rate"] for run in runs if run["name"] == name})
        for name in ("diffcourse", "normflows")
    }
    result = {
        "command": f"python benchmarks/reference_flow.py --steps {options.steps} --seeds {options.seeds}",
        "ratio": round(best["diffcourse"] / best["normflows"], 4),
        "mean_bits_per_dim": {name: round(value, 4) for name, value in best.items()},
        "runs": runs,
        "hardware": hardware(torch.device("cpu")),
        "versions": {**versions(), "normflows": version("normflows")},
    }
    checkpoint.write_file(Path(__file__).with_suffix(".json"), (json.dumps(result, indent=2) + "\n").encode())
    print(f"held-out bits per dimension, ours over theirs: {result['ratio']}")


if __name__ == "__main__":
    main()
