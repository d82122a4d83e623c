"""One sparse linear map from a scan's own grid to points of a coarser grid, whatever the orientation."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64
from scipy.sparse import csr_array, vstack

from imaging.shapes import Affine

# Below 1/6 of the target's size, more samples a voxel change nothing but the time it takes.
_MAXIMUM_PARTS = 6

_ENTRIES_AT_ONCE = 2**20


@dataclass(frozen=True)
class SamplingMap:
    """Rows are target voxels, columns the source voxels in the file's order (x fastest).

    Attributes
    ----------
    weights : (N, V) sparse float32
        Each row sums to the share of its target voxel that lies inside the source grid.
    coverage : (N,) float32
        That share, 0 to 1.
    """

    weights: csr_array
    coverage: Float32[np.ndarray, " N"]


def sampling_map(
    *,
    target_voxels: Float64[np.ndarray, "N 3"],
    target_affine: Affine,
    shape: tuple[int, ...],
    affine: Affine,
) -> SamplingMap:
    """Average trilinear samples over the volume of each target voxel.

    Each target voxel is divided into k parts along each of its axes, k being how many source voxels fit into
    it (rounded up, 2 to 6), and trilinear interpolation at the centres of the parts is averaged. Point
    sampling would alias what is finer than the target grid, differently for each source resolution.

    Parameters
    ----------
    target_voxels : (N, 3) float64
        Target indices.
    target_affine : (4, 4) float64
        Target indices -> RAS+ mm.
    shape : (X, Y, Z)
        Source grid.
    affine : (4, 4) float64
        Source indices -> RAS+ mm; any orientation, oblique or not.

    Returns
    -------
    SamplingMap
        Parts outside the source grid weigh nothing.
    """
    to_source = np.linalg.inv(affine) @ target_affine
    step = to_source[:3, :3]
    fitting = np.ceil(np.abs(step).max(axis=0) - 1e-6)
    within = [(np.arange(k) + 0.5) / k - 0.5 for k in np.clip(fitting, 2, _MAXIMUM_PARTS)]
    offsets = np.stack(np.meshgrid(*within, indexing="ij"), axis=-1).reshape(-1, 3) @ step.T
    centres = target_voxels @ step.T + to_source[:3, 3]
    rows_at_once = max(1, _ENTRIES_AT_ONCE // (8 * len(offsets)))
    slabs = [
        _rows(centres[start : start + rows_at_once], offsets, shape)
        for start in range(0, len(centres), rows_at_once)
    ]
    weights = vstack(slabs, format="csr")
    return SamplingMap(weights=weights, coverage=np.asarray(weights.sum(axis=1), dtype=np.float32))


def _rows(
    centres: Float64[np.ndarray, "N 3"], offsets: Float64[np.ndarray, "K 3"], shape: tuple[int, ...]
) -> csr_array:
    points = centres[:, None, :] + offsets
    base = np.floor(points)
    fraction = points - base
    corner = base.astype(np.int64)
    stride = (1, shape[0], shape[0] * shape[1])
    columns = np.zeros((*points.shape[:2], 8), dtype=np.int32)
    weights = np.full(columns.shape, 1.0 / len(offsets))
    for number in range(8):
        for axis in range(3):
            upper = number >> axis & 1
            index = corner[..., axis] + upper
            weight = fraction[..., axis] if upper else 1 - fraction[..., axis]
            weights[..., number] *= np.where((index >= 0) & (index < shape[axis]), weight, 0.0)
            columns[..., number] += np.clip(index, 0, shape[axis] - 1) * stride[axis]
    used = (weights > 0).reshape(len(centres), -1)
    row_ends = np.concatenate([[0], np.cumsum(used.sum(axis=1))])
    slab = csr_array(
        (weights.reshape(used.shape)[used].astype(np.float32), columns.reshape(used.shape)[used], row_ends),
        shape=(len(centres), int(np.prod(shape))),
    )
    slab.sum_duplicates()
    return slab
