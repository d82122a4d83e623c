import threading
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, sessionmaker

from service import jobs
from service.db.base import utc_now
from service.db.rows import PredictionRow, ResultRow, ScanRow
from service.identity.actor import Actor
from tests.service.conftest import BOTH_DATABASES

pytestmark = BOTH_DATABASES

RESULT: dict[str, Any] = {
    "adhd_probability": 0.61,
    "interval": {"level": 0.9, "low": 0.44, "high": 0.75},
    "decision": "uncertain",
    "timing_ms": {"total": 12.5},
}


@pytest.fixture
def prediction_id(sessions: sessionmaker[Session], scan_id: str) -> str:
    with sessions.begin() as session:
        return jobs.enqueue(session, scan_id=scan_id, max_attempts=2).id


def test_a_result_needs_the_lease(
    sessions: sessionmaker[Session], prediction_id: str, model_version_id: str
) -> None:
    with sessions.begin() as session:
        jobs.claim(session, PredictionRow, prediction_id, owner="w#1", lease_s=60)
        assert not jobs.finish(
            session, prediction_id, owner="w#2", model_version_id=model_version_id, result=RESULT
        )
        assert session.scalar(select(func.count()).select_from(ResultRow)) == 0


def test_the_result_and_the_success_are_written_together_once(
    sessions: sessionmaker[Session], prediction_id: str, model_version_id: str
) -> None:
    def finish() -> bool:
        with sessions.begin() as session:
            return jobs.finish(
                session, prediction_id, owner="w#1", model_version_id=model_version_id, result=RESULT
            )

    with sessions.begin() as session:
        jobs.claim(session, PredictionRow, prediction_id, owner="w#1", lease_s=60)
    assert [finish(), finish()] == [True, False]
    with sessions() as session:
        row = session.get_one(PredictionRow, prediction_id)
        result = session.get_one(ResultRow, prediction_id)
    assert (row.state, row.progress, row.lease_owner) == ("succeeded", 1.0, None)
    assert row.timing == {"total": 12.5}
    assert row.model_version_id == result.model_version_id == model_version_id
    assert (result.adhd_probability, result.interval_low, result.interval_high) == (0.61, 0.44, 0.75)
    assert (result.decision, result.result) == ("uncertain", RESULT)


def test_a_cancellation_that_comes_before_the_result_wins(
    sessions: sessionmaker[Session], prediction_id: str, model_version_id: str
) -> None:
    with sessions.begin() as session:
        jobs.claim(session, PredictionRow, prediction_id, owner="w#1", lease_s=60)
        jobs.request_cancel(session, prediction_id, actor=Actor("user:1", "test"))
    with sessions.begin() as session:
        assert not jobs.finish(
            session, prediction_id, owner="w#1", model_version_id=model_version_id, result=RESULT
        )
        assert jobs.stop_cancelled(session, PredictionRow, prediction_id, owner="w#1")
    with sessions() as session:
        assert session.get_one(PredictionRow, prediction_id).state == "cancelled"
        assert session.get(ResultRow, prediction_id) is None


def delete_scan_of(session: Session, prediction_id: str) -> None:
    scan_id = session.get_one(PredictionRow, prediction_id).scan_id
    session.execute(update(ScanRow).where(ScanRow.id == scan_id).values(deleted_at=utc_now()))


def test_nothing_is_claimed_or_written_about_a_deleted_scan(
    sessions: sessionmaker[Session], prediction_id: str, model_version_id: str
) -> None:
    with sessions.begin() as session:
        jobs.claim(session, PredictionRow, prediction_id, owner="w#1", lease_s=60)
        delete_scan_of(session, prediction_id)
    with sessions.begin() as session:
        assert not jobs.finish(
            session, prediction_id, owner="w#1", model_version_id=model_version_id, result=RESULT
        )
        assert jobs.hand_back(session, PredictionRow, worker="w") == (prediction_id,)
        assert jobs.claim(session, PredictionRow, prediction_id, owner="w#2", lease_s=60) is None
    with sessions() as session:
        assert session.get(ResultRow, prediction_id) is None


@pytest.mark.parametrize("act", ["claim", "retry"])
def test_who_comes_during_a_deletion_waits_for_it_and_finds_no_scan(
    sessions: sessionmaker[Session], prediction_id: str, act: str
) -> None:
    outcomes: list[object] = []

    def claim() -> object:
        with sessions.begin() as session:
            return jobs.claim(session, PredictionRow, prediction_id, owner="w#1", lease_s=60)

    def retry() -> object:
        with sessions.begin() as session, pytest.raises(jobs.PredictionNotFoundError):
            jobs.retry(session, prediction_id, actor=Actor("user:1", "test"))
        return None

    if act == "retry":
        with sessions.begin() as session:
            jobs.request_cancel(session, prediction_id, actor=Actor("user:1", "test"))
    other = threading.Thread(target=lambda: outcomes.append({"claim": claim, "retry": retry}[act]()))
    with sessions.begin() as session:
        delete_scan_of(session, prediction_id)
        other.start()
        other.join(timeout=0.3)
        assert outcomes == [], "did not wait for the deletion"
    other.join(timeout=15)
    assert outcomes == [None]
    with sessions() as session:
        row = session.get_one(PredictionRow, prediction_id)
    assert row.state == ("queued" if act == "claim" else "cancelled")
