"""A scan in the scanner's space is brought into template space, and kept there.

Of a zip one run is made first, which takes its place (:mod:`service.worker.taking`): at once, or, where a
T1-weighted image came with it, when that is not needed any more. What whoever did this before had found of
the run is not looked for again.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from imaging.errors import ScanError
from imaging.native import sources
from imaging.native.normalise import STAGES, VERSION
from service import jobs
from service.db.rows import ScanRow
from service.enclosure import ReaderDiedError, ReaderMemoryError, ReaderTimeLimitError
from service.storage import normalised_key
from service.worker.equal_scans import copy_of_equal_scan
from service.worker.heartbeat import JobStoppedError, StopReason
from service.worker.normalised_figures import store_figures
from service.worker.normalising_enclosed import TemplateFile, normalise_enclosed, usable
from service.worker.once_more import once_more
from service.worker.patience import entered
from service.worker.runtime import Runtime
from service.worker.said import Said
from service.worker.taking import UnpackedRun, take_its_place, unpacked
from service.worker.work_folder import work_folder

# Which end the work on a run, now and whenever it is tried.
_REFUSALS = (ScanError, ReaderDiedError, ReaderMemoryError, ReaderTimeLimitError)


def bring_into_template_space(
    runtime: Runtime,
    scan: ScanRow,
    *,
    report: Callable[[str, float], None],
    check: Callable[[], None],
) -> jobs.NormalisedFile:
    """Store a scan's file in template space; no row names it yet.

    Parameters
    ----------
    runtime : Runtime
    scan : ScanRow
    report : callable
        Called with the name of a stage and how much of the whole is done, 0 to 1; what it raises ends the
        work.
    check : callable
        Called ten times a second, and before anything is kept; it may raise.

    Raises
    ------
    ScanGivenUpError
        If the scan is a zip that is not kept any more.
    StoredFileChangedError, StoredFileMissingError, StoredFileDamagedError
        If its file is not what was stored.
    ScanError, ServiceError, OSError
        As :func:`service.worker.normalising_enclosed.normalise_enclosed` and storage.
    """
    was_packed = scan.packed or scan.taken is not None
    stages = (*sources.STAGES, *STAGES) if was_packed else STAGES

    def progress(stage: str, fraction: float) -> None:
        report(stage, (stages.index(stage) + fraction) / len(stages))

    if scan.given_up_at is not None:
        raise jobs.ScanGivenUpError
    if scan.packed:
        progress(stages[0], 0.0)
        with unpacked(runtime, scan, progress=progress, check=check) as run:
            if run.t1w is not None:
                return _made_by_t1w(runtime, scan, run, progress=progress, check=check)
            scan = take_its_place(runtime, scan, run, check=check)
    progress(STAGES[0], 0.0)
    copied = copy_of_equal_scan(runtime, scan, check=check)
    if copied is not None:
        return copied
    with entered(runtime.storage.open_local(scan.storage_key, compare=False), check=check) as path:
        runtime.storage_answered()
        file = _File(path, sha256=scan.stored_sha256 or scan.sha256, taken=scan.taken)
        return _made(runtime, scan, file, progress=progress, check=check)


def _made_by_t1w(
    runtime: Runtime,
    scan: ScanRow,
    run: UnpackedRun,
    *,
    progress: Callable[[str, float], None],
    check: Callable[[], None],
) -> jobs.NormalisedFile:
    """Keep the zip until its T1-weighted image has shown the way, which is durable by then; no longer."""
    progress(STAGES[0], 0.0)
    file = _File(run.file.path, sha256=run.sha256, taken=run.facts, t1w=run.t1w)
    try:
        made = copy_of_equal_scan(runtime, scan, check=check)
        if made is None:
            made = _made(runtime, scan, file, progress=progress, check=check)
        elif made.known is not None:
            _keep(runtime, scan, made.known)
    except _REFUSALS:
        # As of any zip: a run that was made of it stays.
        take_its_place(runtime, scan, run, check=check)
        raise
    take_its_place(runtime, scan, run, check=check)
    return made


@dataclass(frozen=True)
class _File:
    """A file in the scanner's space, its digest, and what a zip knew of it that it was made of."""

    path: Path
    sha256: str
    taken: dict[str, Any] | None
    t1w: Path | None = None


def _made(
    runtime: Runtime,
    scan: ScanRow,
    source: _File,
    *,
    progress: Callable[[str, float], None],
    check: Callable[[], None],
) -> jobs.NormalisedFile:
    with runtime.sessions() as session:
        so_far = jobs.normalised_of(session, scan.id)
    known = so_far.known if so_far is not None and so_far.version == VERSION else None

    def keep(found: dict[str, Any]) -> None:
        nonlocal known
        check()
        known = found
        _keep(runtime, scan, found)

    limits = runtime.normalising_limits()
    with (
        runtime.storage.receive(max_bytes=limits.written_bytes) as copy,
    ):

        def make() -> tuple[TemplateFile, dict[str, bytes]]:
            with work_folder(runtime.settings.scratch_dir) as work:
                return normalise_enclosed(
                    runtime.normaliser,
                    source.path,
                    copy.path,
                    work,
                    sha256=scan.sha256,
                    stored_sha256=source.sha256,
                    said=Said.of(scan),
                    taken=source.taken,
                    t1w=source.t1w,
                    known=known,
                    limits=limits,
                    progress=progress,
                    check=check,
                    keep=keep,
                )

        made, figures = once_more(make)
        file = replace(_described(made, scan), known=_needed_again(known))
        store_figures(runtime, scan.id, VERSION, figures)
        runtime.storage.promote(copy, file.storage_key)
    return file


def _keep(runtime: Runtime, scan: ScanRow, known: dict[str, Any]) -> None:
    with runtime.sessions.begin() as session:
        kept = jobs.keep_known(session, scan.id, known, version=VERSION)
    if not kept:
        raise JobStoppedError(StopReason.CANCELLED)


def _described(made: TemplateFile, scan: ScanRow) -> jobs.NormalisedFile:
    known = made.model_dump(exclude={"drawing_fault"})
    return jobs.NormalisedFile(version=VERSION, storage_key=normalised_key(scan.id, VERSION), **known)


def _needed_again(known: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return what cannot be found again of the run alone: what a T1-weighted image showed."""
    found = usable(known)
    if found is None or found.registration is None or not found.registration.t1w_was_tried:
        return None
    return known
