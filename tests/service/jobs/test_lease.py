import threading
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session, sessionmaker

from service import jobs
from service.jobs.lease import MAX_BACKOFF_S
from tests.service.conftest import BOTH_DATABASES
from tests.service.jobs.conftest import Queue

pytestmark = BOTH_DATABASES


def test_of_many_claimants_one_gets_the_job(queue: Queue, job_id: str) -> None:
    barrier = threading.Barrier(8)
    winners = []

    def compete(number: int) -> None:
        barrier.wait()
        if queue.claim(job_id, owner=f"w#{number}") is not None:
            winners.append(number)

    threads = [threading.Thread(target=compete, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(winners) == 1
    row = queue.row(job_id)
    assert (row.state, row.attempts, row.lease_owner) == (queue.running, 1, f"w#{winners[0]}")
    assert row.lease_expires_at > row.heartbeat_at


def test_only_the_owner_acts_on_a_job(queue: Queue, job_id: str) -> None:
    queue.claim(job_id, owner="w#1")
    with queue.sessions.begin() as session:
        job, stranger = (queue.kind, job_id), {"owner": "w#2"}
        renewed = jobs.renew(session, *job, **stranger, lease_s=60, standing={"progress": 0.9})
        assert renewed is jobs.Lease.LOST
        assert not jobs.succeed(session, *job, **stranger, values={})
        assert not jobs.fail(session, *job, **stranger, code="c", message="m")
        assert not jobs.postpone(session, *job, **stranger, code="c", message="m", backoff_s=1)
        assert not jobs.wait(session, *job, **stranger, code="c", message="m", wait_s=1)
        assert not jobs.stop_cancelled(session, *job, **stranger)
    row = queue.row(job_id)
    assert (row.state, row.progress, row.lease_owner) == (queue.running, 0.0, "w#1")


def test_a_renewal_moves_the_lease_and_the_progress(queue: Queue, job_id: str) -> None:
    before = queue.claim(job_id, lease_s=10).lease_expires_at
    with queue.sessions.begin() as session:
        held = jobs.renew(session, queue.kind, job_id, owner="w#1", lease_s=100, standing={"progress": 0.75})
    row = queue.row(job_id)
    assert held is jobs.Lease.HELD
    assert (row.state, row.progress) == (queue.running, 0.75)
    assert 89 < (row.lease_expires_at - before).total_seconds() < 100


def test_a_job_succeeds_once_and_forgets_what_was_wrong_before(queue: Queue, job_id: str) -> None:
    queue.claim(job_id)
    with queue.sessions.begin() as session:
        jobs.wait(session, queue.kind, job_id, owner="w#1", code="c", message="m", wait_s=0)
    queue.claim(job_id, owner="w#2")
    for expected in (True, False):
        with queue.sessions.begin() as session:
            assert jobs.succeed(session, queue.kind, job_id, owner="w#2", values={}) is expected
    row = queue.row(job_id)
    assert (row.state, row.progress, row.lease_owner, row.error_code) == ("succeeded", 1.0, None, None)
    assert row.finished_at is not None
    assert queue.claim(job_id, owner="w#3") is None


def test_a_cancellation_that_comes_before_the_outcome_wins(queue: Queue, job_id: str) -> None:
    queue.claim(job_id)
    with queue.sessions.begin() as session:
        assert jobs.cancel(session, queue.kind, job_id).state == queue.running
        assert jobs.cancel(session, queue.kind, job_id) is None, "asked a second time"
    with queue.sessions.begin() as session:
        assert not jobs.succeed(session, queue.kind, job_id, owner="w#1", values={})
        assert jobs.stop_cancelled(session, queue.kind, job_id, owner="w#1")
    assert queue.row(job_id).state == "cancelled"


def test_a_passing_error_postpones_and_then_fails(queue: Queue, job_id: str) -> None:
    def attempt(owner: str) -> None:
        assert queue.claim(job_id, owner=owner)
        with queue.sessions.begin() as session:
            words = {"code": "storage_unavailable", "message": "m", "backoff_s": 60}
            assert jobs.postpone(session, queue.kind, job_id, owner=owner, **words)

    attempt("w#1")
    row = queue.row(job_id)
    assert (row.state, row.error_code, row.lease_owner) == ("queued", "storage_unavailable", None)
    assert queue.claim(job_id, owner="w#2") is None, "claimed before its time"
    assert queue.sweep().to_publish == ()
    with queue.sessions.begin() as session:
        session.get_one(queue.kind, job_id).not_before -= timedelta(seconds=60)
    assert queue.sweep().to_publish == (job_id,)
    attempt("w#3")
    row = queue.row(job_id)
    assert (row.state, row.error_code, row.attempts) == ("failed", "storage_unavailable", 2)


def test_the_wait_after_an_error_is_bounded(queue: Queue) -> None:
    job_id = queue.add(max_attempts=20)
    with queue.sessions.begin() as session:
        session.get_one(queue.kind, job_id).attempts = 14
    queue.claim(job_id)
    with queue.sessions.begin() as session:
        assert jobs.postpone(session, queue.kind, job_id, owner="w#1", code="c", message="m", backoff_s=2)
    row = queue.row(job_id)
    # 2 s doubled 14 times would be nine hours.
    assert MAX_BACKOFF_S == 300
    assert (row.not_before - row.started_at).total_seconds() == pytest.approx(300, abs=5)


def test_waiting_for_others_costs_no_attempt(queue: Queue, job_id: str) -> None:
    for turn in range(5):
        assert queue.claim(job_id, owner=f"w#{turn}"), turn
        with queue.sessions.begin() as session:
            words = {"code": "fold_in_progress", "message": "m", "wait_s": 0}
            assert jobs.wait(session, queue.kind, job_id, owner=f"w#{turn}", **words)
    row = queue.row(job_id)
    assert (row.state, row.attempts, row.error_code) == ("queued", 0, "fold_in_progress")
    assert (row.lease_owner, row.published_at) == (None, None)


@pytest.mark.parametrize("attempts", [0, 1])
@pytest.mark.parametrize("act", ["postpone", "wait"])
def test_a_cancelled_job_is_closed_and_not_queued_again(
    queue: Queue, job_id: str, act: str, attempts: int
) -> None:
    with queue.sessions.begin() as session:
        session.get_one(queue.kind, job_id).attempts = attempts
    queue.claim(job_id)
    pause = {"wait": {"wait_s": 1.0}, "postpone": {"backoff_s": 1.0}}[act]
    with queue.sessions.begin() as session:
        jobs.cancel(session, queue.kind, job_id)
        assert getattr(jobs, act)(session, queue.kind, job_id, owner="w#1", code="c", message="m", **pause)
    row = queue.row(job_id)
    assert (row.state, row.error_code, row.lease_owner) == ("cancelled", None, None)
    assert row.finished_at is not None


def test_what_is_gone_is_nobodys(sessions: sessionmaker[Session], queue: Queue) -> None:
    with sessions.begin() as session:
        words = {"owner": "w#1", "code": "c", "message": "m"}
        assert jobs.claim(session, queue.kind, "gone", owner="w#1", lease_s=60) is None
        assert not jobs.postpone(session, queue.kind, "gone", **words, backoff_s=1)
