"""The most memory that this process has held."""

from __future__ import annotations

from pathlib import Path

import torch

STATUS = Path("/proc/self/status")


def peak_memory(device: torch.device) -> float | None:
    """The most MB held so far: by this process on a CPU, on a GPU by PyTorch; None where that cannot be asked.

    Of the process itself, as Linux tells: `getrusage` would count what the program that started it had held.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    if not STATUS.exists():
        return None
    kilobytes = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM")).split()[1]
    return int(kilobytes) * 1024 / 1e6
