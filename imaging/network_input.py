"""What the network reads: a scan's brain on the cube, frame by frame, and the windows cut from it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Int

from imaging.cube import brain_cube
from imaging.findings import ScanWarning
from imaging.quality import QualityReport
from imaging.shapes import BrainMaps, CubeSeries, VoxelSeries, Windows
from imaging.spec import PreprocessingSpec


@dataclass(frozen=True, eq=False)
class NetworkInput:
    """A preprocessed scan.

    Attributes
    ----------
    series : (N, T) float32
        The cube's brain voxels over time, demeaned a voxel, in units of the scan's own standard deviation.
    tr_s : float
        Time between these frames.
    spec : PreprocessingSpec
        What they were made with.
    quality : QualityReport
    space : "template"
    warnings : tuple of ScanWarning
    maps : (M, N) float32 or None
        `imaging.derived.maps.DERIVED_MAPS`, of the signal before it was filtered, at the scan's own
        repetition time; None where they were not asked for.
    """

    series: VoxelSeries
    tr_s: float
    spec: PreprocessingSpec
    quality: QualityReport
    space: Literal["template"] = "template"
    warnings: tuple[ScanWarning, ...] = ()
    maps: BrainMaps | None = None

    @property
    def n_frames(self) -> int:
        """Number of frames, ``tr_s`` apart."""
        return int(self.series.shape[1])

    @cached_property
    def frames(self) -> CubeSeries:
        """The series in its place, 0 outside the brain, RAS+; three times as large, so made when asked."""
        size = self.spec.grid_size
        frames = np.zeros((self.n_frames, size, size, size), dtype=np.float32)
        frames[:, brain_cube(size).mask] = self.series.T
        return frames

    def windows(self) -> tuple[Int[np.ndarray, " W"], Windows]:
        """Cut the windows that the spec plans.

        Returns
        -------
        starts : (W,) int
            First frame of each window, ascending, each different.
        windows : (W, F, G, G, G) float32
        """
        starts = window_starts(self.n_frames, spec=self.spec)
        frames = starts[:, None] + np.arange(self.spec.window_frames)
        return starts, self.frames[frames]


def window_starts(n_frames: int, *, spec: PreprocessingSpec) -> Int[np.ndarray, " W"]:
    """Return where windows start: the middle one, or evenly from the first possible start to the last.

    Windows overlap where the scan is short; none is given twice, so a scan with fewer possible starts than
    planned windows gives fewer.
    """
    last = n_frames - spec.window_frames
    if spec.window_plan == "single" or spec.n_windows == 1:
        return np.array([last // 2])
    return np.unique(np.rint(np.linspace(0, last, spec.n_windows)).astype(np.int64))
