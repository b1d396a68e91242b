"""Many images from a model, whatever its family."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from diffcourse.families.base import GenerativeModel, Progress, unscale


def draw(
    model: GenerativeModel,
    n: int,
    generator: torch.Generator,
    classes: Sequence[int] | None = None,
    *,
    batch: int = 256,
    progress: Progress | None = None,
    **options: Any,
) -> Tensor:
    """n images, uint8 [n, C, H, W] on the CPU; in batches, so that memory does not limit n.

    Args:
        classes: drawn in turns, by a model that knows classes.
        progress: called with (images done, n); the parts of a batch count.
        options: further arguments of the model's own `sample`, as a sampler or a temperature.
    """
    labels = None if not classes else torch.tensor(classes).repeat(-(-n // len(classes)))[:n]
    drawn = []
    for start in range(0, n, batch):
        size = min(batch, n - start)

        def count(done: int, of: int) -> None:
            if progress is not None:
                progress(start + size * done // of, n)

        chosen = None if labels is None else labels[start : start + size]
        drawn.append(unscale(model.sample(size, chosen, generator=generator, progress=count, **options)).cpu())
        count(1, 1)
    return torch.cat(drawn)
