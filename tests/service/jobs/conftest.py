"""A queue of each kind of job: what is generic is shown to hold for all of them."""

from dataclasses import dataclass

import pytest
from sqlalchemy.orm import Session, sessionmaker

from service import jobs
from service.db.job import JobRow
from tests.service.jobs.kinds import KINDS, Kind


@dataclass
class Queue:
    """Jobs of one kind in a test's database, about one thing."""

    of: Kind
    sessions: sessionmaker[Session]
    subject_id: str
    added: int = 0

    @property
    def kind(self) -> type[JobRow]:
        return self.of.row

    @property
    def running(self) -> str:
        return self.of.running

    def add(self, *, max_attempts: int = 2) -> str:
        self.added += 1
        with self.sessions.begin() as session:
            job = self.of.job(session, self.subject_id, self.added)
            job.max_attempts = max_attempts
            session.add(job)
            session.flush()
            return job.id

    def row(self, job_id: str) -> JobRow:
        with self.sessions() as session:
            return session.get_one(self.kind, job_id)

    def claim(self, job_id: str, *, owner: str = "w#1", lease_s: float = 60) -> JobRow | None:
        with self.sessions.begin() as session:
            return jobs.claim(session, self.kind, job_id, owner=owner, lease_s=lease_s)

    def sweep(self, *, republish_s: float = 30) -> jobs.Sweep:
        with self.sessions.begin() as session:
            return jobs.sweep(session, self.kind, republish_s=republish_s)


@pytest.fixture(params=list(KINDS))
def queue(request: pytest.FixtureRequest, sessions: sessionmaker[Session], scan_id: str) -> Queue:
    of = KINDS[request.param]
    with sessions.begin() as session:
        subject_id = of.subject(session, scan_id)
    return Queue(of, sessions, subject_id)


@pytest.fixture
def job_id(queue: Queue) -> str:
    return queue.add()
