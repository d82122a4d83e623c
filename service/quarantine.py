"""An uploaded file leaves quarantine as a checked copy without free text; no process of the service opens it.

What runs in the enclosed child is :func:`check`; this module loads nothing scientific before that.
"""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.enclosure import Enclosure, Limits, ReaderDiedError

# Neither header nor copy needs much: the samples are never held.
MEMORY_BYTES = 256 * 2**20
# The copy of a file that has to be compressed anew may be larger than the file.
_GROWTH_BYTES = 64 * 2**20
_PIECE_BYTES = 1 << 20


class CheckedCopy(BaseModel):
    """What is known of a scan whose copy may be stored.

    Attributes
    ----------
    header : dict or None
        ``shape``, ``zooms_mm``, ``tr_s``, ``n_frames``; None of a zip, which is not unpacked here.
    emptied_fields : list of str or None
        Names of what held free text; None of a zip, which is copied as it came.
    sha256 : str
        Of the copy.
    """

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    header: dict[str, Any] | None
    emptied_fields: list[str] | None
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


def open_quarantine() -> Enclosure:
    """Return the enclosure in which uploads are checked; it starts with the first, or when it is told to."""
    return Enclosure(__name__)


def copy_checked(
    enclosure: Enclosure,
    upload: Path,
    copy: Path,
    *,
    size_bytes: int,
    time_s: float,
    tr_s: float | None = None,
    sidecar_tr_s: float | None = None,
) -> CheckedCopy:
    """Check an upload's header and write its copy, both in a limited child.

    Parameters
    ----------
    enclosure : Enclosure
        As :func:`open_quarantine` gives it.
    upload, copy : Path
        Complete, and there to be written over.
    size_bytes : int
        Of the upload.
    time_s : float
        What the child may take.
    tr_s : float, optional
        The repetition time that was said: it stands in the copy's header where the upload's states none that
        can be.
    sidecar_tr_s : float, optional
        The one of its sidecar: the same, where no other was said, but the header has to agree with it.

    Raises
    ------
    ScanError
        If the header shows that the scan cannot be used, or has another repetition time than its sidecar.
    ReaderDiedError, ReaderMemoryError, ReaderTimeLimitError, OSError
        As :meth:`service.enclosure.Enclosure.run`.
    """
    limits = Limits(memory_bytes=MEMORY_BYTES, time_s=time_s, written_bytes=2 * size_bytes + _GROWTH_BYTES)
    said = {"tr_s": tr_s, "sidecar_tr_s": sidecar_tr_s}
    with upload.open("rb") as given, copy.open("wb") as written:
        answer = enclosure.run(f"{__name__}:check", given, written, arguments=said, limits=limits)
    try:
        return CheckedCopy.model_validate(answer.values)
    except ValidationError as error:
        raise ReaderDiedError(found="an answer that no reader gives") from error


def check(
    path: Path,
    target: Path,
    *,
    tr_s: float | None,
    sidecar_tr_s: float | None,
    progress: Callable[[str, float], None],  # noqa: ARG001  (too soon over to be told of)
) -> tuple[dict[str, Any], None]:
    """Check a scan and write its copy; runs in the enclosed child."""
    from imaging.free_text import copy_without_free_text  # noqa: PLC0415  (numpy)
    from imaging.native.sidecar import Sidecar  # noqa: PLC0415
    from imaging.native.sources.zips import is_zip  # noqa: PLC0415  (numpy)

    if is_zip(path):
        return _copied_as_it_is(path, target).model_dump(), None
    with target.open("wb") as written:
        otherwise_s = sidecar_tr_s if tr_s is None else tr_s
        scan, emptied = copy_without_free_text(path, written, otherwise_tr_s=otherwise_s)
    if tr_s is None:
        Sidecar(tr_s=sidecar_tr_s, slice_times_s=None).require_tr(scan.tr_s)
    with target.open("rb") as copy:
        sha256 = hashlib.file_digest(copy, "sha256").hexdigest()
    header = {
        "shape": [int(size) for size in scan.shape],
        "zooms_mm": [round(float(zoom), 4) for zoom in scan.zooms_mm],
        "tr_s": float(scan.tr_s),
        "n_frames": int(scan.n_frames),
    }
    return CheckedCopy(header=header, emptied_fields=list(emptied), sha256=sha256).model_dump(), None


def _copied_as_it_is(path: Path, target: Path) -> CheckedCopy:
    """Copy a zip; what is in it is found by the worker that brings its run into template space."""
    with path.open("rb") as given, target.open("wb") as written:
        shutil.copyfileobj(given, written, _PIECE_BYTES)
    with target.open("rb") as copy:
        sha256 = hashlib.file_digest(copy, "sha256").hexdigest()
    return CheckedCopy(header=None, emptied_fields=None, sha256=sha256)


def prepare_to_fork() -> None:
    """Load what every child needs."""
    from imaging import free_text  # noqa: F401, PLC0415
    from imaging.native.sources import zips  # noqa: F401, PLC0415
