"""Training: the loop, the average of the weights that is sampled from, and checkpoints that survive a crash."""

from diffcourse.config import TrainConfig
from diffcourse.training.ema import EMA
from diffcourse.training.log import read_log
from diffcourse.training.loop import Run, train

__all__ = ["EMA", "Run", "TrainConfig", "read_log", "train"]
