"""A claim: a displayed formula together with its proof and with near misses that the proof must reject."""

import textwrap
from collections.abc import Callable
from dataclasses import dataclass

from diffcourse.algebra.latex import Relation, read

Statement = tuple[Relation, ...]
Proof = Callable[[Statement], None]
LINE = 88  # letters that fit a line of output on the page


class Refuted(Exception):
    """The formula is wrong; the message says where the two sides part."""


class ClaimError(Exception):
    """A claim does not hold what it promises: its proof fails, or a near miss passes it."""


@dataclass(frozen=True)
class NearMiss:
    """A formula that looks right and is wrong."""

    latex: str
    mistake: str


@dataclass(frozen=True)
class Claim:
    """A formula of the book, proved.

    Args:
        label: of the equation in the chapter, `eq-...`.
        latex: exactly as the chapter displays it. The only place where the formula is written in the package.
        because: the proof's idea in a few words.
        proof: gets what was read from the LaTeX and raises `Refuted` when it is wrong.
        near_misses: at least two.
        implemented_by: the torch function that computes it, as a dotted path; its docstring names the label.
    """

    label: str
    latex: str
    because: str
    proof: Proof
    near_misses: tuple[NearMiss, ...]
    implemented_by: str | None = None

    def statement(self) -> Statement:
        """What the LaTeX says."""
        return read(self.latex)

    def verify(self) -> None:
        """Prove the formula and reject every near miss.

        Raises:
            UnreadableError: if some LaTeX is not understood completely.
            ClaimError: if the proof fails or a near miss passes.
        """
        try:
            self.proof(read(self.latex))
        except Refuted as refuted:
            raise ClaimError(f"{self.label}: not proved: {refuted}") from refuted
        for miss in self.near_misses:
            statement = read(miss.latex)
            try:
                self.proof(statement)
            except Refuted:
                continue
            raise ClaimError(f"{self.label}: the near miss {miss.latex!r} ({miss.mistake}) passes the proof")

    def report(self) -> str:
        """What `verify` has found, in a few lines."""
        lines = [f"✓ {self.label}: {self.because}"]
        lines += [f"  ✗ rejected: {miss.mistake}" for miss in self.near_misses]
        if self.implemented_by:
            lines.append(f"  code: {self.implemented_by}")
        return "\n".join(wrapped(line) for line in lines)


def wrapped(line: str) -> str:
    """A long line in several that fit a page, indented under the first."""
    return textwrap.fill(line, LINE, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
