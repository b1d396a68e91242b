"""The book's formulas as claims: each is read from its LaTeX, proved, and defended against near misses.

In a chapter, `verify("eq-sample")` under an equation runs its proof.
"""

from types import ModuleType

from diffcourse.algebra import (
    autoregressive,
    elbo,
    errata,
    evaluation,
    flows,
    forward_process,
    gan,
    gaussians,
    landscape,
    reverse_process,
    sampling,
    simplified_loss,
    training,
    unet,
    vae,
)
from diffcourse.algebra.claim import Claim, ClaimError, NearMiss, Refuted
from diffcourse.algebra.latex import UnreadableError

CHAPTERS: dict[str, ModuleType] = {
    "01-landscape": landscape,
    "02-gaussians": gaussians,
    "03-autoregressive": autoregressive,
    "04-vae": vae,
    "05-gan": gan,
    "06-flows": flows,
    "07-forward-process": forward_process,
    "08-reverse-process": reverse_process,
    "09-elbo": elbo,
    "10-simplified-loss": simplified_loss,
    "11-unet": unet,
    "12-training": training,
    "13-sampling": sampling,
    "14-evaluation": evaluation,
    "20-errata": errata,
}
"""The module of each chapter whose formulas are proved."""

CLAIMS: dict[str, Claim] = {claim.label: claim for module in CHAPTERS.values() for claim in module.CLAIMS}
"""Every claim of the book by its label."""

__all__ = ["CLAIMS", "Claim", "ClaimError", "NearMiss", "Refuted", "UnreadableError", "reject", "verify"]


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


def reject(*labels: str) -> None:
    """Show the slips in circulation that the proofs of these claims stop, and where they stop them.

    Raises:
        KeyError: if there is no such claim.
        ClaimError: if a slip passes, or none is known.
    """
    for label in labels:
        print(errata.rejection(CLAIMS[label]))
