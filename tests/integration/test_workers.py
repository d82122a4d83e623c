"""Real workers with the real model: what a person or a failing machine does to a job on its way."""

import signal
import time
from collections.abc import Iterator

import psutil
import pytest

from service import jobs
from service.db.rows import PredictionRow, PredictionState
from service.identity.actor import Actor
from service.queue import publish
from tests.integration.conftest import MakeWorkplace, Workplace
from tests.servers import end, free_port, redis_server, wait_until
from tests.thorough import first

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.enable_socket]


@pytest.fixture(params=first(1, ["file", "redis"]))
def place(request: pytest.FixtureRequest, make_workplace: MakeWorkplace) -> Iterator[Workplace]:
    return make_workplace(broker=request.param, max_attempts=2)


def test_jobs_in_one_worker(place: Workplace) -> None:
    """One worker's life: answer, refusal, duplicate, cancellation, a poisoned job, an orderly end."""
    worker = place.worker("inference", "maintenance")

    answered = place.upload("good")
    row = place.wait_for(answered, PredictionState.SUCCEEDED)
    assert row.model_version_id
    assert row.timing["total"] > 0
    assert row.progress == 1

    publish(place.app, PredictionRow, answered)
    refused = place.upload("text", content=b"this is no scan")
    row = place.wait_for(refused, PredictionState.FAILED)
    assert row.error_code not in {"internal_error", None}
    assert "expected" in row.error_message
    assert row.attempts == 1, "a bad scan was tried again"
    # The duplicate came before the refused one in the queue.
    assert place.results(answered) == 1
    assert place.row(answered).attempts == 1

    slow = place.upload("slow")
    place.wait_for(slow, PredictionState.PREPROCESSING)
    with place.sessions.begin() as session:
        jobs.request_cancel(session, slow, actor=Actor("test", "test"))
    asked_at = time.monotonic()
    place.wait_for(slow, PredictionState.CANCELLED)
    assert time.monotonic() - asked_at < 2
    assert place.results(slow) == 0

    before = psutil.Process(worker.pid).children()
    crash = place.upload("crash")
    row = place.wait_for(crash, PredictionState.FAILED)
    assert (row.error_code, row.error_details, row.attempts) == ("scan_reader_died", {"found": "SIGSEGV"}, 1)
    place.wait_for(place.upload("good-again"), PredictionState.SUCCEEDED)
    assert psutil.Process(worker.pid).children() == before, "the worker's own process had to be replaced"

    poison = place.upload("poison")
    row = place.wait_for(poison, PredictionState.FAILED)
    assert row.error_code == "worker_lost"
    assert row.attempts == place.settings.max_attempts

    again = place.upload("slow-again")
    place.wait_for(again, PredictionState.PREPROCESSING)
    worker.send_signal(signal.SIGTERM)
    asked_at = time.monotonic()
    row = place.wait_for(again, PredictionState.QUEUED)
    assert time.monotonic() - asked_at < 2, "the job was not handed back at once"
    assert row.attempts == 0, "handing back counted as an attempt"
    family = psutil.Process(worker.pid).children(recursive=True)
    assert end(worker, within_s=20) == 0
    wait_until(
        lambda: not any(process.is_running() for process in family), "its processes to end", within_s=10
    )


def test_a_frozen_worker_loses_its_job_and_does_not_answer_twice(make_workplace: MakeWorkplace) -> None:
    place = make_workplace()
    first = place.worker("inference")
    prediction_id = place.upload("hold-before-result")
    place.wait_for_mark("hold-before-result")
    family = [psutil.Process(first.pid), *psutil.Process(first.pid).children(recursive=True)]
    for process in family:
        process.suspend()

    place.worker("inference", "maintenance")
    row = place.wait_for(prediction_id, PredictionState.SUCCEEDED)
    for process in family:
        process.resume()
    time.sleep(2)

    assert place.results(prediction_id) == 1
    assert place.row(prediction_id).finished_at == row.finished_at


@pytest.mark.parametrize("broker", first(1, ["file", "redis"]))
def test_work_that_hangs_is_killed_and_the_worker_goes_on(make_workplace: MakeWorkplace, broker: str) -> None:
    place = make_workplace(broker=broker, max_attempts=1, soft_time_limit_s=3, hard_time_limit_s=4)
    place.worker("inference", "maintenance")
    stuck, slow = place.upload("stuck"), place.upload("slow")
    assert place.wait_for(stuck, PredictionState.FAILED).error_code == "worker_lost"
    # This one reports its progress, so that it can be stopped without a kill.
    assert place.wait_for(slow, PredictionState.FAILED).error_code == "time_limit"


def test_an_upload_survives_a_broker_that_is_away(make_workplace: MakeWorkplace) -> None:
    port = free_port()
    place = make_workplace(broker_url=f"redis://127.0.0.1:{port}/0")

    started_at = time.monotonic()
    prediction_id = place.upload("good")
    assert time.monotonic() - started_at < 3, "the upload waited for the broker"
    assert place.row(prediction_id).published_at is None

    place.worker("inference", "maintenance")
    time.sleep(3)
    assert place.row(prediction_id).state == PredictionState.QUEUED
    with redis_server(port):
        place.wait_for(prediction_id, PredictionState.SUCCEEDED)
    assert place.results(prediction_id) == 1


def test_a_worker_whose_broker_was_away_when_it_finished_goes_on(make_workplace: MakeWorkplace) -> None:
    port = free_port()
    place = make_workplace(broker_url=f"redis://127.0.0.1:{port}/0")
    with redis_server(port):
        place.worker("inference", "maintenance")
        slow = place.upload("slow")
        place.wait_for(slow, PredictionState.PREPROCESSING)
    with place.sessions.begin() as session:
        jobs.request_cancel(session, slow, actor=Actor("test", "test"))
    place.wait_for(slow, PredictionState.CANCELLED)
    # Long enough for the worker to have told a broker that is not there.
    time.sleep(1)
    with redis_server(port):
        place.wait_for(place.upload("good"), PredictionState.SUCCEEDED, within_s=30)
