"""A T1-weighted image of the head whose run is looked at: read, and made small, for it only shows the way."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imaging.header import read_volume_header
from imaging.samples import FileSamples
from imaging.shapes import Affine, Volume
from imaging.stream import open_scan_bytes
from imaging.template_fit import block_average

# Voxels smaller than this are averaged: tissues are told apart on a grid of 2 mm.
BLOCK_MM = 2.0


@dataclass(frozen=True, eq=False)
class Structural:
    """A T1-weighted image.

    Attributes
    ----------
    values : (X, Y, Z) float32
        Any unit; finite.
    affine : (4, 4) float64
        Voxel indices -> RAS+ mm.
    """

    values: Volume
    affine: Affine


def read_structural(path: Path) -> Structural:
    """Read an image, averaged to voxels of about 2 mm where they are smaller.

    Parameters
    ----------
    path : Path
        A 3-D NIfTI-1/2 file, plain or gzipped.

    Raises
    ------
    ScanError
        If it is no sound NIfTI image of three dimensions.
    OSError
        If it cannot be read.
    """
    with open_scan_bytes(path) as source:
        header = read_volume_header(source)
    x, y, z, _ = header.shape
    samples = FileSamples(path=path, header=header)
    # To its end: what is damaged behind the last sample is refused as in a scan.
    (stored,) = [block.reshape(z, y, x) for block in samples.stored_blocks(1)]

    def slabs() -> Iterator[tuple[Volume, Affine]]:
        thickness = min(z, max(1, int(BLOCK_MM / np.linalg.norm(header.affine[:3, 2]) + 1e-6)))
        for first in range(0, z - thickness + 1, thickness):
            values = stored[first : first + thickness].astype(np.float32) * np.float32(header.slope)
            finite = np.nan_to_num(values + np.float32(header.intercept), nan=0.0, posinf=0.0, neginf=0.0)
            affine = header.affine.copy()
            affine[:3, 3] += first * affine[:3, 2]
            yield block_average(finite.T, affine, block_mm=BLOCK_MM)

    averaged = list(slabs())
    return Structural(
        values=np.concatenate([values for values, _ in averaged], axis=2), affine=averaged[0][1]
    )
