"""The MNI152 template brain on a 4 mm grid: what a scan in template space is compared with."""

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from io import BytesIO

import numpy as np

from imaging.shapes import Affine, BrainMask, Volume

ASSET = "mni152_4mm.npz"


@dataclass(frozen=True)
class Template:
    """MNI152 nlin sym 09a on the Athena lattice, stored RAS+; see ``imaging/assets/README.md``.

    The arrays are read-only: one copy is shared by everybody. The template is exactly symmetric about
    x = 0, so it cannot tell left from right.

    Attributes
    ----------
    mask : (49, 58, 47) bool
        The brain, ventricles included.
    t1 : (49, 58, 47) float32
        Skull-stripped T1-weighted intensity, 0 to 1, smoothed by 6 mm FWHM.
    grey_matter : (49, 58, 47) float32
        Probability of grey matter, 0 to 1, smoothed likewise.
    affine : (4, 4) float64
        Voxel indices -> RAS+ millimetres.
    """

    mask: BrainMask
    t1: Volume
    grey_matter: Volume
    affine: Affine


@lru_cache(maxsize=1)
def template_brain() -> Template:
    """Load the template that ships with this package, once a process.

    Returns
    -------
    Template
        4 mm isotropic, whole head.
    """
    content = (resources.files("imaging") / "assets" / ASSET).read_bytes()
    with np.load(BytesIO(content), allow_pickle=False) as stored:
        arrays = {
            "mask": stored["mask"],
            "t1": stored["t1"].astype(np.float32) / 255,
            "grey_matter": stored["grey_matter"].astype(np.float32) / 255,
            "affine": stored["affine"],
        }
    for array in arrays.values():
        array.setflags(write=False)
    return Template(**arrays)
