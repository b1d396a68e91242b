"""Chapter 4's checks accept right answers in any form and name the mistake in wrong ones."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import sympy as sp
import torch
from torch import Tensor
from torch.nn import functional as F

from sheets import outcome

a, sigma, D = sp.symbols("a sigma D")  # without assumptions: names alone must do


def posterior(A: Tensor, m: Tensor, sigma: float, x: Tensor) -> tuple[Tensor, Tensor]:
    whole = A @ A.T + sigma**2 * torch.eye(len(A), dtype=A.dtype)
    gain = A.T @ torch.linalg.inv(whole)
    return (x - m) @ gain.T, torch.eye(A.shape[1], dtype=A.dtype) - gain @ A


def wrong_posterior(mean: Callable | None = None, covariance: Callable | None = None) -> Any:
    """A posterior with another mean or covariance, each a function of (A, m, sigma, x, inverse of A^T A + sigma^2)."""

    def answer(A: Tensor, m: Tensor, sigma: float, x: Tensor) -> tuple[Tensor, Tensor]:
        right = posterior(A, m, sigma, x)
        inverse = torch.linalg.inv(A.T @ A + sigma**2 * torch.eye(A.shape[1], dtype=A.dtype))
        return tuple(f(A, m, sigma, x, inverse) if f else part for f, part in zip((mean, covariance), right))

    return answer


def loss(width: float = 0.5, error: str = "half", batch: str = "mean") -> Any:
    def answer(x: Tensor, encode: Callable, decode: Callable, eps: Tensor) -> Tensor:
        mean, log_variance = encode(x).chunk(2, dim=1)
        back = decode(mean + torch.exp(width * log_variance) * eps)
        square = F.mse_loss(back, x, reduction="none")
        errors = {"half": square.sum() / len(x) / 2, "mean": square.mean(), "whole": square.sum(1).mean()}
        divergence = -(1 + log_variance - mean**2 - torch.exp(log_variance)) / 2
        return errors[error] + (divergence.sum() / len(x) if batch == "mean" else divergence.sum())

    return answer


RIGHT = [
    ("code-rate", sp.log((a**2 + sigma**2) / sigma**2) / 2),
    ("code-rate", sp.log(sp.sqrt(a**2 + sigma**2)) - sp.log(sigma)),
    ("learned-noise", sp.log(2 * sp.pi * sp.E * D) / 2),
    ("learned-noise", (1 + sp.log(D) + sp.log(2 * sp.pi)) / 2),
    ("exact-encoder", posterior),
    ("many-draws", lambda r: torch.log(torch.exp(r - r.amax(0)).mean(0)) + r.amax(0)),
    ("repair-loss", loss()),
    ("survivors", 2),
    ("survivors", sp.Integer(2)),
]


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_right_answers_in_other_forms(name: str, answer: Any) -> None:
    assert outcome(name, answer).startswith("✓")


WRONG = [
    ("code-rate", sp.log(1 + a**2 / sigma**2), "one half is missing"),
    ("code-rate", sp.log(1 + a / sigma) / 2, "enter squared"),
    ("code-rate", -sp.log(1 + a**2 / sigma**2) / 2, "never negative"),
    ("code-rate", (sigma**2 / (a**2 + sigma**2) - 1 + sp.log(1 + a**2 / sigma**2)) / 2, "image in the middle"),
    ("code-rate", sp.log(1 + sigma**2 / a**2) / 2, "exchanged"),
    ("code-rate", sp.log(a / sigma), "without the 1"),
    ("code-rate", a**2, "your answer is off by"),
    ("learned-noise", sp.log(2 * sp.pi) / 2 + D / 2, "σ = 1"),
    ("learned-noise", sp.log(2 * sp.pi * D) / 2, "half lost"),
    ("learned-noise", sp.log(2 * sp.pi * D**2) / 2 + 1 / (2 * D), "its root"),
    ("learned-noise", D, "best variance"),
    ("learned-noise", sp.sqrt(D), "best standard deviation"),
    ("learned-noise", -sp.log(2 * sp.pi * sp.E * D) / 2, "the sign"),
    ("learned-noise", sp.log(2 * sp.pi * sp.E * D), "factor of two"),
    ("learned-noise", sp.log(D) / 2 + sp.Rational(1, 2), "2π"),
    ("exact-encoder", wrong_posterior(lambda A, m, s, x, inverse: (x - m) @ torch.linalg.pinv(A).T), "inverts the decoder"),
    ("exact-encoder", wrong_posterior(lambda A, m, s, x, inverse: x @ A @ inverse), "taken off first"),
    (
        "exact-encoder",
        wrong_posterior(lambda A, m, s, x, inverse: (x - m) @ A @ torch.linalg.inv(A.T @ A + s * torch.eye(A.shape[1], dtype=A.dtype))),
        "its square belongs",
    ),
    (
        "exact-encoder",
        wrong_posterior(lambda A, m, s, x, inverse: (x - m) @ A @ torch.linalg.inv(A.T @ A + torch.eye(A.shape[1], dtype=A.dtype))),
        "stands beside the 1",
    ),
    ("exact-encoder", wrong_posterior(lambda A, m, s, x, inverse: (x - m) @ A), "must be weighted"),
    ("exact-encoder", wrong_posterior(covariance=lambda A, m, s, x, inverse: torch.linalg.inv(inverse) / s**2), "this is the precision"),
    ("exact-encoder", wrong_posterior(covariance=lambda A, m, s, x, inverse: inverse), "noise is missing"),
    ("exact-encoder", wrong_posterior(covariance=lambda A, m, s, x, inverse: s * inverse), "the variance is its square"),
    (
        "exact-encoder",
        wrong_posterior(covariance=lambda A, m, s, x, inverse: A @ A.T + s**2 * torch.eye(len(A), dtype=A.dtype)),
        "covariance of the images",
    ),
    ("exact-encoder", wrong_posterior(covariance=lambda A, m, s, x, inverse: torch.eye(A.shape[1], dtype=A.dtype)), "what the prior says"),
    ("exact-encoder", lambda A, m, s, x: posterior(A, m, s, x)[0], "return two tensors"),
    ("many-draws", lambda r: r.mean(0), "no better than one draw"),
    ("many-draws", lambda r: r.logsumexp(0), "log K too large"),
    ("many-draws", lambda r: r.logsumexp(0) + math.log(len(r)), "in place of taken off"),
    ("many-draws", lambda r: r.amax(0), "largest of the logarithms"),
    ("many-draws", lambda r: r.logsumexp(1) - math.log(r.shape[1]), "which are the rows"),
    ("many-draws", lambda r: r.logsumexp(0) / len(r), "before the logarithm"),
    ("many-draws", lambda r: r.exp().mean(0).log(), "never leaves the logarithms"),
    ("repair-loss", loss(width=1), "multiplied by the standard deviation"),
    ("repair-loss", loss(error="mean"), "averaged over the pixels"),
    ("repair-loss", loss(batch="sum"), "added up over the batch"),
    ("repair-loss", loss(width=1, error="mean"), "multiplied by the standard deviation"),
    ("repair-loss", loss(error="mean", batch="sum"), "averaged over the pixels"),
    ("repair-loss", loss(error="whole"), "half of the squared error"),
    ("survivors", 1, "which noise belongs"),
    ("survivors", 3, "larger as well"),
    ("survivors", 4, "divides the noise"),
    ("survivors", 5, "compare each variance"),
    ("survivors", "two", "give one whole number"),
]


@pytest.mark.parametrize(("name", "answer", "fragment"), WRONG)
def test_wrong_answers_are_told_what_is_wrong(name: str, answer: Any, fragment: str) -> None:
    line = outcome(name, answer)
    assert line.startswith("✗")
    assert fragment in line
