"""Memory that a training gives back after every step, and takes again for the next."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

# Of glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
# What glibc begins with, and what it comes to by itself where large blocks come and go.
_BLOCKS_AT_MOST, _LARGE_BLOCK_BYTES = 65536, 32 * 2**20


@contextmanager
def kept_memory() -> Iterator[None]:
    """Keep freed memory in the process, in a block or, as a decorator, in a function, and give it back after.

    glibc takes blocks above 32 MiB from the system and returns each when it is freed, so that the pages of
    every layer are made anew in every step: up to half of it on a processor. Other C libraries are left as
    they are.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):
        yield
        return
    libc.mallopt(M_MMAP_MAX, 0)
    libc.mallopt(M_TRIM_THRESHOLD, -1)
    try:
        yield
    finally:
        libc.mallopt(M_MMAP_MAX, _BLOCKS_AT_MOST)
        libc.mallopt(M_MMAP_THRESHOLD, _LARGE_BLOCK_BYTES)
        libc.mallopt(M_TRIM_THRESHOLD, 2 * _LARGE_BLOCK_BYTES)
        libc.malloc_trim(0)
