"""A map as a NIfTI image that lies over the template brain."""

from typing import Any

import nibabel as nib
import numpy as np

from imaging import brain_cube
from imaging.shapes import Cube

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
    image = nib.Nifti1Image(  # type: ignore[no-untyped-call]
        np.asarray(cube, dtype=np.float32), brain_cube(cube.shape[0]).affine
    )
    image.set_sform(image.affine, code=_MNI152)  # type: ignore[no-untyped-call]
    image.set_qform(image.affine, code=_MNI152)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm")  # type: ignore[no-untyped-call]
    image.header["descrip"] = b"RestNet"
    return image
