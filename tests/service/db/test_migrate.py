import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import MetaData, column, func, insert, inspect, select, table, text
from sqlalchemy.orm import Session, sessionmaker

from service import jobs
from service.audit import record
from service.audit.verification import verify
from service.correlation import correlated
from service.db import migrate
from service.db.base import utc_now
from service.db.engine import make_engine, session_factory
from service.db.organisations import DEFAULT_ORGANISATION, DEFAULT_ORGANISATION_ID
from service.db.rows import (
    AuditEventRow,
    Base,
    IdempotencyRow,
    PredictionRow,
    TrainingFoldRow,
    TrainingRunRow,
)
from service.identity.accounts import secret_hash
from service.identity.actor import Actor
from service.identity.api_keys import find_api_key
from service.identity.scopes import EVERY_SCOPE, read_scopes
from tests.service.conftest import BOTH_DATABASES

LONG_AGO = "2026-01-01 00:00:00.000000"
# Rows as they were before there were organisations, each with what it refers to before it.
OLD_ROWS = {
    "users": {
        "id": "u",
        "username": "doctor",
        "password_hash": "h",
        "role": "clinician",
        "created_at": LONG_AGO,
    },
    "api_keys": {
        "id": "k",
        "name": "n",
        "prefix": "p",
        "key_hash": "h",
        "user_id": "u",
        "created_at": LONG_AGO,
    },
    "scans": {
        "id": "s",
        "sha256": "h",
        "size_bytes": 1,
        "display_name": "n",
        "storage_key": "k",
        "uploaded_by": "u",
        "created_at": LONG_AGO,
    },
    "predictions": {
        "id": "p",
        "scan_id": "s",
        "state": "queued",
        "progress": 0,
        "attempts": 0,
        "max_attempts": 3,
        "created_at": LONG_AGO,
        "queued_at": LONG_AGO,
    },
    "idempotency_keys": {
        "id": "i",
        "principal": "u",
        "key": "k",
        "request_sha256": "h",
        "prediction_id": "p",
        "created_at": LONG_AGO,
    },
    "audit_events": {
        "id": "a",
        "at": LONG_AGO,
        "actor": "user:u",
        "action": "scan.upload",
        "subject_kind": "scan",
        "subject_id": "s",
    },
}

RUN = {"organisation_id": DEFAULT_ORGANISATION_ID, "cohort_folder": "/cohorts/a", "device": "cpu"}

UPGRADE = "import sys; from service.db.migrate import upgrade; upgrade(sys.argv[1])"


