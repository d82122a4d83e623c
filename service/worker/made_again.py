"""A file in template space that is lost, or that an older version of the pipeline made, is made again.

A prediction waits for that in the queue of such work. What nobody waits for, a score, an explanation or the
planning of a training, does it on its way.
"""

from collections.abc import Callable
from typing import TypeVar

from service import jobs
from service.db.rows import NormalisedScanRow, ScanRow
from service.logs import get_logger
from service.worker.heartbeat import Heartbeat
from service.worker.kept_scans import LOST, kept_of, lies_elsewhere
from service.worker.runtime import Runtime
from service.worker.template_space import bring_into_template_space

Read = TypeVar("Read")

log = get_logger(__name__)


def read_kept(
    runtime: Runtime,
    scan: ScanRow,
    read: Callable[[NormalisedScanRow | None], Read],
    *,
    heartbeat: Heartbeat,
) -> Read:
    """Read a scan, by its file in template space where it has or needs one.

    Parameters
    ----------
    runtime : Runtime
    scan : ScanRow
    read : callable
        Called with what is kept in template space, or None where the scan itself lies there; once more where
        that was lost.
    heartbeat : Heartbeat
        Of the job, which gets the time that such work may take beside its own.

    Raises
    ------
    ScanGivenUpError
        Also if the scan was deleted meanwhile.
    ScanError, ServiceError, OSError
        As :func:`service.worker.template_space.bring_into_template_space`.
    """
    with runtime.sessions() as session:
        kept = kept_of(session, scan.id)
        native = lies_elsewhere(session, scan)
    if kept is None:
        return read(_made_again(runtime, scan, heartbeat) if native else None)
    try:
        return read(kept)
    except LOST as loss:
        log.warning("normalised_file_lost", scan_id=scan.id, code=loss.code)
    return read(_made_again(runtime, scan, heartbeat))


def _made_again(runtime: Runtime, scan: ScanRow, heartbeat: Heartbeat) -> NormalisedScanRow | None:
    heartbeat.prolong(runtime.settings.normalising_time_s)
    file = bring_into_template_space(
        runtime, scan, report=lambda _stage, _share: heartbeat.check(), check=heartbeat.check
    )
    with runtime.sessions.begin() as session:
        noted = jobs.note_made_again(session, scan.id, file)
    if not noted:
        heartbeat.check()
        raise jobs.ScanGivenUpError
    with runtime.sessions() as session:
        return kept_of(session, scan.id)
