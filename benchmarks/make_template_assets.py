"""Make ``imaging/assets/mni152_4mm.npz`` from the MNI152 template that nilearn ships in its wheel.

Run it from the repository root: ``python benchmarks/make_template_assets.py``. The same input gives the same
bytes. nilearn is a test dependency: the product reads the small asset and never imports nilearn.
"""

import argparse
from pathlib import Path

import nibabel
import numpy as np
from nilearn import datasets
from numpy.typing import NDArray
from scipy import ndimage

SHAPE = (49, 58, 47)
ORIGIN_MM = (
    -96.0,
    -132.0,
    -70.0,
)  # the Athena lattice, in RAS+; 0 mm is a voxel centre
STEP_MM = 4
SMOOTHING_FWHM_MM = 6.0  # Athena's blur: what a scan of this grid can resolve
NILEARN_MASK_THRESHOLD = 0.2  # the default of nilearn.datasets.load_mni152_brain_mask
DEFAULT_OUT = Path(__file__).resolve().parent.parent / "imaging" / "assets" / "mni152_4mm.npz"


def template_arrays() -> dict[str, NDArray[np.generic]]:
    """Compute the arrays of the asset from nilearn's package data.

    Returns
    -------
    dict
        ``mask`` (49, 58, 47) bool; ``t1`` and ``grey_matter`` (49, 58, 47) uint8, 255 = 1.0;
        ``affine`` (4, 4) float64.
    """
    t1_image = datasets.load_mni152_template(resolution=1)
    grey_image = datasets.load_mni152_gm_template(resolution=1)
    t1 = np.asarray(t1_image.dataobj, dtype=np.float32)
    grey = np.asarray(grey_image.dataobj, dtype=np.float32)
    affine = nibabel.affines.from_matvec(np.diag([float(STEP_MM)] * 3), ORIGIN_MM)

    # Ventricles and sulci are inside the head's brain although their T1 is dark.
    solid = ndimage.binary_closing(t1 > NILEARN_MASK_THRESHOLD, iterations=4)
    solid = ndimage.binary_fill_holes(solid)
    share = ndimage.uniform_filter(solid.astype(np.float32), size=STEP_MM + 1)
    sigma = SMOOTHING_FWHM_MM / np.sqrt(8 * np.log(2))
    return {
        "mask": _sample(share, t1_image.affine) > 0.5,
        "t1": _to_byte(_sample(ndimage.gaussian_filter(t1, sigma), t1_image.affine)),
        "grey_matter": _to_byte(_sample(ndimage.gaussian_filter(grey, sigma), grey_image.affine)),
        "affine": affine,
    }


def _sample(fine: NDArray[np.float32], fine_affine: NDArray[np.float64]) -> NDArray[np.float32]:
    """Take every fourth millimetre: the coarse voxel centres are voxel centres of the fine grid."""
    start = np.rint(np.asarray(ORIGIN_MM) - fine_affine[:3, 3]).astype(int)
    indices = [first + STEP_MM * np.arange(length) for first, length in zip(start, SHAPE, strict=True)]
    inside = [(index >= 0) & (index < size) for index, size in zip(indices, fine.shape, strict=True)]
    coarse = np.zeros(SHAPE, np.float32)
    chosen = [index[ok] for index, ok in zip(indices, inside, strict=True)]
    coarse[np.ix_(*inside)] = fine[np.ix_(*chosen)]
    return coarse


def _to_byte(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.rint(255 * np.clip(values, 0, 1)).astype(np.uint8)


def main() -> None:
    """Write the asset."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT)
    out = parser.parse_args().out
    np.savez_compressed(out, allow_pickle=False, **template_arrays())
    print(f"{out.name}: {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
