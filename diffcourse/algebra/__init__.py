"""The book's formulas as claims: each is read from its LaTeX, proved, and defended against near misses.

In a chapter, `verify("eq-sample")` under an equation runs its proof.
"""

from diffcourse.algebra import forward_process
from diffcourse.algebra.claim import Claim, ClaimError, NearMiss, Refuted
from diffcourse.algebra.latex import UnreadableError

CLAIMS: dict[str, Claim] = {claim.label: claim for claim in forward_process.CLAIMS}
"""Every claim of the book by its label."""

__all__ = ["CLAIMS", "Claim", "ClaimError", "NearMiss", "Refuted", "UnreadableError", "verify"]


def verify(*labels: str) -> None:
    """Prove the claims of these labels, reject their near misses, and print what was found.

    Raises:
        KeyError: if there is no such claim.
        ClaimError: if a proof fails or a near miss passes.
    """
    for label in labels:
        claim = CLAIMS[label]
        claim.verify()
        print(claim.report())
