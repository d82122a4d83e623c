import io
import json
import socket
import sys

import pytest

from service.cli import sample, servers


@pytest.fixture
def served(monkeypatch):
    """Calls of the supervisor and of the worker, instead of running them."""
    calls = []

    def supervise(settings, **options):
        sys.stdout.write("User demo, password secret\n")
        calls.append((settings, options))

    def run_worker(settings, queues):
        calls.append((settings, queues))
        return 0

    monkeypatch.setattr("service.embedded.supervisor.serve", supervise)
    monkeypatch.setattr("service.worker.process.run_worker", run_worker)
    # Beside means at once here, so that the order is certain.
    monkeypatch.setattr(servers, "_beside", lambda _name, work, *arguments: work(*arguments))
    monkeypatch.setattr(sample, "wait_until_ready", lambda _url: None)
    return calls


@pytest.mark.parametrize(("demo", "host"), [(True, "127.0.0.1"), (False, "::1")])
def test_serve_for_machines_prints_one_line_and_no_secret(demo, host, served, restnet, tmp_path):
    options = ["--data-dir", tmp_path, "--host", host, "--port", 8123, *(["--demo"] if demo else [])]
    status, out, _ = restnet("serve", "--json", *options)
    assert status == 0
    assert out.count("\n") == 1
    address = "http://127.0.0.1:8123" if demo else "http://[::1]:8123"
    files = {"credentials": str(tmp_path / "demo-credentials.json")} if demo else {}
    assert json.loads(out) == {"address": address} | files
    [(settings, asked)] = served
    assert settings.log_format == "json"
    assert asked == {"host": host, "port": 8123, "demo": demo}


def test_serve_for_people_prints_what_the_supervisor_says(served, restnet, tmp_path):
    status, out, _ = restnet("serve", "--data-dir", tmp_path)
    assert (status, out) == (0, "User demo, password secret\n")
    assert served[0][0].log_format == "console"


@pytest.mark.parametrize(("options", "log_format"), [(["--json"], "json"), ([], "console")])
def test_a_worker_for_machines_logs_json(options, log_format, served, restnet, tmp_path):
    status, out, _ = restnet("worker", "--queue", "inference", "--data-dir", tmp_path, *options)
    assert (status, out) == (0, "")
    [(settings, queues)] = served
    assert (settings.log_format, queues) == (log_format, ["inference"])


def test_a_service_that_never_gets_ready_is_not_announced(monkeypatch, capsys):
    def never(_url):
        raise ConnectionRefusedError("refused")

    monkeypatch.setattr(sample, "wait_until_ready", never)
    out = io.StringIO()
    servers.announce_when_ready("http://127.0.0.1:1", None, out)
    assert out.getvalue() == ""
    assert "did not get ready" in capsys.readouterr().err


def test_a_worker_closes_its_data_directory_and_makes_none(served, restnet, tmp_path):
    there, missing = tmp_path / "there", tmp_path / "missing"
    there.mkdir(mode=0o755)
    for folder in (there, missing):
        assert restnet("worker", "--queue", "inference", "--data-dir", folder)[0] == 0
    assert there.stat().st_mode & 0o777 == 0o700
    assert not missing.exists()


@pytest.mark.enable_socket
def test_a_web_process_on_a_taken_port_is_refused(restnet, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, out, err = restnet("web", "--port", port, "--data-dir", tmp_path)
    assert (status, out) == (2, "")
    assert "[port_in_use]" in err
