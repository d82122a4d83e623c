"""A brain atlas as people have it: a NIfTI image whose voxels hold the numbers of regions, 0 outside."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Int64

from imaging.dimensions import BadDimensionsError
from imaging.errors import ScanError
from imaging.header import read_volume_header
from imaging.samples import FileSamples
from imaging.shapes import Affine
from imaging.stream import open_scan_bytes

# The finest atlases in use have some 1,000 regions; a cube of 34 has 12,658 voxels in the brain.
MAXIMUM_REGIONS = 1000
# Of voxels beside each other that both have a number. The finest regions, of some 18 voxels, share it in
# three of five pairs, those of the Harvard-Oxford atlas at 4 mm in .84; grey values of a T1-weighted head in
# .02 to .05, and of a CT in .16.
LEAST_SHARED = 0.35


class AtlasNotThreeDimensionalError(ScanError):
    """Maps of probabilities, a time series, or no volume at all."""

    code: ClassVar[str] = "atlas_not_three_dimensional"

    def __init__(self, *, found: list[int]) -> None:
        super().__init__(
            f"expected an atlas of one volume (3-D), a region's number in each voxel, found axes of {found}"
        )
        self.found = found


class AtlasNotLabelsError(ScanError):
    """Values that number no regions."""

    code: ClassVar[str] = "atlas_not_labels"

    def __init__(self, *, found: str) -> None:
        super().__init__(f"expected whole numbers in an atlas, one a region and 0 outside, found {found}")
        self.found = found


class AtlasSingleRegionError(ScanError):
    """Too few regions to relate to each other."""

    code: ClassVar[str] = "atlas_single_region"

    def __init__(self, *, found: int) -> None:
        super().__init__(f"expected at least 2 regions of an atlas in the brain, found {found}")
        self.found = found


class AtlasTooManyRegionsError(ScanError):
    """More regions than the cube can tell apart: often not labels at all."""

    code: ClassVar[str] = "atlas_too_many_regions"

    def __init__(self, *, limit: int, found: int) -> None:
        super().__init__(f"expected at most {limit:,} regions in an atlas, found {found:,}")
        self.limit = limit
        self.found = found


@dataclass(frozen=True, eq=False)
class LabelImage:
    """An atlas on its own grid.

    Attributes
    ----------
    numbers : (R,) int64
        Of the regions, ascending; none is 0.
    region : (X, Y, Z) int64
        Where in ``numbers`` each voxel's region stands, counted from 1; 0 outside.
    affine : (4, 4) float64
        Voxel indices -> RAS+ mm.
    """

    numbers: Int64[np.ndarray, " R"]
    region: Int64[np.ndarray, "X Y Z"]
    affine: Affine


def read_label_image(path: Path) -> LabelImage:
    """Read an atlas.

    Parameters
    ----------
    path : Path
        A 3-D NIfTI-1/2 file of whole numbers in any type, plain or gzipped, in any orientation.

    Raises
    ------
    AtlasNotThreeDimensionalError, AtlasNotLabelsError, AtlasSingleRegionError, AtlasTooManyRegionsError
        If it is no atlas.
    ScanError
        If it is no sound NIfTI image.
    OSError
        If it cannot be read.
    """
    try:
        with open_scan_bytes(path) as source:
            header = read_volume_header(source)
    except BadDimensionsError as error:
        raise AtlasNotThreeDimensionalError(found=error.found[1 : error.found[0] + 1]) from error
    x, y, z, _ = header.shape
    # To its end: what is damaged behind the last sample is refused as in a scan.
    (stored,) = [block[0] for block in FileSamples(path=path, header=header).stored_blocks(1)]
    if stored.dtype.kind == "f" or (header.slope, header.intercept) != (1.0, 0.0):
        stored = stored.astype(np.float64) * header.slope + header.intercept
    if not np.isfinite(stored).all():
        raise AtlasNotLabelsError(found="NaN or infinity")
    values = np.unique(stored)
    _require_labels(values)
    numbers = values[values > 0].astype(np.int64)
    if len(numbers) > MAXIMUM_REGIONS:
        raise AtlasTooManyRegionsError(limit=MAXIMUM_REGIONS, found=len(numbers))
    if len(numbers) < 2:
        raise AtlasSingleRegionError(found=len(numbers))
    # Looked up among the few that there are: asking `unique` for it sorts millions of voxels.
    region = np.searchsorted(np.r_[0, numbers], stored).reshape(z, y, x).T
    _require_pieces(region)
    return LabelImage(numbers=numbers, region=region, affine=header.affine)


def _require_labels(values: np.ndarray) -> None:
    if values[0] < 0:
        raise AtlasNotLabelsError(found=f"the value {values[0]:g}")
    broken = values[np.rint(values) != values]
    if len(broken):
        raise AtlasNotLabelsError(found=f"the value {broken[0]:g}")
    if values[-1] >= 2**53:
        raise AtlasNotLabelsError(found=f"the value {values[-1]:g}")


def _require_pieces(region: Int64[np.ndarray, "X Y Z"]) -> None:
    """Refuse grey values, of which hardly any is that of the voxel beside."""
    n_shared = n_pairs = 0
    for axis in range(3):
        along = np.moveaxis(region, axis, 0)
        one, other = along[:-1], along[1:]
        both = (one > 0) & (other > 0)
        n_pairs += int(both.sum())
        n_shared += int((both & (one == other)).sum())
    if n_shared < LEAST_SHARED * n_pairs:
        raise AtlasNotLabelsError(
            found=f"grey values: {n_shared / n_pairs:.0%} of the voxels beside each other share one"
        )
