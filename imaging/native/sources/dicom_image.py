"""One DICOM image: what its tags say, as numbers."""

from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from imaging.native.sources.dicom_tags import (
    DEFLATED,
    HEAD_BYTES,
    PREAMBLE_BYTES,
    SIGNATURE,
    Tag,
    is_dicom,
    read_tags,
)
from imaging.native.sources.tree import Entry

_SIGNATURE_ENDS = PREAMBLE_BYTES + len(SIGNATURE)
_SECONDS_A_DAY = 86_400


@dataclass(frozen=True, kw_only=True, slots=True)
class DicomImage:
    """A file, and what matters of it here.

    Attributes
    ----------
    entry : Entry
    uid, series : str
        Which image, and which series; they lead to a person and stay inside this package.
    series_number, instance, temporal_position, temporal_positions : int or None
    modality, object_class, transfer_syntax : str
    image_type : tuple of str
    tr_s, echo_time_ms, b_value, taken_s, trigger_s : float or None
        ``taken_s`` is the time of the day, of which only differences are ever used.
    position_mm : tuple of 3 float or None
    orientation : tuple of 6 float or None
    n_frames : int
        More than one in a multi-frame object.
    rows, columns : int
    """

    entry: Entry
    uid: str
    series: str
    series_number: int | None
    instance: int | None
    temporal_position: int | None
    temporal_positions: int | None
    modality: str
    object_class: str
    transfer_syntax: str
    image_type: tuple[str, ...]
    tr_s: float | None
    echo_time_ms: float | None
    b_value: float | None
    taken_s: float | None
    trigger_s: float | None
    position_mm: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    n_frames: int
    rows: int
    columns: int

    @property
    def is_mosaic(self) -> bool:
        """Whether it shows all slices of a frame side by side, as Siemens scanners write them."""
        return "MOSAIC" in self.image_type


def read_image(entry: Entry) -> DicomImage | None:
    """Read a file's tags; None if it is no DICOM file, or a list of files (DICOMDIR)."""
    if entry.size < _SIGNATURE_ENDS:
        return None
    with entry.open() as file:
        head = file.read(_SIGNATURE_ENDS)
        if not is_dicom(head):
            return None
        head += file.read(HEAD_BYTES)
    tags = read_tags(head)
    # Of a deflated file nothing else can be told; it is refused for that.
    if not {Tag.SERIES_UID, Tag.MODALITY} & tags.keys() and tags.get(Tag.TRANSFER_SYNTAX) != DEFLATED:
        return None
    tr_ms, trigger_ms = _number(tags, Tag.REPETITION_TIME_MS), _number(tags, Tag.TRIGGER_TIME_MS)
    return DicomImage(
        entry=entry,
        uid=tags.get(Tag.INSTANCE_UID, ""),
        series=tags.get(Tag.SERIES_UID, ""),
        series_number=_whole(tags, Tag.SERIES_NUMBER),
        instance=_whole(tags, Tag.INSTANCE_NUMBER),
        temporal_position=_whole(tags, Tag.TEMPORAL_POSITION),
        temporal_positions=_whole(tags, Tag.TEMPORAL_POSITIONS),
        modality=tags.get(Tag.MODALITY, ""),
        object_class=tags.get(Tag.SOP_CLASS, ""),
        transfer_syntax=tags.get(Tag.TRANSFER_SYNTAX, ""),
        image_type=tuple(word.strip().upper() for word in tags.get(Tag.IMAGE_TYPE, "").split("\\")),
        # Zero is how some programs write that they do not know.
        tr_s=tr_ms / 1000 if tr_ms else None,
        echo_time_ms=_number(tags, Tag.ECHO_TIME_MS),
        b_value=_number(tags, Tag.B_VALUE),
        taken_s=_time_of_day_s(tags.get(Tag.ACQUISITION_TIME, "")),
        trigger_s=None if trigger_ms is None else trigger_ms / 1000,
        position_mm=_numbers(tags, Tag.POSITION_MM, 3),
        orientation=_numbers(tags, Tag.ORIENTATION, 6),
        n_frames=_whole(tags, Tag.NUMBER_OF_FRAMES) or 1,
        rows=_whole(tags, Tag.ROWS) or 0,
        columns=_whole(tags, Tag.COLUMNS) or 0,
    )


def _numbers(tags: dict[int, str], tag: Tag, count: int) -> tuple[float, ...] | None:
    with suppress(ValueError):
        numbers = tuple(float(number) for number in tags.get(tag, "").split("\\"))
        if len(numbers) == count and np.isfinite(numbers).all():
            return numbers
    return None


def _number(tags: dict[int, str], tag: Tag) -> float | None:
    numbers = _numbers(tags, tag, 1)
    return None if numbers is None else numbers[0]


def _whole(tags: dict[int, str], tag: Tag) -> int | None:
    number = _number(tags, tag)
    return None if number is None or abs(number) > 2**31 else int(number)


def _time_of_day_s(text: str) -> float | None:
    """Read HHMMSS.FFFFFF, or the old HH:MM:SS."""
    digits = text.replace(":", "")
    with suppress(ValueError):
        seconds = int(digits[:2]) * 3600 + int(digits[2:4]) * 60 + float(digits[4:])
        return seconds if 0 <= seconds < _SECONDS_A_DAY else None
    return None
