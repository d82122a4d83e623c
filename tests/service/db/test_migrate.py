import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import MetaData, inspect

from service.db import migrate
from service.db.engine import make_engine, session_factory
from service.db.rows import Base
from service.identity.accounts import secret_hash
from service.identity.api_keys import find_api_key
from service.identity.scopes import EVERY_SCOPE, read_scopes
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
