"""Gaussians in one dimension: density, entropy, divergence, product, and two ways to differentiate an expectation.

Every function but `kl_full` works on each component by itself, broadcasts, and takes tensors or plain numbers. A Gaussian is
given by its mean and its variance, never by its standard deviation. Logarithms are natural, so entropies and divergences are
in nats; of independent components they add up.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from diffcourse.diffusion.process import Gaussian

Number = Tensor | float
Curve = Callable[[Tensor], Tensor]
"""A differentiable function of each component by itself."""


def _tensor(value: Number) -> Tensor:
    """Plain numbers in float64: a tensor without axes does not change the type of the tensors it meets."""
    return value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)


def log_density(x: Number, mean: Number, variance: Number) -> Tensor:
    """log N(x; mean, variance).

    The book's eq-gauss-density, which eq-gauss-normalised, eq-gauss-moments, eq-affine, eq-standardise and eq-log-ratio are about.
    """
    variance = _tensor(variance)
    return -((_tensor(x) - mean).square() / variance + (2 * math.pi * variance).log()) / 2


def score(x: Number, mean: Number, variance: Number) -> Tensor:
    """The gradient of log N(x; mean, variance) with respect to x (the book's eq-gauss-score).

    With respect to the mean it is the same with the other sign.
    """
    return (_tensor(mean) - x) / variance


def entropy(variance: Number) -> Tensor:
    """Entropy of a Gaussian in nats (the book's eq-entropy). It is negative where the density is narrow."""
    return (2 * math.pi * _tensor(variance)).log() / 2 + 0.5


def reparameterise(mean: Number, variance: Number, eps: Tensor) -> Tensor:
    """A draw from N(mean, variance) made from eps ~ N(0, 1), differentiable in mean and variance.

    The book's eq-reparameterise; two independent draws add up as eq-sum says.
    """
    return mean + _tensor(variance).sqrt() * eps


def product(mean_1: Number, variance_1: Number, mean_2: Number, variance_2: Number) -> tuple[Gaussian, Tensor]:
    """The product of two Gaussian densities of the same x: a Gaussian in x, and the logarithm of the area under the product.

    The book's eq-precision and eq-weights say what mean and variance are, eq-gauss-product what the area is. A variance of
    infinity, which says nothing, is allowed for one of the two; the area is then zero.
    """
    precision_1, precision_2 = 1 / _tensor(variance_1), 1 / _tensor(variance_2)
    variance = 1 / (precision_1 + precision_2)
    mean = variance * (precision_1 * mean_1 + precision_2 * mean_2)
    return Gaussian(mean, variance), log_density(mean_1, mean_2, _tensor(variance_1) + variance_2)


def kl_gaussians(mean_q: Number, variance_q: Number, mean_p: Number, variance_p: Number) -> Tensor:
    """D_KL(q || p) of each component in nats, q = N(mean_q, variance_q), p = N(mean_p, variance_p).

    The book's eq-kl-univariate: eq-kl for Gaussians, never negative (eq-kl-positive), and eq-kl-equal where the variances are
    equal. Its sum over the components is eq-kl-diagonal, and eq-kl-standard for p = N(0, I). The variances enter through the
    logarithm of their ratio: the closer they are, the smaller is what gets subtracted, and nothing is lost when they are far apart.
    """
    variance_p = _tensor(variance_p)
    log_ratio = _tensor(variance_q).log() - variance_p.log()
    return (log_ratio.expm1() - log_ratio + (_tensor(mean_q) - mean_p).square() / variance_p) / 2


def kl_full(mean_q: Tensor, covariance_q: Tensor, mean_p: Tensor, covariance_p: Tensor) -> Tensor:
    """D_KL(q || p) in nats for any covariances (the book's eq-kl-full).

    Args:
        mean_q, mean_p: [..., d].
        covariance_q, covariance_p: symmetric and positive definite, [..., d, d].

    Returns:
        divergences [...].
    """
    root_q, root_p = torch.linalg.cholesky(covariance_q), torch.linalg.cholesky(covariance_p)
    # With p = N(mean_p, L L^T): the trace is |L^-1 root_q|^2, the distance |L^-1 (mean_q - mean_p)|^2.
    spread = torch.linalg.solve_triangular(root_p, root_q, upper=False).square().sum((-2, -1))
    apart = torch.linalg.solve_triangular(root_p, (mean_q - mean_p)[..., None], upper=False).square().sum((-2, -1))
    log_ratio = (root_p.diagonal(dim1=-2, dim2=-1).log() - root_q.diagonal(dim1=-2, dim2=-1).log()).sum(-1)
    return log_ratio + (spread + apart - mean_q.shape[-1]) / 2


def reparameterised_gradient(f: Curve, mean: Number, variance: Number, eps: Tensor) -> Tensor:
    """One estimate of the gradient of E[f(x)] in the mean for each eps: the slope of f, followed through the draw.

    The book's eq-reparameterised-gradient. f must be differentiable.
    """
    x = reparameterise(mean, variance, eps).detach().requires_grad_()
    (slope,) = torch.autograd.grad(f(x).sum(), x)
    return slope


def score_gradient(f: Curve, mean: Number, variance: Number, eps: Tensor) -> Tensor:
    """One estimate of the gradient of E[f(x)] in the mean for each eps: the value of f times the score.

    The book's eq-score-gradient; its variance for a square is in eq-gradient-variance. f may be anything, even a step.
    """
    x = reparameterise(mean, variance, eps)
    return -f(x) * score(x, mean, variance)
