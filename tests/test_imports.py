"""Imports run one way, as CONTRIBUTING.md says: each part of the package sees only what stands below it.

The modules are parsed, not run, so that imports inside functions and those for type checking count as well.
"""

import ast
import sys
from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ALL = "*"  # any package that is not ours

ALLOWED: dict[str, set[str]] = {
    "diffcourse": set(),  # __init__.py: the version
    "errors": set(),
    "config": {"errors"},
    "data": {"errors", ALL},
    "algebra": {"sympy"},
    "diffusion": {"torch", "errors"},
    "nets": {"torch", "errors"},
    "families": {"torch", "errors", "config", "diffusion", "nets"},
    "training": {ALL, "errors", "config", "data", "families.base", "diffcourse"},
    "evaluation": {ALL, "errors", "data", "families.base"},
    # On top: they may see all that stands above this line, and never cli.
    "show": {ALL, "errors", "data", "diffusion", "families"},
    "practice": {ALL, "errors", "algebra", "diffusion", "nets", "families", "evaluation"},
    "weights": {ALL, "errors", "diffusion", "families", "training"},
    "presets": {"errors", "config"},
    "bench": {ALL, "errors", "config", "data", "diffusion", "families", "training"},
    "comparison": {ALL, "errors", "config", "data", "families", "training", "evaluation", "presets"},
    "measured": {"torch", "safetensors", "errors"},
    "cli": {
        ALL, "diffcourse", "errors", "config", "data", "families", "training", "evaluation", "show", "weights", "presets", "bench",
        "comparison",
    },
}
"""What each part may import besides itself and the standard library. "families.base" allows that one module alone."""


def modules() -> dict[str, str]:
    """Source of each module by its dotted name; a package goes by its own name."""
    found = {}
    for path in sorted((ROOT / "diffcourse").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text(encoding="utf-8")
    return found


def part_of(module: str) -> str:
    """diffcourse.nets.unet -> nets; diffcourse -> diffcourse."""
    return (module.split(".") + [module])[1]


def imports(source: str, known: Iterable[str]) -> list[str]:
    """Dotted names of everything imported anywhere in the source; `known` tells our modules from names inside them."""
    known, found = set(known), []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used here: write the module's full name"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.append(whole if whole in known else node.module)
    return found


def violations(module: str, source: str, known: Iterable[str]) -> list[str]:
    """The imports that the module's part is not allowed."""
    own = part_of(module)
    allowed = ALLOWED[own]

    def fine(name: str) -> bool:
        top, _, inner = name.partition(".")
        if top == "diffcourse":
            part = part_of(name)
            # What is allowed as a whole, or as the one module that is named.
            return part == own or part in allowed or inner in allowed
        return top in sys.stdlib_module_names or top in allowed or ALL in allowed

    return [name for name in imports(source, known) if not fine(name)]


MODULES = modules()


def test_every_part_has_its_rule() -> None:
    assert {part_of(module) for module in MODULES} == set(ALLOWED)


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_one_way(module: str) -> None:
    assert violations(module, MODULES[module], MODULES) == []


def graph(sources: dict[str, str]) -> dict[str, set[str]]:
    """The modules of ours that each of our modules imports."""
    return {module: set(imports(source, sources)) & set(sources) for module, source in sources.items()}


def test_there_is_no_circle() -> None:
    order = list(TopologicalSorter(graph(MODULES)).static_order())
    assert len(order) == len(MODULES)


def test_there_is_no_circle_among_the_parts() -> None:
    parts: dict[str, set[str]] = {}
    for module, targets in graph(MODULES).items():
        own = part_of(module)
        parts.setdefault(own, set()).update({part_of(target) for target in targets} - {own})
    assert len(list(TopologicalSorter(parts).static_order())) == len(ALLOWED)


def test_nothing_imports_the_command_line() -> None:
    theirs = {module: targets for module, targets in graph(MODULES).items() if part_of(module) != "cli"}
    assert [module for module, targets in theirs.items() if any(part_of(target) == "cli" for target in targets)] == []


# The checker itself


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("diffcourse.errors", "import torch"),
        ("diffcourse.algebra.new", "import torch"),
        ("diffcourse.algebra.new", "from diffcourse.diffusion import process"),
        ("diffcourse.diffusion.new", "from diffcourse.nets.unet import UNet"),
        ("diffcourse.diffusion.new", "import numpy as np"),
        ("diffcourse.nets.new", "from diffcourse import diffusion"),
        ("diffcourse.nets.new", "import diffcourse.diffusion.schedule"),
        ("diffcourse.nets.new", "import diffcourse"),
        ("diffcourse.families.new", "from diffcourse.data import load"),
        ("diffcourse.training.new", "from diffcourse.families.ddpm import DDPM"),
        ("diffcourse.training.new", "from diffcourse.families import DDPM"),
        ("diffcourse.training.new", "from diffcourse.families import ddpm"),
        ("diffcourse.evaluation.new", "def f():\n    from diffcourse.families import DDPM"),
        ("diffcourse.evaluation.new", "if TYPE_CHECKING:\n    from diffcourse.training import loop"),
        ("diffcourse.weights.new", "class A:\n    def f(self):\n        import diffcourse.cli"),
    ],
)
def test_a_violation_is_found(module: str, source: str) -> None:
    assert len(violations(module, source, MODULES)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("diffcourse.nets.new", "import math\nimport torch.nn.functional as F\nfrom diffcourse.nets import unet"),
        ("diffcourse.training.new", "from diffcourse.families.base import GenerativeModel\nimport tqdm"),
        ("diffcourse.training.new", "from diffcourse.families import base"),
        ("diffcourse.families.new", "from diffcourse.diffusion import process, sample\nfrom torch import nn"),
        ("diffcourse.diffusion.new", '"""import numpy"""'),
    ],
)
def test_what_is_allowed_is_let_through(module: str, source: str) -> None:
    assert violations(module, source, MODULES) == []


def test_a_circle_is_found() -> None:
    with pytest.raises(CycleError):
        TopologicalSorter(graph({"a": "from b import x", "b": "def f():\n    import a"})).prepare()


def test_relative_imports_are_refused() -> None:
    with pytest.raises(AssertionError, match="full name"):
        imports("from .unet import UNet", MODULES)
