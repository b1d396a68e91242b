#!/usr/bin/env python3
"""Break every proved formula in many small ways and see whether somebody notices.

    python tools/mutate.py                       all chapters; writes benchmarks/mutations.md
    python tools/mutate.py --only 07             one chapter; prints, writes nothing

Three kinds of mutants, each broken alone while the rest stays right:

- in the chapter: the displayed LaTeX is changed. It must differ from the claim's, or the test that compares them is blind.
- in the claim: the claim's LaTeX is changed. The reader must refuse it or the proof reject it.
- in the code: one operator, number, root or sign of the torch function is changed. Some tie must notice.

A mutant that says the same in other words (1 + 1 for 2) is no mistake and does not count. Exit code 1 if any other survives.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import inspect
import re
import signal
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType

import pytest
import sympy as sp
import torch
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from diffcourse.algebra import CHAPTERS, Claim, UnreadableError  # noqa: E402
from diffcourse.algebra.claim import Refuted  # noqa: E402
from diffcourse.algebra.latex import read  # noqa: E402
from diffcourse.algebra.proving import require_equal  # noqa: E402

REPORT = ROOT / "benchmarks" / "mutations.md"
PATIENCE = 20.0
"""Seconds: as long as a proof may take."""


# Mutants of a formula

SWAPS = [
    (r"(?<![\^{_])\+", "-", "+ to -"),
    (r"(?<=[^{(=&\s])\s*-\s*(?=\S)", "+", "- to +"),
    (r"\\bar\\alpha", r"\\alpha", "bar dropped"),
    (r"(?<!\\bar)\\alpha", r"\\bar\\alpha", "bar added"),
    (r"\\alpha(?=_)", r"\\beta", "alpha to beta"),
    (r"_t\b", "_{t-1}", "t to t-1"),
    (r"_\{t-1\}", "_t", "t-1 to t"),
    (r"_0\b", "_1", "index 0 to 1"),
    (r"_T\b", "_t", "T to t"),
    (r"_s\b", "_t", "s to t"),
    (r"\^2", "", "square dropped"),
    (r"\^\{?t(/2)?\}?", "", "power dropped"),
    (r"\\prod", r"\\sum", "product to sum"),
    (r"\\sum", r"\\prod", "sum to product"),
    (r"\\le\b", r"\\ge", "inequality turned"),
    (r"\\cos", r"\\sin", "cos to sin"),
    (r"\\exp", r"\\log", "exp to log"),
    (r"(?<![\w.\\{])1(?![\w.])", "2", "1 to 2"),
    (r"(?<=[{=])1(?![\w.])", "2", "1 to 2"),
]


def broken_formulas(latex: str) -> Iterator[tuple[str, str]]:
    """(what was done, the LaTeX afterwards), one small change each."""
    for pattern, replacement, name in SWAPS:
        for match in re.finditer(pattern, latex):
            yield name, latex[: match.start()] + match.expand(replacement) + latex[match.end() :]
    for match in re.finditer(r"\\sqrt\{", latex):
        end = _closing(latex, match.end() - 1)
        yield "root dropped", f"{latex[: match.start()]}({latex[match.end() : end]}){latex[end + 1 :]}"
    for match in re.finditer(r"\\frac\{", latex):
        middle = _closing(latex, match.end() - 1)
        end = _closing(latex, middle + 1)
        above, below = latex[match.end() : middle], latex[middle + 2 : end]
        yield "fraction turned", rf"{latex[: match.start()]}\frac{{{below}}}{{{above}}}{latex[end + 1 :]}"


def _closing(latex: str, opening: int) -> int:
    depth = 0
    for i in range(opening, len(latex)):
        depth += {"{": 1, "}": -1}.get(latex[i], 0)
        if depth == 0:
            return i
    raise ValueError(f"no closing brace: {latex}")


def same_meaning(one: str, other: str) -> bool:
    """Whether both are read and say the same, term for term."""
    try:
        first, second = read(one), read(other)
    except UnreadableError:
        return False
    if [(r.ops, len(r.terms)) for r in first] != [(r.ops, len(r.terms)) for r in second]:
        return False
    try:
        with at_most(PATIENCE):
            for a, b in ((a, b) for r, q in zip(first, second) for a, b in zip(r.terms, q.terms)):
                if a != b:
                    require_equal(a, b)
    except (Refuted, TypeError, AttributeError, TimeoutError):
        return False
    return True


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise TimeoutError if what happens within takes longer: SymPy may think about nonsense for ever."""

    def stop(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def notices_claim(claim: Claim, latex: str) -> bool:
    try:
        with at_most(PATIENCE):  # the tests do not wait for a proof for ever either
            claim.proof(read(latex))
    except (UnreadableError, Refuted):
        return True
    except Exception:  # a proof that stumbles over nonsense fails the tests as well
        return True
    return False


# Mutants of a function


class Breaker(ast.NodeTransformer):
    """Changes the n-th thing in a function that can be changed, and remembers what it was."""

    def __init__(self, n: int) -> None:
        self.n, self.count, self.done = n, 0, ""

    def hit(self, what: str, node: ast.AST) -> bool:
        self.count += 1
        if self.count - 1 != self.n:
            return False
        self.done = f"{what} in `{ast.unparse(node)}`"
        return True

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        for old, new, name in (
            (ast.Add, ast.Sub, "+ to -"), (ast.Sub, ast.Add, "- to +"), (ast.Mult, ast.Div, "* to /"), (ast.Div, ast.Mult, "/ to *"),
        ):
            if isinstance(node.op, old) and self.hit(name, node):
                return ast.BinOp(node.left, new(), node.right)
        if isinstance(node.op, ast.Pow) and self.hit("power dropped", node):
            return node.left
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("sqrt", "square") and self.hit("root or square dropped", node):
            return node.func.value
        if isinstance(node.func, ast.Attribute) and node.func.attr == "cumprod" and self.hit("product to sum", node):
            return ast.Call(ast.Attribute(node.func.value, "cumsum", ast.Load()), node.args, node.keywords)
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, (int, float)) and not isinstance(node.value, bool) and self.hit("number + 1", node):
            return ast.Constant(node.value + 1)
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        if isinstance(node.op, ast.USub) and self.hit("minus dropped", node):
            return node.operand
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        return node if isinstance(node.value, ast.Constant) else self.generic_visit(node)  # docstrings stay

    def visit_arguments(self, node: ast.arguments) -> ast.AST:
        return node  # defaults are choices, not formulas

    def visit_If(self, node: ast.If) -> ast.AST:
        return node if isinstance(node.body[0], ast.Raise) else self.generic_visit(node)  # guards are no formulas


