"""A job whose scan cannot be read now: it waits, however long storage is away, and then succeeds."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from service import jobs
from service.db.rows import PredictionRow
from service.identity.actor import Actor
from service.settings import Settings
from service.storage import StorageUnavailableError
from service.storage.key_file import make_key_file
from service.worker.prediction import run_prediction
from service.worker.runtime import Answer, Runtime, open_runtime
from tests.servers import S3Server, s3_server, wait_until

RESULT: dict[str, Any] = {
    "adhd_probability": 0.61,
    "interval": {"low": 0.44, "high": 0.75},
    "decision": "uncertain",
    "timing_ms": {"total": 1.0},
}
KEY = "scans/a.nii"
Run = Callable[[Runtime], PredictionRow]


@pytest.fixture
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def run(
    sessions: sessionmaker[Session], scan_id: str, model_version_id: str, monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Run the one prediction, due or not, with a model that answers whatever bytes it is given."""
    with sessions.begin() as session:
        prediction_id = jobs.enqueue(session, scan_id=scan_id, max_attempts=2).id

    def predict(_runtime: Runtime, path: Path, _predictor: object, **_options: object) -> Answer:
        assert path.read_bytes() == b"scan"
        return Answer(RESULT, (0.0,) * 16)

    monkeypatch.setattr(Runtime, "predict", predict)
    monkeypatch.setattr(Runtime, "active_model", lambda _runtime: (model_version_id, None))

    def run_with(runtime: Runtime) -> PredictionRow:
        with sessions.begin() as session:
            session.execute(update(PredictionRow).values(not_before=None))
        run_prediction(runtime, prediction_id)
        with sessions() as session:
            return session.get_one(PredictionRow, prediction_id)

    return run_with


def store(runtime: Runtime) -> None:
    with runtime.storage.receive(max_bytes=10) as upload:
        upload.write(b"scan")
        runtime.storage.promote(upload, KEY)


def waited_s(row: PredictionRow) -> float:
    seconds: float = (row.not_before - row.started_at).total_seconds()
    return seconds


@pytest.mark.integration
@pytest.mark.enable_socket
@pytest.mark.parametrize("outage", ["killed", "silent"])
def test_a_job_outlasts_an_outage_longer_than_all_its_attempts(
    run: Run, s3: S3Server, tmp_path: Path, database_url: str, outage: str
) -> None:
    values = s3.settings("p", storage_timeout_s=0.3, storage_attempts=1)
    runtime = open_runtime(Settings(data_dir=tmp_path, database_url=database_url, backoff_s=2, **values))
    store(runtime)
    s3.kill() if outage == "killed" else s3.pause()
    waits = []
    for _ in range(4):
        row = run(runtime)
        assert (row.state, row.error_code, row.attempts) == ("queued", "storage_unavailable", 0)
        waits.append(waited_s(row))
    # 2, 4, 8 and 16 s from the end of each try.
    assert waits == sorted(waits)
    assert waits[0] < 6
    assert 15 < waits[-1] < 25
    s3.start() if outage == "killed" else s3.resume()
    row = run(runtime)
    assert (row.state, row.error_code, row.attempts) == ("succeeded", None, 1)
    assert runtime.outage_pause_s() == 2, "the next outage is a new one"


@pytest.mark.integration
@pytest.mark.enable_socket
def test_a_cancellation_ends_a_download_that_stalls(
    run: Run, sessions: sessionmaker[Session], s3: S3Server, tmp_path: Path, database_url: str
) -> None:
    runtime = open_runtime(Settings(data_dir=tmp_path, database_url=database_url, **s3.settings("p")))
    store(runtime)

    def cancel() -> None:
        with sessions.begin() as session:
            prediction_id = session.scalars(select(PredictionRow.id)).one()
            jobs.request_cancel(session, prediction_id, actor=Actor("user:1", "test"))

    s3.pause()
    canceller = threading.Timer(1.0, cancel)
    canceller.start()
    began = time.monotonic()
    row = run(runtime)
    assert (row.state, time.monotonic() - began < 3) == ("cancelled", True)
    # Whoever was left behind with the download removes what came of it.
    s3.resume()
    wait_until(lambda: not any(tmp_path.rglob("a.nii")), "the copy to be removed")
    wait_until(lambda: "entering" not in {thread.name for thread in threading.enumerate()}, "the thread")


def test_one_file_that_cannot_be_had_costs_attempts(
    run: Run, tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = open_runtime(Settings(data_dir=tmp_path, database_url=database_url))
    store(runtime)

    def broken(_key: str, **_options: object) -> None:
        raise StorageUnavailableError("Input/output error")

    monkeypatch.setattr(runtime.storage, "open_local", broken)
    row = run(runtime)
    assert (row.state, row.error_code, row.attempts) == ("queued", "storage_unavailable", 1)
    row = run(runtime)
    assert (row.state, row.error_code, row.attempts) == ("failed", "storage_unavailable", 2)


def test_a_job_waits_for_the_key_that_is_not_there(run: Run, tmp_path: Path, database_url: str) -> None:
    def runtime(key_file: Path) -> Runtime:
        settings = Settings(data_dir=tmp_path, database_url=database_url, encryption_key_file=key_file)
        return open_runtime(settings)

    for name in ("right", "wrong"):
        make_key_file(tmp_path / name)
    store(runtime(tmp_path / "right"))
    for _ in range(3):
        row = run(runtime(tmp_path / "wrong"))
        assert (row.state, row.error_code, row.attempts) == ("queued", "encryption_key_missing", 0)
    assert run(runtime(tmp_path / "right")).state == "succeeded"


def test_a_damaged_file_fails_at_once(run: Run, tmp_path: Path, database_url: str) -> None:
    make_key_file(tmp_path / "keys")
    runtime = open_runtime(
        Settings(data_dir=tmp_path, database_url=database_url, encryption_key_file=tmp_path / "keys")
    )
    store(runtime)
    stored = tmp_path / "storage" / KEY
    stored.write_bytes(stored.read_bytes()[:-1])
    row = run(runtime)
    assert (row.state, row.error_code, row.attempts) == ("failed", "stored_file_damaged", 1)
