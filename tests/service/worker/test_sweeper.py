import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker

from service import jobs
from service.db.base import utc_now
from service.db.rows import JOB_KINDS, PredictionRow
from service.queue import lanes_of, make_celery
from service.settings import Settings
from service.worker import sweeper
from service.worker.sweeper import Sweeper, sweep_all, sweep_once


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", sweep_s=0.2)


def messages(settings: Settings) -> int:
    return len(list((settings.data_dir / "broker" / "messages").iterdir()))


def test_what_nobody_heard_of_is_published_once(
    settings: Settings, sessions: sessionmaker[Session], scan_id: str
) -> None:
    with sessions.begin() as session:
        jobs.enqueue(session, scan_id=scan_id)
        jobs.enqueue(session, scan_id=scan_id)
    app = make_celery(settings)
    assert len(sweep_once(app, sessions, PredictionRow, republish_s=30).to_publish) == 2
    assert sweep_once(app, sessions, PredictionRow, republish_s=30).to_publish == ()
    assert messages(settings) == 2


def test_what_waits_in_the_broker_is_not_announced_again_but_what_was_lost_is(
    settings: Settings, sessions: sessionmaker[Session], scan_id: str
) -> None:
    with sessions.begin() as session:
        for _ in range(3):
            jobs.enqueue(session, scan_id=scan_id)
    app = make_celery(settings)

    def later() -> int:
        with sessions.begin() as session:
            session.execute(update(PredictionRow).values(published_at=utc_now(-3600)))
        sweep_once(app, sessions, PredictionRow, republish_s=30)
        return messages(settings)

    sweep_once(app, sessions, PredictionRow, republish_s=30)
    assert [later(), later()] == [3, 3], "a queue that waits for a worker grew"
    next((settings.data_dir / "broker" / "messages").iterdir()).unlink()
    assert later() == 5, "nobody knows which one was lost"
    assert later() == 5


def test_while_the_broker_is_away_nothing_counts_as_published(
    tmp_path: Path, sessions: sessionmaker[Session], scan_id: str
) -> None:
    with sessions.begin() as session:
        prediction_id = jobs.enqueue(session, scan_id=scan_id).id
    app = make_celery(Settings(data_dir=tmp_path, broker_url="redis://127.0.0.1:1/0"))
    sweep_once(app, sessions, PredictionRow, republish_s=30)
    with sessions() as session:
        assert session.get_one(PredictionRow, prediction_id).published_at is None


def test_the_thread_sweeps_until_it_is_stopped(
    settings: Settings, sessions: sessionmaker[Session], scan_id: str
) -> None:
    with sessions.begin() as session:
        prediction_id = jobs.enqueue(session, scan_id=scan_id).id
        jobs.claim(session, PredictionRow, prediction_id, owner="w#1", lease_s=0.3)
    running = Sweeper(settings, app=make_celery(settings), sessions=sessions)
    running.start()
    deadline = time.monotonic() + 10
    while messages(settings) == 0:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    running.stop()
    with sessions.begin() as session:
        assert session.get_one(PredictionRow, prediction_id).state == "queued"
        jobs.claim(session, PredictionRow, prediction_id, owner="w#2", lease_s=-1)
    time.sleep(0.5)
    with sessions() as session:
        assert session.get_one(PredictionRow, prediction_id).state == "preprocessing"


def wait(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_fault_of_ours_does_not_end_the_thread(
    settings: Settings,
    sessions: sessionmaker[Session],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls = []

    def fault(*_args: object, **_options: object) -> None:
        calls.append(1)
        message = "a fault of ours"
        raise KeyError(message)

    monkeypatch.setattr(sweeper, "sweep_once", fault)
    running = Sweeper(settings, app=make_celery(settings), sessions=sessions)
    running.start()
    wait(lambda: len(calls) >= 2)
    running.stop()
    captured = capsys.readouterr()
    log = captured.out + captured.err + caplog.text
    assert "a fault of ours" in log
    assert "Traceback" in log


@pytest.mark.parametrize("broken", [*JOB_KINDS, "settle_runs", "look_after_scores"])
def test_a_fault_in_one_part_of_a_sweep_leaves_the_others_their_turn(
    settings: Settings, sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch, broken: object
) -> None:
    reached: list[object] = []

    def watch(name: str) -> None:
        act = getattr(sweeper, name)

        def watched(app: object, sessions: object, *kind: object, **options: object) -> object:
            part = kind[0] if kind else name
            if part == broken:
                message = "a fault of ours"
                raise KeyError(message)
            reached.append(part)
            return act(app, sessions, *kind, **options)

        monkeypatch.setattr(sweeper, name, watched)

    for name in ("sweep_once", "settle_runs", "look_after_scores"):
        watch(name)
    sweep_all(make_celery(settings), sessions, republish_s=30)
    every = [*(kind for kind in JOB_KINDS for _ in lanes_of(kind)), "settle_runs", "look_after_scores"]
    assert reached == [part for part in every if part != broken]
