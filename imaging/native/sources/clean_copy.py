"""A NIfTI file's copy without its free text, and with the repetition time that was found to be right."""

from pathlib import Path

import numpy as np

from imaging.dimensions import MAXIMUM_DECODED_BYTES
from imaging.errors import ScanError
from imaging.free_text import emptied_header
from imaging.header import MAXIMUM_HEADER_BYTES, fields_of, read_fixed_part, with_repetition_time
from imaging.native.sources.tree import Check, TooMuchError
from imaging.stream import open_scan_bytes
from imaging.timing import MissingRepetitionTimeError, repetition_time_s

_PIECE_BYTES = 2**20


def header_tr_s(path: Path) -> float | None:
    """Return a header's repetition time in seconds, None where it has none.

    Raises
    ------
    ScanError
        If it is no NIfTI file, or names a time that cannot be.
    """
    with open_scan_bytes(path) as source:
        layout, fixed = read_fixed_part(source)
    fields = np.frombuffer(fixed, dtype=fields_of(layout))[0]
    try:
        return repetition_time_s(float(fields["pixdim"][4]), xyzt_units=int(fields["xyzt_units"]))[0]
    except MissingRepetitionTimeError:
        return None


def usable_header_tr_s(path: Path) -> float | None:
    """Return the same, and None also where it cannot be: somebody has said what it is."""
    try:
        return header_tr_s(path)
    except ScanError:
        return None


def copy_clean(path: Path, target: Path, *, check: Check, tr_s: float | None = None) -> None:
    """Copy a file, decompressed, its texts emptied.

    Parameters
    ----------
    path, target : Path
        ``target`` is new.
    check : callable
        Called between pieces; what it raises ends the copying.
    tr_s : float, optional
        Written into the header.

    Raises
    ------
    ScanError
        If it is no NIfTI file, or its compressed stream is damaged.
    """
    with open_scan_bytes(path) as source, target.open("xb") as copied:
        layout, fixed = read_fixed_part(source)
        fields = np.frombuffer(fixed, dtype=fields_of(layout))
        offset = float(fields["vox_offset"][0])
        # Where the samples cannot begin there, the file is refused when it is opened.
        behind = int(offset) - len(fixed) if len(fixed) <= offset <= MAXIMUM_HEADER_BYTES else 0
        between = bytearray(behind)
        found = source.fill(memoryview(between))
        head = emptied_header(fixed + bytes(between[:found]))[0]
        copied.write(head if tr_s is None else with_repetition_time(head, tr_s))
        piece, written = memoryview(bytearray(_PIECE_BYTES)), 0
        while found := source.fill(piece):
            written += found
            if written > MAXIMUM_DECODED_BYTES:
                raise TooMuchError(limit=MAXIMUM_DECODED_BYTES, unit="bytes", found=None)
            copied.write(piece[:found])
            check()
