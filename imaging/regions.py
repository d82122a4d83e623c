"""Regions of the brain on the network's cube: tiles, published coordinates, or an atlas that somebody brings.

A region is a set of the cube's voxels in the brain; a voxel is in one region at most. A region that no voxel
is left for is dropped, and named in `Regions.dropped`.
"""

import csv
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Float32, Float64, Int, Int16, Int64
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from imaging.cube import brain_cube
from imaging.cube_map import cube_map
from imaging.errors import ScanError
from imaging.label_file import AtlasSingleRegionError, read_label_image

REGION_MM = 20.0
_LEAST_SHARE = 1 / 3  # of a whole cube; the brain's rim leaves smaller crumbs

POWER_RADIUS_MM = 5.0
POWER_ASSET = "power_2011.csv"

# Of a cube voxel that an atlas's regions have to hold together. Cortex is thinner than a cube voxel: of the
# 111 Harvard-Oxford regions cut down to grey matter, asking for half loses three, this and `_choose` one.
_LEAST_LABELLED = 0.25


class AtlasOutsideBrainError(ScanError):
    """An atlas none of whose regions lies in the template brain."""

    code: ClassVar[str] = "atlas_outside_brain"

    def __init__(self, *, n_regions: int) -> None:
        super().__init__(
            f"expected an atlas in MNI152 space, found none of its {n_regions:,} regions in the brain"
        )
        self.n_regions = n_regions


