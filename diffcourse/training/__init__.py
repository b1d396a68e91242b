"""Training: the loop, the average of the weights that is sampled from, and checkpoints that survive a crash."""

from diffcourse.training.ema import EMA
from diffcourse.training.loop import Run, TrainConfig, read_log, train

__all__ = ["EMA", "Run", "TrainConfig", "read_log", "train"]
