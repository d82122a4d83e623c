import os
import signal
import time

import pytest
from sqlalchemy.orm import Session, sessionmaker

from service import jobs
from service.db.rows import PredictionRow, PredictionState
from service.identity.actor import Actor
from service.worker.heartbeat import Heartbeat, JobStoppedError, StopReason

# Long beside what a busy disk may hold up a single write, so that only what is tested can lose the lease.
LEASE_S = 2.0


@pytest.fixture
def prediction_id(sessions: sessionmaker[Session], scan_id: str) -> str:
    with sessions.begin() as session:
        prediction_id = jobs.enqueue(session, scan_id=scan_id).id
        jobs.claim(session, PredictionRow, prediction_id, owner="w#1", lease_s=LEASE_S)
    return prediction_id


def beat(
    sessions: sessionmaker[Session],
    prediction_id: str,
    *,
    interval_s: float = 0.05,
    limit_s: float = 60,
    hard_limit_s: float = 60,
) -> Heartbeat:
    return Heartbeat(
        sessions,
        PredictionRow,
        job_id=prediction_id,
        owner="w#1",
        lease_s=LEASE_S,
        interval_s=interval_s,
        soft_limit_s=limit_s,
        hard_limit_s=hard_limit_s,
    )


def stopped(heartbeat: Heartbeat) -> StopReason:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            heartbeat.check()
        except JobStoppedError as stop:
            return stop.reason
        time.sleep(0.01)
    pytest.fail("the heartbeat did not stop the job")


def row(sessions: sessionmaker[Session], prediction_id: str) -> PredictionRow:
    with sessions() as session:
        return session.get_one(PredictionRow, prediction_id)


def test_the_lease_outlives_the_work(sessions: sessionmaker[Session], prediction_id: str) -> None:
    with beat(sessions, prediction_id):
        time.sleep(1.5 * LEASE_S)
        with sessions.begin() as session:
            assert jobs.sweep(session, PredictionRow, republish_s=30).requeued == ()
    time.sleep(1.1 * LEASE_S)
    with sessions.begin() as session:
        assert jobs.sweep(session, PredictionRow, republish_s=30).requeued == (prediction_id,)


def test_a_new_stage_shows_at_once_and_progress_never_falls(
    sessions: sessionmaker[Session], prediction_id: str
) -> None:
    with beat(sessions, prediction_id, interval_s=30) as heartbeat:
        heartbeat.report(0.45, state=PredictionState.PREPROCESSING)
        heartbeat.report(0.75, state=PredictionState.CLASSIFYING)
        heartbeat.report(0.55, state=PredictionState.CLASSIFYING)
        deadline = time.monotonic() + 5
        while (found := row(sessions, prediction_id)).state != PredictionState.CLASSIFYING:
            assert time.monotonic() < deadline
    assert found.progress == pytest.approx(0.75)


def test_a_cancellation_stops_the_job(sessions: sessionmaker[Session], prediction_id: str) -> None:
    with beat(sessions, prediction_id) as heartbeat:
        heartbeat.report(0.1)
        with sessions.begin() as session:
            jobs.request_cancel(session, prediction_id, actor=Actor("user:1", "test"))
        assert stopped(heartbeat) is StopReason.CANCELLED
        # The lease is kept until the job has said its last word.
        time.sleep(1.5 * LEASE_S)
        with sessions.begin() as session:
            assert jobs.sweep(session, PredictionRow, republish_s=30).cancelled == ()


def test_a_lost_lease_stops_the_job(sessions: sessionmaker[Session], prediction_id: str) -> None:
    with beat(sessions, prediction_id) as heartbeat:
        with sessions.begin() as session:
            jobs.hand_back(session, PredictionRow, worker="w")
        assert stopped(heartbeat) is StopReason.LEASE_LOST


def test_a_database_that_stays_away_costs_the_lease(
    sessions: sessionmaker[Session], prediction_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy.exc import OperationalError

    def away(*_args: object, **_kwargs: object) -> None:
        raise OperationalError("renew", {}, Exception("away"))

    monkeypatch.setattr(jobs, "renew", away)
    started_at = time.monotonic()
    with beat(sessions, prediction_id) as heartbeat:
        heartbeat.check()
        assert stopped(heartbeat) is StopReason.LEASE_LOST
    assert time.monotonic() - started_at > 0.7 * LEASE_S


def test_a_fault_in_the_thread_is_told_and_costs_the_lease_only_if_it_stays(
    sessions: sessionmaker[Session], prediction_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    renew, faults = jobs.renew, [1, 1]

    def fault(*args: object, **options: object) -> jobs.Lease:
        if faults:
            faults.pop()
            raise KeyError
        return renew(*args, **options)

    monkeypatch.setattr(jobs, "renew", fault)
    with beat(sessions, prediction_id) as heartbeat:
        time.sleep(1.5 * LEASE_S)
        heartbeat.check()
        assert faults == []
        faults.extend([1] * 1000)
        assert stopped(heartbeat) is StopReason.LEASE_LOST


def test_time_is_limited(sessions: sessionmaker[Session], prediction_id: str) -> None:
    with beat(sessions, prediction_id, limit_s=1) as heartbeat:
        heartbeat.report(0.1)
        time.sleep(1.1)
        with pytest.raises(JobStoppedError, match="time_limit"):
            heartbeat.report(0.2)


def test_a_process_that_reports_nothing_kills_itself(
    sessions: sessionmaker[Session], prediction_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = []
    monkeypatch.setattr(os, "kill", lambda process_id, number: killed.append((process_id, number)))
    with beat(sessions, prediction_id, hard_limit_s=1):
        time.sleep(0.1)
        assert killed == []
        time.sleep(1.5)
    assert set(killed) == {(os.getpid(), signal.SIGKILL)}
