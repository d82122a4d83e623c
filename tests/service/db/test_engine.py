import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from service.db.engine import make_engine, session_factory
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import ModelDeploymentRow, ModelVersionRow, PredictionRow
from tests.service.conftest import BOTH_DATABASES


def test_sqlite_is_opened_for_several_processes(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path}/a.db")
    with engine.connect() as connection:
        found = [
            connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    engine.dispose()
    # 2 is FULL: what was committed is on the disk, so an accepted upload survives a power cut.
    assert found == ["wal", 2, 1, 10_000]


@BOTH_DATABASES
def test_a_row_cannot_refer_to_nothing(sessions: sessionmaker[Session]) -> None:
    with pytest.raises(IntegrityError), sessions.begin() as session:
        session.add(PredictionRow(organisation_id=DEFAULT_ORGANISATION_ID, scan_id="nobody"))


@BOTH_DATABASES
def test_one_deployment_at_most_is_open(sessions: sessionmaker[Session], model_version_id: str) -> None:
    def add(number: int, **ended: object) -> None:
        with sessions.begin() as session:
            session.add(
                ModelDeploymentRow(
                    number=number, model_version_id=model_version_id, kind="promotion", actor="test", **ended
                )
            )

    for number in (2, 3):
        add(number, answering=False, ended_at=datetime.now(UTC))
    with pytest.raises(IntegrityError):
        add(4)
    with pytest.raises(IntegrityError):
        # Whether it is open is said once: by its end.
        add(4, answering=False)
    with pytest.raises(IntegrityError):
        add(3, answering=False, ended_at=datetime.now(UTC))


def test_writers_wait_for_each_other(database_url: str) -> None:
    engine = make_engine(database_url)
    sessions = session_factory(engine)
    errors: list[Exception] = []

    def write(number: int) -> None:
        try:
            for turn in range(10):
                with sessions.begin() as session:
                    # A read first: it must not pin an old view of the database that cannot be written.
                    session.execute(text("SELECT count(*) FROM model_versions")).scalar()
                    session.add(
                        ModelVersionRow(
                            name="n", version="1", sha256=f"{number}-{turn}", storage_key="k", card={}
                        )
                    )
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with sessions() as session:
        written = session.execute(text("SELECT count(*) FROM model_versions")).scalar()
    engine.dispose()
    assert errors == []
    assert written == 40