@BOTH_DATABASES
def test_the_migrations_make_exactly_the_tables_of_the_rows(database_url: str) -> None:
    engine = make_engine(database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []
    # Constraints that the comparison does not see.
    tables = ("predictions", "idempotency_keys", "training_folds", "audit_heads")
    checks = {check["name"] for name in tables for check in inspect(engine).get_check_constraints(name)}
    engine.dispose()
    assert checks == {
        "ck_predictions_state",
        "ck_idempotency_keys_answer",
        "ck_training_folds_state",
        "ck_audit_heads_one",
    }


@BOTH_DATABASES
def test_every_migration_can_be_undone(database_url: str) -> None:
    engine = make_engine(database_url)
    with Session(engine) as session:
        migrate.require_up_to_date(session)
    with engine.connect() as connection:
        command.downgrade(migrate._config(connection), "base")
        connection.commit()
    with Session(engine) as session, pytest.raises(migrate.SchemaOlderError):
        migrate.require_up_to_date(session)
    assert inspect(engine).get_table_names() == ["alembic_version"]
    migrate.upgrade(engine)
    with Session(engine) as session:
        migrate.require_up_to_date(session)
    engine.dispose()


@BOTH_DATABASES
def test_rows_older_than_organisations_belong_to_the_first_one_and_outlive_both_ways(
    database_url: str,
) -> None:
    engine = make_engine(database_url)

    def move(act: Callable[[Config, str], None], revision: str) -> None:
        with engine.connect() as connection:
            act(migrate._config(connection), revision)
            connection.commit()

    def rows() -> list[int]:
        with engine.connect() as connection:
            return [connection.scalar(select(func.count()).select_from(table(name))) for name in OLD_ROWS]

    move(command.downgrade, "0002")
    with engine.begin() as connection:
        for name, values in OLD_ROWS.items():
            connection.execute(insert(table(name, *map(column, values))).values(values))
    move(command.upgrade, "0003")
    assert rows() == [1] * len(OLD_ROWS)
    with engine.connect() as connection:
        for name in OLD_ROWS:
            owned_by = connection.scalars(select(column("organisation_id")).select_from(table(name))).all()
            assert owned_by == [DEFAULT_ORGANISATION_ID], name
        found = connection.execute(text("SELECT id, name FROM organisations")).all()
        assert found == [(DEFAULT_ORGANISATION_ID, DEFAULT_ORGANISATION)]
    move(command.downgrade, "0002")
    assert rows() == [1] * len(OLD_ROWS)
    # References are kept too, and watched over again: what they lead to cannot go without them.
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM scans"))
        connection.execute(text("DELETE FROM users"))
    assert rows() == [0, 0, 0, 0, 0, 1]
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


@BOTH_DATABASES
def test_keys_of_predictions_outlive_the_way_back_and_those_of_training_do_not(
    sessions: sessionmaker[Session], scan_id: str
) -> None:
    owned = {"organisation_id": DEFAULT_ORGANISATION_ID, "principal": "u", "request_sha256": "h"}
    with sessions.begin() as session:
        job_id = jobs.enqueue(session, scan_id=scan_id).id
        session.add(IdempotencyRow(**owned, key="scan", prediction_id=job_id))
        session.add(IdempotencyRow(**owned, key="training", grid_id="g"))
    engine = sessions.kw["bind"]
    migrate.downgrade(engine.url.render_as_string(hide_password=False), "0021")
    migrate.upgrade(engine)
    with sessions() as session:
        found = session.execute(select(IdempotencyRow.key, IdempotencyRow.prediction_id)).all()
    assert [tuple(row) for row in found] == [("scan", job_id)]


@BOTH_DATABASES
def test_no_run_that_failed_comes_back_as_one_that_succeeded(sessions: sessionmaker[Session]) -> None:
    ids = {}
    with sessions.begin() as session:
        for state in ("failed", "cancelled", "succeeded", "training"):
            over = None if state == "training" else utc_now()
            run = TrainingRunRow(**RUN, run_folder=state, state=state, finished_at=over)
            session.add(run)
            session.flush()
            session.add(TrainingFoldRow(organisation_id=run.organisation_id, run_id=run.id, fold=0))
            ids[run.id] = state
        session.add(TrainingRunRow(**RUN, run_folder="unplanned", state="failed", finished_at=utc_now()))
    engine = sessions.kw["bind"]
    migrate.downgrade(engine.url.render_as_string(hide_password=False), "0015")
    migrate.upgrade(engine)
    with sessions() as session:
        found = {ids[run.id]: run.state for run in session.scalars(select(TrainingRunRow))}
    assert found == {
        "failed": "training",
        "cancelled": "training",
        "succeeded": "succeeded",
        "training": "training",
    }


def test_a_key_from_before_there_were_scopes_keeps_all_that_its_role_allows(database_url: str) -> None:
    engine = make_engine(database_url)
    at = datetime.now(UTC)
    with engine.connect() as connection:
        command.downgrade(migrate._config(connection), "0002")
        tables = MetaData()
        tables.reflect(connection, only=["users", "api_keys"])
        user = {"id": "u", "username": "pacs", "password_hash": "x", "role": "integrator", "created_at": at}
        connection.execute(tables.tables["users"].insert(), user)
        key = {"id": "k", "name": "old", "prefix": "rnk_12345678", "user_id": "u", "created_at": at}
        connection.execute(
            tables.tables["api_keys"].insert(), key | {"key_hash": secret_hash("rnk_12345678x")}
        )
        connection.commit()
    migrate.upgrade(engine)
    with session_factory(engine)() as session:
        found = find_api_key(session, "rnk_12345678x")
        assert found is not None
        assert read_scopes(found[0].scopes) == EVERY_SCOPE
    engine.dispose()


def test_a_new_database_gets_its_folder(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/deep/down/restnet.db"
    migrate.upgrade(url)
    migrate.upgrade(url)
    engine = make_engine(url)
    with Session(engine) as session:
        migrate.require_up_to_date(session)
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


@BOTH_DATABASES
def test_the_model_that_answered_before_there_were_deployments_answers_on(database_url: str) -> None:
    engine = make_engine(database_url)

    def move(change: Callable[[Config, str], None], revision: str) -> None:
        with engine.connect() as connection:
            change(migrate._config(connection), revision)
            connection.commit()

    def deployed() -> list[tuple[str, int, str, str]]:
        found = "SELECT model_version_id, number, kind, actor FROM model_deployments WHERE answering"
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(found))]

    move(command.downgrade, "0014")
    columns = ("id", "name", "version", "sha256", "storage_key", "card", "active", "created_at")
    versions = table("model_versions", *map(column, columns))
    with engine.begin() as connection:
        for id_, active in (("old", False), ("new", True)):
            values = dict.fromkeys(columns, id_) | {"card": "{}", "active": active, "created_at": LONG_AGO}
            connection.execute(insert(versions).values(values))
    with session_factory(engine).begin() as session:
        for action in ("model.register", "model.activate"):
            record(
                session,
                actor=Actor("user:chief", "here"),
                action=action,
                subject_kind="model_version",
                subject_id="new",
            )
    move(command.upgrade, "head")
    assert deployed() == [("new", 1, "first", "user:chief")]
    with engine.connect() as connection:
        added = connection.execute(text("SELECT id, added_by FROM model_versions ORDER BY id"))
        assert [tuple(row) for row in added] == [("new", "user:chief"), ("old", None)]
        began = text(
            "SELECT started_at = created_at FROM model_deployments JOIN model_versions v ON v.id = 'new'"
        )
        assert connection.execute(began).scalar_one()
    move(command.downgrade, "0014")
    with engine.connect() as connection:
        active = connection.execute(text("SELECT id FROM model_versions WHERE active")).scalars().all()
    move(command.upgrade, "head")
    assert (active, deployed()[0][0]) == (["new"], "new")
    engine.dispose()
