"""A migrated database for each test: SQLite always, PostgreSQL as well where a test asks for both."""

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import structlog
from sqlalchemy import make_url
from sqlalchemy.orm import Session, sessionmaker

from service.db.engine import make_engine, session_factory
from service.db.migrate import upgrade
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import ModelVersionRow, ScanRow
from tests.servers import new_database, postgres_server
from tests.service.answering import let_answer

__all__ = ["postgres_server"]

BOTH_DATABASES = pytest.mark.parametrize(
    "database_url",
    ["sqlite", pytest.param("postgresql", marks=[pytest.mark.integration, pytest.mark.enable_socket])],
    indirect=True,
)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "restnet.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_postgresql(postgres_server: str) -> Iterator[tuple[str, str]]:
    """Give the server, and the name of a database on it to make others like."""
    with new_database(postgres_server) as url:
        upgrade(url)
        yield postgres_server, str(make_url(url).database)


@pytest.fixture
def database_url(request: pytest.FixtureRequest, tmp_path: Path, migrated_sqlite: Path) -> Iterator[str]:
    if getattr(request, "param", "sqlite") == "sqlite":
        yield f"sqlite:///{shutil.copy(migrated_sqlite, tmp_path / 'restnet.db')}"
        return
    server, migrated = request.getfixturevalue("migrated_postgresql")
    with new_database(server, like=migrated) as url:
        yield url


@pytest.fixture
def sessions(database_url: str) -> Iterator[sessionmaker[Session]]:
    engine = make_engine(database_url)
    yield session_factory(engine)
    engine.dispose()


@pytest.fixture
def scan_id(sessions: sessionmaker[Session]) -> str:
    """A stored scan's row; its file is not there."""
    with sessions.begin() as session:
        scan = ScanRow(
            id=str(uuid4()),
            organisation_id=DEFAULT_ORGANISATION_ID,
            sha256="0" * 64,
            size_bytes=1,
            display_name="a.nii",
            storage_key="scans/a.nii",
        )
        session.add(scan)
    return scan.id


@pytest.fixture
def model_version_id(sessions: sessionmaker[Session]) -> str:
    with sessions.begin() as session:
        version = ModelVersionRow(
            id=str(uuid4()),
            name="test",
            version="1",
            sha256="1" * 64,
            storage_key="models/a.safetensors",
            card={},
        )
        let_answer(session, version)
    return version.id


@pytest.fixture(autouse=True)
def logs_put_back() -> Iterator[None]:
    """Undo what a test did to the log of the whole process: commands and servers configure it."""
    # structlog's own tracebacks show every variable of every frame, and take seconds over it.
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], plain])
    loggers = [logging.getLogger(name) for name in (None, "multiprocessing")]
    before = [(logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers[:], logger.level, logger.propagate = handlers, level, propagate
    structlog.reset_defaults()
