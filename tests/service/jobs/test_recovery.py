import time

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker

from service import jobs
from service.db.base import utc_now
from service.db.rows import PredictionRow
from service.jobs.recovery import ANNOUNCE_LIMIT, REPUBLISH_LIMIT
from tests.service.conftest import BOTH_DATABASES

pytestmark = BOTH_DATABASES

EXPIRED_S = -1.0


@pytest.fixture
def prediction_id(sessions: sessionmaker[Session], scan_id: str) -> str:
    with sessions.begin() as session:
        return jobs.enqueue(session, scan_id=scan_id, max_attempts=2).id


def claim(sessions: sessionmaker[Session], prediction_id: str, *, lease_s: float, owner: str = "w#1") -> None:
    with sessions.begin() as session:
        assert jobs.claim(session, prediction_id, owner=owner, lease_s=lease_s)


def sweep(sessions: sessionmaker[Session], *, republish_s: float = 30) -> jobs.Sweep:
    with sessions.begin() as session:
        return jobs.sweep(session, republish_s=republish_s)


def test_a_job_nobody_heard_of_is_published_until_it_is_marked(
    sessions: sessionmaker[Session], prediction_id: str
) -> None:
    assert sweep(sessions).to_publish == sweep(sessions).to_publish == (prediction_id,)
    with sessions.begin() as session:
        jobs.mark_published(session, [prediction_id])
    assert sweep(sessions).to_publish == ()
    time.sleep(0.15)
    assert sweep(sessions, republish_s=0.1).to_publish == (prediction_id,)


def announce_all(sessions: sessionmaker[Session], sweeps: int) -> list[str]:
    """Sweep as the worker does, and return every announcement."""
    announced: list[str] = []
    for _ in range(sweeps):
        found = sweep(sessions).to_publish
        announced += found
        with sessions.begin() as session:
            jobs.mark_published(session, found)
    return announced


def test_of_a_long_queue_only_the_head_is_announced_again(
    sessions: sessionmaker[Session], scan_id: str
) -> None:
    with sessions.begin() as session:
        rows = [jobs.enqueue(session, scan_id=scan_id) for _ in range(200)]
    in_line = [row.id for row in sorted(rows, key=lambda row: (row.queued_at, row.id))]
    first = announce_all(sessions, sweeps=6)
    assert sorted(first) == sorted(in_line), "each once, in bounded batches"
    for periods in range(1, 4):
        with sessions.begin() as session:
            session.execute(update(PredictionRow).values(published_at=utc_now(-3600)))
            # One at the very end was never heard of.
            session.execute(
                update(PredictionRow).where(PredictionRow.id == in_line[-1]).values(published_at=None)
            )
        again = announce_all(sessions, sweeps=5)
        assert again == [*in_line[:REPUBLISH_LIMIT], in_line[-1]], periods


def test_one_sweep_announces_a_bounded_number(sessions: sessionmaker[Session], scan_id: str) -> None:
    with sessions.begin() as session:
        for _ in range(ANNOUNCE_LIMIT + 5):
            jobs.enqueue(session, scan_id=scan_id)
    assert len(sweep(sessions).to_publish) == ANNOUNCE_LIMIT


def test_a_live_lease_is_left_alone(sessions: sessionmaker[Session], prediction_id: str) -> None:
    claim(sessions, prediction_id, lease_s=60)
    assert sweep(sessions) == jobs.Sweep((), (), (), ())


def test_an_expired_lease_is_queued_again_and_fails_in_the_end(
    sessions: sessionmaker[Session], prediction_id: str
) -> None:
    claim(sessions, prediction_id, lease_s=EXPIRED_S)
    first = sweep(sessions)
    assert (first.requeued, first.to_publish) == ((prediction_id,), (prediction_id,))
    claim(sessions, prediction_id, lease_s=EXPIRED_S, owner="w#2")
    assert sweep(sessions).lost == (prediction_id,)
    with sessions() as session:
        row = session.get_one(PredictionRow, prediction_id)
    assert (row.state, row.error_code, row.attempts) == ("failed", "worker_lost", 2)
    assert row.finished_at is not None
    assert sweep(sessions) == jobs.Sweep((), (), (), ())


def test_a_cancelled_job_whose_worker_is_gone_is_closed(
    sessions: sessionmaker[Session], prediction_id: str
) -> None:
    claim(sessions, prediction_id, lease_s=EXPIRED_S)
    with sessions.begin() as session:
        jobs.request_cancel(session, prediction_id, actor="user:1")
    assert sweep(sessions).cancelled == (prediction_id,)
    with sessions() as session:
        assert session.get_one(PredictionRow, prediction_id).state == "cancelled"


def test_a_worker_hands_back_its_own_jobs_only(sessions: sessionmaker[Session], scan_id: str) -> None:
    with sessions.begin() as session:
        mine, cancelled, foreign = (jobs.enqueue(session, scan_id=scan_id).id for _ in range(3))
    claim(sessions, mine, lease_s=60, owner="inference-7@host#a")
    claim(sessions, cancelled, lease_s=60, owner="inference-7@host#b")
    claim(sessions, foreign, lease_s=60, owner="inference-77@host#c")
    with sessions.begin() as session:
        jobs.request_cancel(session, cancelled, actor="user:1")
    with sessions.begin() as session:
        assert jobs.hand_back(session, worker="inference-7@host") == (mine,)
    with sessions() as session:
        states = [session.get_one(PredictionRow, job).state for job in (mine, cancelled, foreign)]
        assert session.get_one(PredictionRow, mine).attempts == 0
    assert states == ["queued", "cancelled", "preprocessing"]
    assert sweep(sessions).to_publish == (mine,)
