#!/usr/bin/env python3
"""Check everything about claims that their proofs do not check, and measure how long each proof takes.

    python tools/proofs.py                  prove every claim; write benchmarks/proofs.json, where the page of all claims
                                            finds the times (make proofs)

Run it again when claims have come or gone: a test compares the file's labels with the claims.
"""

from __future__ import annotations

import json
import os
import platform
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import sympy
from sympy.core.cache import clear_cache
from tqdm import tqdm

from diffcourse.algebra import CHAPTERS, Claim, ClaimError, UnreadableError
from diffcourse.algebra.latex import read

ROOT = Path(__file__).resolve().parents[1]
REPORT = ROOT / "benchmarks" / "proofs.json"
LIMIT = 20.0  # seconds that a proof and the rejection of its near misses may take together


# What the chapters display


def without_code(source: str) -> str:
    return re.sub(r"^(`{3,}).*?^\1\s*$", "", source, flags=re.DOTALL | re.MULTILINE)


def normal(latex: str) -> str:
    return " ".join(latex.split())


def displayed(source: str) -> list[tuple[str | None, str]]:
    """(label, LaTeX) of each displayed formula of a chapter; the label is None where there is none."""
    found = re.findall(r"\$\$(.*?)\$\$[ \t]*(?:\(([\w:-]+)\))?", without_code(source), flags=re.DOTALL)
    return [(label or None, normal(latex)) for latex, label in found]


def claim_problems(claims: Iterable[Claim], pages: Mapping[str, str]) -> list[str]:
    """One line for each claim that does not fit the chapters, or cannot be read; a page's name is mapped to its source."""
    claims = list(claims)
    by_label = {claim.label: claim for claim in claims}
    places: dict[str, list[str]] = {}
    found = [f"{label}: claimed {n} times" for label, n in Counter(c.label for c in claims).items() if n > 1]
    for page, source in pages.items():
        for label, latex in displayed(source):
            if label is None:
                found.append(f"{page}: a displayed formula without a label: {latex}")
                continue
            places.setdefault(label, []).append(page)
            if label not in by_label:
                found.append(f"{page}: {label} has no claim")
            elif latex != normal(by_label[label].latex):
                found.append(f"{page}: {label} is not what the claim says")
    for label, where in places.items():
        if len(where) > 1:
            found.append(f"{label}: displayed {len(where)} times, in {' and '.join(where)}")
    for claim in claims:
        if claim.label not in places:
            found.append(f"{claim.label}: claimed, but no chapter displays it")
        for what, latex in [("the formula", claim.latex)] + [("the near miss", miss.latex) for miss in claim.near_misses]:
            try:
                read(latex)
            except UnreadableError as problem:
                found.append(f"{claim.label}: {what} {normal(latex)!r} cannot be read completely: {problem}")
    return found


# Proofs that end


class _Expired(BaseException):
    """No Exception, so that nothing in a proof takes it for a failure of its own."""


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def ring(*_: object) -> None:
        raise _Expired

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1)  # once more every second: a callback may swallow an exception
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def prove(claim: Claim, limit: float = LIMIT) -> float:
    """Prove a claim and reject its near misses; return the seconds it took.

    Raises:
        ClaimError: naming the claim, if its LaTeX cannot be read, its proof fails, a near miss passes, or it takes too long.
    """
    clear_cache()  # what an earlier proof worked out would make this one look fast
    start = time.perf_counter()
    try:
        with _alarm(limit):
            claim.verify()
    except UnreadableError as problem:
        raise ClaimError(f"{claim.label}: not read completely: {problem}") from problem
    except _Expired:
        raise ClaimError(f"{claim.label}: no end after {limit:g} s of proving") from None
    return time.perf_counter() - start


# The measurement


def main() -> int:
    claims = [claim for module in CHAPTERS.values() for claim in module.CLAIMS]
    seconds, problems = {}, []
    for claim in tqdm(claims, unit="proof", disable=None):
        try:
            seconds[claim.label] = round(prove(claim), 3)
        except ClaimError as problem:
            problems.append(str(problem))
    if problems:
        print("\n".join(problems), file=sys.stderr)
        return 1
    machine = {"processor": processor(), "cores": os.cpu_count(), "python": platform.python_version(), "sympy": sympy.__version__}
    report = {"command": "make proofs", **machine, "seconds": seconds}
    REPORT.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(f"{len(claims)} claims in {sum(seconds.values()):.1f} s")
    return 0


def processor() -> str:
    try:
        return re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())[1].strip()
    except (OSError, TypeError):
        return platform.processor() or platform.machine()


if __name__ == "__main__":
    sys.exit(main())
