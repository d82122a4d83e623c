"""How bright the head is in each frame: what tells that the signal is not steady yet, or alternates."""

import numpy as np
from jaxtyping import Bool, Float64

from imaging.shapes import Bold, BrainMask, Volume

# Of what is bright: what lies above is head, below air.
_AIR_SHARE = 0.2


def head_of(volume: Volume) -> BrainMask:
    """Return the voxels that are brighter than the air: above a fifth of what is bright."""
    head: Bool[np.ndarray, "X Y Z"] = volume > _AIR_SHARE * np.percentile(volume, 98)
    return head


def frame_levels(bold: Bold) -> Float64[np.ndarray, " T"]:
    """Return the mean of each frame over the head.

    Parameters
    ----------
    bold : (X, Y, Z, T) float32
        Scanner units.

    Returns
    -------
    (T,) float64
        In the same units.
    """
    # The head of a frame late in the run: the first ones may be much brighter.
    head = head_of(bold[..., bold.shape[3] // 2])
    return np.array([bold[..., number][head].mean(dtype=np.float64) for number in range(bold.shape[3])])
