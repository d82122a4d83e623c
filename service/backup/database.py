"""The database as one file: SQLite by its own online copy, PostgreSQL by ``pg_dump`` and ``pg_restore``."""

import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import ClassVar

from sqlalchemy import URL, inspect, make_url

from service.db.engine import make_engine, sqlite_file
from service.errors import ServiceError

# Of a program's complaint, for people: enough to see what is wrong.
_COMPLAINT = 300


class DumpFailedError(ServiceError):
    """PostgreSQL's own program is missing or refused."""

    code: ClassVar[str] = "database_dump_failed"

    def __init__(self, *, program: str, found: str) -> None:
        self.program = program
        self.found = found
        super().__init__(f"expected {program} to succeed, found: {found}")


def dump(url: str, target: Path) -> None:
    """Copy a database that may be in use to a file, as it is at one moment.

    Raises
    ------
    DumpFailedError
        If ``pg_dump`` is missing, older than the server, or cannot read it.
    """
    file = sqlite_file(url)
    if file is not None:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as source:
            _copy(source, target)
        return
    _run("pg_dump", url, "--format=custom", "--no-owner", "--no-privileges", f"--file={target}")


def load(url: str, dumped: Path) -> None:
    """Fill an empty database from a file that :func:`dump` made, in whole or not at all.

    Raises
    ------
    DumpFailedError
        If ``pg_restore`` is missing or refuses.
    """
    file = sqlite_file(url)
    if file is not None:
        # Beside its place and then renamed: a copy that is cut short is no database.
        unfinished = file.with_name(file.name + ".restoring")
        unfinished.unlink(missing_ok=True)
        with closing(sqlite3.connect(f"{dumped.absolute().as_uri()}?mode=ro", uri=True)) as source:
            _copy(source, unfinished)
        unfinished.rename(file)
        return
    _run(
        "pg_restore",
        url,
        "--no-owner",
        "--no-privileges",
        "--single-transaction",
        "--exit-on-error",
        str(dumped),
    )


def is_empty(url: str) -> bool:
    """Tell whether a database has no table yet; a SQLite file that is not there has none."""
    file = sqlite_file(url)
    if file is not None and not file.exists():
        return True
    engine = make_engine(url)
    try:
        return not inspect(engine).get_table_names()
    finally:
        engine.dispose()


def _copy(source: sqlite3.Connection, path: Path) -> None:
    with closing(sqlite3.connect(path)) as target:
        source.backup(target)


def _run(program: str, url: str, *arguments: str) -> None:
    address = make_url(url)
    # The password goes by the environment of this one process: a process list shows arguments to everybody.
    environment = {**os.environ, "PGPASSWORD": address.password or ""}
    command = [program, f"--dbname={_libpq(address)}", *arguments]
    try:
        done = subprocess.run(  # noqa: S603  (PostgreSQL's own programs)
            command, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError as error:
        raise DumpFailedError(program=program, found="no such program on this machine") from error
    if done.returncode:
        said = " ".join(done.stderr.split())[:_COMPLAINT] or f"exit status {done.returncode}"
        raise DumpFailedError(program=program, found=said)


def _libpq(address: URL) -> str:
    # Made anew: `URL.set(password=None)` leaves the password as it is.
    return URL.create(
        "postgresql",
        username=address.username,
        host=address.host,
        port=address.port,
        database=address.database,
        query=address.query,
    ).render_as_string()
