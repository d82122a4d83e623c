import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, select, text
from sqlalchemy.orm import Session

from service.audit import record
from service.audit.verification import verify
from service.db import migrate
from service.db.engine import make_engine
from service.db.rows import AuditEventRow, Base
from service.identity.actor import Actor
from tests.service.conftest import BOTH_DATABASES

UPGRADE = "import sys; from service.db.migrate import upgrade; upgrade(sys.argv[1])"


@BOTH_DATABASES
def test_the_migrations_make_exactly_the_tables_of_the_rows(database_url: str) -> None:
    engine = make_engine(database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []
    # Constraints that the comparison does not see.
    tables = ("predictions", "training_folds", "audit_heads")
    checks = {check["name"] for name in tables for check in inspect(engine).get_check_constraints(name)}
    engine.dispose()
    assert checks == {"ck_predictions_state", "ck_training_folds_state", "ck_audit_heads_one"}


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


@BOTH_DATABASES
def test_events_and_deletions_from_before_the_chain_are_kept_and_chained(database_url: str) -> None:
    """Back to where events had no chain, with more of them than one batch, and forth again."""
    engine = make_engine(database_url)
    with engine.connect() as connection:
        command.downgrade(migrate._config(connection), "0002")
        connection.commit()
    events = [
        {
            "id": f"{number:036d}",
            # Not in the order of their ids, and two at the same moment.
            "at": datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=(1203 - number) // 2),
            "details": json.dumps({"n": number, "share": 0.1, "words": "é"}) if number % 3 else None,
        }
        for number in range(1203)
    ]
    if engine.dialect.name == "sqlite":
        events = [event | {"at": event["at"].strftime("%Y-%m-%d %H:%M:%S.%f")} for event in events]
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO audit_events (id, at, actor, action, subject_kind, subject_id, details) "
                "VALUES (:id, :at, 'user:1', 'scan.upload', 'scan', 'x', :details)"
            ),
            events,
        )
        connection.execute(
            text(
                "INSERT INTO scans "
                "(id, sha256, size_bytes, display_name, storage_key, created_at, deleted_at)"
                " VALUES ('a', 'a', 1, 'deleted', 'scans/a.nii', '2026-01-01', '2026-01-02'),"
                " ('b', 'b', 1, 'b.nii', 'scans/b.nii', '2026-01-01', NULL)"
            )
        )
    migrate.upgrade(engine)
    with Session(engine) as session:
        assert verify(session).sequence == 1203
        rows = session.scalars(select(AuditEventRow).order_by(AuditEventRow.sequence)).all()
        scans = session.execute(text("SELECT id, deleted_because FROM scans ORDER BY id")).all()
    assert [(row.at, row.id) for row in rows] == sorted((row.at, row.id) for row in rows)
    assert [row.details for row in rows if row.id == f"{4:036d}"] == [{"n": 4, "share": 0.1, "words": "é"}]
    assert {row.address for row in rows} == {"not recorded"}
    assert [tuple(scan) for scan in scans] == [("a", "request"), ("b", None)]
    with Session(engine) as session:
        record(session, actor=Actor("user:1", "t"), action="a.b", subject_kind="k", subject_id="1")
        session.commit()
        assert verify(session).sequence == 1204
    engine.dispose()
