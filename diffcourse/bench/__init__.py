"""How fast: our U-Net beside those of well-kept libraries, on the same data, in the same minutes."""

from diffcourse.bench.candidates import CANDIDATES, Candidate, Setting, comparable, peer_versions
from diffcourse.bench.compare import available, compare, equal_time, fastest, sample, table, train, ways_to_run
from diffcourse.bench.timing import Ratio, interleave, ratio

__all__ = [
    "CANDIDATES",
    "Candidate",
    "Ratio",
    "Setting",
    "available",
    "comparable",
    "compare",
    "equal_time",
    "fastest",
    "interleave",
    "peer_versions",
    "ratio",
    "sample",
    "table",
    "train",
    "ways_to_run",
]
