"""A queue of each kind of job: what is generic is shown to hold for all of them."""

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from service import jobs
from service.db.job import JobRow
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import (
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


@dataclass
class Queue:
    """Jobs of one kind in a test's database.

    Attributes
    ----------
    kind : type of JobRow
    running : str
        The state that a claim gives.
    """

    kind: type[JobRow]
    sessions: sessionmaker[Session]
    running: str
    subject_id: str
    added: int = 0

    def add(self, *, max_attempts: int = 2) -> str:
        self.added += 1
        with self.sessions.begin() as session:
            if self.kind is PredictionRow:
                return jobs.enqueue(session, scan_id=self.subject_id, max_attempts=max_attempts).id
            if self.kind is ExplanationRow:
                prediction = jobs.enqueue(session, scan_id=self.subject_id, max_attempts=max_attempts)
                return jobs.enqueue_explanation(session, prediction).id
            if self.kind is ScoreRow:
                return self._score(session, max_attempts)
            if self.kind is TrainingRunRow:
                run = TrainingRunRow(
                    organisation_id=DEFAULT_ORGANISATION_ID,
                    run_folder=f"/runs/{self.added}",
                    cohort_folder="/cohorts/a",
                    device="cpu",
                    max_attempts=max_attempts,
                )
                session.add(run)
                session.flush()
                return run.id
            if self.kind is EvaluationRow:
                challenger = ModelVersionRow(
                    name="n", version=str(self.added), sha256=f"{self.added:064}", storage_key="m/a", card={}
                )
                champion = ModelVersionRow(
                    name="n", version="0", sha256=f"{self.added:f>64}", storage_key="m/b", card={}
                )
                session.add_all([challenger, champion])
                session.flush()
                people = add_set(session).id
                evaluation = EvaluationRow(
                    champion_id=champion.id,
                    challenger_id=challenger.id,
                    evaluation_set_id=people,
                    requested_by="test",
                    max_attempts=max_attempts,
                )
                session.add(evaluation)
                session.flush()
                return evaluation.id
            fold = TrainingFoldRow(
                organisation_id=DEFAULT_ORGANISATION_ID,
                run_id=self.subject_id,
                fold=self.added,
                max_attempts=max_attempts,
            )
            session.add(fold)
            session.flush()
            return fold.id

    def _score(self, session: Session, max_attempts: int) -> str:
        batch = session.get_one(RescoreRow, self.subject_id)
        prediction = session.scalars(select(PredictionRow).limit(1)).one()
        prediction = jobs.enqueue(session, scan_id=prediction.scan_id)
        score = ScoreRow(
            organisation_id=DEFAULT_ORGANISATION_ID,
            prediction_id=prediction.id,
            scan_id=prediction.scan_id,
            model_version_id=batch.model_version_id,
            purpose="rescore",
            rescore_id=batch.id,
            max_attempts=max_attempts,
        )
        session.add(score)
        session.flush()
        return score.id

    def row(self, job_id: str) -> JobRow:
        with self.sessions() as session:
            return session.get_one(self.kind, job_id)

    def claim(self, job_id: str, *, owner: str = "w#1", lease_s: float = 60) -> JobRow | None:
        with self.sessions.begin() as session:
            return jobs.claim(session, self.kind, job_id, owner=owner, lease_s=lease_s)

    def sweep(self, *, republish_s: float = 30) -> jobs.Sweep:
        with self.sessions.begin() as session:
            return jobs.sweep(session, self.kind, republish_s=republish_s)


@pytest.fixture(params=["predictions", "explanations", "evaluations", "scores", "runs", "folds"])
def queue(request: pytest.FixtureRequest, sessions: sessionmaker[Session], scan_id: str) -> Queue:
    if request.param == "predictions":
        return Queue(PredictionRow, sessions, "preprocessing", scan_id)
    if request.param == "explanations":
        return Queue(ExplanationRow, sessions, "explaining", scan_id)
    if request.param == "evaluations":
        return Queue(EvaluationRow, sessions, "evaluating", scan_id)
    if request.param == "scores":
        with sessions.begin() as session:
            jobs.enqueue(session, scan_id=scan_id)
            version = ModelVersionRow(name="n", version="1", sha256="2" * 64, storage_key="k", card={})
            session.add(version)
            session.flush()
            # No score begins for a batch that does not run.
            batch = RescoreRow(
                model_version_id=version.id, until=datetime.now(UTC), n_asked=9, actor="test", reason="why"
            )
            session.add(batch)
        return Queue(ScoreRow, sessions, "scoring", batch.id)
    if request.param == "runs":
        return Queue(TrainingRunRow, sessions, "planning", scan_id)
    with sessions.begin() as session:
        run = TrainingRunRow(
            organisation_id=DEFAULT_ORGANISATION_ID,
            run_folder="/runs/a",
            cohort_folder="/cohorts/a",
            device="cpu",
            # No fold begins under a run that is not.
            state=RunState.TRAINING,
        )
        session.add(run)
    return Queue(TrainingFoldRow, sessions, "training", run.id)


@pytest.fixture
def job_id(queue: Queue) -> str:
    return queue.add()
