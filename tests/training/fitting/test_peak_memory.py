import sys

import pytest
import torch

from training.fitting import peak_memory
from training.fitting.peak_memory import forget_peak, peak_memory_bytes

CPU = torch.device("cpu")
LARGE = 400 * 2**20


@pytest.fixture
def after_a_large_array():
    """The process's peak while it held an array that it holds no more."""
    forget_peak(CPU)
    array = bytearray(LARGE)
    peak = peak_memory_bytes(CPU)
    del array
    return peak


@pytest.mark.skipif(sys.platform != "linux", reason="only there can a process forget its peak")
def test_a_peak_is_forgotten_with_what_made_it(after_a_large_array):
    assert peak_memory_bytes(CPU) == pytest.approx(after_a_large_array, rel=0.05)
    forget_peak(CPU)
    assert peak_memory_bytes(CPU) < after_a_large_array - LARGE / 2


def test_where_it_cannot_be_forgotten_it_stays(after_a_large_array, monkeypatch, tmp_path):
    for control in (tmp_path / "none", tmp_path):
        monkeypatch.setattr(peak_memory, "_PEAK_CONTROL", control)
        forget_peak(CPU)
        assert peak_memory_bytes(CPU) >= after_a_large_array
