"""A place of work for real workers: a database, a broker, storage, a model and scans."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import func, select

from model import demonstration_checkpoint
from service import jobs
from service.db.engine import make_engine, session_factory
from service.db.migrate import upgrade
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import PredictionRow, PredictionState, ResultRow, ScanRow
from service.identity.actor import program
from service.queue import announce, make_celery
from service.registry import let_answer
from service.registry.registering import register
from service.settings import Settings
from service.storage import open_storage, scan_key
from tests.conftest import SHARED_DATA
from tests.servers import new_database, postgres_server, redis_url, wait_until

__all__ = ["postgres_server", "redis_url"]

HELD_WORKER = Path(__file__).parent / "held_worker.py"

# Short, so that a lost worker is noticed soon; a busy machine must still manage a heartbeat within the lease.
LEASE_S = 3.0
QUICK = {"lease_s": LEASE_S, "heartbeat_s": 0.5, "sweep_s": 0.5, "backoff_s": 0.2, "republish_s": 5}


@dataclass
class Workplace:
    """Everything around a worker, and the workers that were started here."""

    settings: Settings
    marks: Path
    scan: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.engine = make_engine(self.settings.database_url.get_secret_value())
        self.sessions = session_factory(self.engine)
        self.storage = open_storage(self.settings)
        self.app = make_celery(self.settings)

    def upload(self, name: str, *, content: bytes | None = None, publish: bool = True) -> str:
        """Store a scan and queue its prediction, as the REST side does."""
        content = self.scan.read_bytes() if content is None else content
        scan_id = str(uuid4())
        packed = content.startswith(b"PK")
        key = scan_key(scan_id, "scan.zip" if packed else self.scan.name)
        with self.storage.receive(max_bytes=1 << 30) as upload:
            upload.write(content)
            self.storage.promote(upload, key)
        with self.sessions.begin() as session:
            session.add(
                ScanRow(
                    id=scan_id,
                    organisation_id=DEFAULT_ORGANISATION_ID,
                    sha256=upload.sha256,
                    size_bytes=upload.size_bytes,
                    display_name=name,
                    storage_key=key,
                    packed=packed,
                )
            )
            session.flush()
            prediction = jobs.enqueue(session, scan_id=scan_id, max_attempts=self.settings.max_attempts)
        if publish:
            announce(self.app, self.sessions, PredictionRow, prediction.id)
        return prediction.id

    def worker(self, *queues: str) -> subprocess.Popen[bytes]:
        """Start a worker process that can be held in a stage."""
        arguments = [part for queue in queues for part in ("--queue", queue)]
        process = subprocess.Popen(
            [sys.executable, HELD_WORKER, self.marks, *arguments],
            env={**os.environ, **self.settings.environment()},
            cwd=Path(__file__).parents[2],
        )
        self.processes.append(process)
        return process

    def row(self, prediction_id: str) -> PredictionRow:
        with self.sessions() as session:
            return session.get_one(PredictionRow, prediction_id)

    def wait_for(self, prediction_id: str, *states: PredictionState, within_s: float = 60) -> PredictionRow:
        """Wait for a state; a state that ends the job in another way fails at once."""
        deadline = time.monotonic() + within_s
        while (row := self.row(prediction_id)).state not in states:
            seen = f"{row.state}, attempt {row.attempts}, {row.error_code}: {row.error_message}"
            ended = row.state in {"succeeded", "failed", "cancelled"}
            assert not ended, seen
            assert time.monotonic() < deadline, f"waited {within_s} s for {states}: {seen}"
            time.sleep(0.05)
        return row

    def wait_for_mark(self, name: str, *, within_s: float = 60) -> None:
        wait_until((self.marks / name).exists, f"a worker to stand still in {name}", within_s=within_s)

    def results(self, prediction_id: str) -> int:
        with self.sessions() as session:
            found = select(func.count()).select_from(ResultRow)
            return session.execute(found.where(ResultRow.prediction_id == prediction_id)).scalar_one()

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        process.kill()
        process.wait()

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        self.engine.dispose()
        self.app.close()


@pytest.fixture(scope="session")
def scan_file(simulated_scan: Path) -> Path:
    """A real scan where the project's test data are, else a simulated one of the same geometry."""
    found = sorted((SHARED_DATA / "athena_like").glob("*.nii.gz"))
    return found[0] if found else simulated_scan


@pytest.fixture(scope="session")
def checkpoint() -> Path:
    """The model that a new installation serves."""
    return demonstration_checkpoint()


MakeWorkplace = Callable[..., Workplace]


@pytest.fixture
def make_workplace(
    request: pytest.FixtureRequest, tmp_path: Path, scan_file: Path, checkpoint: Path
) -> Iterator[MakeWorkplace]:
    """Build workplaces: ``make_workplace(broker="redis", database="postgresql", max_attempts=2)``."""
    with ExitStack() as stack:

        def make(*, broker: str = "file", database: str = "sqlite", **changes: object) -> Workplace:
            values: dict[str, object] = {**QUICK, "data_dir": tmp_path / "data", **changes}
            if broker == "redis":
                values["broker_url"] = request.getfixturevalue("redis_url")
            if database == "postgresql":
                server = request.getfixturevalue("postgres_server")
                values["database_url"] = stack.enter_context(new_database(server))
            return stack.enter_context(open_workplace(Settings(**values), tmp_path, scan_file, checkpoint))

        yield make


@contextmanager
def open_workplace(settings: Settings, tmp_path: Path, scan: Path, checkpoint: Path) -> Iterator[Workplace]:
    marks = tmp_path / "marks"
    marks.mkdir()
    upgrade(settings.database_url.get_secret_value())
    place = Workplace(settings=settings, marks=marks, scan=scan)
    try:
        with place.sessions.begin() as session:
            version = register(session, place.storage, checkpoint, actor=program("test"))
            let_answer(session, place.storage, version, actor=program("test"), reason="for the tests")
        yield place
    finally:
        place.close()
