"""What is done with a mutant in its own child: read it as a prediction would, strip it, read the copy."""

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from imaging import ScanError, check_scan, open_scan
from imaging.free_text import copy_without_free_text
from imaging.samples import frames_in_a_block
from service.worker import reading

prepare_to_fork = reading.prepare_to_fork


def read(
    path: Path, *, lengths: list[int], progress: Callable[[str, float], None]
) -> tuple[dict[str, Any], None]:
    """Read files that lie behind each other in one, and tell of each how it ended and what time it took.

    ``progress`` is called once a file, with its ending and seconds of processor time: whoever hears of three
    files and then of a crash knows that it was the fourth.
    """
    one = os.memfd_create("one")
    with path.open("rb") as file:
        for length in lengths:
            os.ftruncate(one, 0)
            os.pwrite(one, file.read(length), 0)
            began = time.process_time()
            progress(ending(Path(f"/proc/self/fd/{one}")), time.process_time() - began)
    return {}, None


def ending(path: Path) -> str:
    """Return a code, or "accepted", or "finding: ..."."""
    ended, difference = outcome(path), difference_of_copy(path)
    return f"finding: {ended}, its copy differs: {difference}" if difference else ended


def outcome(path: Path) -> str:
    try:
        check_scan(path)
    except ScanError as refusal:
        return refusal.code
    return "accepted"


def difference_of_copy(path: Path) -> str:
    """Say in what a file and its copy without free text differ beyond that; empty where in nothing."""
    copy = os.memfd_create("copy")
    try:
        with os.fdopen(os.dup(copy), "wb") as target:
            copy_without_free_text(path, target)
    except ScanError as refusal:
        # Damage that stands in the way of a copy is found by any other reader as well.
        return "" if samples(path) == refusal.code else f"only the copying ends with {refusal.code}"
    there = Path(f"/proc/self/fd/{copy}")
    if samples(there) != samples(path):
        return f"samples: {samples(path)}, in the copy {samples(there)}"
    before, after = open_scan(path), open_scan(there)
    told = [
        (scan.shape, scan.tr_s, scan.dtype, scan.affine.tolist(), scan.warnings) for scan in (before, after)
    ]
    return "" if told[0] == told[1] else "the header"


def samples(path: Path) -> str:
    """Return the digest of a file's samples as stored, or the code with which their decoding ends."""
    digest = hashlib.blake2b()
    try:
        scan = open_scan(path)
        for block in scan.samples.stored_blocks(frames_in_a_block(scan.shape, scan.dtype.itemsize)):
            digest.update(block.tobytes())
    except ScanError as refusal:
        return refusal.code
    return digest.hexdigest()
