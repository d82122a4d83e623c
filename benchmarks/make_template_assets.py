"""Make the arrays in ``imaging/assets`` from published brain templates; the same input gives the same bytes.

    python benchmarks/make_template_assets.py
    python benchmarks/make_template_assets.py --asymmetric mni_icbm152_t1_tal_nlin_asym_09c_brain.nii.gz

The first reads the symmetric MNI152 that nilearn ships (a test dependency: the product never imports it), and
makes its arrays, its picture and its tissues.
The second makes the left-right reference from the asymmetric MNI152; ``imaging/assets/README.md`` says where
to get it.
"""

import argparse
import gzip
import hashlib
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
ASSETS = Path(__file__).resolve().parent.parent / "imaging" / "assets"
ASYMMETRIC_SHA256 = "5fc7a81b333000f7ca5b4922b9d51b018987256b209ef71986f72855a5c64506"
WHITE_MATTER_T1 = 0.5  # of the template's 99th percentile: white matter and deep grey lie above
ASYMMETRY_SIGMA_MM = 4.0


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

    share = ndimage.uniform_filter(_solid(t1).astype(np.float32), size=STEP_MM + 1)
    sigma = SMOOTHING_FWHM_MM / np.sqrt(8 * np.log(2))
    return {
        "mask": _sample(share, t1_image.affine) > 0.5,
        "t1": _to_byte(_sample(ndimage.gaussian_filter(t1, sigma), t1_image.affine)),
        "grey_matter": _to_byte(_sample(ndimage.gaussian_filter(grey, sigma), grey_image.affine)),
        "affine": affine,
    }


def template_image() -> bytes:
    """Average the symmetric MNI152's T1 over 2 x 2 x 2 mm.

    Returns
    -------
    bytes
        A gzipped NIfTI-1 image, (99, 117, 95) uint8.
    """
    fine = datasets.load_mni152_template(resolution=1)
    coarse, affine = _halved(np.asarray(fine.dataobj, dtype=np.float32), fine.affine)
    image = nibabel.Nifti1Image(_to_byte(coarse), affine)
    for set_form in (image.set_sform, image.set_qform):
        set_form(image.affine, code=4)  # NIfTI's code of MNI152
    image.header.set_xyzt_units("mm")
    return gzip.compress(image.to_bytes(), compresslevel=9, mtime=0)


def tissue_arrays() -> dict[str, NDArray[np.generic]]:
    """Average the symmetric MNI152's tissues over 2 x 2 x 2 mm.

    Returns
    -------
    dict
        ``grey_matter``, ``white_matter`` and ``fluid`` (99, 117, 95) uint8, 255 = 1.0, the last what the
        brain's outline holds beside the other two; ``affine`` (4, 4) float64.
    """
    images = {
        "t1": datasets.load_mni152_template(resolution=1),
        "grey_matter": datasets.load_mni152_gm_template(resolution=1),
        "white_matter": datasets.load_mni152_wm_template(resolution=1),
    }
    fine = {name: np.asarray(image.dataobj, dtype=np.float32) for name, image in images.items()}
    brain = _solid(fine.pop("t1")).astype(np.float32)
    fine["fluid"] = np.clip(brain - fine["grey_matter"] - fine["white_matter"], 0, 1)
    halved = {name: _halved(values, images["t1"].affine) for name, values in fine.items()}
    return {name: _to_byte(values) for name, (values, _) in halved.items()} | {"affine": halved["fluid"][1]}


def _solid(t1: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Outline the brain: ventricles and sulci are inside it although their T1 is dark."""
    return ndimage.binary_fill_holes(ndimage.binary_closing(t1 > NILEARN_MASK_THRESHOLD, iterations=4))


def _halved(
    fine: NDArray[np.float32], affine: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    padded = np.pad(fine, [(0, size % 2) for size in fine.shape])
    x, y, z = (size // 2 for size in padded.shape)
    coarse = padded.reshape(x, 2, y, 2, z, 2).mean(axis=(1, 3, 5))
    return coarse, affine @ nibabel.affines.from_matvec(np.diag([2.0] * 3), [0.5] * 3)


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


def asymmetry_arrays(path: Path) -> dict[str, NDArray[np.generic]]:
    """Compute the left-right reference from the asymmetric MNI152 (nlin asym 09c, skull-stripped T1).

    Returns
    -------
    dict
        ``t1`` and ``bright`` (49, 58, 47) uint8, 255 = 1.0, smoothed by 4 mm (sigma): the intensity, and
        where it is that of white matter.
    """
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != ASYMMETRIC_SHA256:
        raise SystemExit(f"expected the file with sha256 {ASYMMETRIC_SHA256}, found {found}")
    image = nibabel.load(path)
    t1 = np.asarray(image.dataobj, dtype=np.float32)
    t1 = t1 / np.percentile(t1[t1 > 0], 99)
    maps = {"t1": t1, "bright": (t1 > WHITE_MATTER_T1).astype(np.float32)}
    return {
        name: _to_byte(_sample(ndimage.gaussian_filter(values, ASYMMETRY_SIGMA_MM), image.affine))
        for name, values in maps.items()
    }


def main() -> None:
    """Write the assets."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=ASSETS)
    parser.add_argument(
        "--asymmetric", type=Path, help="the asymmetric MNI152 template; makes only its asset"
    )
    arguments = parser.parse_args()
    if arguments.asymmetric:
        out, arrays = arguments.out / "mni152_asymmetry_4mm.npz", asymmetry_arrays(arguments.asymmetric)
    else:
        out, arrays = arguments.out / "mni152_4mm.npz", template_arrays()
        picture = arguments.out / "mni152_2mm.nii.gz"
        picture.write_bytes(template_image())
        print(f"{picture.name}: {picture.stat().st_size} bytes")
        tissues = arguments.out / "mni152_tissues_2mm.npz"
        np.savez_compressed(tissues, allow_pickle=False, **tissue_arrays())
        print(f"{tissues.name}: {tissues.stat().st_size} bytes")
    np.savez_compressed(out, allow_pickle=False, **arrays)
    print(f"{out.name}: {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
