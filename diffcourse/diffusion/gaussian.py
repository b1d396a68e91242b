"""Gaussians in one dimension: density, entropy, divergence, product, and two ways to differentiate an expectation.

Every function works on each component by itself, broadcasts, and takes tensors or plain numbers. A Gaussian is given by its
mean and its variance, never by its standard deviation. Logarithms are natural, so entropies and divergences are in nats; of
independent components they add up.
"""

import torch
from torch import Tensor

Number = Tensor | float


def _tensor(value: Number) -> Tensor:
    """Plain numbers in float64: a tensor without axes does not change the type of the tensors it meets."""
    return value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)


def kl_gaussians(mean_q: Number, variance_q: Number, mean_p: Number, variance_p: Number) -> Tensor:
    """D_KL(q || p) of each component in nats, q = N(mean_q, variance_q), p = N(mean_p, variance_p).

    The book's eq-kl-univariate. The variances enter through their logarithms, so that nothing cancels when they nearly agree
    and nothing is lost when they are far apart.
    """
    variance_p = _tensor(variance_p)
    log_ratio = _tensor(variance_q).log() - variance_p.log()
    return (log_ratio.expm1() - log_ratio + (_tensor(mean_q) - mean_p).square() / variance_p) / 2
