"""Runs the migrations on the connection that service.db.migrate passes, or on the one in the settings."""

from alembic import context
from sqlalchemy import Connection, text

from service.db import rows
from service.db.engine import make_engine
from service.settings import Settings

# Any number, the same in every process: two upgrades at once take turns.
POSTGRESQL_LOCK = 7_378_697


def run(connection: Connection) -> None:
    sqlite = connection.dialect.name == "sqlite"
    if sqlite:
        # SQLite changes a column by making the table anew, and dropping the old one would take with it
        # whatever refers to its rows. Not to be changed within a transaction, so this connection keeps it to
        # its end and must not go back to a pool.
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
        connection.detach()
        # The driver opens no transaction before DDL by itself.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": POSTGRESQL_LOCK})
    context.configure(
        connection=connection,
        target_metadata=rows.Base.metadata,
        render_as_batch=True,
        transactional_ddl=True,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()
    if sqlite and connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
        message = "expected every row to refer to one that is there, found one that does not"
        raise RuntimeError(message)


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    engine = make_engine(Settings().database_url.get_secret_value())
    with engine.begin() as connection:
        run(connection)
    engine.dispose()
