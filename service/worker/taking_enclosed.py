"""Of a stored zip one run is made in an enclosure; what comes back is checked, not believed.

The run's file and the facts that came with it take the zip's place: they hold nothing of whose scan it is.
"""

import gzip
import hashlib
import shutil
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from imaging.digest import sha256_beside
from imaging.findings import ScanWarning
from imaging.native.sources import NativeRun, take_in
from service.enclosure import Enclosure, Limits, ReaderDiedError
from service.worker.reading import CHANGED, NO_ANSWER, StoredFileChangedError
from service.worker.said import Said

# Samples of a scanner are noise in their lower bits: trying longer makes them hardly smaller.
_GZIP_LEVEL = 1
_PIECE_BYTES = 1 << 20

T1W_NAME = "t1w"
"""Of the T1-weighted image in the folder to work in; it is told by its content whether it is compressed."""


class _Warning(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    code: str = Field(pattern="^[a-z0-9_]{1,64}$")
    message: str = Field(max_length=1000)


class _Input(BaseModel):
    """As :meth:`imaging.native.sources.NativeRun.to_json` gives it."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    origin: Literal["nifti", "dicom", "bids"]
    tr_s: float
    tr_from: Literal["asked", "dicom", "sidecar", "header"]
    slice_times_from: Literal["asked", "dicom", "sidecar"] | None
    t1w_available: bool


class TakenFacts(BaseModel):
    """What a zip knew of the run that was made of it, and is not in the run's file.

    Attributes
    ----------
    input : dict
        As :meth:`imaging.native.sources.NativeRun.to_json` gives it.
    slice_times_s : list of float or None
    discarded_volumes : int
        As :class:`imaging.native.sidecar.Sidecar` has them.
    converter : str or None
        Which program made the file of DICOM images, with its version.
    warnings : list
        Each with ``code`` and ``message``.
    """

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    input: _Input
    slice_times_s: list[float] | None
    discarded_volumes: int
    converter: str | None = Field(max_length=64)
    warnings: list[_Warning]

    @classmethod
    def of(cls, run: NativeRun) -> Self:
        """Gather the facts of a run."""
        times_s = run.facts.slice_times_s
        return cls.model_validate(
            {
                "input": run.to_json(),
                "slice_times_s": None if times_s is None else list(times_s),
                "discarded_volumes": run.facts.discarded_volumes,
                "converter": f"dcm2niix {version('dcm2niix')}" if run.origin == "dicom" else None,
                "warnings": [{"code": one.code, "message": one.message} for one in run.warnings],
            }
        )

    def scan_warnings(self) -> tuple[ScanWarning, ...]:
        """Return the warnings as a scan has them."""
        return tuple(ScanWarning(**one.model_dump()) for one in self.warnings)


class TakenRun(BaseModel):
    """What is known of a run's file.

    Attributes
    ----------
    sha256 : str
        Of the file.
    facts : TakenFacts
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    facts: TakenFacts


def take_enclosed(
    enclosure: Enclosure,
    path: Path,
    target: Path,
    work: Path,
    *,
    stored_sha256: str,
    said: Said,
    limits: Limits,
    progress: Callable[[str, float], None],
    check: Callable[[], None],
) -> TakenRun:
    """Make one run of a stored zip, in a limited child.

    Parameters
    ----------
    enclosure : Enclosure
        With this module in it.
    path, target : Path
        The zip, and the gzipped NIfTI file to be written: the same bytes for the same zip and converter.
    work : Path
        An empty folder for what is unpacked; the caller removes it, however the child ends. Of what the zip
        held, a T1-weighted image of the run's head is left in it as ``T1W_NAME``.
    stored_sha256 : str
        Of the zip.
    said : Said
    limits : Limits
    progress, check : callable
        Called with a stage and 0 to 1, and ten times a second; what they raise ends the child.

    Raises
    ------
    StoredFileChangedError
        If the file is not the one that was stored.
    ScanError, ReaderDiedError, ReaderMemoryError, ReaderTimeLimitError, OSError
        As :meth:`service.enclosure.Enclosure.run`.
    """
    with path.open("rb") as file, target.open("wb") as written:
        answer = enclosure.run(
            f"{__name__}:take",
            file,
            written,
            arguments={
                "stored_sha256": stored_sha256,
                "work": str(work),
                "said": asdict(said),
            },
            limits=limits,
            progress=progress,
            check=check,
        )
    if answer.values == CHANGED:
        raise StoredFileChangedError
    try:
        return TakenRun.model_validate(answer.values)
    except ValidationError as error:
        raise ReaderDiedError(found=NO_ANSWER) from error


def take(
    path: Path,
    target: Path,
    *,
    stored_sha256: str,
    work: str,
    said: dict[str, Any],
    progress: Callable[[str, float], None],
) -> tuple[dict[str, Any], None]:
    """Make one run of a zip and write its file; runs in the enclosed child."""
    with sha256_beside(path) as digest:
        try:
            run = take_in(path, Path(work), asked=Said(**said).asked(), progress=_told_seldom(progress))
        except Exception:
            if digest.result() != stored_sha256:
                return CHANGED, None
            raise
    if digest.result() != stored_sha256:
        return CHANGED, None
    with (
        run.path.open("rb") as made,
        target.open("wb") as file,
        gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=_GZIP_LEVEL, mtime=0) as packed,
    ):
        shutil.copyfileobj(made, packed, _PIECE_BYTES)
    run.path.unlink()
    if run.t1w is not None:
        run.t1w.replace(Path(work) / T1W_NAME)
    with target.open("rb") as stored:
        written = hashlib.file_digest(stored, "sha256").hexdigest()
    return TakenRun(sha256=written, facts=TakenFacts.of(run)).model_dump(), None


def prepare_to_fork() -> None:
    """Load what every child needs: it is loaded with this module."""


def _told_seldom(progress: Callable[[str, float], None]) -> Callable[[str, float], None]:
    """Pass progress on by hundredths: there are ten thousands of images, and each would be a message."""
    last: tuple[str, int] | None = None

    def report(stage: str, fraction: float) -> None:
        nonlocal last
        now = (stage, int(100 * fraction))
        if now != last:
            last = now
            progress(stage, fraction)

    return report
