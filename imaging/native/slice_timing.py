"""As if all slices of a frame had been taken at once.

A slice that was taken some time into its frame is looked at that much earlier or later: band-limited
interpolation by the cosines of ``imaging/temporal.py``, which continue a time course by its mirror image at
both ends, after its straight line was put aside.
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from jaxtyping import Float32, Float64
from scipy.fft import dct

from imaging.errors import ScanError
from imaging.shapes import Bold


class BadSliceTimesError(ScanError):
    """Times of slices that cannot be those of this scan."""

    code: ClassVar[str] = "bad_slice_times"

    def __init__(self, *, expected: str, found: str) -> None:
        self.expected = expected
        self.found = found
        super().__init__(f"expected {expected}, found {found}")


def align_slices(bold: Bold, *, slice_times_s: Sequence[float], tr_s: float) -> None:
    """Bring each slice to the mean time of its frame, in place.

    Parameters
    ----------
    bold : (X, Y, Z, T) float32
        The slices along the third axis.
    slice_times_s : sequence of Z floats
        When each slice is taken, from the start of its frame.
    tr_s : float

    Raises
    ------
    BadSliceTimesError
        If there is not one time for each slice, or one lies outside the frame.
    """
    require_slice_times(slice_times_s, n_slices=bold.shape[2], tr_s=tr_s)
    middle_s = float(np.mean(slice_times_s))
    maps: dict[float, Float32[np.ndarray, "T T"]] = {}
    for number, taken_s in enumerate(slice_times_s):
        shift = round((middle_s - taken_s) / tr_s, 9)
        if shift:
            if shift not in maps:
                maps[shift] = _shift_map(bold.shape[3], shift).astype(np.float32)
            # Frame by frame in memory, as a run is read: a product with strided rows takes ten times as long.
            frames = np.ascontiguousarray(bold[:, :, number].T)
            moved = maps[shift].T @ frames.reshape(len(frames), -1)
            bold[:, :, number] = moved.reshape(frames.shape).T


def require_slice_times(slice_times_s: Sequence[float], *, n_slices: int, tr_s: float) -> None:
    """Refuse times that do not fit a scan; see :func:`align_slices`."""
    if len(slice_times_s) != n_slices:
        raise BadSliceTimesError(
            expected=f"a time for each of {n_slices} slices", found=f"{len(slice_times_s)} times"
        )
    for taken_s in slice_times_s:
        if not 0 <= taken_s < tr_s + 1e-3:
            raise BadSliceTimesError(
                expected=f"slices taken from 0 to {tr_s:g} s into their frame", found=f"{taken_s:g} s"
            )


def _shift_map(n_frames: int, shift: float) -> Float64[np.ndarray, "T T"]:
    """Return what a row of frames is multiplied with to be seen ``shift`` frames later."""
    times = np.arange(n_frames) - (n_frames - 1) / 2
    slope = times / (times @ times)
    line = np.outer(slope, times) + 1 / n_frames
    moved_line = np.outer(slope, times + shift) + 1 / n_frames
    onto_cosines = dct(np.eye(n_frames) - line, type=2, norm="ortho", axis=1)
    numbers = np.arange(n_frames)[:, None]
    size = np.sqrt(np.where(numbers, 2, 1) / n_frames)
    moved = np.cos(np.pi * numbers * (np.arange(n_frames) + 0.5 + shift) / n_frames) * size
    mapped: Float64[np.ndarray, "T T"] = onto_cosines @ moved + moved_line
    return mapped
