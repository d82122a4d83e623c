"""The way from one scan's grid into the network's cube, made once for a grid and reused."""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float32, Int32
from scipy.sparse import csr_array

from imaging.cube import brain_cube
from imaging.sampling import sampling_map
from imaging.shapes import Affine
from imaging.template import template_brain


@dataclass(frozen=True)
class CubeMap:
    """A sparse linear map with a row for each brain voxel of the cube.

    Attributes
    ----------
    weights : (N, U) sparse float32
        Columns are the used source voxels only. A row sums to its coverage.
    used : (U,) int32
        Where those source voxels stand in the file's order (x fastest), ascending.
    coverage : (N,) float32
        Share of each cube voxel that the scan's grid covers, 0 to 1.
    in_brain : (V,) bool
        Source voxels whose centre lies in the template brain, in the file's order.
    """

    weights: csr_array
    used: Int32[np.ndarray, " U"]
    coverage: Float32[np.ndarray, " N"]
    in_brain: Bool[np.ndarray, " V"]

    @property
    def to_mean(self) -> Float32[np.ndarray, " N"]:
        """What turns each row's weighted sum into a weighted mean; 0 where nothing is covered."""
        factor = np.zeros_like(self.coverage)
        np.divide(1, self.coverage, out=factor, where=self.coverage > 0)
        return factor

    def without(self, voxels: Bool[np.ndarray, " V"]) -> "CubeMap":
        """Return the map that treats some source voxels as if the grid did not cover them."""
        kept = ~voxels[self.used]
        entries = kept[self.weights.indices]
        entries_before = np.concatenate([[0], np.cumsum(entries, dtype=np.int32)])
        weights = csr_array(
            (
                self.weights.data[entries],
                _numbers(kept)[self.weights.indices[entries]],
                entries_before[self.weights.indptr],
            ),
            shape=(len(self.coverage), int(kept.sum())),
        )
        return replace(
            self,
            weights=weights,
            used=self.used[kept],
            coverage=np.asarray(weights.sum(axis=1), dtype=np.float32),
        )


# The map of a grid of 2 million voxels takes some 30 MB, that of the largest 200 MB.
_SHARED_VOXELS = 2_000_000


def cube_map(*, shape: tuple[int, int, int], affine: Affine, grid_size: int) -> CubeMap:
    """Return the map from a scan's grid to the cube; equal grids of an ordinary size share one.

    Parameters
    ----------
    shape : (X, Y, Z)
    affine : (4, 4) float64
        Voxel indices -> RAS+ mm.
    grid_size : int
        Voxels along an edge of the cube.
    """
    make = _shared_cube_map if math.prod(shape) <= _SHARED_VOXELS else _cube_map
    # Adding zero makes -0.0 and 0.0 the same grid.
    return make(shape, np.ascontiguousarray(affine + 0.0, dtype=np.float64).tobytes(), grid_size)


def _cube_map(shape: tuple[int, int, int], affine_bytes: bytes, grid_size: int) -> CubeMap:
    affine = np.frombuffer(affine_bytes).reshape(4, 4)
    cube = brain_cube(grid_size)
    whole = sampling_map(
        target_voxels=cube.brain_voxels, target_affine=cube.affine, shape=shape, affine=affine
    )
    # Neither np.unique nor indexing the columns: both take seconds and hundreds of megabytes on a fine grid.
    seen = np.zeros(math.prod(shape), dtype=bool)
    seen[whole.weights.indices] = True
    used = np.flatnonzero(seen).astype(np.int32)
    columns = _numbers(seen)[whole.weights.indices]
    return CubeMap(
        weights=csr_array(
            (whole.weights.data, columns, whole.weights.indptr), shape=(len(whole.coverage), len(used))
        ),
        used=used,
        coverage=whole.coverage,
        in_brain=_in_brain(shape, affine),
    )


_shared_cube_map = lru_cache(maxsize=4)(_cube_map)


def _numbers(chosen: Bool[np.ndarray, " V"]) -> Int32[np.ndarray, " V"]:
    """Return each chosen one's number, from 0; what stands at the others means nothing."""
    numbers = np.cumsum(chosen, dtype=np.int32)
    numbers -= 1
    return numbers


def _in_brain(shape: tuple[int, int, int], affine: Affine) -> Bool[np.ndarray, " V"]:
    """Look up the template mask at the nearest template voxel, a slice at a time to bound memory."""
    template = template_brain()
    to_template = np.linalg.inv(template.affine) @ affine
    x, y = np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), indexing="ij")
    inside = np.zeros(shape, dtype=bool, order="F")
    limits = np.array(template.mask.shape)
    for z in range(shape[2]):
        voxels = np.stack([x, y, np.full_like(x, z)], axis=-1) @ to_template[:3, :3].T + to_template[:3, 3]
        nearest = np.rint(voxels).astype(np.int64)
        known = ((nearest >= 0) & (nearest < limits)).all(axis=-1)
        i, j, k = np.moveaxis(np.where(known[..., None], nearest, 0), -1, 0)
        inside[:, :, z] = known & template.mask[i, j, k]
    return inside.ravel(order="F")
