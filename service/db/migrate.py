"""Brings a database to the newest schema."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from service.db.engine import make_engine, sqlite_file

# An application, installed in place: the scripts lie beside the package.
MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"


def upgrade(database: Engine | str) -> None:
    """Apply every migration that the database lacks, in one transaction; two callers at once take turns.

    Parameters
    ----------
    database : Engine or str
        An engine, or the address of a database; the folder of a SQLite file is made when missing.
    """
    if isinstance(database, str):
        _make_folder(database)
        engine = make_engine(database)
        try:
            upgrade(engine)
        finally:
            engine.dispose()
        return
    with database.connect() as connection:
        command.upgrade(_config(connection), "head")
        connection.commit()


def is_current(engine: Engine) -> bool:
    """Tell whether every migration has been applied."""
    heads = ScriptDirectory(str(MIGRATIONS)).get_heads()
    with engine.connect() as connection:
        return set(MigrationContext.configure(connection).get_current_heads()) == set(heads)


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _make_folder(url: str) -> None:
    file = sqlite_file(url)
    if file is not None:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
