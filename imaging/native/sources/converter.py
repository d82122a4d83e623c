"""dcm2niix in a process of its own: the only one that reads who was scanned.

What comes back is the samples, a few fields of its sidecar and how it ended. What it prints goes nowhere, for
it prints what it finds.
"""

import ctypes
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import ClassVar

from imaging.errors import ScanError
from imaging.native.sources.tree import MOST_BYTES, Check

# A thousand volumes take a minute.
LIMIT_S = 900.0
_LOOK_S = 0.1
_OPEN_FILES = 64

# Its own list (`main_console.cpp`).
_ENDS = {
    2: "no image that it can read",
    4: "damaged images",
    7: "no room for what it writes",
    8: "images that it can read in part only",
}

# <linux/prctl.h>
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38


class DicomConversionError(ScanError):
    """Images that were not turned into one run."""

    code: ClassVar[str] = "dicom_conversion_failed"

    def __init__(self, *, found: str) -> None:
        self.found = found
        super().__init__(f"expected one run from the conversion of the DICOM series, found {found}")


def convert(images: Path, out: Path, *, check: Check, limit_s: float = LIMIT_S) -> tuple[Path, Path]:
    """Turn a folder with the images of one series into a NIfTI file and its sidecar.

    Parameters
    ----------
    images : Path
        Nothing else is read.
    out : Path
        An empty folder; nothing is written elsewhere.
    check : callable
        Called ten times a second; what it raises ends the conversion.
    limit_s : float
        By the clock.

    Returns
    -------
    nifti, sidecar : Path
        Both still tell of the person.

    Raises
    ------
    DicomConversionError
    """
    status = _run(_arguments(images, out), folder=out, check=check, limit_s=limit_s)
    if status:
        raise DicomConversionError(found=_ENDS.get(status, _in_words(status)))
    # Phase images are written beside the magnitudes under a name that ends so.
    written = [path for path in sorted(out.glob("run*.nii")) if not path.stem.endswith("_ph")]
    if len(written) != 1:
        raise DicomConversionError(found=f"{len(written)} runs")
    return written[0], written[0].with_suffix(".json")


def _arguments(images: Path, out: Path) -> list[str]:
    # Loaded here: reading a NIfTI file does not need it.
    from dcm2niix import bin_path  # noqa: PLC0415

    return [
        str(bin_path),
        # No defaults of a file in somebody's home; nothing cropped, merged or left out; not compressed.
        *("-g", "i", "-x", "n", "-i", "n", "-z", "n", "-d", "0"),
        # A sidecar without names and dates, and a file's name that is made of no tag.
        *("-b", "y", "-ba", "y", "-f", "run", "-c", "", "-w", "2"),
        *("-o", str(out), str(images)),
    ]


def _run(arguments: list[str], *, folder: Path, check: Check, limit_s: float) -> int:
    """Run a command in a process group of its own, which ends with this call however it ends."""
    try:
        process = subprocess.Popen(  # noqa: S603  (a fixed program, and paths that the caller made)
            arguments,
            cwd=folder,
            env={"HOME": str(folder), "TMPDIR": str(folder), "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_confinement(os.getpid()),  # noqa: PLW1509  (two system calls, on what is loaded already)
        )
    except OSError:
        raise DicomConversionError(found="no converter that runs on this machine") from None
    try:
        return _wait(process, check=check, limit_s=limit_s)
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(process: subprocess.Popen[bytes], *, check: Check, limit_s: float) -> int:
    ends_at = monotonic() + limit_s
    while True:
        check()
        with suppress(subprocess.TimeoutExpired):
            return process.wait(_LOOK_S)
        if monotonic() > ends_at:
            raise DicomConversionError(found=f"none within {limit_s:g} s")


def _confinement(parent: int) -> Callable[[], None]:
    """Prepare what the child does before it becomes dcm2niix: limits, and an end with its parent."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    limits = [
        (kind, _lowered(kind, most))
        for kind, most in (
            (resource.RLIMIT_FSIZE, MOST_BYTES),
            (resource.RLIMIT_NOFILE, _OPEN_FILES),
            (resource.RLIMIT_CORE, 0),
        )
    ]

    def confine() -> None:
        for kind, pair in limits:
            resource.setrlimit(kind, pair)
        if libc is not None:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

    return confine


def _lowered(kind: int, most: int) -> tuple[int, int]:
    soft, hard = resource.getrlimit(kind)
    ceilings = [most, *(limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY)]
    return min(ceilings), min(ceilings)


def _in_words(status: int) -> str:
    if status < 0:
        return f"a converter ended by signal {-status}"
    return f"a converter that ended with status {status}"
