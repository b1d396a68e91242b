"""The exponential moving average of the weights, which samples are drawn with. Ho et al. (2020), appendix B, average so."""

from __future__ import annotations

import copy

import torch

from diffcourse.errors import InputError
from diffcourse.families.base import GenerativeModel


def decay_at(t: int, decay: float) -> float:
    """The decay of update t = 0, 1, ..: min(decay, (1 + t) / (10 + t)) (the book's eq-ema-ramp).

    A constant decay would keep the random initial weights in the average for thousands of steps; the ramp forgets them
    with the ninth power of the number of updates (eq-ema-forget).
    """
    return min(decay, (1 + t) / (10 + t))


class EMA:
    """A shadow copy of a model, whose weights follow the trained ones slowly and so smooth out single steps' noise.

    Args:
        model: copied at once; the copy is `self.model`, in eval mode.
        decay: at least 0 and below 1. Averages over the last 1 / (1 - decay) steps or so.

    Raises:
        InputError: if the decay lies outside [0, 1).
    """

    def __init__(self, model: GenerativeModel, decay: float) -> None:
        if not 0 <= decay < 1:
            raise InputError(f"ema_decay = {decay:g}: give a number from 0 (no averaging) to below 1")
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: GenerativeModel, t: int) -> None:
        """average <- d average + (1 - d) weights, with d = decay_at(t); call it after optimiser step t = 0, 1, ..

        The book's eq-ema; eq-ema-weights unrolls it, eq-ema-sum adds up its shares, eq-ema-variance is the noise that it leaves.
        """
        weight = 1 - decay_at(t, self.decay)
        averages, parameters = list(self.model.parameters()), list(model.parameters())
        torch._foreach_lerp_(averages, parameters, weight)  # one call for all tensors, which are many and small
        for kept, buffer in zip(self.model.buffers(), model.buffers(), strict=True):
            kept.copy_(buffer)
