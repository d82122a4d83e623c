"""Which of the series that were handed over is the functional run, and whether all of it is there."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float64, Int64

from imaging.dimensions import MINIMUM_FRAMES
from imaging.errors import ScanError
from imaging.native.sources.dicom_image import DicomImage
from imaging.native.sources.dicom_tags import DEFLATED
from imaging.native.sources.run import RunNotFoundError
from imaging.words import counted

# DICOM PS3.4, annex B.5.
_MR_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.4": "MR Image",
    "1.2.840.10008.5.1.4.1.1.4.1": "Enhanced MR Image",
    "1.2.840.10008.5.1.4.1.1.4.4": "Legacy Converted Enhanced MR Image",
}
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"

# DICOM PS3.5, annex A; what dcm2niix decodes without changing a sample, or, of the lossy ones of JPEG-LS and
# JPEG 2000, as well as the archive kept them.
_DECODED = {
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.5",
}
_NOT_DECODED = {
    DEFLATED: "deflated files",
    "1.2.840.10008.1.2.4.50": "samples compressed by JPEG with loss",
    "1.2.840.10008.1.2.4.51": "samples compressed by JPEG with loss",
}
_MODALITIES = {"CT": "computed tomography", "PT": "positron emission tomography", "US": "ultrasound"}

# Rounding of what scanners write as decimal numbers.
_SAME_PLACE_MM = 0.01
_EVEN_GAPS = 0.1


class DicomNotUsableError(ScanError):
    """DICOM, but no functional series."""

    code: ClassVar[str] = "dicom_not_usable"

    def __init__(self, *, found: str) -> None:
        self.found = found
        super().__init__(f"expected a DICOM series of MR volumes over time, found {found}")


class DicomIncompleteError(ScanError):
    """A series of which images are missing."""

    code: ClassVar[str] = "dicom_incomplete"

    def __init__(self, *, expected: str, found: str) -> None:
        self.expected = expected
        self.found = found
        super().__init__(f"incomplete DICOM series: expected {expected}, found {found}")


class SeveralSeriesError(ScanError):
    """More than one series that could be meant."""

    code: ClassVar[str] = "several_series"

    def __init__(self, *, series: list[dict[str, Any]]) -> None:
        self.series = series
        listed = "; ".join(
            f"number {_or_unknown(one['number'])} of {counted(one['n_frames'], 'frame')}" for one in series
        )
        super().__init__(
            f"expected one functional series, found {len(series)}: {listed}. Name one by its number: --run "
            f"of a command, the field run of an upload"
        )


@dataclass(frozen=True, eq=False)
class Series:
    """The images of one series.

    Attributes
    ----------
    images : tuple of DicomImage
    """

    images: tuple[DicomImage, ...]

    @property
    def number(self) -> int | None:
        """What the scanner calls it."""
        return self.images[0].series_number

    @property
    def is_multiframe(self) -> bool:
        """Whether a file has several slices, so that its tags alone do not say how many frames there are."""
        return any(image.n_frames > 1 for image in self.images)

    @cached_property
    def places(self) -> Float64[np.ndarray, " N"]:
        """Where each image lies along the direction of the slices, mm; NaN where it does not say so."""
        orientation = self.images[0].orientation or (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
        normal = np.cross(orientation[:3], orientation[3:])
        nowhere = (np.nan, np.nan, np.nan)
        positions = np.array([image.position_mm or nowhere for image in self.images])
        places: Float64[np.ndarray, " N"] = positions @ normal
        return places

    @cached_property
    def slices(self) -> Float64[np.ndarray, " Z"]:
        """The places at which there are images, in order."""
        places = np.sort(self.places[np.isfinite(self.places)])
        new = np.diff(places, prepend=-np.inf) > _SAME_PLACE_MM
        slices: Float64[np.ndarray, " Z"] = places[new]
        return slices

    @cached_property
    def images_in_slice(self) -> Int64[np.ndarray, " Z"]:
        """How many images there are of each slice."""
        places = self.places[np.isfinite(self.places)]
        nearest = np.searchsorted(self.slices, places + _SAME_PLACE_MM) - 1
        return np.bincount(nearest, minlength=len(self.slices))

    @property
    def n_frames(self) -> int:
        """Frames, as far as the tags say; of a multi-frame object, images."""
        if self.is_multiframe:
            return sum(image.n_frames for image in self.images)
        if self.images[0].is_mosaic or not len(self.slices):
            return len(self.images)
        return int(self.images_in_slice.max())

    def told(self) -> dict[str, Any]:
        """Say which series it is without a word that somebody wrote."""
        return {"number": self.number, "n_frames": self.n_frames, "n_images": len(self.images)}


def choose_series(images: Iterable[DicomImage], *, run: str | None) -> Series:
    """Choose the only series that can be a functional run.

    Parameters
    ----------
    images : iterable of DicomImage
    run : str, optional
        The number of the one that is asked for.

    Raises
    ------
    DicomNotUsableError
        If there is none.
    SeveralSeriesError
        If it takes somebody to choose.
    RunNotFoundError
        If there is none of that number.
    """
    by_uid: dict[tuple[str, int | None], list[DicomImage]] = defaultdict(list)
    for image in images:
        by_uid[image.series, image.series_number].append(image)
    every = [Series(tuple(found)) for found in by_uid.values()]
    asked = [series for series in every if run is None or str(series.number) == run.strip()]
    if not asked:
        raise RunNotFoundError(found=len(every))
    usable = [series for series in asked if why_not(series) is None]
    if not usable:
        largest = max(asked, key=lambda series: len(series.images))
        raise DicomNotUsableError(found=why_not(largest) or "")
    # Localisers and field maps have a few; a run of that length would be refused further on.
    long = [series for series in usable if series.n_frames >= MINIMUM_FRAMES]
    if len(long or usable) > 1:
        told = [series.told() for series in long or usable]
        raise SeveralSeriesError(series=sorted(told, key=lambda one: one["number"] or 0))
    return (long or usable)[0]


def why_not(series: Series) -> str | None:
    """Say what keeps a series from being a functional run; None where nothing does."""
    return _of_another_kind(series.images) or _compressed(series.images) or _not_over_time(series)


def _of_another_kind(images: Sequence[DicomImage]) -> str | None:
    first = images[0]
    if first.transfer_syntax == DEFLATED:
        return _NOT_DECODED[DEFLATED]
    if first.object_class.startswith(_SECONDARY_CAPTURE):
        return "pictures of a screen (secondary capture)"
    if first.modality != "MR" or first.object_class not in _MR_CLASSES:
        return _MODALITIES.get(first.modality, "another kind of object than an MR image")
    if {"P", "PHASE"} & set(first.image_type[2:]):
        return "phase images"
    return "diffusion weighted images" if any(image.b_value for image in images) else None


def _compressed(images: Sequence[DicomImage]) -> str | None:
    found = {image.transfer_syntax for image in images} - _DECODED
    if not found:
        return None
    return _NOT_DECODED.get(min(found), "samples compressed in a way that is not read here")


def _not_over_time(series: Series) -> str | None:
    # Of a multi-frame object only its inside tells; the converter looks there.
    if series.is_multiframe:
        return None
    if len({image.echo_time_ms for image in series.images}) > 1:
        return "images of several echoes"
    if len({(image.rows, image.columns) for image in series.images}) > 1:
        return "images of different sizes"
    return "one volume (3-D)" if series.n_frames < 2 else None


def require_complete(series: Series) -> None:
    """Refuse a series of which images are missing.

    Raises
    ------
    DicomIncompleteError
    """
    images = series.images
    if series.is_multiframe:
        return
    if images[0].is_mosaic:
        _require_consecutive([image.instance for image in images])
        return
    if not np.isfinite(series.places).all():
        raise DicomIncompleteError(expected="a position of each image", found="images without one")
    short = int((series.images_in_slice < series.n_frames).sum())
    if short:
        raise DicomIncompleteError(
            expected=f"{series.n_frames} frames of each of {len(series.slices)} slices",
            found=f"fewer of {counted(short, 'slice')}",
        )
    gaps = np.diff(series.slices)
    if len(gaps) and np.ptp(gaps) > _EVEN_GAPS * np.median(gaps):
        raise DicomIncompleteError(expected="slices that are equally far apart", found="a gap between them")
    _require_consecutive(sorted({image.temporal_position for image in images}, key=lambda n: n or 0))


def frame_interval_s(series: Series) -> float | None:
    """Return the time from one frame to the next by what its images say; None where they do not tell.

    Philips writes when a frame began into the trigger time, Siemens into the acquisition time.
    """
    first_of_frame: dict[int, list[DicomImage]] = defaultdict(list)
    for image in series.images:
        frame = image.instance if image.is_mosaic else image.temporal_position
        if frame is not None:
            first_of_frame[frame].append(image)
    if series.is_multiframe or len(first_of_frame) < 3:
        return None
    for clock in ("taken_s", "trigger_s"):
        times = [
            min((getattr(image, clock) for image in frame), key=lambda time: np.inf if time is None else time)
            for _, frame in sorted(first_of_frame.items())
        ]
        if None in times:
            continue
        steps = np.diff(np.array(times, dtype=np.float64))
        interval = float(np.median(steps))
        # Where most steps are not alike, it is no clock of frames.
        if interval > 0 and np.mean(np.abs(steps - interval) < 0.1 * interval) > 0.8:
            return interval
    return None


def _require_consecutive(numbers: Sequence[int | None]) -> None:
    found = sorted(number for number in numbers if number is not None)
    if len(found) < len(numbers):
        return
    missing = found[-1] - found[0] + 1 - len(set(found))
    if missing:
        raise DicomIncompleteError(
            expected=f"frames that follow each other, {counted(len(found) + missing, 'frame')}",
            found=f"{missing} of them missing",
        )


def _or_unknown(number: int | None) -> str:
    return "?" if number is None else str(number)
