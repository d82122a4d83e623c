"""Every job that ends is told of once, however it ended and however often one looks."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from service import jobs
from service.db.base import utc_now
from service.jobs import ended
from service.jobs.ended import EndedJobs
from tests.service.conftest import BOTH_DATABASES
from tests.service.jobs.conftest import Queue


def look(queue: Queue, ends: EndedJobs) -> list[str]:
    with queue.sessions() as session:
        return [f"{job.state} {job.code} {job.attempts}" for job in ends.look(session, first_s=0.5)]


def end(queue: Queue, how: str) -> str:
    job_id = queue.add()
    queue.claim(job_id)
    with queue.sessions.begin() as session:
        if how == "failed":
            jobs.fail(session, queue.kind, job_id, owner="w#1", code="too_short", message="expected more")
        else:
            jobs.succeed(session, queue.kind, job_id, owner="w#1", values={})
    return job_id


@BOTH_DATABASES
def test_each_end_is_told_once(queue: Queue) -> None:
    ends = EndedJobs(queue.kind)
    assert look(queue, ends) == []
    end(queue, "failed")
    end(queue, "succeeded")
    queue.add()
    assert look(queue, ends) == ["failed too_short 1", "succeeded  1"]
    assert look(queue, ends) == []
    end(queue, "succeeded")
    assert look(queue, ends) == ["succeeded  1"]


def test_a_job_that_was_tried_again_ends_again(queue: Queue) -> None:
    ends = EndedJobs(queue.kind)
    look(queue, ends)
    job_id = end(queue, "failed")
    assert len(look(queue, ends)) == 1
    with queue.sessions.begin() as session:
        jobs.queue_again(session, queue.kind, job_id)
        jobs.cancel(session, queue.kind, job_id)
    assert look(queue, ends) == ["cancelled  0"]


def test_pages_lose_nothing_even_where_many_end_at_once(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ended, "PAGE", 2)
    ends = EndedJobs(queue.kind)
    look(queue, ends)
    for _ in range(7):
        end(queue, "succeeded")
    with queue.sessions.begin() as session:
        session.execute(update(queue.kind).values(finished_at=utc_now()))
    assert len(look(queue, ends)) == 7
    monkeypatch.setattr(ended, "NEW", 2)
    for _ in range(5):
        end(queue, "failed")
    # Later looks catch up with what one look had no room for.
    assert len([line for _ in range(9) for line in look(queue, ends)]) == 5


def test_a_transaction_that_shows_late_is_told_of(queue: Queue) -> None:
    ends = EndedJobs(queue.kind)
    look(queue, ends)
    late = end(queue, "failed")
    with queue.sessions.begin() as session:
        session.execute(update(queue.kind).values(finished_at=None))
    end(queue, "succeeded")
    assert look(queue, ends) == ["succeeded  1"]
    with queue.sessions.begin() as session:
        session.execute(
            update(queue.kind)
            .where(queue.kind.id == late)
            .values(finished_at=utc_now(-ended.OVERLAP / timedelta(seconds=2)))
        )
    assert look(queue, ends) == ["failed too_short 1"]
