"""Put a finished comparison into the package: its numbers, and the models of its first seed with a card each.

    diffcourse compare --data digits --out runs/compared
    python tools/export_comparison.py runs/compared

Writes DATA-compare.json among the measured results and DATA-FAMILY.safetensors, with its card, among the weights.
"""

import argparse
import json
from pathlib import Path

from diffcourse import measured, weights
from diffcourse.errors import InputError
from diffcourse.training import checkpoint


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="the folder of the comparison")
    options = parser.parse_args()
    path = options.out / "comparison.json"
    if not path.exists():
        parser.error(f"{str(path)!r} is missing: finish the comparison with diffcourse compare first")
    found = json.loads(path.read_text())
    settings = found["settings"]
    data, seed = settings["data"], settings["seeds"][0]
    command = f"diffcourse compare --data {data} --equal {settings['equal']} --budget {settings['budget']:g}"
    try:
        checkpoint.write_file(
            measured.FOLDER / f"{data}-compare.json", (json.dumps({"command": command, **found}, indent=1) + "\n").encode()
        )
        for run in found["runs"]:
            if run["seed"] == seed:
                metrics = {"samples": run["samples"], "bits": run["bits"], "bits_error": run["bits_error"]}
                weights.export(options.out / f"{run['family']}-{seed}", f"{data}-{run['family']}", metrics)
    except InputError as error:
        parser.error(str(error))
    print(f"wrote {data}-compare.json and the weights {', '.join(f'{data}-{family}' for family in settings['families'])}")


if __name__ == "__main__":
    main()
