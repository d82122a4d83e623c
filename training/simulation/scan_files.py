"""Writing scans as compressed NIfTI-1 files, whole or not at all."""

from pathlib import Path

import nibabel as nib
import numpy as np
from isal import igzip
from jaxtyping import Float32, Float64

from imaging.simulation_mark import SIMULATION_MARK
from model.files import replace_file

# Mantissa bits kept of 23: the rest is noise far below the signal's, and costs twice the disk.
_MANTISSA_BITS = 11


def write_scan(
    path: Path, bold: Float32[np.ndarray, "X Y Z T"], *, affine: Float64[np.ndarray, "4 4"], tr_s: float
) -> None:
    """Write a scan as float32 ``.nii.gz`` with the simulator's mark; the same scan gives the same bytes.

    Values are rounded to 11 bits after the leading one (1 part in 4096), so that compression has something
    to do.

    Parameters
    ----------
    path : Path
        Its folder must exist.
    bold : (X, Y, Z, T) float32
        Scanner units.
    affine : (4, 4) float64
        Voxel indices -> RAS+ millimetres.
    tr_s : float
    """
    image = nib.Nifti1Image(_rounded(bold), affine)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm", "sec")  # type: ignore[no-untyped-call]
    image.header["pixdim"][4] = tr_s
    image.header["descrip"] = SIMULATION_MARK
    # Standard space, and said to be so by both transforms, as in the Athena files.
    image.set_sform(affine, code=4)  # type: ignore[no-untyped-call]
    image.set_qform(affine, code=4)  # type: ignore[no-untyped-call]
    replace_file(path, igzip.compress(image.to_bytes(), compresslevel=1, mtime=0))


def _rounded(values: Float32[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
    dropped = 23 - _MANTISSA_BITS
    bits = values.view(np.uint32)
    half, keep = np.uint32(1 << (dropped - 1)), np.uint32(0xFFFFFFFF << dropped & 0xFFFFFFFF)
    # Adding half of the last kept place may carry into the exponent: IEEE 754's layout makes that right.
    return ((bits + half) & keep).view(np.float32)
