"""The commands that operators run: migrations forward and back, backup and restore, health."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from sqlalchemy import text

from service.db.engine import make_engine, session_factory
from service.db.migrate import revisions
from service.presence import say_present
from service.settings import Settings
from tests.servers import free_port

# Of the default organisation.
ANN = """INSERT INTO users (id, username, password_hash, role, created_at, organisation_id)
VALUES ('u', 'ann', 'x', 'clinician', '2026-01-01 00:00:00', '00000000-0000-4000-8000-000000000000')"""


@pytest.fixture
def data(monkeypatch, tmp_path):
    folder = tmp_path / "data"
    monkeypatch.setenv("RESTNET_DATA_DIR", str(folder))
    return folder


def test_migrations_go_back_and_forward_and_keep_the_rows(data, restnet_json):
    assert restnet_json("db", "upgrade") == (0, {"schema": "current"})
    newest = revisions()[-1]
    engine = make_engine(f"sqlite:///{data}/restnet.db")
    with engine.begin() as connection:
        connection.execute(text(ANN))
    status, told = restnet_json("db", "status")
    assert (status, told["revision"], told["missing"]) == (0, newest, [])
    explained = data / "storage" / "explanations" / "ab" / "ab.zip"
    explained.parent.mkdir(parents=True)
    explained.touch()
    assert restnet_json("db", "downgrade", "0013", "--yes") == (0, {"revision": "0013"})
    assert explained.exists()
    assert restnet_json("db", "downgrade", "0001", "--yes") == (0, {"revision": "0001"})
    # An older version would not know whose it was.
    assert not explained.exists()
    assert restnet_json("db", "status")[1]["missing"] == list(revisions()[1:])
    assert restnet_json("db", "upgrade")[0] == 0
    with engine.connect() as connection:
        assert connection.execute(text("SELECT username FROM users")).scalar_one() == "ann"
    engine.dispose()


@pytest.mark.parametrize("revision", ["9999", "head", "base", ""])
def test_there_is_no_way_back_to_what_was_never_passed(revision, data, restnet_json):
    restnet_json("db", "upgrade")
    status, told = restnet_json("db", "downgrade", revision, "--yes")
    assert (status, told["error"]["code"]) == (2, "revision_not_known")


def test_the_way_back_is_looked_for_before_anybody_is_asked(data, restnet):
    restnet("db", "upgrade")
    status, out, err = restnet("db", "downgrade", "9999")
    assert (status, out) == (2, "")
    assert "revision_not_known" in err
    assert "Go on?" not in err


def test_where_there_is_no_database_there_is_no_way_back_and_none_is_made(data, restnet_json):
    status, told = restnet_json("db", "downgrade", "0001", "--yes")
    assert (status, told["error"]["code"]) == (2, "database_not_found")
    file = data / "restnet.db"
    assert not file.exists()
    file.parent.mkdir(exist_ok=True)
    file.touch()
    status, told = restnet_json("db", "downgrade", "0001", "--yes")
    assert (status, told["error"]["code"]) == (2, "revision_not_known")


def test_nobody_goes_back_by_mistake(data, restnet, restnet_json):
    restnet("db", "upgrade")
    assert restnet_json("db", "downgrade", "0001")[1]["error"]["code"] == "usage"
    assert restnet("db", "downgrade", "0001")[0] != 0
    assert restnet_json("db", "status")[1]["revision"] == revisions()[-1]


def test_a_newer_database_is_refused_in_words(data, restnet_json):
    restnet_json("db", "upgrade")
    engine = make_engine(f"sqlite:///{data}/restnet.db")
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    for command in (["db", "upgrade"], ["db", "status"], ["users", "list"]):
        status, told = restnet_json(*command)
        assert (status, told["error"]["code"]) == (2, "database_newer")


@pytest.mark.enable_socket
@pytest.mark.parametrize("command", [("web", "--port", free_port()), ("worker", "--queue", "inference")])
def test_a_process_does_not_start_over_an_unprepared_database(data, restnet_json, command):
    data.mkdir()
    status, told = restnet_json(*command)
    assert (status, told["error"]["code"]) == (2, "database_older")
    assert "restnet prepare" in told["error"]["message"]


def test_a_damaged_database_is_not_called_our_fault(data, restnet_json):
    restnet_json("db", "upgrade")
    (data / "restnet.db").write_bytes(b"\x01" * 8192)
    for command in (["users", "list"], ["audit", "verify"], ["db", "status"]):
        status, told = restnet_json(*command)
        assert (status, told["error"]["code"]) == (2, "database_damaged")


def test_what_storage_refuses_is_said_to_whoever_runs_it(data, restnet_json):
    restnet_json("db", "upgrade")
    (data / "storage").write_bytes(b"no folder")
    status, told = restnet_json("prepare")
    assert (status, told["error"]["code"]) == (2, "storage_unavailable")
    assert "(Not a directory)" in told["error"]["message"] or "(File exists)" in told["error"]["message"]


def test_backup_and_restore_from_the_command_line(data, restnet, restnet_json, tmp_path):
    assert restnet_json("backup", tmp_path / "backup")[1]["error"]["code"] == "database_not_found"
    restnet("db", "upgrade")
    assert restnet_json("backup", tmp_path / "backup")[1]["schema_revision"] == revisions()[-1]
    assert restnet_json("backup", tmp_path / "backup")[1]["error"]["code"] == "backup_folder_not_empty"
    assert restnet_json("restore", tmp_path / "backup")[1]["error"]["code"] == "restore_target_not_empty"
    assert restnet_json("restore", tmp_path / "elsewhere")[1]["error"]["code"] == "backup_not_valid"
    data.rename(tmp_path / "lost")
    assert restnet("restore", tmp_path / "backup")[0] == 0
    assert restnet_json("db", "status")[1]["missing"] == []


def test_a_service_is_made_ready_once_and_again(data, restnet_json):
    for _ in range(2):
        assert restnet_json("prepare") == (0, {"prepared": True})
    engine = make_engine(f"sqlite:///{data}/restnet.db")
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM model_deployments")).scalar_one() == 1
    engine.dispose()


def test_a_worker_is_healthy_while_it_says_so(data, restnet, restnet_json):
    restnet("db", "upgrade")
    assert restnet_json("health", "worker") == (1, {"healthy": False})
    engine = make_engine(f"sqlite:///{data}/restnet.db")
    with session_factory(engine).begin() as session:
        say_present(session, worker="w", queues=["inference"], host=socket.gethostname())
    engine.dispose()
    assert restnet_json("health", "worker") == (0, {"healthy": True})


@pytest.mark.enable_socket
@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_a_web_process_is_healthy_when_it_answers(status, healthy, restnet_json):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            assert self.path == "/healthz"
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_arguments):
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        assert restnet_json("health", "web", "--url", url) == (0 if healthy else 1, {"healthy": healthy})


@pytest.mark.enable_socket
def test_a_web_process_that_is_not_there_is_not_healthy(restnet, restnet_json):
    assert restnet_json("health", "web", "--url", "http://127.0.0.1:1") == (1, {"healthy": False})
    assert restnet("health", "web", "--url", "file:///etc/passwd")[0] == 2


@pytest.mark.enable_socket
def test_the_web_command_serves_with_the_settings(data, restnet, monkeypatch):
    served = []
    port = free_port()

    def run_web(settings: Settings, *, host: str, port: int) -> None:
        served.append((settings.data_dir, settings.log_format, host, port))

    monkeypatch.setattr("service.api.main.run_web", run_web)
    assert restnet("web", "--host", "0.0.0.0", "--port", port, "--json")[0] == 0  # noqa: S104
    assert served == [(data, "json", "0.0.0.0", port)]  # noqa: S104
