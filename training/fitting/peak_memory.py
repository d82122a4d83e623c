"""The most memory that a training held: counted anew for each, so that a small network shows its own peak."""

import resource
import sys
from contextlib import suppress
from pathlib import Path

import torch

# Writing 5 sets the peak of the process to what it holds now (Linux, man 5 proc).
_PEAK_CONTROL = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")
_PEAK = "VmHWM:"


def forget_peak(device: torch.device) -> None:
    """Count the peak from here on; where the system does not let a process do that, it stays as it was."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    with suppress(OSError):
        if _PEAK_CONTROL.exists():
            _PEAK_CONTROL.write_text("5")


def peak_memory_bytes(device: torch.device) -> int:
    """Give the most memory held since the peak was forgotten: by the GPU's tensors, or by this process.

    That of a process counts all it holds: interpreter, libraries, and scans that are mapped into memory.
    """
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if _STATUS.exists():
        # What getrusage tells is no less than what the parent once held: it outlives fork and exec.
        lines = _STATUS.read_text(encoding="utf-8", errors="replace").splitlines()
        found = [line.split() for line in lines if line.startswith(_PEAK)]
        if found:
            return 1024 * int(found[0][1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
