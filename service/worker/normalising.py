"""A prediction of a scan in the scanner's space: the scan is brought into template space and kept there.

Then the prediction waits for its answer like any other, and is computed from the file that is kept.
"""

from sqlalchemy.orm import Session

from service import jobs
from service.db.rows import Lane, PredictionRow, PredictionState, ScanRow
from service.retention import remove_leftover
from service.storage import EncryptionKeyMissingError
from service.worker.heartbeat import Heartbeat
from service.worker.job import Work, Write, run_job
from service.worker.kept_scans import kept_of
from service.worker.runtime import Runtime
from service.worker.template_space import bring_into_template_space


def run_normalising(runtime: Runtime, prediction_id: str) -> None:
    """Claim a prediction and bring its scan into template space; see :func:`service.worker.job.run_job`."""
    run_job(NORMALISING, runtime, prediction_id)
    with runtime.sessions() as session:
        row = session.get(PredictionRow, prediction_id)
    if row is not None and row.state == PredictionState.FAILED:
        remove_leftover(runtime.sessions, runtime.storage, row.scan_id)


def _normalise(runtime: Runtime, row: PredictionRow, owner: str, heartbeat: Heartbeat) -> Write:
    def report(stage: str, share: float) -> None:
        progress = jobs.overall_progress(PredictionState.NORMALISING, share)
        heartbeat.report(progress, state=PredictionState.NORMALISING, stage=stage)

    with runtime.sessions() as session:
        scan = session.get_one(ScanRow, row.scan_id)
        there = kept_of(session, row.scan_id) is not None
    if there:
        return lambda session: jobs.let_go_on(session, row.id, owner=owner)
    file = bring_into_template_space(runtime, scan, report=report, check=heartbeat.check)
    return lambda session: jobs.finish_normalising(session, row.id, owner=owner, file=file)


def _give_up(session: Session, row: PredictionRow) -> None:
    """Keep no zip of which no run can be made: the same one would be refused again."""
    jobs.give_up_zip(session, row.scan_id)


NORMALISING = Work(
    kind=PredictionRow,
    name="normalising",
    do=_normalise,
    awaited=(EncryptionKeyMissingError,),
    out_of_reach="expected the service's own storage to answer, found it away",
    # Its child has limits of its own.
    limited=False,
    lane=Lane.NORMALISING,
    refused=_give_up,
)
