"""From a database address to sessions."""

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.orm import Session, sessionmaker

BUSY_TIMEOUT_MS = 10_000


def make_engine(url: str) -> Engine:
    """Return an engine for SQLite (write-ahead log, foreign keys on) or PostgreSQL.

    SQLite connections keep the driver's classic transactions: the first *write* opens one, so it waits for
    its turn under the busy timeout. A transaction opened by a read could not be turned into a writing one
    while somebody else writes, and would fail at once.

    Parameters
    ----------
    url : str
        A SQLAlchemy address.
    """
    address = make_url(url)
    if address.get_backend_name() != "sqlite":
        # Short connect time: a worker must notice a lost database within its lease.
        return create_engine(
            address, pool_pre_ping=True, hide_parameters=True, connect_args={"connect_timeout": 5}
        )
    engine = create_engine(address, hide_parameters=True, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000})
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def sqlite_file(url: str) -> Path | None:
    """Return the file that an address of SQLite names; None for another database, or one in memory."""
    address = make_url(url)
    if address.get_backend_name() != "sqlite" or address.database in {None, "", ":memory:"}:
        return None
    return Path(str(address.database))


def _prepare_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={BUSY_TIMEOUT_MS}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def session_factory(engine: Engine) -> sessionmaker[Session]:
    """Return a factory of sessions; rows stay readable after the commit."""
    return sessionmaker(engine, expire_on_commit=False)