@dataclass(frozen=True, eq=False)
class Regions:
    """Which voxels of the cube's brain mask belong to which region.

    Attributes
    ----------
    voxels : (V,) int
        Those in a region, region by region.
    starts : (R,) int
        Where each region starts among them.
    names : tuple of str
        Of the regions, in their order; numbers where nobody named them.
    dropped : tuple of str
        Names of the regions that were asked for and have no voxel on this cube.
    """

    voxels: Int[np.ndarray, " V"]
    starts: Int[np.ndarray, " R"]
    names: tuple[str, ...]
    dropped: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Count the regions."""
        return len(self.starts)

    def means(self, series: Float[np.ndarray, "T N"]) -> Float32[np.ndarray, "T R"]:
        """Average the voxels of each region."""
        sums = np.add.reduceat(np.asarray(series)[:, self.voxels].astype(np.float32), self.starts, axis=1)
        return np.asarray(sums / np.diff(np.r_[self.starts, len(self.voxels)]), dtype=np.float32)

    def labels(self, n_voxels: int) -> Int16[np.ndarray, " N"]:
        """Give each voxel in the brain, in the mask's C order, its region's number from 1; 0 is none.

        Parameters
        ----------
        n_voxels : int
            In the cube's brain mask.
        """
        labels = np.zeros(n_voxels, dtype=np.int16)
        sizes = np.diff(np.r_[self.starts, len(self.voxels)])
        labels[self.voxels] = np.repeat(np.arange(1, len(self) + 1), sizes)
        return labels

    @classmethod
    def from_labels(
        cls,
        labels: Int[np.ndarray, " N"],
        *,
        names: tuple[str, ...] | None = None,
        dropped: tuple[str, ...] = (),
    ) -> "Regions":
        """Make regions of what `labels` gave.

        Parameters
        ----------
        labels : (N,) int
            Each voxel's region, counted from 1; 0 is none.
        names : tuple of str, optional
            One a region; by default its number.
        dropped : tuple of str

        Raises
        ------
        ValueError
            If there is no region, a region between 1 and the last has no voxel, or names are missing.
        """
        found = np.unique(labels)
        found = found[found != 0]
        if not np.array_equal(found, np.arange(1, len(found) + 1)) or not len(found):
            raise ValueError(
                "expected labels that number the regions from 1 without gaps, found "
                f"{found[:5].tolist()} to {found[-1:].tolist()}"
            )
        if names is None:
            names = tuple(map(str, found.tolist()))
        if len(names) != len(found):
            raise ValueError(f"expected {len(found)} names of regions, found {len(names)}")
        inside = np.flatnonzero(labels)
        voxels = inside[np.argsort(labels[inside], kind="stable")]
        starts = np.flatnonzero(np.r_[True, np.diff(labels[voxels].astype(np.int64)) != 0])
        return cls(voxels=voxels, starts=starts, names=names, dropped=dropped)


def tile_brain(grid_size: int) -> Regions:
    """Cut the template brain into cubes of about 20 mm; one that holds less than a third is left out."""
    cube = brain_cube(grid_size)
    edge = max(round(REGION_MM / cube.voxel_mm), 1)
    _, region, size = np.unique(
        cube.brain_voxels.astype(np.int64) // edge, axis=0, return_inverse=True, return_counts=True
    )
    kept = np.flatnonzero((size >= _LEAST_SHARE * edge**3)[region])
    voxels = kept[np.argsort(region[kept], kind="stable")]
    starts = np.flatnonzero(np.r_[True, np.diff(region[voxels]) != 0])
    return Regions(voxels=voxels, starts=starts, names=tuple(str(i + 1) for i in range(len(starts))))


def power_264(grid_size: int) -> Regions:
    """Give the 264 areas of Power et al. (2011) as spheres of 5 mm around their published coordinates.

    A voxel belongs to the nearest coordinate within 5 mm of its centre; between equally near ones, to the
    first. No two coordinates are nearer than 10.3 mm, so that spheres never share a voxel. On the cube of 34
    all 264 keep 2 to 7 voxels; on a coarser one a sphere may hold no voxel's centre, and is dropped.

    Parameters
    ----------
    grid_size : int
        Of the cube.

    Returns
    -------
    Regions
        Named by the number of the published table, 1 to 264.

    References
    ----------
    Power JD et al., "Functional network organization of the human brain", Neuron 2011;72(4):665-678,
    doi:10.1016/j.neuron.2011.09.006.
    """
    centres = power_centres_mm()
    cube = brain_cube(grid_size)
    positions = cube.brain_voxels @ cube.affine[:3, :3].T + cube.affine[:3, 3]
    distance, nearest = cKDTree(centres).query(positions)
    region = np.where(distance <= POWER_RADIUS_MM, nearest + 1, 0)
    return _numbered(region, np.arange(1, len(centres) + 1))


def power_centres_mm() -> Float64[np.ndarray, "264 3"]:
    """Read the published coordinates, MNI millimetres (RAS+), in the order of their numbers."""
    text = (resources.files("imaging") / "assets" / POWER_ASSET).read_text()
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return np.array([[float(row[axis]) for axis in "xyz"] for row in rows])


def read_atlas(path: Path, *, grid_size: int) -> Regions:
    """Bring an atlas onto the cube: each voxel belongs to the region that takes up most of it.

    The regions together have to hold a quarter of a cube voxel. A region thinner than that everywhere has
    the voxels in which it is the largest region, however small.

    Parameters
    ----------
    path : Path
        A 3-D NIfTI image of the regions' numbers, 0 outside, in MNI152 space on any grid.
    grid_size : int
        Of the cube.

    Returns
    -------
    Regions
        Named by their numbers in the atlas, in ascending order.

    Raises
    ------
    AtlasNotThreeDimensionalError, AtlasNotLabelsError, AtlasTooManyRegionsError
        If it is no atlas.
    AtlasOutsideBrainError
        If none of its regions lies in the brain.
    AtlasSingleRegionError
        If fewer than two do.
    ScanError
        If it is no sound NIfTI image.
    OSError
        If it cannot be read.
    """
    atlas = read_label_image(path)
    x, y, z = atlas.region.shape
    to_cube = cube_map(shape=(x, y, z), affine=atlas.affine, grid_size=grid_size)
    of_used = atlas.region.ravel(order="F")[to_cube.used]
    inside = np.flatnonzero(of_used)
    members = csr_array(
        (np.ones(len(inside), dtype=np.float32), (inside, of_used[inside] - 1)),
        shape=(len(of_used), len(atlas.numbers)),
    )
    region = _choose((to_cube.weights @ members).toarray())
    if not region.any():
        raise AtlasOutsideBrainError(n_regions=len(atlas.numbers))
    regions = _numbered(region, atlas.numbers)
    if len(regions) < 2:
        raise AtlasSingleRegionError(found=len(regions))
    return regions


def _choose(share: Float32[np.ndarray, "N R"]) -> Int64[np.ndarray, " N"]:
    """Return each voxel's region from 1, or 0, from the shares of it that the regions hold."""
    largest = np.where(share.max(axis=1) > 0, share.argmax(axis=1) + 1, 0)
    well = np.where(share.sum(axis=1) >= _LEAST_LABELLED, largest, 0)
    thin = np.setdiff1d(largest, well)
    return np.where(np.isin(largest, thin), largest, well)


def _numbered(region: Int64[np.ndarray, " N"], numbers: Int64[np.ndarray, " R"]) -> Regions:
    """Make regions of places among the numbers, counted from 1; those without a voxel are dropped."""
    kept = np.isin(np.arange(1, len(numbers) + 1), region)
    place = np.r_[0, np.where(kept, np.cumsum(kept), 0)]
    return Regions.from_labels(
        place[region],
        names=tuple(map(str, numbers[kept].tolist())),
        dropped=tuple(map(str, numbers[~kept].tolist())),
    )
