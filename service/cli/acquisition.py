"""What may be said of a scan on the command line: sidecar, repetition time, order of slices, which run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from service.errors import ServiceError

if TYPE_CHECKING:
    from imaging.native.sources import Asked

SidecarFile = Annotated[
    Path | None,
    typer.Option(help="Its BIDS sidecar: RepetitionTime, SliceTiming, NumberOfVolumesDiscardedBy..."),
]
RepetitionTime = Annotated[
    float | None,
    typer.Option(
        help="Its repetition time in seconds, where it says none or a wrong one.", min=0.1, max=6.25
    ),
]
SliceOrder = Annotated[
    str | None,
    typer.Option(
        help="When its slices are taken, where no sidecar lists their times: ascending, descending, "
        "interleaved-ascending, interleaved-descending, or one of the latter two with -second-first.",
        metavar="<order>",
    ),
]
WhichRun = Annotated[
    str | None,
    typer.Option(help="Which run of several: task-rest_run-1 of a BIDS subject, or a DICOM series number."),
]
T1wFile = Annotated[
    Path | None,
    typer.Option(help="A T1-weighted image of the same head, NIfTI: the run is laid over it first."),
]

HANDED_OVER = "A NIfTI file, .nii or .nii.gz; a zip or folder of DICOM images or a BIDS subject."

_ORIGINS = {"nifti": "a NIfTI file", "dicom": "a DICOM series", "bids": "a BIDS subject"}
SAID_BY = {
    "asked": "as given",
    "dicom": "by the DICOM images",
    "sidecar": "by the sidecar",
    "header": "by the file's header",
}


class FileNotReadableError(ServiceError):
    """A path on the command line that names no readable file."""

    code: ClassVar[str] = "file_not_readable"

    def __init__(self, *, name: str, found: str) -> None:
        self.name = name
        self.found = found
        super().__init__(f"expected a file that can be read, found {found}: {name}")


def asked_of(
    *,
    sidecar: Path | None,
    tr: float | None,
    slice_order: str | None,
    run: str | None,
    t1w: Path | None = None,
) -> "Asked":
    """Read what was said of a scan.

    Raises
    ------
    typer.BadParameter
        If there is no such order of slices.
    FileNotReadableError, BadSidecarError
        If the sidecar, or the T1-weighted image, cannot be read.
    """
    from imaging.native.sidecar import read_sidecar
    from imaging.native.sources import ORDERS, Asked

    if slice_order is not None and slice_order not in ORDERS:
        raise typer.BadParameter(f"--slice-order takes one of {', '.join(ORDERS)}, found {slice_order}")
    facts = None
    if sidecar is not None:
        require_readable(sidecar)
        facts = read_sidecar(sidecar)
    if t1w is not None:
        require_readable(t1w)
    return Asked(sidecar=facts, tr_s=tr, slice_order=slice_order, run=run, t1w=t1w)


def where_from(facts: dict[str, Any]) -> str:
    """Say what a run came from and who names its repetition time, of what ``NativeRun.to_json`` gives."""
    origin, said_by = _ORIGINS[facts["origin"]], SAID_BY[facts["tr_from"]]
    return f"from {origin}, repetition time {facts['tr_s']:g} s {said_by}"


def require_scan(path: Path) -> None:
    """Refuse a path that names neither a folder nor a file that can be read.

    Raises
    ------
    FileNotReadableError
    """
    if not path.is_dir():
        require_readable(path)


def require_readable(path: Path) -> None:
    """Refuse a path that names no file that can be read.

    Raises
    ------
    FileNotReadableError
    """
    try:
        # Before it is opened: a pipe would wait for whoever writes into it.
        if path.is_fifo():
            raise FileNotReadableError(name=path.name, found="a pipe")
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise FileNotReadableError(name=path.name, found=_what_is_there(error)) from error


def _what_is_there(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "none"
    if isinstance(error, IsADirectoryError):
        return "a folder"
    if isinstance(error, PermissionError):
        return "one that may not be read"
    return f"a fault ({(error.strerror or 'of the disk').lower()})"
