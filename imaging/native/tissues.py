"""The tissues of the MNI152 template on a 2 mm grid: what a scan's contrast is explained by."""

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from io import BytesIO

import numpy as np
from jaxtyping import Float32

from imaging.shapes import Affine

ASSET = "mni152_tissues_2mm.npz"
NAMES = ("grey_matter", "white_matter", "fluid")


@dataclass(frozen=True, eq=False)
class Tissues:
    """Shares of grey matter, white matter and fluid; see ``imaging/assets/README.md``.

    Attributes
    ----------
    shares : (3, 99, 117, 95) float32
        In the order of ``NAMES``, 0 to 1; they sum to 1 in the brain and to 0 outside it. Read-only.
    affine : (4, 4) float64
        Voxel indices -> RAS+ millimetres.
    """

    shares: Float32[np.ndarray, "3 X Y Z"]
    affine: Affine


@lru_cache(maxsize=1)
def template_tissues() -> Tissues:
    """Load the tissues that ship with this package, once a process."""
    content = (resources.files("imaging") / "assets" / ASSET).read_bytes()
    with np.load(BytesIO(content), allow_pickle=False) as stored:
        shares = np.stack([stored[name] for name in NAMES]).astype(np.float32) / 255
        affine = stored["affine"]
    shares.setflags(write=False)
    affine.setflags(write=False)
    return Tissues(shares=shares, affine=affine)
