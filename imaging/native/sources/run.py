"""What every way of handing a run over comes down to."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from imaging.errors import ScanError
from imaging.findings import ScanWarning
from imaging.native.sidecar import Sidecar
from imaging.words import counted

Origin = Literal["nifti", "dicom", "bids"]
TrFrom = Literal["asked", "dicom", "sidecar", "header"]
SliceTimesFrom = Literal["asked", "dicom", "sidecar"]

STAGES = ("looking", "unpacking", "converting")
Progress = Callable[[str, float], None]


class RunNotFoundError(ScanError):
    """No run of the name or number that was asked for."""

    code: ClassVar[str] = "run_not_found"

    def __init__(self, *, found: int) -> None:
        self.found = found
        super().__init__(f"expected the run that was asked for, found {counted(found, 'other')}")


@dataclass(frozen=True, kw_only=True)
class NativeRun:
    """A run in the scanner's space, ready to be normalised.

    Attributes
    ----------
    path : Path
        A NIfTI file that :func:`imaging.open_scan` accepts, with ``facts.tr_s`` in its header: what was
        handed over if it already was that, else one in the folder to work in.
    facts : Sidecar
        ``tr_s`` is never None; ``slice_times_s`` is where nobody knows.
    tr_from : {"asked", "dicom", "sidecar", "header"}
    slice_times_from : {"asked", "dicom", "sidecar"} or None
    origin : {"nifti", "dicom", "bids"}
    t1w : Path or None
        A T1-weighted image of the same person, which came with the run.
    warnings : tuple of ScanWarning
    """

    path: Path
    facts: Sidecar
    tr_from: TrFrom
    slice_times_from: SliceTimesFrom | None
    origin: Origin
    t1w: Path | None = None
    warnings: tuple[ScanWarning, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return where the run and its facts came from, as JSON values."""
        return {
            "origin": self.origin,
            "tr_s": self.facts.tr_s,
            "tr_from": self.tr_from,
            "slice_times_from": self.slice_times_from,
            "t1w_available": self.t1w is not None,
        }


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the person who hands a run over says of it.

    Attributes
    ----------
    sidecar : Sidecar or None
        What a BIDS sidecar beside what was handed over says.
    tr_s : float or None
    slice_order : str or None
        A name from :data:`imaging.native.sources.slice_order.ORDERS`.
    slice_times_s : tuple of Z floats or None
        When each slice of a frame is taken, from its start; nobody says this and ``slice_order`` too.
    t1w : Path or None
        A T1-weighted image of the same head, a NIfTI file; stands above one that comes with the run.
    run : str or None
        Which of several: entities of a BIDS name (``task-rest_run-1``), or a DICOM series number.
    """

    sidecar: Sidecar | None = None
    tr_s: float | None = None
    slice_order: str | None = None
    slice_times_s: tuple[float, ...] | None = None
    t1w: Path | None = None
    run: str | None = None