def broken_functions(function: FunctionType) -> Iterator[tuple[str, FunctionType]]:
    """(what was done, the function afterwards), one small change each."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    tree.body[0].decorator_list = []
    n = 0
    while True:
        breaker = Breaker(n)
        broken = ast.fix_missing_locations(breaker.visit(copy.deepcopy(tree)))
        if not breaker.done:
            return
        namespace = dict(function.__globals__)
        exec(compile(broken, f"<{function.__qualname__}, {breaker.done}>", "exec"), namespace)
        yield breaker.done, namespace[function.__name__]
        n += 1


def ties_notice(ties: list) -> bool:
    try:
        for tie in ties:
            for formula, value in tie():
                if value.dtype != torch.float64 or value.item() != pytest.approx(formula, rel=1e-12, abs=1e-13):
                    return True
    except Exception:
        return True
    return False


def locate(path: str) -> FunctionType:
    parts = path.split(".")  # diffcourse.diffusion.exact.GaussianMixture.log_prob
    thing = importlib.import_module(".".join(parts[:3]))
    for part in parts[3:]:
        thing = getattr(thing, part)
    return thing


# The run


@dataclass
class Tally:
    """What happened to the mutants of one chapter."""

    mutants: dict[str, int] = field(default_factory=lambda: {"chapter": 0, "claim": 0, "code": 0})
    equal: int = 0
    survivors: list[str] = field(default_factory=list)


def run(stem: str) -> Tally:
    module, tally = CHAPTERS[stem], Tally()
    chapter = (ROOT / "book" / f"{stem}.md").read_text(encoding="utf-8")
    shown = {label: " ".join(latex.split()) for latex, label in re.findall(r"\$\$(.*?)\$\$ \((eq-[\w-]+)\)", chapter, re.DOTALL)}
    for claim in tqdm(module.CLAIMS, desc=f"{stem}, formulas", leave=False):
        for what, latex in broken_formulas(" ".join(claim.latex.split())):
            if same_meaning(claim.latex, latex):
                tally.equal += 1
                continue
            tally.mutants["chapter"] += 1
            if latex == shown[claim.label]:
                tally.survivors.append(f"chapter, {claim.label}: {what}: `{latex}`")
            tally.mutants["claim"] += 1
            if not notices_claim(claim, latex):
                tally.survivors.append(f"claim, {claim.label}: {what}: `{latex}`")

    ties = importlib.import_module(f"ties.{module.__name__.rpartition('.')[2]}").TIES
    if ties_notice(list(ties.values())):
        raise SystemExit(f"mutate: a tie of {stem} fails before anything is broken: run make test first")
    functions: dict[str, list[str]] = {}
    for claim in module.CLAIMS:
        if claim.implemented_by:
            functions.setdefault(claim.implemented_by, []).append(claim.label)
    for path, labels in tqdm(functions.items(), desc=f"{stem}, code", leave=False):
        function = inspect.unwrap(locate(path))  # what a decorator such as no_grad has wrapped
        original = function.__code__
        # Its own ties first: they notice most.
        order = [ties[label] for label in labels] + [tie for label, tie in ties.items() if label not in labels]
        for what, broken in broken_functions(function):
            tally.mutants["code"] += 1
            function.__code__ = broken.__code__
            try:
                if not ties_notice(order):
                    tally.survivors.append(f"code, {path}: {what}")
            finally:
                function.__code__ = original
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="NN", help="only the chapter of this number")
    options = parser.parse_args()
    stems = [stem for stem in CHAPTERS if options.only is None or stem.startswith(options.only)]
    if not stems:
        print(f"mutate: no proved chapter {options.only!r}; there are {', '.join(CHAPTERS)}", file=sys.stderr)
        return 2
    started = time.monotonic()
    rows, survivors = [], []
    for stem in stems:
        tally = run(stem)
        survivors += tally.survivors
        rows.append(f"| {stem} | {' | '.join(str(n) for n in tally.mutants.values())} | {tally.equal} | {len(tally.survivors)} |")
        print(rows[-1], flush=True)
    for line in survivors:
        print("survived:", line)
    print(f"{len(survivors)} survivors, {time.monotonic() - started:.0f} s")
    if options.only is None:
        REPORT.write_text(
            "# Mutations\n\nWritten by `make mutate`. Each mutant breaks one formula in one place: in the chapter, in the claim, or in\n"
            "the torch function. `same` counts changes that leave the meaning as it was. A survivor was noticed by nobody.\n\n"
            "| chapter | in the chapter | in the claim | in the code | same | survivors |\n|---|---|---|---|---|---|\n"
            + "\n".join(rows)
            + "\n\n"
            + ("".join(f"- {line}\n" for line in survivors) or "No mutant survived.\n"),
            encoding="utf-8",
        )
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
