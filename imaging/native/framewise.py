"""How much the head moved between frames."""

import numpy as np
from jaxtyping import Float64

from imaging.native.motion import Motion

HEAD_RADIUS_MM = 50.0
"""Of the sphere on whose surface rotations are measured (Power et al. 2012, NeuroImage 59:2142)."""


def framewise_displacement_mm(motion: Motion) -> Float64[np.ndarray, " S"]:
    """Return the framewise displacement of Power et al. 2012 for each frame after the first.

    Returns
    -------
    (T - 1,) float64
        Sum of the absolute changes of the three translations and of the three rotations, as arcs on a sphere.
    """
    moved = np.hstack([motion.translations_mm, HEAD_RADIUS_MM * motion.rotations])
    displacement: Float64[np.ndarray, " S"] = np.abs(np.diff(moved, axis=0)).sum(axis=1)
    return displacement
