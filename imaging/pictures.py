"""What people look at to judge a scan: its mean and its variation in space, and every voxel over time."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    inv_ornt_aff,
    io_orientation,
    ornt_transform,
)

from imaging.cube import brain_cube
from imaging.quality import COVERED
from imaging.reading import BrainSignal
from imaging.shapes import Affine, Volume, VoxelSeries
from imaging.template import template_brain
from imaging.temporal import row_pieces

# A screen shows no more: voxels are left out evenly, frames are averaged.
CARPET_ROWS = 480
CARPET_COLUMNS = 1200

Carpet = Float32[np.ndarray, "R C"]
"""Voxels over time: rows are voxels, columns frames."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ScanPictures:
    """Of one scan, before temporal filtering.

    Attributes
    ----------
    mean, temporal_sd : (X, Y, Z) float32
        Over all frames, scanner units, axes turned to the nearest of RAS+; 0 in voxels that are not finite.
    affine : (4, 4) float64
        Their voxel indices -> RAS+ mm.
    carpet : (R, C) float32
        A carpet plot (Power 2017, NeuroImage 154:150): voxels of the cube that the scan covers, each less
        its own straight line, in its own standard deviations. The rows go from the template's fluid over grey
        to white matter, by its T1 intensity; a column holds ``frames_per_column`` frames.
    frames_per_column : int
    global_signal : (T,) float32
        Mean of those voxels, each less its own mean, in standard deviations of a voxel: 1 is as much as a
        voxel usually moves by itself.
    """

    mean: Volume
    temporal_sd: Volume
    affine: Affine
    carpet: Carpet
    frames_per_column: int
    global_signal: Float32[np.ndarray, " T"]


def picture_signal(signal: BrainSignal, *, affine: Affine, grid_size: int) -> ScanPictures:
    """Make the pictures of what one pass over a scan gave.

    Parameters
    ----------
    signal : BrainSignal
    affine : (4, 4) float64
        Of the scan.
    grid_size : int
        Of the cube that the signal lies on.
    """
    to_ras = ornt_transform(io_orientation(affine), axcodes2ornt("RAS"))  # type: ignore[no-untyped-call]
    turned = affine @ inv_ornt_aff(to_ras, signal.mean.shape)  # type: ignore[no-untyped-call]
    carpet, frames_per_column = _carpet(signal, grid_size)
    return ScanPictures(
        mean=np.ascontiguousarray(apply_orientation(signal.mean, to_ras)),  # type: ignore[no-untyped-call]
        temporal_sd=np.ascontiguousarray(
            apply_orientation(signal.temporal_sd, to_ras)  # type: ignore[no-untyped-call]
        ),
        affine=turned,
        carpet=carpet,
        frames_per_column=frames_per_column,
        global_signal=_global_signal(signal),
    )


def _carpet(signal: BrainSignal, grid_size: int) -> tuple[Carpet, int]:
    covered = np.flatnonzero(signal.signal_share >= COVERED)
    ordered = covered[np.argsort(_template_t1(grid_size)[covered], kind="stable")]
    chosen = ordered[:: max(1, -(-len(ordered) // CARPET_ROWS))]
    rows = without_line(signal.series[chosen])
    return carpet_of(rows, deviation=rows.std(axis=1))


def without_line(series: VoxelSeries) -> Float64[np.ndarray, "R T"]:
    """Return each row less its own straight line."""
    rows: Float64[np.ndarray, "R T"] = series.astype(np.float64)
    time = np.linspace(-1, 1, rows.shape[1])
    rows -= rows.mean(axis=1, keepdims=True)
    rows -= (rows @ time / (time @ time))[:, None] * time
    return rows


def carpet_of(
    rows: Float64[np.ndarray, "R T"], *, deviation: Float64[np.ndarray, " R"]
) -> tuple[Carpet, int]:
    """Return rows in units of their deviations, with no more columns than a screen, and the frames of one."""
    scaled = np.divide(rows, deviation[:, None], out=np.zeros_like(rows), where=deviation[:, None] > 0)
    n_frames = rows.shape[1]
    frames_per_column = -(-n_frames // CARPET_COLUMNS)
    starts = np.arange(0, n_frames, frames_per_column)
    columns = np.add.reduceat(scaled, starts, axis=1) / np.diff([*starts, n_frames])
    return columns.astype(np.float32), frames_per_column


def _global_signal(signal: BrainSignal) -> Float32[np.ndarray, " T"]:
    covered = np.flatnonzero(signal.signal_share >= COVERED)
    total, power = np.zeros(signal.series.shape[1]), 0.0
    # In pieces: a long run in double precision takes hundreds of megabytes.
    for rows in row_pieces(signal.series[covered]):
        piece = signal.series[covered[rows]].astype(np.float64)
        piece -= piece.mean(axis=1, keepdims=True)
        total += piece.sum(axis=0)
        power += float(np.einsum("vt,vt->", piece, piece))
    usual = np.sqrt(power / max(len(covered) * len(total), 1))
    level: Float32[np.ndarray, " T"] = (total / max(len(covered), 1) / (usual or 1.0)).astype(np.float32)
    return level


def _template_t1(grid_size: int) -> Float32[np.ndarray, " N"]:
    """Return the template's T1 intensity at each brain voxel of the cube, from its nearest voxel."""
    cube, template = brain_cube(grid_size), template_brain()
    to_template = np.linalg.inv(template.affine) @ cube.affine
    places = cube.brain_voxels @ to_template[:3, :3].T + to_template[:3, 3]
    at = np.clip(np.rint(places).astype(np.int64), 0, np.subtract(template.t1.shape, 1))
    intensity: Float32[np.ndarray, " N"] = template.t1[tuple(at.T)]
    return intensity
