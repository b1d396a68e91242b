"""What training minimises."""

import torch
from torch import Tensor

from diffcourse.diffusion.process import q_sample
from diffcourse.diffusion.sample import Denoiser
from diffcourse.diffusion.schedule import Schedule


def draw_steps(schedule: Schedule, n: int, generator: torch.Generator) -> Tensor:
    """n steps t, uniform on 1..T with both ends included; int64 [n] on the generator's device."""
    return torch.randint(1, schedule.T + 1, (n,), generator=generator, device=generator.device)


def simple_loss(schedule: Schedule, predict_eps: Denoiser, x0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
    """L_simple for each example: the mean over its components of (eps - predict_eps(x_t, t))^2.

    Ho et al. (2020), equation 14; the book's eq-l-simple. They sum over the components; the mean only changes the learning rate's scale and makes
    a value comparable between image sizes: 1 is what the useless prediction eps = 0 gets.

    Args:
        x0: data in [-1, 1], [B, ...].
        t: steps in 1..T, int64 [B].
        eps: the noise, ~ N(0, I), of x0's shape.

    Returns:
        losses [B], differentiable.
    """
    error = eps - predict_eps(q_sample(schedule, x0, t, eps), t)
    return error.square().flatten(1).mean(1)
