import time
from uuid import uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from service import jobs
from service.db.rows import AuditEventRow, PredictionRow, PredictionState
from service.identity.actor import Actor
from tests.service.conftest import BOTH_DATABASES
from tests.service.jobs.conftest import Queue

pytestmark = BOTH_DATABASES


def enqueue(sessions: sessionmaker[Session], scan_id: str) -> str:
    with sessions.begin() as session:
        return jobs.enqueue(session, scan_id=scan_id, max_attempts=2).id


def claim(sessions: sessionmaker[Session], prediction_id: str) -> None:
    with sessions.begin() as session:
        assert jobs.claim(session, PredictionRow, prediction_id, owner="w#1", lease_s=60)


def actions(sessions: sessionmaker[Session]) -> list[tuple[str, str]]:
    with sessions() as session:
        return [(event.actor, event.action) for event in session.scalars(select(AuditEventRow))]


def test_positions_in_the_queue(queue: Queue) -> None:
    def positions() -> list[int | None]:
        with queue.sessions() as session:
            rows = [session.get_one(queue.kind, one) for one in ids]
            places = [jobs.queue_position(session, row) for row in rows]
            told = {row.id: place for row, place in zip(rows, places, strict=True) if place is not None}
            assert jobs.queue_positions(session, rows) == told
            return places

    ids = []
    for _ in range(3):
        ids.append(queue.add())
        # SQLite's clock has milliseconds; who comes within the same one is ordered by chance.
        time.sleep(0.002)
    assert positions() == [1, 2, 3]
    queue.claim(ids[0])
    assert positions() == [None, 1, 2]


def test_what_is_tried_again_has_forgotten_everything(queue: Queue, job_id: str) -> None:
    queue.claim(job_id)
    with queue.sessions.begin() as session:
        assert jobs.queue_again(session, queue.kind, job_id) is None, "it runs"
        jobs.renew(session, queue.kind, job_id, owner="w#1", lease_s=60, standing={"progress": 0.5})
        error = {"code": "c", "message": "m", "details": {"a": 1}, "reference": "r"}
        jobs.fail(session, queue.kind, job_id, owner="w#1", **error)
    with queue.sessions.begin() as session:
        assert jobs.queue_again(session, queue.kind, job_id)
    row = queue.row(job_id)
    assert (row.state, row.progress, row.attempts, row.finished_at) == ("queued", 0.0, 0, None)
    assert {row.error_code, row.error_message, row.error_details, row.error_reference} == {None}
    assert queue.claim(job_id)


def test_a_queued_job_is_cancelled_at_once_and_noted(sessions: sessionmaker[Session], scan_id: str) -> None:
    prediction_id = enqueue(sessions, scan_id)
    with sessions.begin() as session:
        row = jobs.request_cancel(session, prediction_id, actor=Actor("user:1", "test"))
        assert (row.state, row.finished_at is not None) == (PredictionState.CANCELLED, True)
    with sessions.begin() as session:
        assert jobs.request_cancel(session, prediction_id, actor=Actor("user:2", "test")).state == "cancelled"
        assert jobs.claim(session, PredictionRow, prediction_id, owner="w#1", lease_s=60) is None
    assert actions(sessions) == [("user:1", "prediction.cancel")]


def test_a_running_job_is_asked_to_stop(sessions: sessionmaker[Session], scan_id: str) -> None:
    prediction_id = enqueue(sessions, scan_id)
    claim(sessions, prediction_id)
    with sessions.begin() as session:
        row = jobs.request_cancel(session, prediction_id, actor=Actor("user:1", "test"))
        assert (row.state, row.cancel_requested) == (PredictionState.PREPROCESSING, True)
    with sessions.begin() as session:
        jobs.request_cancel(session, prediction_id, actor=Actor("user:1", "test"))
        lease = jobs.renew(
            session,
            PredictionRow,
            prediction_id,
            owner="w#1",
            lease_s=60,
            standing={"state": PredictionState.PREPROCESSING, "progress": 0.1},
        )
        assert lease is jobs.Lease.CANCEL_REQUESTED
        assert jobs.stop_cancelled(session, PredictionRow, prediction_id, owner="w#1")
    with sessions() as session:
        assert session.get_one(PredictionRow, prediction_id).state == "cancelled"
    assert actions(sessions) == [("user:1", "prediction.cancel")]


def test_what_is_over_cannot_be_cancelled_or_is_not_there(
    sessions: sessionmaker[Session], scan_id: str
) -> None:
    prediction_id = enqueue(sessions, scan_id)
    claim(sessions, prediction_id)
    with sessions.begin() as session:
        jobs.fail(session, PredictionRow, prediction_id, owner="w#1", code="not_4d", message="m")
    with sessions() as session:
        with pytest.raises(jobs.PredictionFinishedError, match="found one that has failed") as refusal:
            jobs.request_cancel(session, prediction_id, actor=Actor("user:1", "test"))
        assert refusal.value.details() == {"state": "failed"}
        with pytest.raises(jobs.PredictionNotFoundError):
            jobs.request_cancel(session, str(uuid4()), actor=Actor("user:1", "test"))
        with pytest.raises(jobs.PredictionNotFoundError):
            jobs.retry(session, str(uuid4()), actor=Actor("user:1", "test"))


def test_a_failed_job_starts_afresh(sessions: sessionmaker[Session], scan_id: str) -> None:
    prediction_id = enqueue(sessions, scan_id)
    claim(sessions, prediction_id)
    with sessions.begin() as session:
        jobs.fail(
            session,
            PredictionRow,
            prediction_id,
            owner="w#1",
            code="c",
            message="m",
            details={"a": 1},
            reference="r",
        )
    with sessions.begin() as session:
        row = session.get_one(PredictionRow, prediction_id)
        assert (row.error_code, row.error_message, row.error_details, row.error_reference) == (
            "c", "m", {"a": 1}, "r",
        )  # fmt: skip
        row = jobs.retry(session, prediction_id, actor=Actor("user:1", "test"))
        assert (row.state, row.attempts, row.error_code, row.error_details, row.error_reference) == (
            PredictionState.QUEUED, 0, None, None, None,
        )  # fmt: skip
        assert row.finished_at is None
        assert row.started_at is None
    claim(sessions, prediction_id)
    assert actions(sessions) == [("user:1", "prediction.retry")]


def test_what_waits_or_runs_cannot_be_retried(sessions: sessionmaker[Session], scan_id: str) -> None:
    prediction_id = enqueue(sessions, scan_id)
    for state in ("queued", "preprocessing"):
        with sessions() as session, pytest.raises(jobs.PredictionNotRetryableError, match=state):
            jobs.retry(session, prediction_id, actor=Actor("user:1", "test"))
        if state == "queued":
            claim(sessions, prediction_id)
    assert actions(sessions) == []
