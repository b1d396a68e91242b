"""What all tests share."""

import os
from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tiny tensors gain nothing from threads, and tests that run side by side would fight for the cores."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def no_fsync() -> Iterator[None]:
    """Tests do not survive a power cut anyway, and waiting for a busy disk after each tiny file takes minutes."""
    fsync, os.fsync = os.fsync, lambda descriptor: None
    yield
    os.fsync = fsync
