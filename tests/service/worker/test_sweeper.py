import time
from pathlib import Path

import pytest
from sqlalchemy.orm import Session, sessionmaker

from service import jobs
from service.db.rows import PredictionRow
from service.queue import make_celery
from service.settings import Settings
from service.storage import open_storage
from service.worker.sweeper import Sweeper, sweep_once


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
    assert len(sweep_once(app, sessions, republish_s=30).to_publish) == 2
    assert sweep_once(app, sessions, republish_s=30).to_publish == ()
    assert messages(settings) == 2


def test_while_the_broker_is_away_nothing_counts_as_published(
    tmp_path: Path, sessions: sessionmaker[Session], scan_id: str
) -> None:
    with sessions.begin() as session:
        prediction_id = jobs.enqueue(session, scan_id=scan_id).id
    app = make_celery(Settings(data_dir=tmp_path, broker_url="redis://127.0.0.1:1/0"))
    sweep_once(app, sessions, republish_s=30)
    with sessions() as session:
        assert session.get_one(PredictionRow, prediction_id).published_at is None


def test_the_thread_sweeps_until_it_is_stopped(
    settings: Settings, sessions: sessionmaker[Session], scan_id: str
) -> None:
    with sessions.begin() as session:
        prediction_id = jobs.enqueue(session, scan_id=scan_id).id
        jobs.claim(session, prediction_id, owner="w#1", lease_s=0.3)
    storage = open_storage(settings.storage_url)
    sweeper = Sweeper(settings, app=make_celery(settings), sessions=sessions, storage=storage)
    sweeper.start()
    deadline = time.monotonic() + 10
    while messages(settings) == 0:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    sweeper.stop()
    with sessions.begin() as session:
        assert session.get_one(PredictionRow, prediction_id).state == "queued"
        jobs.claim(session, prediction_id, owner="w#2", lease_s=-1)
    time.sleep(0.5)
    with sessions() as session:
        assert session.get_one(PredictionRow, prediction_id).state == "preprocessing"
