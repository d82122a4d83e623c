import ctypes
import resource
from pathlib import Path

import numpy as np
import pytest

from training.fitting.kept_memory import kept_memory

LARGE = 64 * 2**20
PAGES = LARGE // resource.getpagesize()

glibc = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="no glibc")


def pages_made(n_times: int) -> int:
    """Count the pages that the system makes while large blocks come and go."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(n_times):
        np.ones(LARGE, dtype=np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@glibc
def test_what_is_freed_serves_the_next_block_and_goes_back_at_the_end():
    outside = pages_made(4)
    with kept_memory():
        np.ones(LARGE, dtype=np.uint8)
        inside = pages_made(4)
        kept = resident_bytes()
    assert inside < outside / 3
    assert resident_bytes() < kept - LARGE / 2


@glibc
def test_an_error_gives_memory_back_too():
    kept = []

    @kept_memory()
    def fail():
        np.ones(LARGE, dtype=np.uint8)
        kept.append(resident_bytes())
        raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert resident_bytes() < kept[0] - LARGE / 2
