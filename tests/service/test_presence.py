"""Workers that say that they are there."""

import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker

from service.db.base import utc_now
from service.db.engine import make_engine, session_factory
from service.db.rows import WorkerRow
from service.presence import (
    BELIEVED_S,
    MISSED_S,
    Attendance,
    attendance,
    is_present,
    say_farewell,
    say_present,
)
from service.worker import presence as worker_presence
from service.worker.presence import Presence
from tests.servers import wait_until
from tests.service.conftest import BOTH_DATABASES


def say(sessions: sessionmaker[Session], worker: str, *queues: str, host: str = "here") -> None:
    with sessions.begin() as session:
        say_present(session, worker=worker, queues=queues, host=host)


def here(sessions: sessionmaker[Session]) -> bool:
    with sessions() as session:
        return "inference" in attendance(session)


def silent_for(sessions: sessionmaker[Session], worker: str, seconds: float) -> None:
    with sessions.begin() as session:
        session.execute(
            update(WorkerRow).where(WorkerRow.name == worker).values(seen_at=utc_now(-seconds)),
            execution_options={"synchronize_session": False},
        )


@BOTH_DATABASES
def test_workers_are_counted_by_queue_lost_when_silent_and_forgotten_later(
    sessions: sessionmaker[Session],
) -> None:
    say(sessions, "a", "inference")
    say(sessions, "a", "inference")
    say(sessions, "b", "inference")
    say(sessions, "c", "maintenance", "training", host="elsewhere")
    silent_for(sessions, "b", BELIEVED_S + 1)
    with sessions() as session:
        assert attendance(session) == {
            "inference": Attendance(present=1, lost=1),
            "maintenance": Attendance(present=1, lost=0),
            "training": Attendance(present=1, lost=0),
        }
    silent_for(sessions, "b", MISSED_S + 1)
    silent_for(sessions, "c", BELIEVED_S + 1)
    say(sessions, "a", "inference")
    with sessions.begin() as session:
        assert attendance(session)["inference"] == Attendance(present=1, lost=0)
        assert session.get(WorkerRow, ("b", "inference")) is None
        assert is_present(session, host="here")
        assert not is_present(session, host="elsewhere")
        say_farewell(session, worker="a")
        assert "inference" not in attendance(session)


def test_a_worker_is_noted_while_it_runs(sessions: sessionmaker[Session]) -> None:
    presence = Presence(sessions, worker="w", queues=["inference"])
    presence.start()
    wait_until(lambda: here(sessions), "the worker to be noted", within_s=10)
    presence.stop()
    with sessions() as session:
        assert attendance(session) == {}


def test_a_database_that_hangs_does_not_hold_a_worker_that_stops(
    sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()

    def hang(*_arguments: object, **_named: object) -> None:
        released.wait(30)

    monkeypatch.setattr(worker_presence, "say_present", hang)
    monkeypatch.setattr(worker_presence, "FAREWELL_S", 0.1)
    presence = Presence(sessions, worker="w", queues=["inference"])
    presence.start()
    began = time.monotonic()
    presence.stop()
    assert time.monotonic() - began < 5
    released.set()


def test_a_database_that_is_away_is_tried_again(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path}/no/such/folder.db")
    presence = Presence(session_factory(engine), worker="w", queues=["inference"])
    presence.start()
    presence.stop()
    assert not presence._thread.is_alive()
