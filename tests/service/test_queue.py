import json
import shutil
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from celery import Celery
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from service import jobs
from service.db.job import JobRow
from service.db.rows import PredictionRow, TrainingFoldRow
from service.queue import (
    BROKER_TIMEOUT_S,
    MAINTENANCE_SWEEP,
    PREDICTION_RUN,
    TRAINING_FOLD,
    announce,
    lanes_of,
    make_celery,
    messages_waiting,
    publish,
)
from service.settings import Settings
from tests.servers import free_port, missing, redis_server


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


def messages(settings: Settings) -> list[Path]:
    return sorted((settings.data_dir / "broker" / "messages").iterdir())


def unreachable(tmp_path: Path) -> Celery:
    # Nothing listens on port 1, and the tests' network is closed besides.
    return make_celery(Settings(data_dir=tmp_path, broker_url="redis://127.0.0.1:1/0"))


@pytest.mark.parametrize(
    ("kind", "task", "queue"),
    [
        (PredictionRow, "prediction.run", "inference"),
        (TrainingFoldRow, "training.fold", "training"),
    ],
)
def test_a_message_carries_an_id_in_json_and_nothing_else(
    settings: Settings, kind: type[JobRow], task: str, queue: str
) -> None:
    assert publish(make_celery(settings), kind, "an-id")
    (file,) = messages(settings)
    assert file.name.endswith(f".{queue}.msg")
    message = json.loads(file.read_text())
    assert message["headers"]["task"] == task
    assert message["headers"]["argsrepr"] == "['an-id']"
    assert message["content-type"] == "application/json"
    assert message["properties"]["delivery_info"]["routing_key"] == queue


def test_a_broker_that_is_away_costs_nothing_but_a_line(tmp_path: Path) -> None:
    app = unreachable(tmp_path)
    started_at = time.monotonic()
    assert publish(app, PredictionRow, "an-id") is False
    assert time.monotonic() - started_at < 3


def test_the_row_remembers_that_it_was_announced(
    tmp_path: Path, settings: Settings, sessions: sessionmaker[Session], scan_id: str
) -> None:
    with sessions.begin() as session:
        prediction_id = jobs.enqueue(session, scan_id=scan_id).id
    assert not announce(unreachable(tmp_path / "other"), sessions, PredictionRow, prediction_id)
    with sessions() as session:
        assert session.get_one(PredictionRow, prediction_id).published_at is None
    assert announce(make_celery(settings), sessions, PredictionRow, prediction_id)
    with sessions() as session:
        assert session.get_one(PredictionRow, prediction_id).published_at is not None
    assert len(messages(settings)) == 1


def test_a_database_that_fails_after_the_commit_does_not_take_the_job_back(
    settings: Settings, sessions: sessionmaker[Session], scan_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_args: object) -> None:
        raise OperationalError("UPDATE", {}, Exception("database is locked"))

    with sessions.begin() as session:
        prediction_id = jobs.enqueue(session, scan_id=scan_id).id
    monkeypatch.setattr(jobs, "mark_published", locked)
    assert announce(make_celery(settings), sessions, PredictionRow, prediction_id)
    assert len(messages(settings)) == 1


@pytest.mark.parametrize("name", ["a#b", "a?b", "a%41b", "a b"])
def test_messages_stay_in_a_data_directory_with_an_odd_name(tmp_path: Path, name: str) -> None:
    settings = Settings(data_dir=tmp_path / name)
    assert publish(make_celery(settings), PredictionRow, "an-id")
    assert len(messages(settings)) == 1
    assert list(tmp_path.iterdir()) == [tmp_path / name]


def test_each_queue_gets_only_its_own_messages(settings: Settings) -> None:
    app = make_celery(settings)
    app.send_task(MAINTENANCE_SWEEP, queue="maintenance")
    publish(app, PredictionRow, "an-id")
    assert [file.name.split(".")[-2] for file in messages(settings)] == ["maintenance", "inference"]


