"""A stored scan is brought into template space in an enclosure; what comes back is checked, not believed.

What was made of a zip (:mod:`service.worker.taking_enclosed`) comes with the facts that the zip knew.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from imaging import open_scan, scan_identity
from imaging.digest import sha256_beside
from imaging.findings import ScanWarning
from imaging.native.known import Known
from imaging.native.normalise import normalise as normalise_scan
from imaging.native.normalise import t1w_not_used
from imaging.native.output import summary_of, write_nifti
from imaging.native.sources import take_in
from imaging.native.tissues import template_tissues
from imaging.template import template_brain
from service.enclosure import Enclosure, Limits, ReaderDiedError
from service.logs import get_logger
from service.worker.normalised_figures import described, drawn, figures_in, load_drawing, warned_of_missing
from service.worker.reading import CHANGED, NO_ANSWER, StoredFileChangedError
from service.worker.said import Said
from service.worker.taking_enclosed import TakenFacts

log = get_logger(__name__)

_NOT_KEPT = "it is not kept beyond its first use; what was handed over can be handed over again"


class _Shares(BaseModel):
    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    outline_fit: float
    explained: float
    coverage: float
    overlap: float


class _Warning(BaseModel):
    model_config = ConfigDict(extra="forbid")

    code: str
    message: str


class _Moved(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    mean: float
    max: float


class _Summary(BaseModel):
    """What people are shown; more may stand in it."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    version: int
    dropped_frames: int
    n_frames: int
    slice_timing: bool
    displacement_mm: _Moved
    tsnr: float
    degrees_of_freedom: float
    registration: _Shares
    warnings: list[_Warning]


class TemplateFile(BaseModel):
    """What is known of a file in template space.

    Attributes
    ----------
    sha256 : str
    size_bytes : int
    summary : dict
        As :func:`imaging.native.output.summary_of` gives it.
    provenance : dict
        As :class:`imaging.native.normalise.Normalised` has it, with the ``source``: which scan it was.
    took_ms : float
        By the clock.
    drawing_fault : str or None
        Why figures are missing: a traceback, for the log alone.
    """

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    size_bytes: int
    summary: dict[str, Any]
    provenance: dict[str, Any]
    took_ms: float
    drawing_fault: str | None = None


def normalise_enclosed(
    enclosure: Enclosure,
    path: Path,
    target: Path,
    work: Path,
    *,
    sha256: str,
    stored_sha256: str,
    said: Said,
    taken: dict[str, Any] | None,
    t1w: Path | None,
    known: dict[str, Any] | None,
    limits: Limits,
    progress: Callable[[str, float], None],
    check: Callable[[], None],
    keep: Callable[[dict[str, Any]], None],
) -> tuple[TemplateFile, dict[str, bytes]]:
    """Bring a stored scan into template space, in a limited child.

    Parameters
    ----------
    enclosure : Enclosure
        With this module in it.
    path, target : Path
        The stored file, and the one to be written.
    work : Path
        An empty folder for a copy of the file; the caller removes it, however the child ends.
    sha256, stored_sha256 : str
        Of the scan as it was uploaded, and of the stored file.
    said : Said
    taken : dict or None
        What the zip knew that the file was made of, as :class:`service.worker.taking_enclosed.TakenFacts`
        has it; what was said of the zip has been heeded then.
    t1w : Path or None
        A T1-weighted image that came with such a zip. Where there was one, it is not given, and ``known``
        does not have what it showed, the scan is laid over the template without it and a warning says so.
    known : dict or None
        What ``keep`` was given before, by another child.
    limits : Limits
    progress, check : callable
        Called with a stage and 0 to 1, and ten times a second; what they raise ends the child.
    keep : callable
        Called with what the work can go on from.

    Returns
    -------
    TemplateFile, dict of str to bytes
        The file, and its figures as PNG; the provenance has what is known of them.

    Raises
    ------
    StoredFileChangedError
        If the file is not the one that was stored.
    ScanError, ReaderDiedError, ReaderMemoryError, ReaderTimeLimitError, OSError
        As :meth:`service.enclosure.Enclosure.run`.
    """
    with path.open("rb") as file, target.open("wb") as written:
        answer = enclosure.run(
            f"{__name__}:normalise",
            file,
            written,
            arguments={
                "sha256": sha256,
                "stored_sha256": stored_sha256,
                "work": str(work),
                "said": asdict(said),
                "taken": taken,
                "t1w": None if t1w is None else str(t1w),
                "known": known,
            },
            limits=limits,
            progress=progress,
            check=check,
            note=lambda content: keep(_known(content)),
        )
    if answer.values == CHANGED:
        raise StoredFileChangedError
    try:
        made = TemplateFile.model_validate(answer.values)
        _Summary.model_validate(made.summary)
    except ValidationError as error:
        raise ReaderDiedError(found=NO_ANSWER) from error
    if made.drawing_fault is not None:
        log.error("figures_not_drawn", fault=made.drawing_fault)
    figures = figures_in(bytes(answer.array or b""))
    told = {
        "provenance": {**made.provenance, "figures": described(figures)},
        "summary": warned_of_missing(made.summary, figures),
        "drawing_fault": None,
    }
    return made.model_copy(update=told), figures


