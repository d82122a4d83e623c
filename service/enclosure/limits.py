"""What an enclosed child may take, and how the kernel is told so."""

import ctypes
import math
import os
import resource
import signal
from dataclasses import dataclass
from pathlib import Path

# <linux/prctl.h>
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38

# The scan, what it is copied to, the answer's memory, and room for what libraries open in passing.
_OPEN_FILES = 32


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of one call.

    Attributes
    ----------
    memory_bytes : int
        Address space beyond what a child has when it is born.
    time_s : float
        Of processor time, over all threads, and again by the clock.
    written_bytes : int
        Largest file, or answer, that may be written.
    """

    memory_bytes: int
    time_s: float
    written_bytes: int


def end_with(parent: int) -> None:
    """Make the kernel kill this process when its parent ends; nobody would be left to hold it to its time."""
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != parent:
        # It ended before it could be asked to take us along.
        os._exit(1)


def impose(limits: Limits) -> None:
    """Put this process under limits that it cannot lift again."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    # Address space and not resident memory, which Linux does not limit. Counted from here: what the libraries
    # have mapped differs between machines.
    memory_bytes = pages * resource.getpagesize() + limits.memory_bytes
    processor_s = math.ceil(limits.time_s)
    for kind, soft, hard in (
        (resource.RLIMIT_AS, memory_bytes, memory_bytes),
        # At the soft limit the kernel sends SIGXCPU, which tells this end from others.
        (resource.RLIMIT_CPU, processor_s, processor_s + 1),
        (resource.RLIMIT_FSIZE, limits.written_bytes, limits.written_bytes),
        (resource.RLIMIT_NOFILE, _OPEN_FILES, _OPEN_FILES),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        ceiling = resource.getrlimit(kind)[1]
        allowed = hard if ceiling == resource.RLIM_INFINITY else min(hard, ceiling)
        resource.setrlimit(kind, (min(soft, allowed), allowed))
