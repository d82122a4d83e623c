"""Whether a scan's asymmetry points the way that people's brains are asymmetric.

Left and right cannot be proven from an image: a mirrored brain is a possible brain. The sides of brains do
differ a little (frontal and occipital petalia, the Sylvian fissure), and the average of 152 people shows how.
The scan's own asymmetry is correlated with that average's. One person's evidence is weak; how weak stands in
``docs/template-space.md``.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from imaging.shapes import Affine, Volume
from imaging.template import template_brain
from imaging.template_fit import block_average, under_tentorium

FloatArray = NDArray[np.float64]

ASSET = "mni152_asymmetry_4mm.npz"
SMOOTHING_MM = 4.0  # sigma; the reference is as smooth
HIGH_PASS_MM = 12.0  # sigma; slower differences between the sides are coil sensitivity, not anatomy
TOO_FEW_POINTS = 1000
OUTLIER_SD = 3.0
# Of the brain's brightest: what float32 maps resolve. Smaller differences between the sides are rounding, and
# point another way on another processor.
RESOLVED = 10 * float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class _Reference:
    """Average tissue maps on the template's 4 mm lattice, in a box around the brain, symmetric in x."""

    box: tuple[slice, slice, slice]
    affine: Affine  # voxels of the box -> template millimetres
    half: NDArray[np.bool_]  # what is compared: one side, inside the brain, above the tentorium
    even: FloatArray  # (maps, x, y, z)
    odd: FloatArray  # (maps, x, y, z), high-passed


def left_right_evidence(values: Volume, affine: Affine, pose: Affine) -> float:
    """Correlate a scan's left-right asymmetry with the one expected of its own contrast.

    How bright the scan shows white matter and the rest is learned from the average of its two sides; that
    turns the reference's tissue asymmetry into an expected difference between the sides, for any contrast.

    Parameters
    ----------
    values : (X, Y, Z) float32
        The map that the template was fitted to.
    affine : (4, 4) float64
        Voxel indices -> millimetres.
    pose : (4, 4) float64
        Template millimetres -> scan millimetres, from ``fit_template``: it gives the plane between the sides.

    Returns
    -------
    float
        -1 to 1; above 0 where right and left look as the affine says, below 0 where they look swapped; the
        negative of it for the mirrored scan. 0 where too little is in view, or the sides are the same.
    """
    reference = _reference()
    scan, seen = _on_lattice(np.nan_to_num(np.maximum(values, 0), posinf=0), affine, pose, reference)
    seen &= seen[::-1]
    compared = reference.half & seen
    if compared.sum() < TOO_FEW_POINTS:
        return 0.0
    contrast = _contrast(scan, reference, compared)
    expected = np.tensordot(contrast, reference.odd[:, compared], axes=1)
    found = _high_pass(np.where(seen, scan - scan[::-1], 0))[compared]
    if found.std() < RESOLVED:
        return 0.0
    limit = OUTLIER_SD * found.std()
    found = np.clip(found, -limit, limit)
    size = np.sqrt((expected @ expected) * (found @ found))
    return float(expected @ found / size) if size > 0 else 0.0


def _contrast(scan: FloatArray, reference: _Reference, compared: NDArray[np.bool_]) -> FloatArray:
    """Regress the average of the two sides on the tissue maps."""
    even = (scan + scan[::-1])[compared] / 2
    tissues = np.column_stack([np.ones(compared.sum()), *reference.even[:, compared]])
    return np.asarray(np.linalg.lstsq(tissues, even, rcond=None)[0][1:])


def _on_lattice(
    values: Volume, affine: Affine, pose: Affine, reference: _Reference
) -> tuple[FloatArray, NDArray[np.bool_]]:
    coarse, coarse_affine = block_average(values, affine, block_mm=SMOOTHING_MM)
    zooms = np.sqrt((coarse_affine[:3, :3] ** 2).sum(axis=0))
    # A voxel's own width has smoothed already, by its variance of a twelfth of the width squared.
    sigma = np.sqrt(np.maximum(SMOOTHING_MM**2 - zooms**2 / 12, 0)) / zooms
    smooth = ndimage.gaussian_filter(coarse, sigma, mode="nearest")
    to_voxel = np.linalg.inv(coarse_affine) @ pose @ reference.affine
    scan = np.empty(reference.half.shape)
    ndimage.affine_transform(
        smooth,
        to_voxel[:3, :3],
        to_voxel[:3, 3],
        scan.shape,
        output=scan,
        order=1,
        mode="constant",
        cval=np.nan,
    )
    seen = np.isfinite(scan)
    scan = np.nan_to_num(scan)
    # Vessels and bright fat must not decide.
    brain = scan[template_brain().mask[reference.box] & seen]
    ceiling = max(float(np.percentile(brain, 98)), np.finfo(float).tiny) if brain.size else 1.0
    return np.minimum(scan, ceiling) / ceiling, seen


def _high_pass(values: FloatArray) -> FloatArray:
    step_mm = float(template_brain().affine[0, 0])
    return np.asarray(values - ndimage.gaussian_filter(values, HIGH_PASS_MM / step_mm, mode="constant"))


@lru_cache(maxsize=1)
def _reference() -> _Reference:
    template = template_brain()
    content = (resources.files("imaging") / "assets" / ASSET).read_bytes()
    with np.load(BytesIO(content), allow_pickle=False) as stored:
        maps = np.stack([stored["t1"], stored["bright"]]).astype(np.float64) / 255

    occupied = np.nonzero(template.mask)
    x, y, z = (slice(int(index.min()), int(index.max()) + 1) for index in occupied)
    box = (x, y, z)
    mask = ndimage.binary_erosion(template.mask)[box]
    affine = template.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [side.start for side in box]
    points = np.argwhere(np.ones(mask.shape, dtype=bool)) @ affine[:3, :3].T + affine[:3, 3]
    above = ~under_tentorium(points).reshape(mask.shape)
    right = (points[:, 0] > 2).reshape(mask.shape)

    maps = maps[:, *box]
    swapped = maps[:, ::-1]
    odd = np.stack([_high_pass(one) for one in maps - swapped])
    return _Reference(box, affine, mask & above & right, (maps + swapped) / 2, odd)
