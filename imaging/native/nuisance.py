"""What is no brain activity, taken out of each time course: movement, white matter, fluid and drift."""

import numpy as np
from jaxtyping import Bool, Float64
from numpy.polynomial import legendre

from imaging.native.motion import Motion
from imaging.shapes import VoxelSeries
from imaging.temporal import band_cosines

# One degree more for so many seconds, as AFNI chooses it (3dDeconvolve, -polort A).
_SECONDS_A_DEGREE = 150.0


def regress_nuisance(
    series: VoxelSeries,
    *,
    motion: Motion,
    white_matter: Bool[np.ndarray, " N"],
    fluid: Bool[np.ndarray, " N"],
    tr_s: float,
) -> VoxelSeries:
    """Take out, by least squares, six movements, the mean of two tissues, and a polynomial trend.

    The mean over the whole brain is not among them, as it was not in the Athena pipeline.

    Parameters
    ----------
    series : (N, T) float32
    motion : Motion
        Of the T frames.
    white_matter, fluid : (N,) bool
        Voxels whose mean is taken out; none of them takes out nothing.
    tr_s : float

    Returns
    -------
    (N, T) float32
        What is left, with a mean of 0.
    """
    columns = nuisance_columns(series, motion=motion, white_matter=white_matter, fluid=fluid, tr_s=tr_s)
    basis = _basis(columns).astype(np.float32)
    centred = series - series.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
    left: VoxelSeries = centred - (centred @ basis) @ basis.T
    return left


def degrees_of_freedom(
    columns: Float64[np.ndarray, "T K"], *, tr_s: float, band_hz: tuple[float, float]
) -> float:
    """Count what is left of a band where columns are taken out of it.

    Of white noise, whose power lies in equal parts in all cosines of the transform that the band-pass is made
    of, so much power is left, one for each cosine: their number in the band, less the share of it that the
    columns span. It is no whole number, since a movement lies in the band in part.

    Parameters
    ----------
    columns : (T, K) float64
        As :func:`nuisance_columns` gives them, the trend among them.
    tr_s : float
    band_hz : (low, high)
    """
    cosines = band_cosines(len(columns), tr_s=tr_s, band_hz=band_hz)
    return float(len(cosines) - np.square(cosines @ _basis(columns)).sum())


def nuisance_columns(
    series: VoxelSeries,
    *,
    motion: Motion,
    white_matter: Bool[np.ndarray, " N"],
    fluid: Bool[np.ndarray, " N"],
    tr_s: float,
) -> Float64[np.ndarray, "T K"]:
    """Return what is taken out, a column each, of unit length."""
    n_frames = series.shape[1]
    degree = 1 + int(n_frames * tr_s / _SECONDS_A_DEGREE)
    trend = legendre.legvander(np.linspace(-1, 1, n_frames), degree)
    columns = [trend, motion.translations_mm, motion.rotations]
    columns += [
        series[tissue].mean(axis=0, keepdims=True).T for tissue in (white_matter, fluid) if tissue.any()
    ]
    whole = np.hstack(columns).astype(np.float64)
    whole[:, 1:] -= whole[:, 1:].mean(axis=0)
    length = np.linalg.norm(whole, axis=0)
    unit: Float64[np.ndarray, "T K"] = whole[:, length > 0] / length[length > 0]
    return unit


def _basis(columns: Float64[np.ndarray, "T K"]) -> Float64[np.ndarray, "T K"]:
    """Return orthonormal columns that span what is taken out."""
    onto: Float64[np.ndarray, "T K"] = np.linalg.qr(columns)[0]
    return onto
