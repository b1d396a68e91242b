"""Is the course's flow as good as a library's? Train both on the digits: python benchmarks/reference_flow.py

The other is the Glow of normflows (Stimper et al., 2023), put together as its own example does,
but without classes and with the same logit in front: pip install --no-deps normflows==1.7.3

Both have as many weights, see the same batches with the same noise for as many steps of the same optimiser, and are judged by
the same bits per dimension of held-out digits. The learning rate is ours to choose for ours; for the other the better of several
counts, so that it is not handicapped by a rate that suits ours. Writes benchmarks/reference_flow.json.
"""

import argparse
from dataclasses import replace
from importlib.metadata import version

import torch
from beside import best_mean_bits, row, timed_training, weights, write
from torch import Tensor

from diffcourse import data
from diffcourse.config import FlowConfig
from diffcourse.families.base import GenerativeModel
from diffcourse.families.flow import Flow
from diffcourse.presets import COMPARED


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
                chosen = replace(training, learning_rate=rate, seed=seed)
                torch.manual_seed(seed)
                model, seconds = timed_training(kind(settings), images, chosen)
                bits = model.bits_per_dim(held_out, generator=torch.Generator().manual_seed(0), draws=DRAWS)
                runs.append(row(name, model, chosen, seconds, bits))
    best = best_mean_bits(runs)
    result = {
        "command": f"python benchmarks/reference_flow.py --steps {options.steps} --seeds {options.seeds}",
        "ratio": round(best["diffcourse"] / best["normflows"], 4),
        "mean_bits_per_dim": {name: round(value, 4) for name, value in best.items()},
        "runs": runs,
    }
    write(__file__, result, {"normflows": version("normflows")})
    print(f"held-out bits per dimension, ours over theirs: {result['ratio']}")


if __name__ == "__main__":
    main()