def test_a_job_that_waits_in_another_queue_is_announced_there(settings: Settings) -> None:
    app = make_celery(settings)
    for lane in lanes_of(PredictionRow):
        publish(app, PredictionRow, "an-id", lane=lane)
    assert sorted(file.name.split(".")[-2] for file in messages(settings)) == ["inference", "normalising"]
    assert messages_waiting(app, PredictionRow, lane="normalising") == 1
    assert lanes_of(TrainingFoldRow) == (None,)


def count_as_they_come(app: Celery) -> list[int | None]:
    counts = [messages_waiting(app, TrainingFoldRow)]
    for kind in (TrainingFoldRow, PredictionRow, TrainingFoldRow):
        publish(app, kind, "an-id")
        counts.append(messages_waiting(app, TrainingFoldRow))
    return counts


def test_waiting_messages_are_counted_by_their_queue(settings: Settings) -> None:
    assert count_as_they_come(make_celery(settings)) == [0, 1, 1, 2]


@pytest.mark.integration
@pytest.mark.enable_socket
def test_waiting_messages_are_counted_in_redis(tmp_path: Path) -> None:
    with redis_server(free_port()) as url:
        app = make_celery(Settings(data_dir=tmp_path, broker_url=url))
        assert count_as_they_come(app) == [0, 1, 1, 2]
        app.close()


@pytest.mark.integration
@pytest.mark.enable_socket
def test_an_upload_does_not_stand_behind_a_broker_that_keeps_silent(tmp_path: Path) -> None:
    port = free_port()
    with redis_server(port) as url:
        app = make_celery(Settings(data_dir=tmp_path, broker_url=url))
        assert publish(app, PredictionRow, "an-id")
        children = psutil.Process().children()
        [server] = [child for child in children if str(port) in " ".join(child.cmdline())]
        server.suspend()
        try:
            began = time.monotonic()
            assert not publish(app, PredictionRow, "an-id")
            assert time.monotonic() - began < 3 * BROKER_TIMEOUT_S
        finally:
            server.resume()
            app.close()


@pytest.mark.integration
@pytest.mark.enable_socket
def test_a_broker_whose_certificate_nobody_vouches_for_is_sent_nothing(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        missing("openssl", "the package openssl")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    made_for = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    written_to = ["-keyout", key, "-out", certificate]
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", *made_for, *written_to],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    port = free_port()
    files = [f"--tls-cert-file {certificate}", f"--tls-key-file {key}", f"--tls-ca-cert-file {certificate}"]
    options = ["--port 0", f"--tls-port {port}", "--tls-auth-clients no", *files]
    with redis_server(port, *" ".join(options).split(" ")):
        for address, heard in (
            (f"rediss://localhost:{port}/0", False),
            (f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={certificate}", True),
        ):
            app = make_celery(Settings(data_dir=tmp_path / "data", broker_url=address))
            assert publish(app, PredictionRow, "an-id") is heard
            app.close()


def test_nobody_knows_what_waits_in_a_broker_that_is_away(tmp_path: Path) -> None:
    assert messages_waiting(unreachable(tmp_path), PredictionRow) is None


def test_only_predictions_have_a_time_limit(settings: Settings) -> None:
    def work(job_id: str) -> None:
        raise AssertionError(job_id)

    app = make_celery(settings)
    limits = {name: app.task(name=name)(work).time_limit for name in (PREDICTION_RUN, TRAINING_FOLD)}
    assert limits == {PREDICTION_RUN: settings.hard_time_limit_s + 60, TRAINING_FOLD: None}
    assert app.conf.task_time_limit is None


def test_redis_redelivers_long_after_the_hard_limit() -> None:
    settings = Settings(broker_url="redis://127.0.0.1:1/0", hard_time_limit_s=900)
    options = make_celery(settings).conf.broker_transport_options
    assert options["visibility_timeout"] >= 5 * 900
