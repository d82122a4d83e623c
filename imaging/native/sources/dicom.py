"""A DICOM series, turned into a NIfTI file that says nothing of the person."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from imaging.findings import ScanWarning
from imaging.native.sidecar import NO_SIDECAR, BadSidecarError, Sidecar, read_sidecar
from imaging.native.sources.clean_copy import copy_clean, usable_header_tr_s
from imaging.native.sources.converter import DicomConversionError, convert
from imaging.native.sources.dicom_image import DicomImage, read_image
from imaging.native.sources.dicom_series import (
    Series,
    choose_series,
    frame_interval_s,
    require_complete,
)
from imaging.native.sources.repetition_time import require_agreement, settle_tr
from imaging.native.sources.run import Asked, NativeRun, Progress, SliceTimesFrom
from imaging.native.sources.tree import Check, Entry, require_room
from imaging.scan import BoldScan, open_scan
from imaging.words import counted

# Decimal numbers that once were binary: 2000.00061035156 ms.
_DIGITS = 5


def take_dicom(
    entries: Sequence[Entry], work: Path, *, asked: Asked, check: Check, progress: Progress
) -> NativeRun | None:
    """Convert the functional series among some files.

    Parameters
    ----------
    entries : sequence of Entry
    work : Path
        An empty folder.
    asked : Asked
    check : callable
        What it raises ends the work.
    progress : callable

    Returns
    -------
    NativeRun or None
        None if there is no DICOM file among them. Its path is ``bold.nii`` in ``work``, where nothing else is
        left; what was taken out of the DICOM files are samples, grid, repetition time and slice times.

    Raises
    ------
    ScanError
    """
    beside = asked.sidecar or NO_SIDECAR
    images, warnings = _read(entries, check=check, progress=progress)
    if not images:
        return None
    series = choose_series(images, run=asked.run)
    require_complete(series)
    warnings += _frames_missing(series)
    converted = work / "converted"
    unpacked = work / "images"
    try:
        _unpack(series, unpacked, check=check, progress=progress)
        progress("converting", 0.0)
        converted.mkdir(mode=0o700)
        nifti, json = convert(unpacked, converted, check=check)
        shutil.rmtree(unpacked)
        facts = _converted_facts(json)
        found_s = _tr_s(series, facts, nifti, asked)
        if found_s is not None and asked.tr_s is None:
            beside.require_tr(found_s)
        tr_s, tr_from, overridden = settle_tr({"dicom": found_s, "sidecar": beside.tr_s}, asked_s=asked.tr_s)
        copy_clean(nifti, work / "bold.nii", check=check, tr_s=tr_s)
        _require_same_images(open_scan(work / "bold.nii"), series)
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
        shutil.rmtree(converted, ignore_errors=True)
    progress("converting", 1.0)
    return NativeRun(
        path=work / "bold.nii",
        facts=replace(beside.over(facts), tr_s=tr_s),
        tr_from=tr_from,
        slice_times_from=_slice_times_from(beside, facts),
        origin="dicom",
        warnings=(*warnings, *overridden),
    )


def _read(
    entries: Sequence[Entry], *, check: Check, progress: Progress
) -> tuple[list[DicomImage], tuple[ScanWarning, ...]]:
    """Read the tags of every DICOM file, each image once."""
    images: dict[tuple[object, ...], DicomImage] = {}
    repeated = 0
    for number, entry in enumerate(entries, start=1):
        check()
        image = read_image(entry)
        progress("looking", number / len(entries))
        if image is None:
            continue
        # The identifier alone would do, if no program wrote one into all of them.
        key = (
            image.series,
            image.uid,
            image.instance,
            image.position_mm,
            image.temporal_position,
            image.echo_time_ms,
        )
        repeated += key in images
        images.setdefault(key, image)
    return list(images.values()), _images_repeated(repeated)


def _unpack(series: Series, folder: Path, *, check: Check, progress: Progress) -> None:
    """Write the images where dcm2niix reads them, under names that tell nothing."""
    folder.mkdir(mode=0o700)
    # The converted samples come to as much again.
    require_room(folder, 2 * sum(image.entry.size for image in series.images))
    for number, image in enumerate(series.images, start=1):
        image.entry.copy(folder / f"{number:06d}.dcm", check=check)
        progress("unpacking", number / len(series.images))


def _converted_facts(json: Path) -> Sidecar:
    try:
        return read_sidecar(json)
    except (BadSidecarError, FileNotFoundError):
        raise DicomConversionError(found="times that cannot be read") from None


def _tr_s(series: Series, facts: Sidecar, nifti: Path, asked: Asked) -> float | None:
    """Return the repetition time on which the series, its frames and the converter agree."""
    dicom_s = None if series.is_multiframe else series.images[0].tr_s
    converted_s = facts.tr_s or usable_header_tr_s(nifti)
    if asked.tr_s is None:
        require_agreement(dicom_s=dicom_s, frames_s=frame_interval_s(series), converted_s=converted_s)
    found_s = dicom_s or converted_s
    return None if found_s is None else round(found_s, _DIGITS)


def _slice_times_from(beside: Sidecar, converted: Sidecar) -> SliceTimesFrom | None:
    if beside.slice_times_s is not None:
        return "sidecar"
    return None if converted.slice_times_s is None else "dicom"


def _require_same_images(scan: BoldScan, series: Series) -> None:
    """Refuse a conversion that has more or fewer images than the series."""
    slices, frames = scan.shape[2:]
    found = frames if series.images[0].is_mosaic else slices * frames
    expected = sum(image.n_frames for image in series.images)
    if found != expected:
        raise DicomConversionError(found=f"{found:,} images of {expected:,}")


def _images_repeated(count: int) -> tuple[ScanWarning, ...]:
    if not count:
        return ()
    message = f"expected each DICOM image once, found {counted(count, 'image')} again: each is used once"
    return (ScanWarning(code="dicom_images_repeated", message=message),)


def _frames_missing(series: Series) -> tuple[ScanWarning, ...]:
    stated = series.images[0].temporal_positions
    if stated is None or series.is_multiframe or stated <= series.n_frames:
        return ()
    message = (
        f"expected {stated} frames as the DICOM series says of itself, found {series.n_frames}: a part of "
        "the run was handed over"
    )
    return (ScanWarning(code="dicom_frames_missing", message=message),)
