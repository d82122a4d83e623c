"""One score: another version on a stored scan, as a prediction by that version would be made."""

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from service.db.rows import ScoreRow
from service.jobs import succeed
from service.storage import EncryptionKeyMissingError
from service.worker.heartbeat import Heartbeat
from service.worker.job import Work, Write, run_job
from service.worker.made_again import read_kept
from service.worker.prediction import classify_stored
from service.worker.runtime import Runtime
from service.worker.threads import one_thread

# What of the work is done when the scan is prepared.
_PREPARED = 0.8


def run_score(runtime: Runtime, score_id: str) -> None:
    """Claim a score and bring it to an end, as :func:`service.worker.job.run_job` says."""
    run_job(SCORE, runtime, score_id)


def _score(runtime: Runtime, row: ScoreRow, owner: str, heartbeat: Heartbeat) -> Write:
    with runtime.sessions() as session:
        found = session.scalars(
            select(ScoreRow)
            .where(ScoreRow.id == row.id)
            .options(joinedload(ScoreRow.scan), joinedload(ScoreRow.model_version))
        ).one()

    def report(stage: str, fraction: float) -> None:
        classifying = stage == "classifying"
        heartbeat.report(_PREPARED + (1 - _PREPARED) * fraction if classifying else _PREPARED * fraction)

    # Nobody waits for a score: the other cores are for the next answer.
    with one_thread():
        predictor = runtime.model_to_score(found.model_version)
        answer = read_kept(
            runtime,
            found.scan,
            lambda kept: classify_stored(
                runtime, found.scan, predictor, kept=kept, progress=report, check=heartbeat.check
            ),
            heartbeat=heartbeat,
        )
    result = answer.result
    values = {
        "adhd_probability": result["adhd_probability"],
        "interval_low": result["interval"]["low"],
        "interval_high": result["interval"]["high"],
        "decision": result["decision"],
        "result": result,
    }
    return lambda session: succeed(session, ScoreRow, row.id, owner=owner, values=values)


SCORE = Work(
    kind=ScoreRow,
    name="score",
    do=_score,
    # A checkpoint that is gone or damaged fails the score: nobody waits for it, and its batch counts it.
    awaited=(EncryptionKeyMissingError,),
    out_of_reach="expected the service's own storage to answer, found it away",
    limited=True,
)
