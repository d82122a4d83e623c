"""The way from one scan's grid into the network's cube, made once for a grid and reused."""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float32, Int
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
    used : (U,) int
        Where those source voxels stand in the file's order (x fastest), ascending.
    coverage : (N,) float32
        Share of each cube voxel that the scan's grid covers, 0 to 1.
    in_brain : (V,) bool
        Source voxels whose centre lies in the template brain, in the file's order.
    """

    weights: csr_array
    used: Int[np.ndarray, " U"]
    coverage: Float32[np.ndarray, " N"]
    in_brain: Bool[np.ndarray, " V"]

    def normalised(self, sums: Float32[np.ndarray, "N n"]) -> Float32[np.ndarray, "N n"]:
        """Turn weighted sums into weighted means; 0 where nothing is covered."""
        scale = np.divide(1, self.coverage, out=np.zeros_like(self.coverage), where=self.coverage > 0)
        means: Float32[np.ndarray, "N n"] = sums * scale[:, None]
        return means

    def without(self, voxels: Bool[np.ndarray, " V"]) -> "CubeMap":
        """Return the map that treats some source voxels as if the grid did not cover them."""
        kept = ~voxels[self.used]
        weights = csr_array(self.weights[:, kept])
        return replace(
            self,
            weights=weights,
            used=self.used[kept],
            coverage=np.asarray(weights.sum(axis=1), dtype=np.float32),
        )


def cube_map(*, shape: tuple[int, int, int], affine: Affine, grid_size: int) -> CubeMap:
    """Return the map from a scan's grid to the cube; equal grids share one.

    Parameters
    ----------
    shape : (X, Y, Z)
    affine : (4, 4) float64
        Voxel indices -> RAS+ mm.
    grid_size : int
        Voxels along an edge of the cube.
    """
    return _cube_map(shape, np.ascontiguousarray(affine, dtype=np.float64).tobytes(), grid_size)


@lru_cache(maxsize=4)
def _cube_map(shape: tuple[int, int, int], affine_bytes: bytes, grid_size: int) -> CubeMap:
    affine = np.frombuffer(affine_bytes).reshape(4, 4)
    cube = brain_cube(grid_size)
    whole = sampling_map(
        target_voxels=cube.brain_voxels, target_affine=cube.affine, shape=shape, affine=affine
    )
    used = np.unique(whole.weights.indices)
    return CubeMap(
        weights=csr_array(whole.weights[:, used]),
        used=used.astype(np.int64),
        coverage=whole.coverage,
        in_brain=_in_brain(shape, affine),
    )


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
