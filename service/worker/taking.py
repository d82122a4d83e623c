"""A zip that was handed over is unpacked and converted once; the run that comes of it takes its place.

The run's file is durable before the row names it, and the row does before the zip goes: whatever stops in
between, storage holds one of the two, and whoever comes next goes on from it. Of a T1-weighted image, which
shows a face, nothing is stored but the zip that it came in.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from service import jobs
from service.db.rows import ScanRow
from service.retention import remove_leftover
from service.storage import Upload, run_key
from service.worker.heartbeat import JobStoppedError, StopReason
from service.worker.once_more import once_more
from service.worker.patience import entered
from service.worker.runtime import Runtime
from service.worker.said import Said
from service.worker.taking_enclosed import T1W_NAME, TakenRun, take_enclosed
from service.worker.work_folder import work_folder


@dataclass(frozen=True, eq=False, kw_only=True)
class UnpackedRun:
    """A run that was made of a zip and is not stored yet.

    Attributes
    ----------
    file : Upload
        The run's file.
    sha256 : str
        Of that file.
    facts : dict
        What the zip knew of the run, as :class:`service.worker.taking_enclosed.TakenFacts` has it.
    t1w : Path or None
        The T1-weighted image that came with it, in a private folder.
    """

    file: Upload
    sha256: str
    facts: dict[str, Any]
    t1w: Path | None


@contextmanager
def unpacked(
    runtime: Runtime,
    scan: ScanRow,
    *,
    progress: Callable[[str, float], None],
    check: Callable[[], None],
) -> Iterator[UnpackedRun]:
    """Make one run of a scan that is packed; on leaving all is gone that was not stored.

    Parameters
    ----------
    runtime : Runtime
    scan : ScanRow
    progress, check : callable
        As :func:`service.worker.taking_enclosed.take_enclosed` takes them.

    Raises
    ------
    ScanError, ServiceError, OSError
        As :func:`service.worker.taking_enclosed.take_enclosed` and storage.
    """
    limits = runtime.normalising_limits()
    with (
        runtime.storage.receive(max_bytes=limits.written_bytes) as copy,
        work_folder(runtime.settings.scratch_dir) as work,
    ):
        with entered(runtime.storage.open_local(scan.storage_key, compare=False), check=check) as path:
            runtime.storage_answered()

            def make() -> tuple[Path, TakenRun]:
                # Each try has an empty folder.
                folder = Path(mkdtemp(dir=work))
                return folder, take_enclosed(
                    runtime.normaliser,
                    path,
                    copy.path,
                    folder,
                    stored_sha256=scan.stored_sha256 or scan.sha256,
                    said=Said.of(scan),
                    limits=limits,
                    progress=progress,
                    check=check,
                )

            folder, made = once_more(make)
        yield UnpackedRun(
            file=copy,
            sha256=made.sha256,
            facts=made.facts.model_dump(),
            t1w=folder / T1W_NAME if made.facts.input.t1w_available else None,
        )


def take_its_place(
    runtime: Runtime, scan: ScanRow, run: UnpackedRun, *, check: Callable[[], None]
) -> ScanRow:
    """Let a run stand in the place of the zip that it was made of.

    Returns
    -------
    ScanRow
        As it is now.

    Raises
    ------
    JobStoppedError
        If the scan was deleted meanwhile.
    ServiceError
        As storage.
    """
    check()
    file = jobs.TakenFile(storage_key=run_key(scan.id), sha256=run.sha256, facts=run.facts)
    runtime.storage.promote(run.file, file.storage_key)
    with runtime.sessions.begin() as session:
        kept = jobs.keep_taken(session, scan.id, file)
    if not kept:
        check()
    with runtime.sessions() as session:
        now = session.get_one(ScanRow, scan.id)
    if now.taken is None:
        raise JobStoppedError(StopReason.CANCELLED)
    remove_leftover(runtime.sessions, runtime.storage, scan.id)
    return now
