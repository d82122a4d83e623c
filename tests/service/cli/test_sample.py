import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from service.cli import sample
from service.cli.sample import score, summary, wait_until_ready

CREDENTIALS = {"username": "demo", "password": "secret-password", "api_key": "rnk_key"}


def test_the_summary_holds_all_that_a_new_user_needs():
    result = {"adhd_probability": 0.61, "interval": {"level": 0.9, "low": 0.44, "high": 0.75}}
    prediction = {"id": "p-1", "status": "succeeded", "result": {**result, "decision": "uncertain"}}
    text = summary(
        "http://127.0.0.1:8000", Path("/data/s.nii.gz"), prediction=prediction, credentials=CREDENTIALS
    )
    assert "0.610, 90% interval 0.440 to 0.750: uncertain" in text
    assert "user demo, password secret-password" in text
    curl = '-H "Authorization: Bearer rnk_key" -F "scan=@/data/s.nii.gz" http://127.0.0.1:8000/api/v1/scans'
    assert curl in text
    assert "http://127.0.0.1:8000/api/v1/predictions/p-1" in text


def test_a_sample_that_failed_says_why():
    prediction = {"id": "p-1", "status": "failed", "error": {"code": "worker_lost", "message": "..."}}
    text = summary("http://h", Path("s"), prediction=prediction, credentials=CREDENTIALS)
    assert "not scored (failed)" in text
    assert "worker_lost" in text


class Starting(BaseHTTPRequestHandler):
    """A service that hangs up, then is not ready, then is."""

    asked: ClassVar[list[str]] = []

    def do_GET(self):
        self.asked.append(self.path)
        if len(self.asked) == 1:
            self.connection.close()
            return
        self._answer(503 if len(self.asked) == 2 else 200, {"status": "succeeded", "id": "p-1"})

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(202, {"prediction_id": "p-1"})

    def _answer(self, status, body):
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def starting(monkeypatch):
    monkeypatch.setattr(Starting, "asked", [])
    monkeypatch.setattr(sample, "POLL_S", 0.01)
    server = HTTPServer(("127.0.0.1", 0), Starting)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.enable_socket
def test_a_proxy_of_the_environment_is_passed_by_and_any_failure_is_waited_out(
    starting, monkeypatch, tmp_path
):
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    wait_until_ready(starting)
    assert Starting.asked == ["/readyz"] * 3
    scan = tmp_path / "s.nii.gz"
    scan.write_bytes(b"scan")
    assert score(starting, scan, api_key="rnk_key")["status"] == "succeeded"


class Answering(Starting):
    """A service that keeps what it was sent by its idempotency key, as the real one does."""

    kept: ClassVar[dict[str, str]] = {}
    uploads: ClassVar[list[str]] = []
    status: ClassVar[dict[str, str]] = {}
    retried: ClassVar[list[str]] = []

    def do_GET(self):
        if self.path.endswith("/admin/models"):
            models = [{"sha256": "a" * 64, "active": False}, {"sha256": "b" * 64, "active": True}]
            self._answer(200, {"items": models})
            return
        number = self.path.rpartition("/")[2]
        self._answer(200, {"id": number, "status": self.status.get(number, "succeeded")})

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("/retry"):
            number = self.path.split("/")[-2]
            self.retried.append(number)
            self.status[number] = "succeeded"
            self._answer(200, {"id": number})
            return
        key = self.headers["Idempotency-Key"]
        self.uploads.append(key)
        self._answer(202, {"prediction_id": self.kept.setdefault(key, f"p-{len(self.kept)}")})


@pytest.mark.enable_socket
def test_the_sample_is_kept_once_whatever_the_number_of_starts(monkeypatch, tmp_path):
    for name, empty in (("kept", {}), ("uploads", []), ("status", {}), ("retried", [])):
        monkeypatch.setattr(Answering, name, empty)
    monkeypatch.setattr(sample, "POLL_S", 0.01)
    scan = tmp_path / "s.nii.gz"
    scan.write_bytes(b"scan")
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"

        def start():
            key = sample.sample_key(url, scan, api_key="rnk_key")
            return score(url, scan, api_key="rnk_key", idempotency_key=key)

        try:
            first = start()
            assert start() == first == {"id": "p-0", "status": "succeeded"}
            Answering.status["p-0"] = "failed"
            assert start() == first, "what failed is tried again"
            assert Answering.retried == ["p-0"]
            scan.write_bytes(b"another scan")
            assert start()["id"] == "p-1"
        finally:
            server.shutdown()
            thread.join()
    digest = "bb" * 8
    assert [key.rpartition("-")[2] for key in Answering.uploads] == [digest] * 4
    assert len(set(Answering.uploads)) == 2


@pytest.mark.enable_socket
def test_waiting_has_an_end(monkeypatch):
    monkeypatch.setattr(sample, "START_LIMIT_S", 0)
    with pytest.raises(OSError, match="refused"):
        wait_until_ready("http://127.0.0.1:1")
