"""From the scanner's grid to the template's, once: every movement is part of one transform a frame."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float64
from scipy.ndimage import map_coordinates, spline_filter

from imaging.native.motion import Motion
from imaging.shapes import Affine, Bold, Volume, VoxelSeries

# Frames that a mean is made of: more of them make its noise no smaller than what is looked for in it.
_FRAMES_OF_A_MEAN = 24


def resample(
    bold: Bold,
    *,
    affine: Affine,
    motion: Motion,
    to_scan: Affine,
    points_mm: Float64[np.ndarray, "N 3"],
    progress: Callable[[float], None],
) -> tuple[VoxelSeries, Bool[np.ndarray, " N"]]:
    """Read a run at places of the template, by cubic splines.

    Parameters
    ----------
    bold : (X, Y, Z, T) float32
    affine : (4, 4) float64
        Its voxel indices -> RAS+ mm of the scanner.
    motion : Motion
        The pose of each of its frames.
    to_scan : (4, 4) float64
        Template mm -> mm of the frame that the poses are relative to.
    points_mm : (N, 3) float64
        Template mm.
    progress : callable
        Called with 0 to 1 after each frame; may raise to stop the work.

    Returns
    -------
    series : (N, T) float32
        0 where a point is never seen.
    seen : (N,) bool
        Points that lie within the field of view in every frame.
    """
    n_frames = bold.shape[3]
    series = np.zeros((len(points_mm), n_frames), dtype=np.float32)
    seen = np.ones(len(points_mm), dtype=bool)
    last = np.array(bold.shape[:3]) - 1
    for number, pose in enumerate(motion.transforms()):
        to_voxels = np.linalg.inv(affine) @ pose @ to_scan
        voxels = points_mm @ to_voxels[:3, :3].T + to_voxels[:3, 3]
        seen &= ((voxels >= 0) & (voxels <= last)).all(axis=1)
        coefficients = spline_filter(bold[..., number], order=3, output=np.float32, mode="nearest")
        series[:, number] = map_coordinates(
            coefficients, voxels.T, order=3, prefilter=False, mode="nearest", output=np.float32
        )
        progress((number + 1) / n_frames)
    series[~seen] = 0
    return series, seen


def mean_in_place(bold: Bold, *, affine: Affine, motion: Motion) -> Volume:
    """Return the mean of some frames, evenly through the run, each brought to where the reference is."""
    chosen = np.unique(np.linspace(0, bold.shape[3] - 1, _FRAMES_OF_A_MEAN).astype(int))
    grid = np.indices(bold.shape[:3], dtype=np.float64).reshape(3, -1)
    transforms = motion.transforms()
    total = np.zeros(grid.shape[1])
    for number in chosen:
        to_voxels = np.linalg.inv(affine) @ transforms[number] @ affine
        voxels = to_voxels[:3, :3] @ grid + to_voxels[:3, 3:]
        total += map_coordinates(bold[..., number], voxels, order=1, mode="nearest", output=np.float64)
    mean: Volume = (total / len(chosen)).astype(np.float32).reshape(bold.shape[:3])
    return mean
