"""Voxels that stand out of their own time course, counted in each frame."""

import numpy as np
from jaxtyping import Float64
from scipy.special import erfcinv

from imaging.shapes import VoxelSeries

# Enough of a brain for a share in per cents.
_VOXELS = 8000


def outlier_shares(series: VoxelSeries) -> Float64[np.ndarray, " T"]:
    """Return the share of voxels that are outliers, for each frame.

    As AFNI's 3dToutcount defines them: beyond the median by more than Q(0.001 / T) sqrt(pi / 2) median
    absolute deviations, where Q is the inverse of a normal distribution's upper tail. The straight line
    of each voxel is taken out first, as afni_proc.py has it done.

    Parameters
    ----------
    series : (N, T) float32

    Returns
    -------
    (T,) float64
        0 to 1; voxels that never vary are not counted.
    """
    n_frames = series.shape[1]
    chosen = series[:: max(1, len(series) // _VOXELS)].astype(np.float64)
    chosen -= chosen.mean(axis=1, keepdims=True)
    times = np.linspace(-1, 1, n_frames)
    chosen -= (chosen @ times / (times @ times))[:, None] * times
    chosen -= np.median(chosen, axis=1, keepdims=True)
    away = np.abs(chosen)
    deviation = np.median(away, axis=1, keepdims=True)
    varies = deviation[:, 0] > 0
    if not varies.any():
        return np.zeros(n_frames)
    upper_tail = np.sqrt(2) * erfcinv(2 * 0.001 / n_frames)
    limit = upper_tail * np.sqrt(np.pi / 2) * deviation[varies]
    shares: Float64[np.ndarray, " T"] = (away[varies] > limit).mean(axis=0)
    return shares
