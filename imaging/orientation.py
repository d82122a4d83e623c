"""Where a scan's voxels lie in the head: the affine from the header, checked."""

from typing import Any, ClassVar

import numpy as np

from imaging.errors import ScanError
from imaging.findings import ScanWarning
from imaging.shapes import Affine

MINIMUM_ZOOM_MM = 0.3
MAXIMUM_ZOOM_MM = 20.0
MAXIMUM_OFFSET_MM = 1e4

# |det| over the product of the column lengths: 1 for right angles, 0 for a flat grid.
_SINGULAR_BELOW = 1e-3
_SHEARED_BELOW = 0.5

# NIfTI-1 standard, xyzt_units: bits 0 to 2; nearly every file says 2 (mm) or nothing.
_SPACE_BITS = 0x07
_MM_A_UNIT = {1: 1000.0, 3: 0.001}


class NoOrientationError(ScanError):
    """Neither sform nor qform: left and right cannot be told apart."""

    code: ClassVar[str] = "no_orientation"

    def __init__(self) -> None:
        super().__init__("expected an orientation (sform or qform), found sform_code 0 and qform_code 0")


class SingularAffineError(ScanError):
    """An affine that flattens the image."""

    code: ClassVar[str] = "singular_affine"

    def __init__(self, *, zooms_mm: list[float]) -> None:
        super().__init__(
            "expected an affine with three independent axes, found a singular one with the voxel sizes "
            f"{[round(zoom, 3) for zoom in zooms_mm]} mm"
        )
        self.zooms_mm = zooms_mm


class ImplausibleAffineError(ScanError):
    """An affine with voxels that no scanner makes."""

    code: ClassVar[str] = "implausible_affine"

    def __init__(self, *, expected: str, found: str) -> None:
        super().__init__(f"expected {expected}, found {found}")
        self.expected = expected
        self.found = found


def require_affine(affine: Affine) -> None:
    """Refuse an affine that cannot be a scan's.

    Raises
    ------
    ImplausibleAffineError
        If it is not finite, its voxels are not 0.3 to 20 mm, its axes are far from right angles, or it lies
        more than ten metres away.
    SingularAffineError
        If it has no inverse.
    """
    if not np.isfinite(affine).all():
        raise ImplausibleAffineError(expected="a finite affine", found="NaN or infinity in it")
    # A NIfTI-2 header holds numbers whose squares overflow: infinity is refused as any size too large is.
    with np.errstate(over="ignore", invalid="ignore"):
        zooms_mm = np.linalg.norm(affine[:3, :3], axis=0)
        volume = abs(float(np.linalg.det(affine[:3, :3])))
        box = float(np.prod(zooms_mm))
    if box == 0 or (np.isfinite(box) and volume / box < _SINGULAR_BELOW):
        raise SingularAffineError(zooms_mm=zooms_mm.tolist())
    if zooms_mm.min() < MINIMUM_ZOOM_MM or zooms_mm.max() > MAXIMUM_ZOOM_MM:
        raise ImplausibleAffineError(
            expected=f"voxels of {MINIMUM_ZOOM_MM:g} to {MAXIMUM_ZOOM_MM:g} mm",
            found=" x ".join(f"{zoom:.3g}" for zoom in zooms_mm) + " mm",
        )
    if volume / box < _SHEARED_BELOW:
        raise ImplausibleAffineError(expected="axes at about right angles", found="a strongly sheared affine")
    offset_mm = float(np.abs(affine[:3, 3]).max())
    if offset_mm > MAXIMUM_OFFSET_MM:
        raise ImplausibleAffineError(
            expected=f"an origin within {MAXIMUM_OFFSET_MM:,.0f} mm", found=f"one {offset_mm:,.0f} mm away"
        )


def read_affine(fields: Any, *, shape: tuple[int, int, int, int]) -> tuple[Affine, tuple[ScanWarning, ...]]:
    """Take the sform, else the qform, as the NIfTI standard's "method 3" and "method 2".

    Parameters
    ----------
    fields : numpy structured scalar
        The header, NIfTI-1 or -2.
    shape : (X, Y, Z, T)

    Returns
    -------
    (4, 4) float64
        Voxel indices -> RAS+ mm.
    warnings
        ``orientation_conflict`` where both are set and a corner of the image differs by more than a voxel,
        or the qform describes no position at all.

    Raises
    ------
    NoOrientationError, SingularAffineError, ImplausibleAffineError
    """
    has_sform, has_qform = fields["sform_code"] > 0, fields["qform_code"] > 0
    if not has_sform and not has_qform:
        raise NoOrientationError
    mm = _MM_A_UNIT.get(int(fields["xyzt_units"]) & _SPACE_BITS, 1.0)
    to_mm = np.diag([mm, mm, mm, 1.0])
    affine = to_mm @ (_sform(fields) if has_sform else _qform(fields))
    require_affine(affine)
    if has_sform and has_qform:
        return affine, _conflict(affine, to_mm, fields, shape)
    return affine, ()


def _sform(fields: Any) -> Affine:
    rows = [fields["srow_x"], fields["srow_y"], fields["srow_z"], [0, 0, 0, 1]]
    return np.array(rows, dtype=np.float64)


def _qform(fields: Any) -> Affine:
    """NIfTI-1 standard, "3D IMAGE (VOLUME) ORIENTATION AND LOCATION IN SPACE", method 2.

    Raises
    ------
    ImplausibleAffineError
    """
    b, c, d = (float(fields[f"quatern_{name}"]) for name in "bcd")
    rest = 1.0 - (b * b + c * c + d * d)
    # Written so that NaN fails.
    if not rest >= -1e-5:
        raise ImplausibleAffineError(
            expected="a unit quaternion", found=f"one of squared length {1 - rest:.3g}"
        )
    a = float(np.sqrt(max(rest, 0.0)))
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    pixdim = np.asarray(fields["pixdim"], dtype=np.float64)
    if (pixdim[1:4] < 0).any():
        # Some readers take it as it is and some its size: one of them would see a mirror image.
        raise ImplausibleAffineError(
            expected="positive voxel sizes (pixdim[1] to [3]) for a qform", found=str(pixdim[1:4].tolist())
        )
    handedness = -1.0 if pixdim[0] < 0 else 1.0
    affine = np.eye(4)
    affine[:3, :3] = rotation * (pixdim[1:4] * [1, 1, handedness])
    affine[:3, 3] = [fields["qoffset_x"], fields["qoffset_y"], fields["qoffset_z"]]
    return affine


def _conflict(
    sform: Affine, to_mm: Affine, fields: Any, shape: tuple[int, int, int, int]
) -> tuple[ScanWarning, ...]:
    try:
        with np.errstate(invalid="ignore"):
            qform = to_mm @ _qform(fields)
        require_affine(qform)
    except (ImplausibleAffineError, SingularAffineError) as error:
        return (
            ScanWarning(
                code="orientation_conflict",
                message=f"expected a qform that agrees with the sform, found one that has no meaning "
                f"({error}): the sform was used",
            ),
        )
    corners = np.array([[x, y, z, 1] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=np.float64)
    corners[:, :3] *= np.subtract(shape[:3], 1)
    apart_mm = float(np.linalg.norm((corners @ (sform - qform).T)[:, :3], axis=1).max())
    limit_mm = float(np.linalg.norm(sform[:3, :3], axis=0).max())
    if apart_mm <= limit_mm:
        return ()
    return (
        ScanWarning(
            code="orientation_conflict",
            message=f"expected sform and qform to agree within a voxel, found them {apart_mm:.1f} mm apart: "
            "the sform was used",
        ),
    )
