"""The few tags of a DICOM file that say what kind of image it is and when it was taken.

Who was scanned, when and where stands between them; it is stepped over and never decoded. Layout: DICOM PS3.5
(data elements), PS3.10 (files).
"""

import struct
from collections.abc import Iterator
from contextlib import suppress
from enum import IntEnum

PREAMBLE_BYTES = 128
SIGNATURE = b"DICM"

# Enough for every tag up to the image's size, even behind a scanner's private ones.
HEAD_BYTES = 2**20


class Tag(IntEnum):
    """What is read of a file: group and element."""

    TRANSFER_SYNTAX = 0x0002_0010
    IMAGE_TYPE = 0x0008_0008
    SOP_CLASS = 0x0008_0016
    INSTANCE_UID = 0x0008_0018
    ACQUISITION_TIME = 0x0008_0032
    MODALITY = 0x0008_0060
    REPETITION_TIME_MS = 0x0018_0080
    ECHO_TIME_MS = 0x0018_0081
    TRIGGER_TIME_MS = 0x0018_1060
    B_VALUE = 0x0018_9087
    SERIES_UID = 0x0020_000E
    SERIES_NUMBER = 0x0020_0011
    INSTANCE_NUMBER = 0x0020_0013
    POSITION_MM = 0x0020_0032
    ORIENTATION = 0x0020_0037
    TEMPORAL_POSITION = 0x0020_0100
    TEMPORAL_POSITIONS = 0x0020_0105
    NUMBER_OF_FRAMES = 0x0028_0008
    ROWS = 0x0028_0010
    COLUMNS = 0x0028_0011


_READ = frozenset(Tag)
_LAST = Tag.COLUMNS
# Numbers, whose kind only the standard's dictionary tells where it is not written.
_INTEGERS = frozenset({Tag.ROWS, Tag.COLUMNS})
_DOUBLES = frozenset({Tag.B_VALUE})
_MOST_VALUE_BYTES = 1024

_IMPLICIT = "1.2.840.10008.1.2"
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"

_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_UNDEFINED = 0xFFFF_FFFF
_ITEM, _END_OF_ITEM, _END_OF_SEQUENCE = 0xFFFE_E000, 0xFFFE_E00D, 0xFFFE_E0DD
_DEEPEST = 16


class _NonsenseError(ValueError):
    """Bytes that follow no rule of DICOM."""


def is_dicom(head: bytes) -> bool:
    """Tell a DICOM file by its signature."""
    return head[PREAMBLE_BYTES : PREAMBLE_BYTES + len(SIGNATURE)] == SIGNATURE


def read_tags(head: bytes) -> dict[int, str]:
    r"""Return the tags above that a file has.

    Parameters
    ----------
    head : bytes
        Its beginning.

    Returns
    -------
    dict of int to str
        Without padding; numbers and their lists as DICOM writes them, ``1\2``. Damage ends the reading, and
        what was found before it is returned.
    """
    found: dict[int, str] = {}
    start = PREAMBLE_BYTES + len(SIGNATURE)
    with suppress(struct.error, _NonsenseError):
        start = _read(_Elements(head, implicit=False, order="<"), start, found, last=0x0002_FFFF)
        syntax = found.get(Tag.TRANSFER_SYNTAX, _IMPLICIT)
        if syntax != DEFLATED:
            order = ">" if syntax == _BIG_ENDIAN else "<"
            _read(_Elements(head, implicit=syntax == _IMPLICIT, order=order), start, found, last=_LAST)
    return found


def _read(elements: "_Elements", start: int, found: dict[int, str], *, last: int) -> int:
    """Add the wanted tags up to a last one, and return where the next begins."""
    at = start
    for at, tag, value in elements.walk(start):
        if tag > last:
            return at
        if tag in _READ and value is not None and len(value) <= _MOST_VALUE_BYTES:
            found[tag] = elements.text(tag, value)
    return at


class _Elements:
    """Data elements in one of the ways to write them."""

    def __init__(self, data: bytes, *, implicit: bool, order: str) -> None:
        self._data = data
        self._implicit = implicit
        self._order = order

    def walk(self, at: int, *, depth: int = 0) -> Iterator[tuple[int, int, bytes | None]]:
        """Yield where each element begins, its tag, and its value if it is wanted."""
        if depth > _DEEPEST:
            raise _NonsenseError
        while at + 8 <= len(self._data):
            begins = at
            tag = self.tag(at)
            kind, length, at = self._extent(at + 4)
            if tag in {_END_OF_ITEM, _END_OF_SEQUENCE}:
                yield begins, tag, None
                return
            if length == _UNDEFINED:
                yield begins, tag, None
                at = self._past_sequence(at, kind, depth=depth)
            else:
                yield begins, tag, self._data[at : at + length] if tag in _READ else None
                at += length

    def text(self, tag: int, value: bytes) -> str:
        """Return a wanted tag's value in letters."""
        if tag in _INTEGERS:
            return str(struct.unpack(self._order + "H", value[:2])[0])
        if tag in _DOUBLES:
            return str(struct.unpack(self._order + "d", value[:8])[0])
        return value.decode("ascii", "replace").strip(" \0")

    def tag(self, at: int) -> int:
        """Return the tag that is written at a place."""
        group, element = struct.unpack_from(self._order + "HH", self._data, at)
        return int(group) << 16 | int(element)

    def _extent(self, at: int) -> tuple[bytes, int, int]:
        """Return an element's kind, its length, and where its value begins."""
        kind = self._data[at : at + 2]
        marks_item = self._data[at - 4 : at - 2] in {b"\xfe\xff", b"\xff\xfe"}
        if self._implicit or marks_item:
            return b"", int(struct.unpack_from(self._order + "I", self._data, at)[0]), at + 4
        if kind in _LONG:
            return kind, int(struct.unpack_from(self._order + "I", self._data, at + 4)[0]), at + 8
        return kind, int(struct.unpack_from(self._order + "H", self._data, at + 2)[0]), at + 4

    def _past_sequence(self, at: int, kind: bytes, *, depth: int) -> int:
        # What is of unknown kind and length is written implicitly inside (PS3.5, 6.2.2).
        inside = _Elements(self._data, implicit=True, order="<") if kind == b"UN" else self
        while True:
            tag, length = inside.tag(at), int(struct.unpack_from(self._order + "I", self._data, at + 4)[0])
            at += 8
            if tag == _END_OF_SEQUENCE:
                return at
            if tag != _ITEM:
                raise _NonsenseError
            if length != _UNDEFINED:
                at += length
                continue
            for begins, ends, _ in inside.walk(at, depth=depth + 1):
                if ends == _END_OF_ITEM:
                    at = begins + 8
                    break
            else:
                raise _NonsenseError
