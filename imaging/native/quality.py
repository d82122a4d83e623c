"""How well it went: what of a run in the scanner's space came into template space, and how still it was.

Figures only; ``judging.py`` says what they mean.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64

from imaging.native.framewise import framewise_displacement_mm
from imaging.native.motion import Motion
from imaging.native.outliers import outlier_shares
from imaging.native.registration import Registration
from imaging.native.steady import Start
from imaging.quality import spikes_among, standardised_dvars
from imaging.shapes import VoxelSeries

DISPLACED_MM = 0.5
"""A frame that moved farther stands out (Power et al. 2012, NeuroImage 59:2142)."""

OUTLYING_SHARE = 0.05
"""A frame with a larger share of outlying voxels stands out (the limit for censoring in the examples of
AFNI's afni_proc.py)."""


@dataclass(frozen=True, kw_only=True)
class NativeQuality:
    """Figures of a run on its way into template space.

    Attributes
    ----------
    n_frames : int
        That are used.
    tr_s : float
    start : Start
        What was left out at the start.
    displacement_mm : tuple of float
        Framewise displacement of Power et al. 2012, for each frame after the first.
    dvars_before, dvars_after : tuple of float
        Standardised DVARS (as in :class:`imaging.quality.QualityReport`) of the same frames, in template
        space, before anything was taken out and after cleaning, before smoothing.
    outlier_shares : tuple of float
        Share of outlying voxels as AFNI's 3dToutcount counts them, for each frame.
    tsnr : float
        Median over the brain of mean / standard deviation in time, after motion, before anything was taken
        out.
    coverage : float
        Share of the template's brain that the scan shows.
    overlap : float
        Dice coefficient of the two brains' outlines.
    similarity : float
        Share of the contrast that the template's tissues explain.
    outline_fit : float
        Correlation of the outlines in the pose that the registration began with.
    degrees_of_freedom : float
        That are left in the band after cleaning (:func:`imaging.native.nuisance.degrees_of_freedom`).
    """

    n_frames: int
    tr_s: float
    start: Start
    displacement_mm: tuple[float, ...]
    dvars_before: tuple[float, ...]
    dvars_after: tuple[float, ...]
    outlier_shares: tuple[float, ...]
    tsnr: float
    coverage: float
    overlap: float
    similarity: float
    outline_fit: float
    degrees_of_freedom: float

    @property
    def mean_displacement_mm(self) -> float:
        """Of the frames after the first."""
        return float(np.mean(self.displacement_mm))

    @property
    def max_displacement_mm(self) -> float:
        """Of the frames after the first."""
        return max(self.displacement_mm)

    @property
    def still_frames(self) -> int:
        """Count frames that moved at most ``DISPLACED_MM``; the first has nothing to be compared with."""
        return self.n_frames - int(self._displaced().sum())

    def shares(self) -> dict[str, float]:
        """Return the shares of frames that stand out: by what, by either of the signal's, and by any."""
        displaced, spiking, outlying = self._displaced(), self._spiking(), self._outlying()
        return {
            "displaced": float(displaced.mean()),
            "dvars_spikes": float(spiking.mean()),
            "outlying_voxels": float(outlying.mean()),
            "signal": float((spiking | outlying).mean()),
            "any": float((displaced | spiking | outlying).mean()),
        }

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "n_frames": self.n_frames,
            "tr_s": self.tr_s,
            "duration_s": round(self.n_frames * self.tr_s, 3),
            "start": self.start.to_json(),
            "mean_displacement_mm": round(self.mean_displacement_mm, 4),
            "max_displacement_mm": round(self.max_displacement_mm, 4),
            "displacement_mm": _rounded(self.displacement_mm),
            "still_frames": self.still_frames,
            "still_s": round(self.still_frames * self.tr_s, 3),
            "dvars_before": _rounded(self.dvars_before),
            "dvars_after": _rounded(self.dvars_after),
            "outlier_shares": _rounded(self.outlier_shares),
            "frames_standing_out": {name: round(share, 4) for name, share in self.shares().items()},
            "tsnr": round(self.tsnr, 2),
            "coverage": round(self.coverage, 4),
            "overlap": round(self.overlap, 4),
            "similarity": round(self.similarity, 4),
            "outline_fit": round(self.outline_fit, 4),
            "degrees_of_freedom": round(self.degrees_of_freedom, 1),
        }

    def _displaced(self) -> Bool[np.ndarray, " T"]:
        return np.array([False, *(moved > DISPLACED_MM for moved in self.displacement_mm)])

    def _spiking(self) -> Bool[np.ndarray, " T"]:
        return np.array([False, *spikes_among(np.array(self.dvars_before)).tolist()])

    def _outlying(self) -> Bool[np.ndarray, " T"]:
        return np.array([share > OUTLYING_SHARE for share in self.outlier_shares])


def assess(
    *,
    before: VoxelSeries,
    after: VoxelSeries,
    varies: Bool[np.ndarray, " N"],
    motion: Motion,
    registration: Registration,
    start: Start,
    tr_s: float,
    degrees_of_freedom: float,
) -> NativeQuality:
    """Measure a run that is in template space.

    Parameters
    ----------
    before, after : (N, T) float32
        The template's brain, before anything was taken out and after cleaning.
    varies : (N,) bool
        Voxels with signal.
    motion, registration, start
        From their own stages.
    tr_s : float
    degrees_of_freedom : float
        From cleaning.
    """
    mean, deviation = before.mean(axis=1)[varies], before.std(axis=1)[varies]
    return NativeQuality(
        n_frames=before.shape[1],
        tr_s=tr_s,
        start=start,
        displacement_mm=_plain(framewise_displacement_mm(motion)),
        dvars_before=_plain(standardised_dvars(before, voxels=varies)),
        dvars_after=_plain(standardised_dvars(after, voxels=varies)),
        outlier_shares=_plain(outlier_shares(before[varies])),
        tsnr=float(np.median(mean / deviation)) if varies.any() else 0.0,
        coverage=registration.coverage,
        overlap=registration.overlap,
        similarity=registration.explained,
        outline_fit=registration.outline_fit,
        degrees_of_freedom=degrees_of_freedom,
    )


def _plain(values: Float64[np.ndarray, " S"]) -> tuple[float, ...]:
    return tuple(values.tolist())


def _rounded(values: tuple[float, ...]) -> list[float]:
    return [round(value, 4) for value in values]
