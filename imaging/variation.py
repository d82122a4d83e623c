"""Whether a scan's values change in time as a measurement does, or stand still, or are no signal."""

from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float32

from imaging.errors import ScanError
from imaging.sample_type import BadScalingError
from imaging.shapes import VoxelSeries

# Scanners repeat no frame, and pipelines at most one or two at the ends of a run.
MAXIMUM_REPEATED_SHARE = 0.1

# Scanner units, per cents, deviates: 0.01 to 10,000. Far beyond them the scale is wrong, and further on
# single precision ends.
MINIMUM_SD = 1e-9
MAXIMUM_SD = 1e12

# Voxels compared first: frames that differ in one of them need not be compared in the rest.
_LOOKED_AT_FIRST = 128


class AllZeroError(ScanError):
    """Nothing but zeros."""

    code: ClassVar[str] = "all_zero"

    def __init__(self) -> None:
        super().__init__("expected a scan with signal, found zero in every voxel of every frame")


class ConstantInTimeError(ScanError):
    """One volume repeated, or one that only drifts."""

    code: ClassVar[str] = "constant_in_time"

    def __init__(self, *, where: str) -> None:
        super().__init__(f"expected values that change from frame to frame, found none that do {where}")
        self.where = where


class FramesRepeatedError(ScanError):
    """Frames that are copies of the one before, or empty."""

    code: ClassVar[str] = "frames_repeated"

    def __init__(self, *, found: int, of: int) -> None:
        super().__init__(
            f"expected at most {MAXIMUM_REPEATED_SHARE:.0%} of the frames to be empty or equal to the one "
            f"before inside the brain, found {found:,} of {of:,}"
        )
        self.found = found
        self.of = of


def require_frames_differ(series: VoxelSeries, *, empty: Float32[np.ndarray, " N"]) -> None:
    """Refuse a scan of which too much was copied or left empty.

    A brain that never varies is left to others, who know whether it is in view at all.

    Parameters
    ----------
    series : (N, T) float32
        Exactly as mapped: equal frames give equal columns.
    empty : (N,) float32
        The column of a frame of zeros.

    Raises
    ------
    FramesRepeatedError
    """
    n_frames = series.shape[1]
    few = slice(None, None, max(1, len(series) // _LOOKED_AT_FIRST))
    repeated = np.zeros(n_frames, dtype=bool)
    repeated[1:] = (series[few, 1:] == series[few, :-1]).all(axis=0)
    for frame in np.flatnonzero(repeated):
        repeated[frame] = np.array_equal(series[:, frame], series[:, frame - 1])
    blank = (series[few] == empty[few, None]).all(axis=0)
    for frame in np.flatnonzero(blank):
        blank[frame] = np.array_equal(series[:, frame], empty)
    if repeated[1:].all():
        return
    found = int((repeated | blank).sum())
    if found > MAXIMUM_REPEATED_SHARE * n_frames:
        raise FramesRepeatedError(found=found, of=n_frames)


def require_plausible_scale(
    temporal_sd: Float32[np.ndarray, " V"], *, in_brain: Bool[np.ndarray, " V"]
) -> None:
    """Refuse values so small or large that they can only be scaled wrongly.

    Parameters
    ----------
    temporal_sd : (V,) float32
        Scanner units; 0 where nothing varies. Some do.
    in_brain : (V,) bool

    Raises
    ------
    BadScalingError
    """
    varying = temporal_sd > 0
    inside = varying & in_brain
    typical = float(np.median(temporal_sd[inside if inside.any() else varying]))
    if not MINIMUM_SD <= typical <= MAXIMUM_SD:
        raise BadScalingError(
            expected=f"values whose standard deviation in time is {MINIMUM_SD:g} to {MAXIMUM_SD:g}",
            found=f"one of {typical:.3g} after scaling",
        )
