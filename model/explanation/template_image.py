"""A map as a NIfTI image that lies over the template brain."""

from typing import Any

import nibabel as nib
import numpy as np

from imaging import brain_cube
from imaging.shapes import Affine, Cube, Volume

_MNI152 = 4  # NIfTI's code of the space


def to_template(cube: Cube) -> Any:
    """Place a map of the network's cube in MNI152 space.

    The values stay on the cube's own grid, so that their sum stays what it is; a viewer lays it over the
    template by its affine.

    Parameters
    ----------
    cube : (G, G, G) float32

    Returns
    -------
    nibabel.Nifti1Image
        float32, RAS+, millimetres. Of text its header holds the name of this program and nothing else.
    """
    return in_template_space(cube, brain_cube(cube.shape[0]).affine)


def in_template_space(volume: Volume, affine: Affine) -> Any:
    """Make an image, as :func:`to_template` describes it, of a volume that lies in MNI152 space already.

    Parameters
    ----------
    volume : (X, Y, Z) float32
    affine : (4, 4) float64
        Voxel indices -> RAS+ mm.
    """
    image = nib.Nifti1Image(np.asarray(volume, dtype=np.float32), affine)  # type: ignore[no-untyped-call]
    image.set_sform(image.affine, code=_MNI152)  # type: ignore[no-untyped-call]
    image.set_qform(image.affine, code=_MNI152)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm")  # type: ignore[no-untyped-call]
    image.header["descrip"] = b"RestNet"
    return image
