"""Several processes that train one model, each on its share of every batch: DistributedDataParallel, gloo or NCCL.

The processes are started by torchrun, on one machine or several, or by `spawn` on this one. Each sees the same data in the
same order and keeps the same weights; the first one writes the files.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from diffcourse.errors import InputError


def rank() -> int:
    """The number of this process, 0 for the first and for a process that is alone."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def started_by_torchrun() -> bool:
    """Whether this process is one of several that are to train together."""
    return int(os.environ.get("WORLD_SIZE", 1)) > 1


@contextmanager
def process_group(device: torch.device) -> Iterator[torch.device]:
    """Within, the processes that torchrun or `spawn` has started know each other; yields this one's device.

    Raises:
        InputError: if there are more processes on this machine than GPUs, or the others cannot be reached.
    """
    if not started_by_torchrun():
        yield device
        return
    if device.type == "cuda":
        local = int(os.environ.get("LOCAL_RANK", 0))
        if local >= torch.cuda.device_count():
            raise InputError(f"process {local} on this machine finds {torch.cuda.device_count()} GPUs: start fewer processes")
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing:  # torch would number this group before it fails, and the next one would wait for groups of another number
        raise InputError(f"the training processes do not find each other (no {', '.join(missing)} is set): start them with torchrun")
    try:
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    except (RuntimeError, ValueError) as error:
        raise InputError(f"the training processes do not find each other ({str(error).splitlines()[0]}): start them with torchrun") from None
    try:
        yield device
    finally:
        dist.destroy_process_group()


@contextmanager
def spawn(processes: int, command: Sequence[str]) -> Iterator[None]:
    """Start the other processes of a training on this machine; the caller becomes the first.

    They run the same command, say nothing, and end with the caller: when it leaves the context, or is killed, since gloo then
    tells them that the connection is gone.

    Args:
        command: arguments for python.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(processes)}
    others = []
    try:
        for number in range(1, processes):
            own = {**os.environ, **shared, "RANK": str(number), "LOCAL_RANK": str(number)}
            others.append(
                subprocess.Popen(
                    [sys.executable, *command],
                    env=own,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
        before = {key: os.environ.get(key) for key in (*shared, "RANK", "LOCAL_RANK")}
        os.environ.update(shared, RANK="0", LOCAL_RANK="0")
        try:
            yield
        finally:
            for key, value in before.items():
                os.environ.pop(key) if value is None else os.environ.update({key: value})
    finally:
        for other in others:
            try:
                other.wait(timeout=10)
            except subprocess.TimeoutExpired:
                other.kill()
                other.wait()


def replicate(model: nn.Module) -> nn.Module:
    """The model, whose backward pass averages the gradients over the processes."""
    if world_size() == 1:
        return model
    device = next(model.parameters()).device
    return DistributedDataParallel(model, device_ids=[device] if device.type == "cuda" else None)


def agree(*values: float) -> list[float]:
    """The largest of each value over all processes, so that all take the same decision. Costs a fraction of a millisecond.

    Raises:
        InputError: if another process has gone.
    """
    if world_size() == 1:
        return list(values)
    shared = torch.tensor(values, dtype=torch.float64)
    with connected():
        dist.all_reduce(shared, op=dist.ReduceOp.MAX)
    return shared.tolist()


def gather(rows: Tensor) -> Tensor:
    """[steps, B / processes] of each process on the CPU -> [steps, B] of all, for each of them.

    Raises:
        InputError: if another process has gone.
    """
    if world_size() == 1:
        return rows
    collected = [torch.empty_like(rows) for _ in range(world_size())]
    with connected():
        dist.all_gather(collected, rows)
    return torch.cat(collected, dim=1)


@contextmanager
def connected() -> Iterator[None]:
    """Within, all that is computed together, a backward pass too, says in one line that another process has gone.

    Raises:
        InputError: if it has.
    """
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, dist.DistBackendError) and "gloo" not in str(error):  # gloo names its own source file
            raise
        raise InputError("another process of this training has ended: go on from the last checkpoint with --resume") from None
