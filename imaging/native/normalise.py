"""A run as the scanner wrote it, brought into template space in the order of the Athena pipeline.

reading        the whole run, without the frames before the magnetisation is steady; no BOLD run is refused
slice_timing   all slices of a frame as if taken at once, where their times are known
motion         the pose of each frame beside the first
registration   the template laid over the mean frame, by way of a T1-weighted image where there is one
resampling     poses and registration in one transform: one interpolation in space, onto Athena's grid
cleaning       movement, white matter, fluid and drift taken out; the band passed
smoothing      by a Gaussian of 6 mm
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool
from scipy.ndimage import binary_erosion, map_coordinates

from imaging.errors import ScanError
from imaging.findings import ScanWarning
from imaging.native.acceptance import require_no_alternation, require_raw
from imaging.native.judging import remarks, require_still
from imaging.native.known import Known
from imaging.native.levels import frame_levels
from imaging.native.motion import Motion, estimate_motion
from imaging.native.nuisance import degrees_of_freedom, nuisance_columns, regress_nuisance
from imaging.native.pictures import NativePictures, take_pictures
from imaging.native.placing import SMOOTHING_FWHM_MM, place
from imaging.native.quality import NativeQuality, assess
from imaging.native.registration import Registration, register
from imaging.native.resampling import mean_in_place, resample
from imaging.native.slice_timing import align_slices
from imaging.native.steady import Start, find_start
from imaging.native.structural import read_structural
from imaging.native.through_t1w import T1wNotUsedError, register_through
from imaging.native.tissues import Tissues, template_tissues
from imaging.one_thread import one_blas_thread
from imaging.scan import BoldScan
from imaging.shapes import Affine, Bold, Volume
from imaging.template import template_brain
from imaging.temporal import filter_in_time

STAGES = ("reading", "slice_timing", "motion", "registration", "resampling", "cleaning", "smoothing")

# Raised with every change of what comes out.
VERSION = 2

BAND_HZ = (0.009, 0.08)
FEWEST_FRAMES = 20

# A voxel of a tissue's mean holds at least so much of it.
_PURE = 0.9

Progress = Callable[[str, float], None]


@dataclass(frozen=True, eq=False, kw_only=True)
class Normalised:
    """A run in template space.

    Attributes
    ----------
    scan : BoldScan
        On Athena's grid, 49 x 58 x 47 voxels of 4 mm; what the header of the run gave rise to is still so.
    motion : Motion
    registration : Registration
    quality : NativeQuality
        How well it went.
    pictures : NativePictures
        What people judge it by; ``figures.py`` draws them.
    warnings : tuple of ScanWarning
        What a reader of a result should know: of the header, and of the quality.
    provenance : dict
        What was done, with which settings, as plain JSON values.
    tissues : Tissues or None
        Of the person, in the template's space; None where no T1-weighted image served, or the registration
        was known before.
    """

    scan: BoldScan
    motion: Motion
    registration: Registration
    quality: NativeQuality
    pictures: NativePictures
    warnings: tuple[ScanWarning, ...]
    provenance: dict[str, Any]
    tissues: Tissues | None = None


@one_blas_thread()
def normalise(
    scan: BoldScan,
    *,
    slice_times_s: Sequence[float] | None = None,
    discarded_before: int = 0,
    t1w: Path | None = None,
    progress: Progress | None = None,
    known: Known | None = None,
    found: Callable[[Known], None] | None = None,
) -> Normalised:
    """Bring a run into template space.

    Parameters
    ----------
    scan : BoldScan
        In the scanner's space, any orientation; slices along its third axis.
    slice_times_s : sequence of Z floats, optional
        When each slice is taken, from the start of its frame; not corrected for where not given.
    discarded_before : int
        Frames that were taken and never stored, as a sidecar says (``imaging/native/steady.py``).
    t1w : Path, optional
        A T1-weighted image of the same head, any orientation, plain or gzipped NIfTI. One that does not help
        is not used: a warning says why.
    progress : callable, optional
        Called as ``progress(stage, fraction)`` with a name from ``STAGES``; may raise to stop the work.
    known : Known, optional
        What was found of this run before: it is not looked for again. That of another number of frames is
        of another run, and found anew.
    found : callable, optional
        Called with what is known by then, after motion and after registration, where they were looked for.

    Raises
    ------
    ScanError
        If the samples are damaged or no raw BOLD run, the times of the slices cannot be right, too little of
        the brain is in view, the template fits nothing, or the head moved too much.
    """
    report = progress or _silent
    bold, start = read_run(scan, discarded_before, report)
    report("slice_timing", 0.0)
    if slice_times_s is not None:
        align_slices(bold, slice_times_s=slice_times_s, tr_s=scan.tr_s)
    report("slice_timing", 1.0)

    n_frames = bold.shape[3]
    known, keep = known or Known(), found or _silent
    motion = known.motion
    if motion is None or len(motion.rotations) != n_frames:
        known = Known()
        motion = estimate_motion(
            (bold[..., number] for number in range(n_frames)),
            reference=bold[..., 0],
            affine=scan.affine,
            progress=lambda done: report("motion", done / n_frames),
        )
        keep(Known(motion=motion))
    report("registration", 0.0)
    mean = mean_in_place(bold, affine=scan.affine, motion=motion)
    registration, tissues = known.registration, None
    if registration is None:
        registration, tissues = _register(mean, scan.affine, t1w=t1w)
        keep(Known(motion=motion, registration=registration))
    require_still(motion)
    report("registration", 1.0)

    template = template_brain()
    voxels = np.argwhere(template.mask)
    series, seen = resample(
        bold,
        affine=scan.affine,
        motion=motion,
        to_scan=registration.affine,
        points_mm=voxels @ template.affine[:3, :3].T + template.affine[:3, 3],
        progress=lambda done: report("resampling", done),
    )
    # The largest array of all, and no longer needed.
    del bold
    report("cleaning", 0.0)
    varies = seen & (series.std(axis=1) > 0)
    white_matter, fluid = (tissue & varies for tissue in _pure_tissues())
    nuisance = nuisance_columns(series, motion=motion, white_matter=white_matter, fluid=fluid, tr_s=scan.tr_s)
    cleaned = regress_nuisance(series, motion=motion, white_matter=white_matter, fluid=fluid, tr_s=scan.tr_s)
    filtered = filter_in_time(
        cleaned, tr_s=scan.tr_s, band_hz=BAND_HZ, new_tr_s=None, minimum_frames=FEWEST_FRAMES
    )
    quality = assess(
        before=series,
        after=filtered.series,
        varies=varies,
        motion=motion,
        registration=registration,
        start=start,
        tr_s=scan.tr_s,
        degrees_of_freedom=degrees_of_freedom(nuisance, tr_s=scan.tr_s, band_hz=BAND_HZ),
    )
    warnings = scan.warnings + _of_t1w(registration) + remarks(quality)
    report("cleaning", 1.0)
    placed = place(filtered.series, mask=template.mask, progress=lambda done: report("smoothing", done))
    return Normalised(
        scan=replace(
            BoldScan.from_array(placed, affine=template.affine, tr_s=scan.tr_s), warnings=scan.warnings
        ),
        motion=motion,
        registration=registration,
        quality=quality,
        pictures=take_pictures(
            mean=mean,
            affine=scan.affine,
            pose=registration.affine,
            before=series,
            after=filtered.series,
            varies=varies,
        ),
        warnings=warnings,
        provenance={
            "version": VERSION,
            "dropped_frames": start.to_json(),
            "slice_times_s": None if slice_times_s is None else list(slice_times_s),
            "motion": {"reference_frame": 0, "interpolation": "cubic B-spline"},
            "registration": {
                "transform": registration.affine.tolist(),
                "outline_fit": registration.outline_fit,
                "explained": registration.explained,
                "coverage": registration.coverage,
                "overlap": registration.overlap,
                "registered_through": registration.through,
            },
            "nuisance": ["motion 6", "white matter", "fluid", "polynomial trend"],
            "band_hz": list(BAND_HZ),
            "band_passed": filtered.band_passed,
            "smoothing_fwhm_mm": SMOOTHING_FWHM_MM,
            "quality": quality.to_json(),
            "warnings": [{"code": warning.code, "message": warning.message} for warning in warnings],
        },
        tissues=tissues,
    )


def read_run(scan: BoldScan, discarded_before: int, report: Progress) -> tuple[Bold, Start]:
    """Read a run without the frames before the magnetisation is steady, and refuse what is no BOLD run.

    Returns
    -------
    (X, Y, Z, T) float32, Start

    Raises
    ------
    ScanError
        As :func:`normalise`, of the samples.
    """
    bold = np.empty((*scan.shape[:3], scan.n_frames), dtype=np.float32, order="F")
    done = 0
    for block in scan.blocks():
        bold[..., done : done + block.shape[3]] = np.nan_to_num(block, copy=False)
        done += block.shape[3]
        report("reading", done / scan.n_frames)
    require_raw(bold)
    levels = frame_levels(bold)
    start = find_start(levels, tr_s=scan.tr_s, discarded_before=discarded_before, fewest_kept=FEWEST_FRAMES)
    require_no_alternation(levels[start.dropped :])
    return bold[..., start.dropped :], start


def _register(mean: Volume, affine: Affine, *, t1w: Path | None) -> tuple[Registration, Tissues | None]:
    """Lay the template over the mean, by way of a T1-weighted image where one is given and shows the way."""
    direct = register(mean, affine)
    if t1w is None:
        return direct, None
    try:
        return register_through(mean, affine, direct=direct, structural=read_structural(t1w))
    except (T1wNotUsedError, ScanError) as found:
        return replace(direct, t1w_not_used=str(found)), None


def _of_t1w(registration: Registration) -> tuple[ScanWarning, ...]:
    if not registration.t1w_not_used:
        return ()
    return (t1w_not_used(registration.t1w_not_used),)


def t1w_not_used(found: str) -> ScanWarning:
    """Say that a T1-weighted image was given and is not used, and why."""
    return ScanWarning(
        code="t1w_not_used",
        message=f"expected a T1-weighted image of this head by which the run lies over the template, "
        f"found one that does not serve: {found}. The run was laid over the template without it",
    )


def _pure_tissues() -> tuple[Bool[np.ndarray, " N"], Bool[np.ndarray, " N"]]:
    """Return which voxels of the template's brain hold white matter, and which fluid of its inside, alone."""
    template, tissues = template_brain(), template_tissues()
    to_tissues = np.linalg.inv(tissues.affine) @ template.affine
    voxels = np.argwhere(template.mask) @ to_tissues[:3, :3].T + to_tissues[:3, 3]
    _, white, fluid = (
        map_coordinates(share, voxels.T, order=1, mode="nearest") >= _PURE for share in tissues.shares
    )
    # Fluid at the surface moves with the head; that of the ventricles is meant.
    inside = binary_erosion(template.mask, iterations=4)[template.mask]
    return white, fluid & inside


def _silent(*_: object) -> None:
    """Nobody is watching."""
