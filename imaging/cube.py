"""The network's cube: a coarse grid around the template brain that every scan is mapped onto."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float64
from scipy.ndimage import map_coordinates

from imaging.shapes import Affine
from imaging.template import template_brain


@dataclass(frozen=True)
class BrainCube:
    """The bounding cube of the template brain, RAS+.

    Everything outside ``mask`` is exactly zero in the network's input, in every scan: what a scanner or a
    pipeline leaves outside the brain (masking, ghosts, noise floor) tells the site, not the person.

    Attributes
    ----------
    mask : (G, G, G) bool
        Cube voxels at least half inside the template brain.
    affine : (4, 4) float64
        Cube indices -> RAS+ millimetres.
    voxel_mm : float
        Edge of a cube voxel: the brain's longest extent divided by ``G``.
    """

    mask: Bool[np.ndarray, "G G G"]
    affine: Affine
    voxel_mm: float

    @property
    def brain_voxels(self) -> Float64[np.ndarray, "N 3"]:
        """Indices of the voxels inside the brain, in C order."""
        return np.argwhere(self.mask).astype(np.float64)


@lru_cache(maxsize=4)
def brain_cube(grid_size: int) -> BrainCube:
    """Place a cube of ``grid_size`` voxels an edge around the template brain.

    The longest side of the brain's bounding box sets one voxel size for all three axes, so the brain keeps
    its proportions; the cube is centred on the box.

    Returns
    -------
    BrainCube
        Read-only and shared.
    """
    template = template_brain()
    inside = np.argwhere(template.mask)
    low, high = inside.min(axis=0) - 0.5, inside.max(axis=0) + 0.5
    corners_mm = np.stack([low, high]) @ template.affine[:3, :3].T + template.affine[:3, 3]
    low_mm, high_mm = corners_mm.min(axis=0), corners_mm.max(axis=0)
    voxel_mm = float((high_mm - low_mm).max() / grid_size)
    affine = np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0])
    affine[:3, 3] = (low_mm + high_mm) / 2 - voxel_mm * (grid_size - 1) / 2

    mask = _share_of_brain(affine, grid_size) >= 0.5
    affine.setflags(write=False)
    mask.setflags(write=False)
    return BrainCube(mask=mask, affine=affine, voxel_mm=voxel_mm)


def _share_of_brain(affine: Affine, grid_size: int) -> Float64[np.ndarray, "G G G"]:
    """Average the template's mask over the eight corners of each cube voxel's inner half."""
    template = template_brain()
    to_template = np.linalg.inv(template.affine) @ affine
    halves = (np.arange(2 * grid_size) + 0.5) / 2 - 0.5
    points = np.stack(np.meshgrid(halves, halves, halves, indexing="ij")).reshape(3, -1)
    in_template = to_template[:3, :3] @ points + to_template[:3, 3:]
    fine = map_coordinates(template.mask.astype(np.float64), in_template, order=1)
    share: Float64[np.ndarray, "G G G"] = fine.reshape((grid_size, 2) * 3).mean(axis=(1, 3, 5))
    return share
