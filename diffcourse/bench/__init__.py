"""How fast: our U-Net beside those of well-kept libraries, on the same data, in the same minutes."""

from diffcourse.bench.candidates import CANDIDATES, Candidate, Setting
from diffcourse.bench.timing import Ratio, interleave, ratio

__all__ = ["CANDIDATES", "Candidate", "Ratio", "Setting", "interleave", "ratio"]
