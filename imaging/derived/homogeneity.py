"""ReHo: how well a voxel's neighbourhood rises and falls together (Zang et al. 2004).

Kendall's coefficient of concordance W, doi:10.1016/j.neuroimage.2003.12.030. With each series' ranks counted
from their middle, W is the squared length of the sum of the neighbours' ranks, divided by the largest that it
could be: the number of neighbours times the sum of their own squared lengths. Tied values share their mean
rank, which shortens a series' ranks by just what the usual correction for ties takes off.
"""

import numpy as np
from jaxtyping import Bool, Float32
from scipy.sparse import csr_array

from imaging.shapes import BrainMap, CubeMask, VoxelSeries
from imaging.temporal import row_pieces

_HALF = 32
_LOWER_HALF = 2**32 - 1
_ALL_BUT_SIGN = 2**31 - 1


def regional_homogeneity(series: VoxelSeries, *, mask: CubeMask) -> BrainMap:
    """Compute Kendall's W over each voxel and those of its 26 neighbours that are in the mask and vary.

    At the rim of the brain, and beside voxels without signal, fewer than 27 take part: W is that of those
    there are, and nothing is filled in. Series that have nothing in common give 1 / m on average over m of
    them, so chance alone raises the rim: in the cube of 34 voxels two thirds of the voxels have all 27, and
    none has fewer than 10.

    Parameters
    ----------
    series : (N, T) float32
        Band-passed, of the mask's voxels in C order.
    mask : (G, G, G) bool

    Returns
    -------
    (N,) float32
        0 to 1; 0 where a voxel does not vary, or none of its neighbours does.
    """
    ranks, varies = _middled_ranks(series)
    lengths = np.einsum("vt,vt->v", ranks, ranks, dtype=np.float64)
    neighbours = _neighbours(mask)
    n_together = neighbours @ varies.astype(np.float64)
    most = n_together * (neighbours @ lengths)
    together = np.zeros(len(series))
    for rows in row_pieces(series):
        # Halves of whole numbers, far below what single precision holds exactly.
        sums = neighbours[rows] @ ranks
        together[rows] = np.einsum("vt,vt->v", sums, sums, dtype=np.float64)
    homogeneity = np.zeros(len(series), dtype=np.float32)
    np.divide(together, most, out=homogeneity, where=varies & (n_together > 1), casting="same_kind")
    return homogeneity


def _middled_ranks(series: VoxelSeries) -> tuple[Float32[np.ndarray, "N T"], Bool[np.ndarray, " N"]]:
    """Rank each voxel's frames, counted from the middle; all 0 where a voxel does not vary."""
    n_frames = series.shape[1]
    ranks = np.empty_like(series)
    varies = np.ptp(series, axis=1) > 0
    numbers = np.arange(n_frames, dtype=np.float32) - np.float32((n_frames - 1) / 2)
    for rows in row_pieces(series):
        # Whole numbers in the values' order, each with its frame in the lower half: sorting them is twice as
        # fast as looking for the order. Adding 0 makes -0 and 0 the same value.
        bits = (series[rows] + np.float32(0)).view(np.int32)
        keys = (bits ^ ((bits >> 31) & _ALL_BUT_SIGN)).astype(np.int64)
        keys <<= _HALF
        keys |= np.arange(n_frames)
        keys.sort(axis=1)
        values = keys >> _HALF
        tied = (values[:, 1:] == values[:, :-1]).any(axis=1)
        keys &= _LOWER_HALF
        keys += np.arange(0, keys.size, n_frames)[:, None]
        ranks[rows].reshape(-1)[keys] = numbers
        for number in np.flatnonzero(tied & varies[rows]):
            ranks[rows][number] = _with_ties(series[rows][number])
    ranks[~varies] = 0
    return ranks, varies


def _with_ties(values: Float32[np.ndarray, " T"]) -> Float32[np.ndarray, " T"]:
    """Rank one series whose equal values share their mean rank, counted from the middle."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(sizes) - (sizes + len(values)) / 2
    return mean_ranks[group].astype(np.float32)


def _neighbours(mask: CubeMask) -> csr_array:
    """Return the sparse (N, N) matrix with a 1 for each voxel of the mask in a voxel's 3 x 3 x 3 cube."""
    n_voxels = int(mask.sum())
    numbers = np.full(np.array(mask.shape) + 2, -1, dtype=np.int32)
    numbers[1:-1, 1:-1, 1:-1][mask] = np.arange(n_voxels, dtype=np.int32)
    cubes = np.lib.stride_tricks.sliding_window_view(numbers, (3, 3, 3))[mask].reshape(n_voxels, 27)
    inside = cubes >= 0
    starts = np.concatenate([[0], np.cumsum(inside.sum(axis=1), dtype=np.int32)])
    ones = np.ones(int(starts[-1]), dtype=np.float32)
    return csr_array((ones, cubes[inside], starts.astype(np.int32)), shape=(n_voxels, n_voxels))
