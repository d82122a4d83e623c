"""Brings a database to the newest schema, and back to an older one."""

from functools import cache
from pathlib import Path
from typing import ClassVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from service.db.engine import make_engine, sqlite_file
from service.errors import ServiceError
from service.logs import get_logger

# An application, installed in place: the scripts lie beside the package.
MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"

log = get_logger(__name__)


class SchemaNewerError(ServiceError):
    """A database that a newer RestNet has changed: this one would not understand it."""

    code: ClassVar[str] = "database_newer"

    def __init__(self, *, revision: str) -> None:
        self.revision = revision
        super().__init__(
            f"expected a database of this version of RestNet or an older one, found revision {revision!r}, "
            "which this version does not know"
        )


class SchemaOlderError(ServiceError):
    """A database that lacks migrations, or has none yet: this version would miss what they bring."""

    code: ClassVar[str] = "database_older"

    def __init__(self, *, revision: str | None) -> None:
        self.revision = revision
        found = "an empty one" if revision is None else f"revision {revision!r}"
        super().__init__(
            f"expected a database with the newest schema, found {found}: `restnet prepare` brings it there"
        )


class RevisionNotKnownError(ServiceError):
    """A revision to go back to that is not below the database's own."""

    code: ClassVar[str] = "revision_not_known"

    def __init__(self, *, revision: str) -> None:
        self.revision = revision
        super().__init__(
            f"expected a revision that the database has left behind, found {revision!r}: "
            "`restnet db status` lists them"
        )


def upgrade(database: Engine | str) -> None:
    """Apply every migration that the database lacks, in one transaction; two callers at once take turns.

    Parameters
    ----------
    database : Engine or str
        An engine, or the address of a database; the folder of a SQLite file is made when missing.

    Raises
    ------
    SchemaNewerError
        If a newer version of RestNet has changed the database.
    """
    if isinstance(database, str):
        _make_folder(database)
        engine = make_engine(database)
        try:
            upgrade(engine)
        finally:
            engine.dispose()
        return
    require_known(_revision(database))
    with database.connect() as connection:
        command.upgrade(_config(connection), "head")
        connection.commit()


def downgrade(url: str, revision: str) -> None:
    """Take back every migration after a revision; what only they had room for is lost.

    Parameters
    ----------
    revision : str
        Such as ``0002``; it stays.

    Raises
    ------
    RevisionNotKnownError
        If the database has not passed that revision.
    SchemaNewerError
        If a newer version of RestNet has changed the database.
    """
    require_passed(url, revision)
    engine = make_engine(url)
    try:
        with engine.connect() as connection:
            command.downgrade(_config(connection), revision)
            connection.commit()
    finally:
        engine.dispose()


def require_passed(url: str, revision: str) -> None:
    """Refuse a revision to which a database cannot go back; nothing is changed.

    Raises
    ------
    RevisionNotKnownError, SchemaNewerError
        As :func:`downgrade`.
    """
    current = revision_of(url)
    require_known(current)
    if current is None or revision not in revisions(upto=current)[:-1]:
        raise RevisionNotKnownError(revision=revision)


def revision_of(url: str) -> str | None:
    """Return the newest migration that a database has; None where it has none yet."""
    engine = make_engine(url)
    try:
        return _revision(engine)
    finally:
        engine.dispose()


@cache
def revisions(*, upto: str | None = None) -> tuple[str, ...]:
    """Return the known migrations, oldest first, up to and with one of them; all by default."""
    scripts = ScriptDirectory(str(MIGRATIONS))
    known = tuple(script.revision for script in scripts.walk_revisions("base", "heads"))[::-1]
    return known if upto is None else known[: known.index(upto) + 1]


def require_known(revision: str | None) -> None:
    """Refuse a revision that this version does not know.

    Raises
    ------
    SchemaNewerError
    """
    if revision is not None and revision not in revisions():
        raise SchemaNewerError(revision=revision)


def require_up_to_date(session: Session) -> None:
    """Refuse a database that lacks migrations; one that is ahead serves the versions before until they end.

    Raises
    ------
    SchemaOlderError
    """
    revision = _revision_at(session.connection())
    if revision is None or revision in revisions()[:-1]:
        raise SchemaOlderError(revision=revision)


def require_usable(url: str) -> None:
    """Refuse, at the start of a process, a database of another schema; one that is away may come back.

    Raises
    ------
    SchemaOlderError, SchemaNewerError
    """
    engine = make_engine(url)
    try:
        with Session(engine) as session:
            require_known(_revision_at(session.connection()))
            require_up_to_date(session)
    except OperationalError as error:
        log.warning("database_away", reason=type(error).__name__)
    finally:
        engine.dispose()


def _revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        return _revision_at(connection)


def _revision_at(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _make_folder(url: str) -> None:
    file = sqlite_file(url)
    if file is not None:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