def normalise(
    path: Path,
    target: Path,
    *,
    sha256: str,
    stored_sha256: str,
    work: str,
    said: dict[str, Any],
    taken: dict[str, Any] | None,
    t1w: str | None,
    known: dict[str, Any] | None,
    progress: Callable[[str, float], None],
    note: Callable[[bytes], None],
) -> tuple[dict[str, Any], memoryview | None]:
    """Normalise a scan, write its file and draw it; runs in the enclosed child."""
    began = perf_counter()
    with sha256_beside(path) as digest:
        try:
            run = _run_of(path, Path(work), said=Said(**said), taken=taken, t1w=t1w)
            scan = open_scan(run.path)
            found = normalise_scan(
                scan,
                slice_times_s=run.slice_times_s,
                discarded_before=run.discarded_volumes,
                t1w=run.t1w,
                progress=progress,
                known=usable(known),
                found=lambda so_far: note(json.dumps(so_far.to_json()).encode()),
            )
        except Exception:
            if digest.result() != stored_sha256:
                return CHANGED, None
            raise
    if digest.result() != stored_sha256:
        return CHANGED, None
    with target.open("wb") as file:
        write_nifti(found.scan, file)
    with target.open("rb") as file:
        written = hashlib.file_digest(file, "sha256").hexdigest()
    figures, fault = drawn(found)
    if run.told["input"]["t1w_available"] and not found.registration.t1w_was_tried:
        run = replace(run, warnings=(*run.warnings, t1w_not_used(_NOT_KEPT)))
    source = scan_identity(scan, name="", sha256=sha256)
    del source["name"]
    made = TemplateFile(
        sha256=written,
        size_bytes=target.stat().st_size,
        summary=_with_warnings(summary_of(found), run),
        provenance={"source": source, **run.told, **found.provenance},
        took_ms=round(1000 * (perf_counter() - began), 3),
        drawing_fault=fault,
    )
    return made.model_dump(), figures


def prepare_to_fork() -> None:
    """Load what every child needs."""
    template_brain()
    template_tissues()
    load_drawing()


@dataclass(frozen=True, kw_only=True)
class _Run:
    """A run to be normalised, what is known of its times, and what is told of where it came from."""

    path: Path
    slice_times_s: Sequence[float] | None
    discarded_volumes: int
    t1w: Path | None
    told: dict[str, Any]
    warnings: tuple[ScanWarning, ...]


def _run_of(path: Path, work: Path, *, said: Said, taken: dict[str, Any] | None, t1w: str | None) -> _Run:
    """Put what was said of a file beside it; a copy is made where the file is to say so itself."""
    if taken is not None:
        facts = TakenFacts.model_validate(taken)
        return _Run(
            path=path,
            slice_times_s=facts.slice_times_s,
            discarded_volumes=facts.discarded_volumes,
            t1w=None if t1w is None else Path(t1w),
            told={
                "input": facts.input.model_dump(),
                **({} if facts.converter is None else {"converter": facts.converter}),
            },
            warnings=facts.scan_warnings(),
        )
    # A NIfTI file is one run, and has no other to choose from.
    run = take_in(path, work, asked=replace(said.asked(), run=None))
    return _Run(
        path=run.path,
        slice_times_s=run.facts.slice_times_s,
        discarded_volumes=run.facts.discarded_volumes,
        t1w=run.t1w,
        told={"input": run.to_json()},
        warnings=run.warnings,
    )


def _with_warnings(summary: dict[str, Any], run: _Run) -> dict[str, Any]:
    of_run = [{"code": warning.code, "message": warning.message} for warning in run.warnings]
    return summary | {"input": run.told["input"], "warnings": [*of_run, *summary["warnings"]]}


def usable(known: dict[str, Any] | None) -> Known | None:
    """Read what was kept; what cannot be read is found anew."""
    try:
        return None if known is None else Known.from_json(known)
    except ValueError:
        return None


def _known(content: bytes) -> dict[str, Any]:
    try:
        values = json.loads(content)
    except ValueError as error:
        raise ReaderDiedError(found=NO_ANSWER) from error
    if not isinstance(values, dict):
        raise ReaderDiedError(found=NO_ANSWER)
    return values
