"""Variance schedules: how much noise each of the T steps adds, and what has gathered by step t.

All tables are float64: 1 - alpha_bar_1 is 1e-4 in the published schedule, and in float32 that difference keeps only
three digits. Cast to the images' type where the numbers are used (`process` does), never here.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from diffcourse.errors import InputError

Time = int | Tensor
"""A step t in 1..T: one int for the whole batch, or an integer tensor [B]."""


class Schedule:
    """The numbers beta_1 .. beta_T and everything that follows from them.

    Each method takes t (an int or an integer tensor of any shape) and returns float64 of t's shape. This class alone knows
    that step t stands at index t - 1 of a table.

    Args:
        beta: the variances, shape [T], each strictly between 0 and 1.

    Raises:
        InputError: if beta is empty, not one-dimensional, not finite, or leaves (0, 1).
    """

    def __init__(self, beta: Tensor) -> None:
        beta = torch.as_tensor(beta, dtype=torch.float64)
        if beta.ndim != 1 or len(beta) == 0:
            raise InputError(f"a schedule needs a vector of at least one beta, not shape {list(beta.shape)}")
        if not ((beta > 0) & (beta < 1)).all():  # false for NaN as well
            raise InputError(f"every beta must lie strictly between 0 and 1; these run from {beta.min():g} to {beta.max():g}")
        self.T = len(beta)
        self._tables = {beta.device: self._build(beta)}

    @staticmethod
    def _build(beta: Tensor) -> dict[str, Tensor]:
        # Index 0 holds what is true before the first step, so that alpha_bar(t - 1) needs no special case at t = 1.
        before = beta.new_zeros(1)
        beta = torch.cat([before, beta])
        return {"beta": beta, "alpha_bar": torch.cumprod(1 - beta, dim=0)}

    def _lookup(self, name: str, t: Time, first: int) -> Tensor:
        """Row t of a table, on t's device. The only place where a step becomes an index."""
        t = torch.as_tensor(t)
        if t.dtype.is_floating_point or t.dtype.is_complex or t.dtype == torch.bool:
            raise InputError(f"t counts steps and must be an integer, not {t.dtype}")
        # Looking at the values of a tensor on a GPU would make the host wait for it, so only the CPU checks.
        if t.device.type == "cpu" and t.numel() and (t.min() < first or t.max() > self.T):
            raise InputError(f"t must lie between {first} and T = {self.T}; got {t.min()} to {t.max()}")
        if t.device not in self._tables:
            home = next(iter(self._tables.values()))
            self._tables[t.device] = {key: table.to(t.device) for key, table in home.items()}
        # Not table[t]: uint8 would be read as a mask, and one step would be a view through which the table could be changed.
        return self._tables[t.device][name].take(t.long())

    @property
    def steps(self) -> Tensor:
        """All steps 1 .. T, int64 [T]; `alpha_bar(schedule.steps)` is the whole table."""
        return torch.arange(1, self.T + 1)

    def beta(self, t: Time) -> Tensor:
        """The variance that step t adds, for t in 1..T (the book's eq-forward-kernel)."""
        return self._lookup("beta", t, first=1)

    def alpha(self, t: Time) -> Tensor:
        """alpha_t = 1 - beta_t, for t in 1..T (the book's eq-alpha)."""
        return 1 - self.beta(t)

    def alpha_bar(self, t: Time) -> Tensor:
        """alpha_bar_t = alpha_1 alpha_2 ... alpha_t, for t in 0..T, where alpha_bar_0 = 1.

        The book's eq-alpha-bar, bounded by eq-limit-bound; its limit for ever finer steps is eq-continuous.
        """
        return self._lookup("alpha_bar", t, first=0)

    def snr(self, t: Time) -> Tensor:
        """Signal-to-noise ratio alpha_bar_t / (1 - alpha_bar_t), for t in 1..T (the book's eq-snr)."""
        alpha_bar = self._lookup("alpha_bar", t, first=1)
        return alpha_bar / (1 - alpha_bar)


def linear(T: int = 1000, beta_1: float = 1e-4, beta_T: float = 0.02) -> Schedule:
    """beta rises in equal steps from beta_1 to beta_T: Ho et al. (2020), section 4; the book's eq-linear.

    The published ends belong to T = 1000. With a smaller T they leave much of the image in x_T: scale both by 1000 / T.

    Raises:
        InputError: if T < 1, or an end lies outside (0, 1).
    """
    _check_length(T)
    return Schedule(torch.linspace(beta_1, beta_T, T, dtype=torch.float64))


def cosine_alpha_bar(u: Tensor, offset: float = 0.008) -> Tensor:
    """alpha_bar at the fraction u = t/T of the way: Nichol and Dhariwal (2021), equation 17; the book's eq-cosine.

    The offset keeps beta from vanishing near t = 0.
    """
    u = torch.as_tensor(u, dtype=torch.float64)

    def f(u: Tensor) -> Tensor:
        return torch.cos((u + offset) / (1 + offset) * math.pi / 2) ** 2

    return f(u) / f(torch.zeros_like(u))


def sigmoid_alpha_bar(u: Tensor, start: float = -3.0, end: float = 3.0, tau: float = 1.0) -> Tensor:
    """alpha_bar at the fraction u = t/T of the way: Chen (2023), section 2; the book's eq-sigmoid.

    A piece of the logistic curve between `start` and `end`, flattened by the temperature tau and stretched to run from 1 to 0.
    """
    u = torch.as_tensor(u, dtype=torch.float64)

    def at(z: Tensor) -> Tensor:
        return torch.sigmoid(z / tau)

    first, last = at(torch.full_like(u, start)), at(torch.full_like(u, end))
    return (last - at(start + u * (end - start))) / (last - first)


def from_alpha_bar(alpha_bar: Callable[[Tensor], Tensor], T: int, max_beta: float = 0.999) -> Schedule:
    """The schedule whose alpha_bar_t follows a given curve: beta_t = 1 - alpha_bar(t/T) / alpha_bar((t-1)/T).

    The book's eq-beta-from-alpha-bar.
    A curve that reaches zero at u = 1 would ask for beta_T = 1, which erases x_{T-1} and divides by zero later; beta is
    therefore held at max_beta or below, as in Nichol and Dhariwal (2021), section 3.2.

    Raises:
        InputError: if T < 1.
    """
    _check_length(T)
    curve = alpha_bar(torch.arange(T + 1, dtype=torch.float64) / T)
    return Schedule((1 - curve[1:] / curve[:-1]).clamp(max=max_beta))


def cosine(T: int = 1000) -> Schedule:
    """The schedule of Nichol and Dhariwal (2021): alpha_bar falls like a squared cosine (`cosine_alpha_bar`)."""
    return from_alpha_bar(cosine_alpha_bar, T)


def sigmoid(T: int = 1000) -> Schedule:
    """The schedule of Chen (2023) with its default ends: alpha_bar falls like a logistic curve (`sigmoid_alpha_bar`)."""
    return from_alpha_bar(sigmoid_alpha_bar, T)


SCHEDULES: dict[str, Callable[[int], Schedule]] = {"linear": linear, "cosine": cosine, "sigmoid": sigmoid}
"""The schedules by name, for the command line and saved configurations."""


def _check_length(T: int) -> None:
    if T < 1:
        raise InputError(f"T = {T}: a diffusion needs at least one step; ask for T >= 1")
