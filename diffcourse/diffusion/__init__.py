"""Diffusion as the book derives it: schedules, the forward process, the loss, the bound, samplers and exact toys.

Nothing here knows a network, a data set or a file. A denoiser is any function `predict_eps(xt, t) -> eps`.
"""

from diffcourse.diffusion import bound, exact, loss, process, sample, schedule
from diffcourse.diffusion.schedule import Schedule

__all__ = ["Schedule", "bound", "exact", "loss", "process", "sample", "schedule"]
