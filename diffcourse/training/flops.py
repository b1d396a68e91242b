"""How well a run uses its machine: the arithmetic that the model needs, over what the machine could do meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from diffcourse.families.base import GenerativeModel


def count(call: Callable[[], object]) -> int:
    """The floating-point operations of a call.

    Matrix products, convolutions and attention are counted, a multiplication and an addition as two operations, as PyTorch's
    counter does; additions, norms and activations are not. Attention counts as its two products, which is what the model needs:
    the counter does not know every fused kernel, and some compute one product twice to save memory.
    """
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        call()
    return counter.get_total_flops()


def training_flops(model: GenerativeModel, device: torch.device) -> float:
    """Floating-point operations of a training step per image, see `count`. The model stays as it was."""
    n = 2
    images = torch.zeros(n, *model.image_shape, dtype=torch.uint8, device=device)
    labels = torch.zeros(n, dtype=torch.int64, device=device)
    generator = torch.Generator(device).manual_seed(0)
    training = model.training
    model.eval()  # in training a layer may keep notes of what it has seen, as spectral normalisation does
    operations = count(lambda: model.loss(images, labels, generator=generator).backward())
    model.zero_grad(set_to_none=True)
    model.train(training)
    return operations / n


@lru_cache
def matrix_rate(device: torch.device, dtype: torch.dtype, threads: int) -> float:
    """Floating-point operations per second of large matrix products here, measured: what "full utilisation" means.

    Args:
        threads: how many threads a CPU uses; named so that the answer is not remembered for another number.
    """
    size = 8192 if device.type == "cuda" else 768
    generator = torch.Generator(device).manual_seed(0)
    a = torch.randn(size, size, device=device, generator=generator).to(dtype)  # of constants a GPU makes shorter work
    best = 0.0
    for _ in range(5):
        started = time.perf_counter()
        (a @ a).flatten()[0].item()  # waits for the GPU
        best = max(best, 2 * size**3 / (time.perf_counter() - started))
    return best
