import time

from sqlalchemy import update

from service import jobs
from service.db.base import utc_now
from service.jobs.recovery import ANNOUNCE_LIMIT, REPUBLISH_LIMIT
from tests.service.conftest import BOTH_DATABASES
from tests.service.jobs.conftest import Queue

pytestmark = BOTH_DATABASES

EXPIRED_S = -1.0


def announce(queue: Queue, *job_ids: str) -> None:
    with queue.sessions.begin() as session:
        jobs.mark_published(session, queue.kind, job_ids)


def test_a_job_nobody_heard_of_is_published_until_it_is_marked(queue: Queue, job_id: str) -> None:
    assert queue.sweep().to_publish == queue.sweep().to_publish == (job_id,)
    announce(queue, job_id)
    assert queue.sweep() == jobs.Sweep(n_due=1)
    time.sleep(0.15)
    again = queue.sweep(republish_s=0.1)
    assert (again.to_publish, again.to_repeat, again.n_due) == ((), (job_id,), 1)


def announce_all(queue: Queue, sweeps: int) -> list[str]:
    """Sweep as the worker does where messages were lost, and return every announcement."""
    announced: list[str] = []
    for _ in range(sweeps):
        found = queue.sweep()
        announced += found.to_publish + found.to_repeat
        announce(queue, *found.to_publish, *found.to_repeat)
    return announced


def test_of_a_long_queue_only_the_head_is_announced_again(queue: Queue) -> None:
    rows = [queue.row(queue.add()) for _ in range(200)]
    in_line = [row.id for row in sorted(rows, key=lambda row: (row.queued_at, row.id))]
    first = announce_all(queue, sweeps=6)
    assert sorted(first) == sorted(in_line), "each once, in bounded batches"
    for periods in range(1, 4):
        with queue.sessions.begin() as session:
            session.execute(update(queue.kind).values(published_at=utc_now(-3600)))
            # One at the very end was never heard of.
            session.execute(update(queue.kind).where(queue.kind.id == in_line[-1]).values(published_at=None))
        again = announce_all(queue, sweeps=5)
        assert again == [in_line[-1], *in_line[:REPUBLISH_LIMIT]], periods


def test_one_sweep_announces_a_bounded_number(queue: Queue) -> None:
    for _ in range(ANNOUNCE_LIMIT + 5):
        queue.add()
    found = queue.sweep()
    assert (len(found.to_publish), found.n_due) == (ANNOUNCE_LIMIT, ANNOUNCE_LIMIT + 5)


def test_a_live_lease_is_left_alone(queue: Queue, job_id: str) -> None:
    queue.claim(job_id)
    assert queue.sweep() == jobs.Sweep()


def test_an_expired_lease_is_queued_again_and_fails_in_the_end(queue: Queue, job_id: str) -> None:
    queue.claim(job_id, lease_s=EXPIRED_S)
    first = queue.sweep()
    assert (first.requeued, first.to_publish) == ((job_id,), (job_id,))
    queue.claim(job_id, lease_s=EXPIRED_S, owner="w#2")
    assert queue.sweep().lost == (job_id,)
    row = queue.row(job_id)
    assert (row.state, row.error_code, row.attempts) == ("failed", "worker_lost", 2)
    assert row.finished_at is not None
    assert queue.sweep() == jobs.Sweep()


def test_a_cancelled_job_whose_worker_is_gone_is_closed(queue: Queue, job_id: str) -> None:
    queue.claim(job_id, lease_s=EXPIRED_S)
    with queue.sessions.begin() as session:
        jobs.cancel(session, queue.kind, job_id)
    assert queue.sweep().cancelled == (job_id,)
    assert queue.row(job_id).state == "cancelled"


def test_a_worker_hands_back_its_own_jobs_only(queue: Queue) -> None:
    mine, cancelled, foreign = (queue.add() for _ in range(3))
    queue.claim(mine, owner="training-7@host#a")
    queue.claim(cancelled, owner="training-7@host#b")
    queue.claim(foreign, owner="training-77@host#c")
    with queue.sessions.begin() as session:
        jobs.cancel(session, queue.kind, cancelled)
    with queue.sessions.begin() as session:
        assert jobs.hand_back(session, queue.kind, worker="training-7@host") == (mine,)
    assert [queue.row(job).state for job in (mine, cancelled, foreign)] == [
        "queued",
        "cancelled",
        queue.running,
    ]
    assert queue.row(mine).attempts == 0
    assert queue.sweep().to_publish == (mine,)
