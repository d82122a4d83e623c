"""A run in template space as a file, and what was done to it in a few figures."""

import gzip
from io import BufferedIOBase
from typing import Any

import nibabel as nib
import numpy as np

from imaging.findings import ScanWarning
from imaging.native.normalise import Normalised
from imaging.scan import BoldScan
from imaging.simulation_mark import SIMULATED_SCAN, SIMULATION_MARK

# The code of MNI152 in a NIfTI header.
_MNI152 = 4
# Filtered signal hardly gets smaller by trying longer.
_GZIP_LEVEL = 1

SLICE_TIMES_UNKNOWN = ScanWarning(
    code="slice_times_unknown",
    message="expected when each slice was taken, found nothing said of it: slices were not brought to one "
    "time",
)


def write_nifti(scan: BoldScan, file: BufferedIOBase) -> None:
    """Write a scan as gzipped NIfTI-1, the same bytes for the same samples.

    Parameters
    ----------
    scan : BoldScan
        In template space; float32 samples are written as they are.
    file : binary file
        Open for writing.
    """
    with gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=_GZIP_LEVEL, mtime=0) as packed:
        image_of(scan).to_stream(packed)


def image_of(scan: BoldScan) -> Any:
    """Return a scan in template space as an image of nibabel's, samples in float32."""
    bold = np.concatenate(list(scan.blocks()), axis=3)
    image: Any = nib.Nifti1Image(bold, scan.affine)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm", "sec")
    image.header["pixdim"][4] = scan.tr_s
    image.set_sform(scan.affine, code=_MNI152)
    image.set_qform(scan.affine, code=_MNI152)
    if any(warning.code == SIMULATED_SCAN.code for warning in scan.warnings):
        image.header["descrip"] = SIMULATION_MARK
    return image


def summary_of(found: Normalised) -> dict[str, Any]:
    """Say what was done to a run, and how well, as plain JSON values.

    Returns
    -------
    dict
        ``version`` of the pipeline, ``dropped_frames``, ``n_frames`` that are left, ``slice_timing`` (whether
        it was corrected for), ``displacement_mm`` between frames (``mean``, ``max``), the share of
        ``frames_standing_out``, ``tsnr``, the ``degrees_of_freedom`` that are left in the band, of the
        ``registration`` the ``outline_fit``, ``explained``, ``coverage`` and ``overlap``, what it was
        ``registered_through`` ("template" or "t1w"), and the ``warnings``.
    """
    quality = found.quality
    slice_timing = found.provenance["slice_times_s"] is not None
    warnings = (*found.warnings, *(() if slice_timing else (SLICE_TIMES_UNKNOWN,)))
    return {
        "version": found.provenance["version"],
        "dropped_frames": quality.start.dropped,
        "n_frames": quality.n_frames,
        "slice_timing": slice_timing,
        "displacement_mm": {"mean": quality.mean_displacement_mm, "max": quality.max_displacement_mm},
        "frames_standing_out": quality.shares()["any"],
        "tsnr": quality.tsnr,
        "degrees_of_freedom": round(quality.degrees_of_freedom, 1),
        "registration": {
            "outline_fit": quality.outline_fit,
            "explained": quality.similarity,
            "coverage": quality.coverage,
            "overlap": quality.overlap,
        },
        "registered_through": found.registration.through,
        "warnings": [{"code": warning.code, "message": warning.message} for warning in warnings],
    }


def warnings_of(summary: dict[str, Any]) -> tuple[ScanWarning, ...]:
    """Say what a reader of the result should know of how the run was brought into template space."""
    return tuple(ScanWarning(**one) for one in summary["warnings"])
