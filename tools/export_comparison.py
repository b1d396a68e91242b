"""Put a finished comparison into the package: its numbers, and the models of its first seed with a card each.

    diffcourse compare --data digits --out runs/compared
    python tools/export_comparison.py runs/compared

Writes DATA-compare.json among the measured results, and DATA-FAMILY.safetensors with its card among the weights. Of models that are
too large to come along, `--draws 10` writes ten images each instead, beside real ones: DATA-compare.safetensors among the results.
"""

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from diffcourse import evaluation, measured, weights
from diffcourse.comparison.run import WAYS, run_folder
from diffcourse.data import load
from diffcourse.errors import InputError
from diffcourse.training import checkpoint


def draws(run: Path, n: int, seed: int = 1) -> Tensor:
    """n images of a run's model, uint8 [n, C, H, W]; where there are two ways to draw, the fast one."""
    model = weights.load(run)
    *_, options = WAYS.get(model.family, {model.family: {}}).values()
    return evaluation.draw(model, n, torch.Generator().manual_seed(seed), **options)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="the folder of the comparison")
    parser.add_argument("--draws", type=int, default=0, metavar="N", help="write no weights but N images of each family")
    parser.add_argument("--root", default="data", help="where the data set lies, for --draws (default: %(default)s)")
    options = parser.parse_args()
    path = options.out / "comparison.json"
    if not path.exists():
        parser.error(f"{str(path)!r} is missing: finish the comparison with diffcourse compare first")
    found = json.loads(path.read_text())
    settings = found["settings"]
    data, seed = settings["data"], settings["seeds"][0]
    command = (
        f"diffcourse compare --data {data} --seeds {','.join(map(str, settings['seeds']))} --equal {settings['equal']} "
        f"--budget {settings['budget']:g} --n {settings['n']} --n-bits {settings['n_bits']}"
    )
    try:
        checkpoint.write_file(
            measured.FOLDER / f"{data}-compare.json", (json.dumps({"command": command, **found}, indent=1) + "\n").encode()
        )
        first = {run["family"]: run for run in found["runs"] if run["seed"] == seed}
        if options.draws:
            real = load(data, "test", root=options.root).images[: options.draws]
            images = {"real": real} | {family: draws(run_folder(options.out, family, seed), options.draws) for family in first}
            checkpoint.write_file(measured.FOLDER / f"{data}-compare.safetensors", save(images))
        else:
            for family, run in first.items():
                metrics = {"samples": run["samples"], "bits": run["bits"], "bits_error": run["bits_error"]}
                weights.export(run_folder(options.out, family, seed), f"{data}-{family}", metrics)
    except InputError as error:
        parser.error(str(error))
    print(f"wrote {data}-compare.json and {'draws' if options.draws else 'weights'} of {', '.join(first)}")


if __name__ == "__main__":
    main()
