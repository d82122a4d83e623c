"""What people look at to judge a run that came into template space; ``figures.py`` draws it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64
from scipy.ndimage import map_coordinates

from imaging.native.overlap import TissueVolume, on_template
from imaging.native.tissues import NAMES, template_tissues
from imaging.pictures import CARPET_ROWS, Carpet, carpet_of, without_line
from imaging.shapes import Affine, Volume, VoxelSeries
from imaging.template import template_brain


@dataclass(frozen=True, eq=False, kw_only=True)
class NativePictures:
    """Of one run.

    Attributes
    ----------
    mean : (99, 117, 95) float32
        The mean frame on the grid of the template's tissues, scanner units; 0 where the scan does not reach.
    before, after : (R, C) float32
        Carpet plots (Power 2017, NeuroImage 154:150) of the template's brain, before anything was taken out
        and after cleaning: each voxel less its own straight line, both in the voxel's standard deviations
        before, so that what was taken out can be seen. Rows by tissue.
    rows : dict of str to int
        How many rows each tissue has, in their order from above.
    frames_per_column : int
    """

    mean: TissueVolume
    before: Carpet
    after: Carpet
    rows: dict[str, int]
    frames_per_column: int


def take_pictures(
    *,
    mean: Volume,
    affine: Affine,
    pose: Affine,
    before: VoxelSeries,
    after: VoxelSeries,
    varies: Bool[np.ndarray, " N"],
) -> NativePictures:
    """Make the pictures.

    Parameters
    ----------
    mean : (X, Y, Z) float32
        Of the run, the head at rest in it.
    affine : (4, 4) float64
        Its voxel indices -> RAS+ mm.
    pose : (4, 4) float64
        Template mm -> scan mm.
    before, after : (N, T) float32
        The template's brain.
    varies : (N,) bool
        Voxels with signal.
    """
    values, seen = on_template(mean, affine=affine, pose=pose)
    tissue = _most_of()
    shown = np.flatnonzero(varies)
    shown = shown[np.argsort(tissue[shown], kind="stable")]
    shown = shown[:: max(1, -(-len(shown) // CARPET_ROWS))]
    rows = without_line(before[shown])
    deviation = rows.std(axis=1)
    carpet, frames_per_column = carpet_of(rows, deviation=deviation)
    cleaned, _ = carpet_of(without_line(after[shown]), deviation=deviation)
    return NativePictures(
        mean=np.where(seen, values, np.float32(0)),
        before=carpet,
        after=cleaned,
        rows={name: int((tissue[shown] == number).sum()) for number, name in enumerate(NAMES)},
        frames_per_column=frames_per_column,
    )


def _most_of() -> Int64[np.ndarray, " N"]:
    """Return which tissue a voxel of the template's brain holds most of."""
    template, tissues = template_brain(), template_tissues()
    to_tissues = np.linalg.inv(tissues.affine) @ template.affine
    voxels = np.argwhere(template.mask) @ to_tissues[:3, :3].T + to_tissues[:3, 3]
    shares = [map_coordinates(share, voxels.T, order=1, mode="nearest") for share in tissues.shares]
    most: Int64[np.ndarray, " N"] = np.argmax(shares, axis=0)
    return most
