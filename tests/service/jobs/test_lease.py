import threading
import time
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, sessionmaker

from service import jobs
from service.db.base import utc_now
from service.db.rows import PredictionRow, PredictionState, ResultRow, ScanRow
from service.jobs.lease import MAX_BACKOFF_S
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


def test_of_many_claimants_one_gets_the_job(sessions: sessionmaker[Session], prediction_id: str) -> None:
    barrier = threading.Barrier(8)
    winners = []

    def compete(number: int) -> None:
        barrier.wait()
        with sessions.begin() as session:
            if jobs.claim(session, prediction_id, owner=f"w#{number}", lease_s=60) is not None:
                winners.append(number)

    threads = [threading.Thread(target=compete, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(winners) == 1
    with sessions() as session:
        row = session.get_one(PredictionRow, prediction_id)
    assert (row.attempts, row.lease_owner) == (1, f"w#{winners[0]}")
    assert row.lease_expires_at > row.heartbeat_at


def test_only_the_owner_acts_on_a_job(
    sessions: sessionmaker[Session], prediction_id: str, model_version_id: str
) -> None:
    with sessions.begin() as session:
        jobs.claim(session, prediction_id, owner="w#1", lease_s=60)
    with sessions.begin() as session:
        job, stranger = prediction_id, {"owner": "w#2"}
        renewed = jobs.renew(
            session, job, owner="w#2", lease_s=60, state=PredictionState.CLASSIFYING, progress=0.9
        )
        assert renewed is jobs.Lease.LOST
        assert not jobs.finish(session, job, **stranger, model_version_id=model_version_id, result=RESULT)
        assert not jobs.fail(session, job, **stranger, code="c", message="m")
        assert not jobs.postpone(session, job, **stranger, code="c", message="m", backoff_s=1)
        assert not jobs.stop_cancelled(session, job, **stranger)
    with sessions() as session:
        row = session.get_one(PredictionRow, prediction_id)
        assert (row.state, row.progress, row.lease_owner) == ("preprocessing", 0.0, "w#1")
        assert session.scalar(select(func.count()).select_from(ResultRow)) == 0


def test_a_renewal_moves_the_lease_and_the_progress(
    sessions: sessionmaker[Session], prediction_id: str
) -> None:
    with sessions.begin() as session:
        before = jobs.claim(session, prediction_id, owner="w#1", lease_s=10).lease_expires_at
    with sessions.begin() as session:
        held = jobs.renew(
            session,
            prediction_id,
            owner="w#1",
            lease_s=100,
            state=PredictionState.CLASSIFYING,
            progress=0.75,
        )
    with sessions() as session:
        row = session.get_one(PredictionRow, prediction_id)
    assert held is jobs.Lease.HELD
    assert (row.state, row.progress) == ("classifying", 0.75)
    assert 89 < (row.lease_expires_at - before).total_seconds() < 100


def test_the_result_and_the_success_are_written_together_once(
    sessions: sessionmaker[Session], prediction_id: str, model_version_id: str
) -> None:
    def finish() -> bool:
        with sessions.begin() as session:
            return jobs.finish(
                session, prediction_id, owner="w#1", model_version_id=model_version_id, result=RESULT
            )

    with sessions.begin() as session:
        jobs.claim(session, prediction_id, owner="w#1", lease_s=60)
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
        jobs.claim(session, prediction_id, owner="w#1", lease_s=60)
        jobs.request_cancel(session, prediction_id, actor="user:1")
    with sessions.begin() as session:
        assert not jobs.finish(
            session, prediction_id, owner="w#1", model_version_id=model_version_id, result=RESULT
        )
        assert jobs.stop_cancelled(session, prediction_id, owner="w#1")
    with sessions() as session:
        assert session.get_one(PredictionRow, prediction_id).state == "cancelled"
        assert session.get(ResultRow, prediction_id) is None


def test_a_passing_error_postpones_and_then_fails(
    sessions: sessionmaker[Session], prediction_id: str
) -> None:
    def attempt(owner: str) -> None:
        with sessions.begin() as session:
            assert jobs.claim(session, prediction_id, owner=owner, lease_s=60)
        with sessions.begin() as session:
            assert jobs.postpone(
                session, prediction_id, owner=owner, code="storage_unavailable", message="m", backoff_s=0.3
            )

    attempt("w#1")
    with sessions.begin() as session:
        row = session.get_one(PredictionRow, prediction_id)
        assert (row.state, row.error_code, row.lease_owner) == ("queued", "storage_unavailable", None)
        assert jobs.claim(session, prediction_id, owner="w#2", lease_s=60) is None, "claimed before its time"
        assert jobs.sweep(session, republish_s=30).to_publish == ()
    time.sleep(0.35)
    with sessions.begin() as session:
        assert jobs.sweep(session, republish_s=30).to_publish == (prediction_id,)
    attempt("w#3")
    with sessions() as session:
        row = session.get_one(PredictionRow, prediction_id)
    assert (row.state, row.error_code, row.attempts) == ("failed", "storage_unavailable", 2)


def test_the_wait_after_an_error_is_bounded(sessions: sessionmaker[Session], scan_id: str) -> None:
    with sessions.begin() as session:
        row = jobs.enqueue(session, scan_id=scan_id, max_attempts=20)
        row.attempts = 14
    with sessions.begin() as session:
        jobs.claim(session, row.id, owner="w#1", lease_s=60)
        assert jobs.postpone(session, row.id, owner="w#1", code="c", message="m", backoff_s=2)
    with sessions() as session:
        found = session.get_one(PredictionRow, row.id)
    # 2 s doubled 14 times would be nine hours.
    assert MAX_BACKOFF_S == 300
    assert (found.not_before - found.started_at).total_seconds() == pytest.approx(300, abs=5)


def test_waiting_for_an_operator_costs_no_attempt(
    sessions: sessionmaker[Session], prediction_id: str
) -> None:
    for turn in range(5):
        with sessions.begin() as session:
            assert jobs.claim(session, prediction_id, owner=f"w#{turn}", lease_s=60), turn
        with sessions.begin() as session:
            waits = jobs.wait(
                session, prediction_id, owner=f"w#{turn}", code="no_active_model", message="m", wait_s=0
            )
            assert waits
    with sessions() as session:
        row = session.get_one(PredictionRow, prediction_id)
    assert (row.state, row.attempts, row.error_code) == ("queued", 0, "no_active_model")
    assert (row.lease_owner, row.published_at) == (None, None)


@pytest.mark.parametrize("attempts", [0, 1])
@pytest.mark.parametrize("act", ["postpone", "wait"])
def test_a_cancelled_job_is_closed_and_not_queued_again(
    sessions: sessionmaker[Session], prediction_id: str, act: str, attempts: int
) -> None:
    with sessions.begin() as session:
        session.get_one(PredictionRow, prediction_id).attempts = attempts
    with sessions.begin() as session:
        jobs.claim(session, prediction_id, owner="w#1", lease_s=60)
        jobs.request_cancel(session, prediction_id, actor="user:1")
    pause = {"wait": {"wait_s": 1.0}, "postpone": {"backoff_s": 1.0}}[act]
    with sessions.begin() as session:
        assert getattr(jobs, act)(session, prediction_id, owner="w#1", code="c", message="m", **pause)
    with sessions() as session:
        row = session.get_one(PredictionRow, prediction_id)
    assert (row.state, row.error_code, row.lease_owner) == ("cancelled", None, None)
    assert row.finished_at is not None


def delete_scan_of(session: Session, prediction_id: str) -> None:
    scan_id = session.get_one(PredictionRow, prediction_id).scan_id
    session.execute(update(ScanRow).where(ScanRow.id == scan_id).values(deleted_at=utc_now()))


def test_nothing_is_claimed_or_written_about_a_deleted_scan(
    sessions: sessionmaker[Session], prediction_id: str, model_version_id: str
) -> None:
    with sessions.begin() as session:
        jobs.claim(session, prediction_id, owner="w#1", lease_s=60)
        delete_scan_of(session, prediction_id)
    with sessions.begin() as session:
        assert not jobs.finish(
            session, prediction_id, owner="w#1", model_version_id=model_version_id, result=RESULT
        )
        assert jobs.hand_back(session, worker="w") == (prediction_id,)
        assert jobs.claim(session, prediction_id, owner="w#2", lease_s=60) is None
    with sessions() as session:
        assert session.get(ResultRow, prediction_id) is None


@pytest.mark.parametrize("act", ["claim", "retry"])
def test_who_comes_during_a_deletion_waits_for_it_and_finds_no_scan(
    sessions: sessionmaker[Session], prediction_id: str, act: str
) -> None:
    outcomes: list[object] = []

    def claim() -> object:
        with sessions.begin() as session:
            return jobs.claim(session, prediction_id, owner="w#1", lease_s=60)

    def retry() -> object:
        with sessions.begin() as session, pytest.raises(jobs.PredictionNotFoundError):
            jobs.retry(session, prediction_id, actor="user:1")
        return None

    if act == "retry":
        with sessions.begin() as session:
            jobs.request_cancel(session, prediction_id, actor="user:1")
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
