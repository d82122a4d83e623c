"""From time courses of the template's brain to frames on its grid, smoothed."""

from collections.abc import Callable

import numpy as np

from imaging.shapes import Bold, BrainMask, VoxelSeries
from imaging.smoothing import gaussian_smooth
from imaging.template import template_brain

SMOOTHING_FWHM_MM = 6.0
"""As in the Athena pipeline, which smooths last."""


def place(series: VoxelSeries, *, mask: BrainMask, progress: Callable[[float], None]) -> Bold:
    """Put each voxel where it belongs, and smooth each frame by a Gaussian; outside the brain is zero.

    Parameters
    ----------
    series : (N, T) float32
    mask : (49, 58, 47) bool
        N voxels of it are set.
    progress : callable
        Called with 0 to 1 after each frame; may raise to stop the work.

    Returns
    -------
    (49, 58, 47, T) float32
    """
    progress(0.0)
    n_frames = series.shape[1]
    step_mm = float(template_brain().affine[0, 0])
    sigma = np.full(3, SMOOTHING_FWHM_MM / np.sqrt(8 * np.log(2)) / step_mm)
    placed = np.zeros((*mask.shape, n_frames), dtype=np.float32, order="F")
    volume = np.zeros(mask.shape, dtype=np.float32)
    for number in range(n_frames):
        volume[mask] = series[:, number]
        placed[..., number] = gaussian_smooth(volume, sigma, mode="constant")
        progress((number + 1) / n_frames)
    return placed
