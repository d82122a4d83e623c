import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from training.fitting import peak_memory
from training.fitting.peak_memory import forget_peak, peak_memory_bytes

CPU = torch.device("cpu")
LARGE = 400 * 2**20
REPOSITORY = Path(__file__).parents[3]
TELL_PEAK = """
import torch
from training.fitting.peak_memory import forget_peak, peak_memory_bytes
forget_peak(torch.device("cpu"))
print(peak_memory_bytes(torch.device("cpu")))
"""


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
        # The system counts pages in batches, so one peak read twice may differ a little.
        assert peak_memory_bytes(CPU) >= 0.95 * after_a_large_array


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process is not asked for a peak of its own")
def test_the_peak_of_a_child_is_not_its_parents():
    held = np.ones(2 * LARGE, dtype=np.uint8)  # far more than a child takes for torch
    told = subprocess.run(
        [sys.executable, "-c", TELL_PEAK], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert 0 < int(told.stdout) < held.nbytes


@pytest.mark.parametrize("status", [None, "Name:\tpython\n"])
def test_a_system_that_tells_no_peak_of_its_own_is_asked_for_its_usage(status, monkeypatch, tmp_path):
    if status is not None:
        (tmp_path / "status").write_text(status)
    monkeypatch.setattr(peak_memory, "_STATUS", tmp_path / "status")
    unit = 1 if sys.platform == "darwin" else 1024
    assert peak_memory_bytes(CPU) == unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
