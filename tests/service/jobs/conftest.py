"""A queue of each kind of job: what is generic is shown to hold for all of them."""

from dataclasses import dataclass

import pytest
from sqlalchemy.orm import Session, sessionmaker

from service import jobs
from service.db.job import JobRow
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import (
    DriftReferenceRow,
    ExplanationRow,
    PredictionRow,
    RunState,
    TrainingFoldRow,
    TrainingRunRow,
)


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
            if self.kind is DriftReferenceRow:
                reference = DriftReferenceRow(
                    model_version_id=self.subject_id,
                    cohort_name="tiny",
                    requested_by="test",
                    max_attempts=max_attempts,
                )
                session.add(reference)
                session.flush()
                return reference.id
            fold = TrainingFoldRow(
                organisation_id=DEFAULT_ORGANISATION_ID,
                run_id=self.subject_id,
                fold=self.added,
                max_attempts=max_attempts,
            )
            session.add(fold)
            session.flush()
            return fold.id

    def row(self, job_id: str) -> JobRow:
        with self.sessions() as session:
            return session.get_one(self.kind, job_id)

    def claim(self, job_id: str, *, owner: str = "w#1", lease_s: float = 60) -> JobRow | None:
        with self.sessions.begin() as session:
            return jobs.claim(session, self.kind, job_id, owner=owner, lease_s=lease_s)

    def sweep(self, *, republish_s: float = 30) -> jobs.Sweep:
        with self.sessions.begin() as session:
            return jobs.sweep(session, self.kind, republish_s=republish_s)


@pytest.fixture(params=["predictions", "explanations", "runs", "folds", "references"])
def queue(request: pytest.FixtureRequest, sessions: sessionmaker[Session], scan_id: str) -> Queue:
    if request.param == "predictions":
        return Queue(PredictionRow, sessions, "preprocessing", scan_id)
    if request.param == "explanations":
        return Queue(ExplanationRow, sessions, "explaining", scan_id)
    if request.param == "runs":
        return Queue(TrainingRunRow, sessions, "planning", scan_id)
    if request.param == "references":
        return Queue(DriftReferenceRow, sessions, "measuring", request.getfixturevalue("model_version_id"))
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
