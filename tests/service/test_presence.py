"""Workers that say that they are there."""

from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker

from service.db.base import utc_now
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
from service.worker.presence import Presence
from tests.service.conftest import BOTH_DATABASES


def say(sessions: sessionmaker[Session], worker: str, *queues: str, host: str = "here") -> None:
    with sessions.begin() as session:
        say_present(session, worker=worker, queues=queues, host=host)


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
    presence._note(farewell=False)
    with sessions() as session:
        assert attendance(session)["inference"].present == 1
    presence.start()
    presence.stop()
    with sessions() as session:
        assert attendance(session) == {}
