import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect
from sqlalchemy.orm import Session, sessionmaker

from service import jobs
from service.correlation import correlated
from service.db import migrate
from service.db.engine import make_engine
from service.db.rows import Base, PredictionRow
from tests.service.conftest import BOTH_DATABASES

UPGRADE = "import sys; from service.db.migrate import upgrade; upgrade(sys.argv[1])"


@BOTH_DATABASES
def test_the_migrations_make_exactly_the_tables_of_the_rows(database_url: str) -> None:
    engine = make_engine(database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []
    # Constraints that the comparison does not see.
    tables = ("predictions", "training_folds")
    checks = {check["name"] for name in tables for check in inspect(engine).get_check_constraints(name)}
    engine.dispose()
    assert checks == {"ck_predictions_state", "ck_training_folds_state"}


@BOTH_DATABASES
def test_every_migration_can_be_undone(database_url: str) -> None:
    engine = make_engine(database_url)
    assert migrate.is_current(engine)
    with engine.connect() as connection:
        command.downgrade(migrate._config(connection), "base")
        connection.commit()
    assert not migrate.is_current(engine)
    assert inspect(engine).get_table_names() == ["alembic_version"]
    migrate.upgrade(engine)
    assert migrate.is_current(engine)
    engine.dispose()


@BOTH_DATABASES
def test_jobs_outlive_the_way_back_and_forward(sessions: sessionmaker[Session], scan_id: str) -> None:
    with sessions.begin() as session, correlated("0123456789abcdef"):
        job_id = jobs.enqueue(session, scan_id=scan_id).id
    engine = sessions.kw["bind"]
    migrate.downgrade(engine.url.render_as_string(hide_password=False), "0002")
    migrate.upgrade(engine)
    with sessions() as session:
        row = session.get_one(PredictionRow, job_id)
        assert (row.state, row.scan_id, row.request_id) == ("queued", scan_id, None)


def test_a_new_database_gets_its_folder(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/deep/down/restnet.db"
    migrate.upgrade(url)
    migrate.upgrade(url)
    engine = make_engine(url)
    assert migrate.is_current(engine)
    engine.dispose()


@pytest.mark.slow
def test_processes_that_upgrade_at_once_take_turns(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/restnet.db"
    processes = [
        subprocess.Popen([sys.executable, "-c", UPGRADE, url], cwd=migrate.MIGRATIONS.parent)
        for _ in range(3)
    ]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
