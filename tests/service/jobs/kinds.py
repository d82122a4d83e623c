"""Every kind of job, as the tests of queues add them: what a job is about, and the job."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from service import jobs
from service.db.job import JobRow
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import (
    DriftReferenceRow,
    EvaluationRow,
    ExplanationRow,
    ModelVersionRow,
    PredictionRow,
    RescoreRow,
    RunState,
    ScoreRow,
    TrainingFoldRow,
    TrainingRunRow,
)
from tests.service.evaluated import add_set


@dataclass(frozen=True)
class Kind:
    """A kind of job.

    Attributes
    ----------
    row : type of JobRow
    running : str
        The state that a claim gives.
    subject : callable
        Adds what the jobs are about, from the id of a scan, and gives its id.
    job : callable
        Makes a job about it; each has a number of its own.
    """

    row: type[JobRow]
    running: str
    subject: Callable[[Session, str], str]
    job: Callable[[Session, str, int], JobRow]


def _scan(_session: Session, scan_id: str) -> str:
    return scan_id


def _prediction(session: Session, scan_id: str, _number: int) -> JobRow:
    return jobs.enqueue(session, scan_id=scan_id)


def _explanation(session: Session, scan_id: str, _number: int) -> JobRow:
    return jobs.enqueue_explanation(session, jobs.enqueue(session, scan_id=scan_id))


def _model(session: Session, _scan_id: str) -> str:
    return _version(session, "0").id


def _evaluation(session: Session, champion_id: str, number: int) -> JobRow:
    challenger = _version(session, str(number))
    people = add_set(session)
    return EvaluationRow(
        champion_id=champion_id,
        challenger_id=challenger.id,
        evaluation_set_id=people.id,
        requested_by="test",
    )


def _reference(_session: Session, model_version_id: str, _number: int) -> JobRow:
    return DriftReferenceRow(model_version_id=model_version_id, cohort_name="tiny", requested_by="test")


def _batch(session: Session, scan_id: str) -> str:
    """Add a batch that runs: for another no score begins."""
    jobs.enqueue(session, scan_id=scan_id)
    version = _version(session, "0")
    batch = RescoreRow(
        model_version_id=version.id, until=datetime.now(UTC), n_asked=9, actor="test", reason="why"
    )
    session.add(batch)
    session.flush()
    return batch.id


def _score(session: Session, batch_id: str, _number: int) -> JobRow:
    batch = session.get_one(RescoreRow, batch_id)
    scan_id = session.scalars(select(PredictionRow.scan_id).limit(1)).one()
    prediction = jobs.enqueue(session, scan_id=scan_id)
    return ScoreRow(
        organisation_id=DEFAULT_ORGANISATION_ID,
        prediction_id=prediction.id,
        scan_id=scan_id,
        model_version_id=batch.model_version_id,
        purpose="rescore",
        rescore_id=batch.id,
    )


def _run(_session: Session, _scan_id: str, number: int) -> TrainingRunRow:
    return TrainingRunRow(
        organisation_id=DEFAULT_ORGANISATION_ID,
        run_folder=f"/runs/{number}",
        cohort_folder="/cohorts/a",
        device="cpu",
    )


def _run_in_training(session: Session, scan_id: str) -> str:
    """Add a run whose folds may begin."""
    run = _run(session, scan_id, 0)
    run.state = RunState.TRAINING
    session.add(run)
    session.flush()
    return run.id


def _fold(_session: Session, run_id: str, number: int) -> JobRow:
    return TrainingFoldRow(organisation_id=DEFAULT_ORGANISATION_ID, run_id=run_id, fold=number)


def _version(session: Session, version: str) -> ModelVersionRow:
    row = ModelVersionRow(
        name="n", version=version, sha256=f"{version:0>64}", storage_key=f"m/{version}", card={}
    )
    session.add(row)
    session.flush()
    return row


KINDS = {
    "predictions": Kind(PredictionRow, "preprocessing", _scan, _prediction),
    "explanations": Kind(ExplanationRow, "explaining", _scan, _explanation),
    "evaluations": Kind(EvaluationRow, "evaluating", _model, _evaluation),
    "scores": Kind(ScoreRow, "scoring", _batch, _score),
    "runs": Kind(TrainingRunRow, "planning", _scan, _run),
    "folds": Kind(TrainingFoldRow, "training", _run_in_training, _fold),
    "references": Kind(DriftReferenceRow, "measuring", _model, _reference),
}
