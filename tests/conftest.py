"""What all tests share."""

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tiny tensors gain nothing from threads, and tests that run side by side would fight for the cores."""
    torch.set_num_threads(1)
