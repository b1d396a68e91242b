"""How well a run uses its machine: the arithmetic that the model needs, over what the machine could do meanwhile."""

from __future__ import annotations

import time
from functools import lru_cache

import torch
from torch.utils.flop_counter import FlopCounterMode

from diffcourse.families.base import GenerativeModel


def training_flops(model: GenerativeModel, device: torch.device) -> float:
    """Floating-point operations of a training step per image: counted in one forward and backward pass.

    Matrix products, convolutions and attention are counted, a multiplication and an addition as two operations, as PyTorch's
    counter does; additions, norms and activations are not.
    """
    n = 2
    images = torch.zeros(n, *model.image_shape, dtype=torch.uint8, device=device)
    labels = torch.zeros(n, dtype=torch.int64, device=device)
    generator = torch.Generator(device).manual_seed(0)
    with FlopCounterMode(display=False) as counter:
        model.loss(images, labels, generator=generator).backward()
    model.zero_grad(set_to_none=True)
    return counter.get_total_flops() / n


@lru_cache
def matrix_rate(device: torch.device, dtype: torch.dtype, threads: int) -> float:
    """Floating-point operations per second of large matrix products here, measured: what "full utilisation" means.

    Args:
        threads: how many threads a CPU uses; named so that the answer is not remembered for another number.
    """
    size = 8192 if device.type == "cuda" else 768
    a = torch.ones(size, size, device=device, dtype=dtype)
    best = 0.0
    for _ in range(5):
        started = time.perf_counter()
        (a @ a).flatten()[0].item()  # waits for the GPU
        best = max(best, 2 * size**3 / (time.perf_counter() - started))
    return best
