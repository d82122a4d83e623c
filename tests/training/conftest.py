"""What every training in a test shares."""

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tiny networks gain nothing from threads, and wait long for each other's on a busy machine."""
    torch.set_num_threads(1)
