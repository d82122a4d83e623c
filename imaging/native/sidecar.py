"""What a BIDS sidecar says of a run: its repetition time, when its slices were taken, frames left out."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from imaging.errors import ScanError

# A sidecar of a converter has some kilobytes.
MOST_BYTES = 2**20

# A header rounds to microseconds, a sidecar writes what the scanner says.
SAME_TR_S = 0.001

_DISCARDED = ("NumberOfVolumesDiscardedByScanner", "NumberOfVolumesDiscardedByUser")
_MOST_DISCARDED = 1000
_NO_TIME_S = 1e6


class BadSidecarError(ScanError):
    """A sidecar that is none, or says what cannot be."""

    code: ClassVar[str] = "bad_sidecar"

    def __init__(self, *, expected: str, found: str) -> None:
        self.expected = expected
        self.found = found
        super().__init__(f"sidecar: expected {expected}, found {found}")


class RepetitionTimesDifferError(ScanError):
    """The file and its sidecar name two repetition times: a converter may have written a wrong one."""

    code: ClassVar[str] = "repetition_times_differ"

    def __init__(self, *, header_s: float, sidecar_s: float) -> None:
        self.header_s = header_s
        self.sidecar_s = sidecar_s
        super().__init__(
            f"expected one repetition time, found {header_s:g} s in the file's header and {sidecar_s:g} s in "
            "its sidecar"
        )


@dataclass(frozen=True)
class Sidecar:
    """Of a run.

    Attributes
    ----------
    tr_s : float or None
        ``RepetitionTime``.
    slice_times_s : tuple of float or None
        ``SliceTiming``, from the start of a frame, in the order of the slices.
    discarded_volumes : int
        ``NumberOfVolumesDiscardedByScanner`` and ``NumberOfVolumesDiscardedByUser`` together: frames that
        were taken before the first one of the file.
    """

    tr_s: float | None
    slice_times_s: tuple[float, ...] | None
    discarded_volumes: int = 0

    def require_tr(self, header_s: float) -> None:
        """Refuse a repetition time other than the file's.

        Raises
        ------
        RepetitionTimesDifferError
        """
        if self.tr_s is not None and abs(self.tr_s - header_s) > SAME_TR_S:
            raise RepetitionTimesDifferError(header_s=header_s, sidecar_s=self.tr_s)

    def over(self, general: "Sidecar") -> "Sidecar":
        """Return what this one says, and where it is silent what a more general one does."""
        return Sidecar(
            tr_s=general.tr_s if self.tr_s is None else self.tr_s,
            slice_times_s=general.slice_times_s if self.slice_times_s is None else self.slice_times_s,
            discarded_volumes=self.discarded_volumes or general.discarded_volumes,
        )


NO_SIDECAR = Sidecar(tr_s=None, slice_times_s=None)


def read_sidecar(path: Path) -> Sidecar:
    """Read the fields that matter here, and nothing else.

    Raises
    ------
    BadSidecarError
        If it is no JSON object, or a field has no meaning.
    OSError
        If the file cannot be read.
    """
    with path.open("rb") as file:
        return parse_sidecar(file.read(MOST_BYTES + 1))


def parse_sidecar(content: bytes, *, most_bytes: int = MOST_BYTES) -> Sidecar:
    """Read the same from a file's content, of which so many bytes are too many.

    Raises
    ------
    BadSidecarError
    """
    if len(content) > most_bytes:
        raise BadSidecarError(expected=f"at most {most_bytes:,} bytes", found="more")
    try:
        # Letters that are no UTF-8, or a line feed within a text, stand in fields that are not read.
        fields = json.loads(content.decode("utf-8-sig", "replace"), strict=False)
    except (ValueError, RecursionError):
        raise BadSidecarError(expected="JSON", found="something else") from None
    if not isinstance(fields, dict):
        raise BadSidecarError(expected="a JSON object", found=type(fields).__name__)
    if fields.get("VolumeTiming") is not None:
        raise BadSidecarError(expected="frames at equal distances", found="VolumeTiming")
    tr_s = fields.get("RepetitionTime")
    if tr_s is not None and not (_is_number(tr_s) and 0 < tr_s < 100):
        raise BadSidecarError(expected="RepetitionTime in seconds", found=_named(tr_s))
    return Sidecar(
        tr_s=None if tr_s is None else float(tr_s),
        slice_times_s=_slice_times(fields),
        discarded_volumes=_discarded(fields),
    )


def _discarded(fields: dict[str, object]) -> int:
    total = 0
    for name in _DISCARDED:
        count = fields.get(name, 0)
        if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= _MOST_DISCARDED:
            raise BadSidecarError(
                expected=f"{name} as a number of frames, 0 to {_MOST_DISCARDED}", found=_named(count)
            )
        total += count
    return total


def _slice_times(fields: dict[str, object]) -> tuple[float, ...] | None:
    found = fields.get("SliceTiming")
    if found is None:
        return None
    if not isinstance(found, list) or not all(map(_is_number, found)):
        raise BadSidecarError(expected="SliceTiming as a list of seconds", found=_named(found))
    direction = fields.get("SliceEncodingDirection", "k")
    if direction not in {"k", "k-"}:
        raise BadSidecarError(
            expected="slices along the third axis (SliceEncodingDirection)", found="another direction"
        )
    # BIDS: where the direction has a minus, the list begins with the slice of the highest index.
    return tuple(map(float, found if direction == "k" else reversed(found)))


def _is_number(value: object) -> bool:
    # JSON as Python reads it knows NaN, infinity and whole numbers without end.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _NO_TIME_S


def _named(value: object) -> str:
    """Name what was found: a number as it is, anything else by its type, for it may tell of a person."""
    return f"{value:g}" if _is_number(value) else type(value).__name__
