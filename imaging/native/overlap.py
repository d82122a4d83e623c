"""Whether the template's brain and the scan's lie over each other: the Dice coefficient of their outlines."""

import numpy as np
from jaxtyping import Bool, Float32
from scipy.ndimage import binary_dilation, binary_fill_holes, binary_opening, label, map_coordinates

from imaging.native.tissues import template_tissues
from imaging.shapes import Affine, Volume

TissueVolume = Float32[np.ndarray, "I J K"]
TissueMask = Bool[np.ndarray, "I J K"]
"""On the grid of the template's tissues."""

# Around the brain: scalp and eyes beyond are no part of either outline.
_MARGIN_MM = 16.0
# Bridges thinner than twice this, to the eyes and the scalp, are cut.
_BRIDGE_MM = 4.0


def on_template(
    mean: Volume, *, affine: Affine, pose: Affine, lowest_mm: float = -np.inf
) -> tuple[TissueVolume, TissueMask]:
    """Read a scan where the template's tissues are.

    Parameters
    ----------
    mean : (X, Y, Z) float32
    affine : (4, 4) float64
        Its voxel indices -> RAS+ mm.
    pose : (4, 4) float64
        Template mm -> scan mm.
    lowest_mm : float
        What lies below counts as unseen.

    Returns
    -------
    values : (99, 117, 95) float32
    seen : (99, 117, 95) bool
        Where the scan's grid reaches.
    """
    tissues = template_tissues()
    shape = tissues.shares.shape[1:]
    grid = np.indices(shape, dtype=np.float64).reshape(3, -1)
    to_voxels = np.linalg.inv(affine) @ pose @ tissues.affine
    voxels = to_voxels[:3, :3] @ grid + to_voxels[:3, 3:]
    last = np.array(mean.shape)[:, None] - 0.5
    seen = ((voxels >= -0.5) & (voxels <= last)).all(axis=0).reshape(shape)
    values: TissueVolume = map_coordinates(mean, voxels, order=1, mode="nearest", output=np.float32)
    heights_mm = np.arange(shape[2]) * tissues.affine[2, 2] + tissues.affine[2, 3]
    return values.reshape(shape), seen & (heights_mm > lowest_mm)


def brain_overlap(mean: Volume, *, affine: Affine, pose: Affine, lowest_mm: float) -> float:
    """Return the Dice coefficient of the template's brain and the scan's, where the scan reaches.

    The scan's brain is what is brighter than half of its median inside the template's, in one piece.

    Parameters
    ----------
    mean : (X, Y, Z) float32
    affine : (4, 4) float64
    pose : (4, 4) float64
        Template mm -> scan mm.
    lowest_mm : float
        What lies below is not compared.

    Returns
    -------
    float
        0 to 1.
    """
    tissues = template_tissues()
    step_mm = float(tissues.affine[0, 0])
    values, seen = on_template(mean, affine=affine, pose=pose, lowest_mm=lowest_mm)
    brain = tissues.shares.sum(axis=0) > 0.5
    zone = seen & binary_dilation(brain, iterations=round(_MARGIN_MM / step_mm))
    expected = brain & zone
    if not expected.any():
        return 0.0
    bright = zone & (values > 0.5 * np.median(values[expected]))
    found = largest_piece(binary_opening(bright, iterations=round(_BRIDGE_MM / step_mm)))
    both = np.count_nonzero(found & expected)
    return float(2 * both / (np.count_nonzero(found) + np.count_nonzero(expected)))


def largest_piece(mask: TissueMask) -> TissueMask:
    """Return the largest piece of a mask, its holes filled."""
    pieces, count = label(mask)
    if count == 0:
        return mask
    largest = pieces == 1 + np.bincount(pieces.ravel())[1:].argmax()
    filled: TissueMask = binary_fill_holes(largest)
    return filled
