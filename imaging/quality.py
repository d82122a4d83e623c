"""How good a scan is: figures to be shown beside every result."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Float64

from imaging.reading import BrainSignal
from imaging.scan import BoldScan
from imaging.shapes import VoxelSeries
from imaging.temporal import row_pieces

# Below this ratio of mean to standard deviation a voxel's mean carries no anatomy: a real echo-planar image
# has 20 and more, a band-passed one about 0.
MEANLESS_TSNR = 1.0

# A cube voxel counts as covered when at least half of it lies in voxels that vary.
COVERED = 0.5

_IQR_OF_A_NORMAL = 1.349


@dataclass(frozen=True, kw_only=True)
class QualityReport:
    """Figures about one scan; none of them decides anything.

    Attributes
    ----------
    n_frames : int
        As acquired.
    tr_s, duration_s : float
        As acquired.
    tsnr : float or None
        Median over the brain's voxels of mean / standard deviation in time; None where the mean is about zero
        (band-passed data), where it would mean nothing.
    mean_intensity : float or None
        Median over the brain's voxels of the mean in time, in the scan's own units; None where ``tsnr`` is.
    temporal_sd : float or None
        Median over the brain's voxels of the standard deviation in time, in the same units.
    dvars_mean, dvars_max : float
        Of ``dvars``.
    dvars : tuple of float
        Standardised DVARS for each frame after the first: root mean square over the brain of the change from
        the frame before (Power et al. 2012, NeuroImage 59:2142), divided by what the voxels' own robust
        variance and lag-1 autocorrelation predict (Nichols 2017, arXiv:1704.01469). About 1 where nothing
        happens. Measured on the cube before temporal filtering.
    spikes : int
        Frames whose DVARS lies above the third quartile by more than 1.5 interquartile ranges (the box plot
        rule of FSL's fsl_motion_outliers).
    template_coverage : float
        Share of the template brain where the scan has signal that varies.
    in_band_power : float or None
        Share of the detrended signal's power inside the pass band, before filtering.
    template_space : dict of str to float
        Scores of the decision that the scan lies in template space.
    """

    n_frames: int
    tr_s: float
    duration_s: float
    tsnr: float | None
    mean_intensity: float | None
    temporal_sd: float | None
    dvars_mean: float
    dvars_max: float
    dvars: tuple[float, ...]
    spikes: int
    template_coverage: float
    in_band_power: float | None
    template_space: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "n_frames": self.n_frames,
            "tr_s": self.tr_s,
            "duration_s": self.duration_s,
            "tsnr": self.tsnr,
            "mean_intensity": self.mean_intensity,
            "temporal_sd": self.temporal_sd,
            "dvars_mean": self.dvars_mean,
            "dvars_max": self.dvars_max,
            "dvars": [round(value, 4) for value in self.dvars],
            "spikes": self.spikes,
            "template_coverage": self.template_coverage,
            "in_band_power": self.in_band_power,
            "template_space": dict(self.template_space),
        }


@dataclass(frozen=True)
class SignalFigures:
    """What is measured on a scan's signal; the attributes are as in :class:`QualityReport`."""

    tsnr: float | None
    mean_intensity: float | None
    temporal_sd: float | None
    dvars: Float64[np.ndarray, " S"]
    template_coverage: float


def measure_signal(signal: BrainSignal) -> SignalFigures:
    """Measure what one pass over a scan's samples gave, before temporal filtering."""
    covered = np.asarray(signal.signal_share >= COVERED)
    tsnr, mean_intensity, temporal_sd = _intensity(signal)
    return SignalFigures(
        tsnr=tsnr,
        mean_intensity=mean_intensity,
        temporal_sd=temporal_sd,
        dvars=standardised_dvars(signal.series, voxels=covered),
        template_coverage=float(covered.mean()),
    )


def assess_quality(
    scan: BoldScan,
    figures: SignalFigures,
    *,
    in_band_power: float | None,
    template_space: dict[str, float],
) -> QualityReport:
    """Put together what the stages found.

    Parameters
    ----------
    scan : BoldScan
    figures : SignalFigures
    in_band_power, template_space
        From their own stages.
    """
    return QualityReport(
        n_frames=scan.n_frames,
        tr_s=scan.tr_s,
        duration_s=scan.n_frames * scan.tr_s,
        tsnr=figures.tsnr,
        mean_intensity=figures.mean_intensity,
        temporal_sd=figures.temporal_sd,
        dvars_mean=float(figures.dvars.mean()),
        dvars_max=float(figures.dvars.max()),
        dvars=tuple(figures.dvars.tolist()),
        spikes=count_spikes(figures.dvars),
        template_coverage=figures.template_coverage,
        in_band_power=in_band_power,
        template_space={name: float(score) for name, score in template_space.items()},
    )


def standardised_dvars(
    series: VoxelSeries, *, voxels: Bool[np.ndarray, " N"] | None = None
) -> Float64[np.ndarray, " S"]:
    """Change from frame to frame, in units of what is expected of these voxels.

    Parameters
    ----------
    series : (N, T) float32
    voxels : (N,) bool, optional
        Those to look at; all of them if not given.

    Returns
    -------
    (T - 1,) float64
        Zeros where nothing varies.
    """
    chosen = np.arange(len(series)) if voxels is None else np.flatnonzero(voxels)
    power = np.zeros(series.shape[1] - 1)
    # In pieces: the differences of a long run take hundreds of megabytes.
    for rows in row_pieces(series):
        change = np.diff(series[chosen[rows]], axis=1)
        power += np.einsum("vt,vt->t", change, change, dtype=np.float64)
    dvars: Float64[np.ndarray, " S"] = np.sqrt(power / max(len(chosen), 1))
    # Every eighth voxel is plenty for a mean over the brain, and quartiles cost more than all the rest here.
    expected = _expected_dvars(series[chosen[:: 8 if len(chosen) > 1000 else 1]])
    return dvars / expected if expected > 0 else np.zeros_like(dvars)


def _expected_dvars(series: VoxelSeries) -> float:
    """Nichols 2017, eq. 5: the root of the brain's mean of 2 (1 - lag-1 autocorrelation) variance.

    Where at least half of each voxel's frames are equal, its robust variance is zero, and the ordinary one
    stands in.
    """
    if not len(series):
        return 0.0
    low, high = _quartiles(series)
    variance = ((high - low) / _IQR_OF_A_NORMAL) ** 2
    centred = series - series.mean(axis=1, keepdims=True, dtype=np.float64)
    power = np.einsum("vt,vt->v", centred, centred)
    if not variance.any():
        variance = power / series.shape[1]
    lagged = np.einsum("vt,vt->v", centred[:, 1:], centred[:, :-1])
    correlation = np.divide(lagged, power, out=np.zeros_like(power), where=power > 0)
    return float(np.sqrt(np.mean(2 * (1 - correlation) * variance)))


def _quartiles(series: VoxelSeries) -> tuple[Float32[np.ndarray, " N"], Float32[np.ndarray, " N"]]:
    """Return the first and the third of each row; sorting it all takes a tenth of np.percentile's time."""
    ordered = np.sort(series, axis=1)
    last = series.shape[1] - 1

    def at(place: float) -> Float32[np.ndarray, " N"]:
        below = int(place)
        under, over = ordered[:, below], ordered[:, min(below + 1, last)]
        between: Float32[np.ndarray, " N"] = under + (over - under) * np.float32(place - below)
        return between

    return at(0.25 * last), at(0.75 * last)


def spikes_among(dvars: Float64[np.ndarray, " S"]) -> Bool[np.ndarray, " S"]:
    """Tell which frames stand out of their own scan."""
    low, high = np.percentile(dvars, [25, 75])
    standing_out: Bool[np.ndarray, " S"] = dvars > high + 1.5 * (high - low)
    return standing_out


def count_spikes(dvars: Float64[np.ndarray, " S"]) -> int:
    """Count frames that stand out of their own scan."""
    return int(spikes_among(dvars).sum())


def _intensity(signal: BrainSignal) -> tuple[float | None, float | None, float | None]:
    """Return the brain's signal-to-noise ratio, mean and standard deviation in time."""
    inside = signal.in_brain & (signal.temporal_sd > 0)
    if not inside.any():
        return None, None, None
    mean, deviation = signal.mean[inside], signal.temporal_sd[inside]
    ratio, temporal_sd = float(np.median(np.abs(mean) / deviation)), float(np.median(deviation))
    if ratio < MEANLESS_TSNR:
        return None, None, temporal_sd
    return ratio, float(np.median(mean)), temporal_sd
