"""One prediction in this process, with the model replaced at its seam: what each way to fail becomes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from imaging.errors import ScanError
from model.errors import CheckpointDigestError
from service import jobs
from service.db.restricted import OrganisationSessions
from service.db.rows import PredictionRow, ResultRow, ScanMeasurementRow, ScanRow
from service.enclosure import EnclosureUnavailableError, ReaderDiedError
from service.identity.actor import Actor
from service.identity.organisations import create_organisation
from service.registry import CheckpointMissingError, NoActiveModelError
from service.settings import Settings
from service.worker import job
from service.worker.prediction import run_prediction
from service.worker.runtime import Answer, Runtime, open_runtime

RESULT: dict[str, Any] = {
    "adhd_probability": 0.61,
    "interval": {"low": 0.44, "high": 0.75},
    "decision": "uncertain",
    "timing_ms": {"total": 1.0},
}


class TooShortError(ScanError):
    code = "too_short"

    def __init__(self, *, found: int, ratio: float) -> None:
        self.found = found
        self.ratio = ratio
        super().__init__("expected 20 frames, found 3")


@pytest.fixture
def runtime(tmp_path: Path, database_url: str) -> Runtime:
    settings = Settings(data_dir=tmp_path, database_url=database_url, heartbeat_s=0.1, backoff_s=60)
    return open_runtime(settings)


@pytest.fixture
def queued(runtime: Runtime, sessions: sessionmaker[Session], scan_id: str) -> str:
    with runtime.storage.receive(max_bytes=10) as upload:
        upload.write(b"scan")
        runtime.storage.promote(upload, "scans/a.nii")
    with sessions.begin() as session:
        return jobs.enqueue(session, scan_id=scan_id, max_attempts=2).id


EMBEDDING = tuple(float(number) for number in range(16))

Act = Callable[[Callable[[str, float], None]], dict[str, Any]]


@pytest.fixture
def run(
    runtime: Runtime,
    queued: str,
    model_version_id: str,
    sessions: sessionmaker[Session],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Act], PredictionRow]:
    def run_with(act: Act) -> PredictionRow:
        def predict(
            path: Path, predictor: object, *, scan: ScanRow, kept: object, progress: Any, check: Any
        ) -> Answer:
            assert kept is None
            assert path.read_bytes() == b"scan"
            assert scan.display_name == "a.nii"
            check()
            return Answer(act(progress), EMBEDDING)

        monkeypatch.setattr(runtime, "predict", predict)
        monkeypatch.setattr(runtime, "active_model", lambda: (model_version_id, None))
        run_prediction(runtime, queued)
        with sessions() as session:
            return session.get_one(PredictionRow, queued)

    return run_with


def test_a_worker_serves_every_organisation_and_keeps_their_results_apart(
    runtime: Runtime,
    sessions: sessionmaker[Session],
    model_version_id: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jobs_of: dict[str, str] = {}
    for name in ("north", "south"):
        with runtime.storage.receive(max_bytes=10) as upload:
            upload.write(name.encode())
            runtime.storage.promote(upload, f"scans/{name}.nii")
        with sessions.begin() as session:
            organisation = create_organisation(session, name=name)
            scan = ScanRow(
                organisation_id=organisation.id,
                sha256="0" * 64,
                size_bytes=5,
                display_name=name,
                storage_key=f"scans/{name}.nii",
            )
            session.add(scan)
            session.flush()
            jobs_of[organisation.id] = jobs.enqueue(session, scan_id=scan.id).id

    def predict(path: Path, _predictor: object, **_more: object) -> Answer:
        return Answer(RESULT | {"decision": path.read_text()}, EMBEDDING)

    monkeypatch.setattr(runtime, "predict", predict)
    monkeypatch.setattr(runtime, "active_model", lambda: (model_version_id, None))
    for prediction_id in jobs_of.values():
        run_prediction(runtime, prediction_id)
    for (organisation_id, prediction_id), name in zip(jobs_of.items(), ("north", "south"), strict=True):
        with OrganisationSessions(sessions.kw["bind"], organisation_id).open() as session:
            [prediction] = session.scalars(select(PredictionRow))
            [result] = session.scalars(select(ResultRow))
            assert (prediction.id, prediction.state) == (prediction_id, "succeeded")
            assert (result.prediction_id, result.decision) == (prediction_id, name)


def failing(error: BaseException) -> Act:
    def act(_progress: object) -> dict[str, Any]:
        raise error

    return act


def test_an_answer_is_stored_once_however_often_it_is_delivered(
    run: Callable[[Act], PredictionRow], sessions: sessionmaker[Session]
) -> None:
    calls = []

    def act(progress: Callable[[str, float], None]) -> dict[str, Any]:
        calls.append(1)
        progress("preprocessing", 0.5)
        progress("classifying", 1.0)
        return RESULT

    assert run(act).state == "succeeded"
    row = run(act)
    assert (row.state, row.attempts, len(calls)) == ("succeeded", 1, 1)
    with sessions() as session:
        assert session.get_one(ResultRow, row.id).result == RESULT
        measured = session.get_one(ScanMeasurementRow, row.id)
        assert (measured.embedding, measured.model_version_id) == (list(EMBEDDING), row.model_version_id)


def test_a_bad_scan_fails_at_once_with_its_own_words(run: Callable[[Act], PredictionRow]) -> None:
    row = run(failing(TooShortError(found=3, ratio=float("nan"))))
    assert (row.state, row.error_code, row.error_message) == (
        "failed",
        "too_short",
        "expected 20 frames, found 3",
    )
    assert row.error_details == {"found": 3, "ratio": "nan"}
    assert row.lease_owner is None


def test_a_file_that_ends_its_reader_is_not_tried_again(run: Callable[[Act], PredictionRow]) -> None:
    row = run(failing(ReaderDiedError(found="SIGSEGV")))
    assert (row.state, row.error_code, row.attempts) == ("failed", "scan_reader_died", 1)
    assert row.error_details == {"found": "SIGSEGV"}


def test_a_model_that_cannot_answer_fails_with_its_code(run: Callable[[Act], PredictionRow]) -> None:
    row = run(failing(CheckpointDigestError(expected="a", found="b")))
    assert (row.state, row.error_code) == ("failed", "checkpoint_sha256_mismatch")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NoActiveModelError(), "no_active_model"),
        (CheckpointMissingError(sha256="a"), "checkpoint_missing"),
    ],
)
def test_a_scan_waits_for_a_model_however_long_it_takes(
    run: Callable[[Act], PredictionRow], monkeypatch: pytest.MonkeyPatch, error: Exception, code: str
) -> None:
    calls = []

    def act(_progress: object) -> dict[str, Any]:
        calls.append(1)
        raise error

    for turn, wait_s in enumerate((0.0, 0.0, 0.0, 30.0), start=1):
        monkeypatch.setattr(job, "WAIT_S", wait_s)
        row = run(act)
        assert (row.state, row.error_code, row.attempts) == ("queued", code, 0)
        assert len(calls) == turn
    assert 25 < (row.not_before - row.started_at).total_seconds() < 35


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(5, "Input/output error", "/secret/path"), "storage_unavailable"),
        (OperationalError("SELECT", {}, Exception("gone")), "database_unavailable"),
        (EnclosureUnavailableError(), "scan_reader_unavailable"),
    ],
)
def test_what_may_pass_is_tried_again_later(
    run: Callable[[Act], PredictionRow], error: Exception, code: str
) -> None:
    row = run(failing(error))
    assert (row.state, row.error_code, row.attempts) == ("queued", code, 1)
    assert 50 < (row.not_before - row.started_at).total_seconds() < 70
    assert "/secret" not in row.error_message


def test_a_fault_of_ours_gives_a_reference_and_keeps_its_secrets(
    run: Callable[[Act], PredictionRow], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    row = run(failing(KeyError("/secret/path")))
    assert (row.state, row.error_code) == ("failed", "internal_error")
    assert row.error_reference in row.error_message
    assert "secret" not in row.error_message
    captured = capsys.readouterr()
    log = captured.out + captured.err + caplog.text
    assert row.error_reference in log
    assert "KeyError" in log


def test_a_process_that_is_made_to_exit_pays_with_its_attempt(
    run: Callable[[Act], PredictionRow], sessions: sessionmaker[Session], queued: str
) -> None:
    with pytest.raises(SystemExit):
        run(failing(SystemExit()))
    with sessions() as session:
        row = session.get_one(PredictionRow, queued)
    assert (row.state, row.attempts) == ("preprocessing", 1)


def test_work_that_takes_too_long_is_stopped(
    run: Callable[[Act], PredictionRow], runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    limited = runtime.settings.model_copy(update={"soft_time_limit_s": 0.2})
    monkeypatch.setattr(runtime, "settings", limited)

    def act(progress: Callable[[str, float], None]) -> dict[str, Any]:
        while True:
            time.sleep(0.02)
            progress("preprocessing", 0.5)

    row = run(act)
    assert (row.state, row.error_code) == ("failed", "time_limit")
    assert row.error_details == {"limit_s": 0.2}


def test_a_cancellation_just_before_the_result_wins(
    run: Callable[[Act], PredictionRow], sessions: sessionmaker[Session], queued: str
) -> None:
    def act(_progress: object) -> dict[str, Any]:
        with sessions.begin() as session:
            jobs.request_cancel(session, queued, actor=Actor("user:1", "test"))
        return RESULT

    assert run(act).state == "cancelled"
    with sessions() as session:
        assert session.get(ResultRow, queued) is None


def test_a_file_that_is_gone_is_said(
    run: Callable[[Act], PredictionRow], runtime: Runtime, sessions: sessionmaker[Session]
) -> None:
    runtime.storage.delete("scans/a.nii")
    row = run(lambda _progress: RESULT)
    assert (row.state, row.error_code, row.attempts) == ("failed", "stored_file_missing", 1)


def test_the_last_word_is_said_again_when_the_database_was_away(
    run: Callable[[Act], PredictionRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    real_finish, failures = jobs.finish, [1, 1]

    def finish(*args: Any, **kwargs: Any) -> bool:
        if failures:
            failures.pop()
            raise OperationalError("UPDATE", {}, Exception("away"))
        return real_finish(*args, **kwargs)

    monkeypatch.setattr(jobs, "finish", finish)
    monkeypatch.setattr(job, "WRITE_PAUSE_S", 0.01)
    assert run(lambda _progress: RESULT).state == "succeeded"


def test_an_unknown_job_is_no_error(runtime: Runtime) -> None:
    run_prediction(runtime, "nobody")
