"""The webhook on a real receiver: what it gets, that it gets it once, and what happens when it does not."""

import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker
from structlog.testing import capture_logs

from service.db.base import utc_now
from service.db.rows import DriftAlarmRow
from service.drift.notifying import ATTEMPTS, notify
from service.settings import Settings
from tests.service.drift.drift_rows import add_alarm

pytestmark = pytest.mark.enable_socket


class Receiver:
    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.status = 204
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((dict(self.headers), body))
                self.send_response(receiver.status)
                self.send_header("Location", "http://127.0.0.1:1/")
                self.end_headers()

            def log_message(self, *_args: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/hook?token=secret"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def settings_for(url: str, folder: Path, **more: Any) -> Settings:
    return Settings(data_dir=folder, drift_webhook_url=url, drift_webhook_timeout_s=2, **more)


def test_an_alarm_is_told_once_and_signed(
    receiver: Receiver, sessions: sessionmaker[Session], model_version_id: str, tmp_path: Path
) -> None:
    with sessions.begin() as session:
        alarm_id = add_alarm(session, model_version_id, site="nyu")
    settings = settings_for(receiver.url, tmp_path, drift_webhook_secret="key")
    assert notify(sessions, settings) == 1
    assert notify(sessions, settings) == 0
    [(headers, body)] = receiver.got
    expected = hmac.new(b"key", body, hashlib.sha256).hexdigest()
    assert headers["X-RestNet-Signature"] == f"sha256={expected}"
    told = json.loads(body)
    assert (told["event"], told["alarm_id"], told["week"], told["site"]) == (
        "drift_alarm",
        alarm_id,
        "2026-W48",
        "nyu",
    )
    assert told["model"] == {"id": model_version_id, "name": "test", "version": "1"}
    assert [finding["variable"] for finding in told["findings"]] == ["tr_s"]
    with sessions() as session:
        assert session.scalars(select(DriftAlarmRow)).one().notified_at is not None


@pytest.mark.parametrize("status", [500, 302])
def test_what_is_not_taken_is_tried_again_later(
    receiver: Receiver, sessions: sessionmaker[Session], model_version_id: str, tmp_path: Path, status: int
) -> None:
    with sessions.begin() as session:
        add_alarm(session, model_version_id)
        add_alarm(session, model_version_id, week="2026-W47")
    receiver.status = status
    settings = settings_for(receiver.url, tmp_path)
    with capture_logs() as logs:
        assert notify(sessions, settings) == 0
    # One failure ends the round.
    assert len(receiver.got) == 1
    assert [(line["event"], line["status"]) for line in logs] == [("drift_webhook_failed", status)]
    assert "X-RestNet-Signature" not in receiver.got[0][0]
    receiver.status = 200
    assert notify(sessions, settings) == 1
    with sessions.begin() as session:
        session.execute(update(DriftAlarmRow).values(notify_after=utc_now(-1)))
    assert notify(sessions, settings) == 1
    assert len(receiver.got) == 3


def test_what_was_seen_or_is_old_is_not_told(
    receiver: Receiver, sessions: sessionmaker[Session], model_version_id: str, tmp_path: Path
) -> None:
    with sessions.begin() as session:
        seen, old = (add_alarm(session, model_version_id, site=site) for site in ("a", "b"))
        session.get_one(DriftAlarmRow, seen).acknowledged_at = datetime.now(UTC)
        session.get_one(DriftAlarmRow, old).raised_at = datetime.now(UTC) - timedelta(days=8)
    assert notify(sessions, settings_for(receiver.url, tmp_path)) == 0
    assert receiver.got == []


def test_the_last_try_says_that_it_was_the_last(
    receiver: Receiver, sessions: sessionmaker[Session], model_version_id: str, tmp_path: Path
) -> None:
    with sessions.begin() as session:
        alarm_id = add_alarm(session, model_version_id)
        session.execute(update(DriftAlarmRow).values(notify_attempts=ATTEMPTS - 1))
    receiver.status = 500
    with capture_logs() as logs:
        assert notify(sessions, settings_for(receiver.url, tmp_path)) == 0
        assert notify(sessions, settings_for(receiver.url, tmp_path)) == 0
    assert [line["event"] for line in logs] == ["drift_webhook_failed", "drift_webhook_given_up"]
    assert logs[1]["alarm_id"] == alarm_id
    assert len(receiver.got) == 1


def test_no_proxy_of_the_environment_is_asked(
    receiver: Receiver,
    sessions: sessionmaker[Session],
    model_version_id: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1/")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with sessions.begin() as session:
        add_alarm(session, model_version_id)
    assert notify(sessions, settings_for(receiver.url, tmp_path)) == 1


def test_a_receiver_that_answers_byte_by_byte_is_not_waited_for(
    sessions: sessionmaker[Session], model_version_id: str, tmp_path: Path
) -> None:
    over = threading.Event()

    def dribble() -> None:
        connection, _address = listening.accept()
        with connection, suppress(OSError):
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
            while not over.wait(0.1):
                connection.sendall(b"x")

    with sessions.begin() as session:
        add_alarm(session, model_version_id)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=dribble, daemon=True)
        thread.start()
        port = listening.getsockname()[1]
        settings = Settings(
            data_dir=tmp_path, drift_webhook_url=f"http://127.0.0.1:{port}/", drift_webhook_timeout_s=0.5
        )
        began = monotonic()
        assert notify(sessions, settings) == 0
        took = monotonic() - began
        over.set()
        thread.join()
    assert took < 5


def test_a_receiver_that_is_away_is_told_of_in_the_log_without_its_address(
    sessions: sessionmaker[Session], model_version_id: str, tmp_path: Path
) -> None:
    with sessions.begin() as session:
        add_alarm(session, model_version_id)
    with capture_logs() as logs:
        assert notify(sessions, settings_for("http://127.0.0.1:1/?token=secret", tmp_path)) == 0
    assert [line["event"] for line in logs] == ["drift_webhook_failed"]
    assert "secret" not in str(logs)


@pytest.mark.parametrize(
    ("url", "fits"),
    [
        ("https://hooks.example/x", True),
        ("http://localhost:9/x", True),
        ("http://127.0.0.1:9/x", True),
        ("http://[::1]:9/x", True),
        ("http://hooks.example/x", False),
        ("ftp://localhost/x", False),
        ("nowhere", False),
        ("http://[x", False),
    ],
)
def test_only_a_safe_address_is_taken(url: str, fits: bool, tmp_path: Path) -> None:
    if fits:
        settings_for(url, tmp_path)
        return
    with pytest.raises(ValidationError, match="https") as refused:
        settings_for(url, tmp_path)
    assert url not in str(refused.value)


def test_a_secret_without_a_receiver_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="RESTNET_DRIFT_WEBHOOK_URL"):
        Settings(data_dir=tmp_path, drift_webhook_secret="key")
