"""Where the search for a brain begins: a scanner's origin may be anywhere, and a head may lie at an angle."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

from imaging.shapes import Affine
from imaging.template import template_brain
from imaging.template_fit import CENTRE_MM, FINE_SIGMA_MM, BrainMap

# Heads nod much farther than they turn or tilt: what a search from the straight pose does not find.
_NODS_DEG = (0.0, 25.0, -25.0)

# Corners of a box about the brain's middle.
_ABOUT_MM = 60.0 * (2 * np.indices((2, 2, 2)).reshape(3, 8).T - 1)
_FAR_MM = 6.0


def starts(brain: BrainMap) -> Iterator[Affine]:
    """Yield poses to begin with, template millimetres -> scan millimetres, the likeliest first.

    The scanner's own coordinates come first: its origin is mostly in the head. Then the template is laid with
    its middle in the middle of what is bright, with its top at the top of that first: a neck below brings the
    middle down, and missing slices bring it up.

    Parameters
    ----------
    brain : BrainMap
    """
    yield np.eye(4)
    points_mm = _bright_points(brain)
    if not len(points_mm):
        return
    middle_mm = points_mm.mean(axis=0)
    by_top_mm = middle_mm.copy()
    by_top_mm[2] = np.percentile(points_mm[:, 2], 99.5) - _top_mm() + CENTRE_MM[2]
    for target_mm in (by_top_mm, middle_mm):
        for nod_deg in _NODS_DEG:
            pose = np.eye(4)
            pose[:3, :3] = Rotation.from_euler("x", nod_deg, degrees=True).as_matrix()
            pose[:3, 3] = target_mm - pose[:3, :3] @ CENTRE_MM
            yield pose


def turned_over(pose: Affine) -> Iterator[Affine]:
    """Yield a pose with the template turned back to front, upside down, and both.

    Half turns, not mirror images: the template is symmetric, so that each stands for its mirror image too.
    """
    for axis in "zyx":
        turn = np.eye(4)
        turn[:3, :3] = Rotation.from_euler(axis, 180, degrees=True).as_matrix()
        turn[:3, 3] = CENTRE_MM - turn[:3, :3] @ CENTRE_MM
        yield pose @ turn


def turn_deg(pose: Affine) -> float:
    """Return by how much a pose turns the template, whatever it stretches."""
    left, _, right = np.linalg.svd(pose[:3, :3])
    return float(np.rad2deg(Rotation.from_matrix(left @ right).magnitude()))


def far_apart(one: Affine, other: Affine) -> bool:
    """Tell whether two poses put some place about the brain's middle apart by more than a search ends off."""
    change = (one - other)[:3]
    corners = np.hstack([CENTRE_MM + _ABOUT_MM, np.ones((8, 1))])
    return bool(np.linalg.norm(corners @ change.T, axis=1).max() > _FAR_MM)


def _bright_points(brain: BrainMap) -> Float64[np.ndarray, "P 3"]:
    voxels = np.argwhere(brain.outlines[FINE_SIGMA_MM] > 0.5)
    points_mm: Float64[np.ndarray, "P 3"] = voxels @ brain.affine[:3, :3].T + brain.affine[:3, 3]
    return points_mm


def _top_mm() -> float:
    template = template_brain()
    highest = np.argwhere(template.mask)[:, 2].max()
    return float(highest * template.affine[2, 2] + template.affine[2, 3])
