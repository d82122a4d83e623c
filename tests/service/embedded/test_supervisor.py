import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from service.embedded import supervisor
from service.embedded.supervisor import AlreadyServingError, Child, HostUnknownError, PortInUseError, serve
from service.queue import QUEUES
from service.registry import promoting
from service.settings import Settings

ROOT = Path(__file__).parents[3]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, shutdown_s=2)


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """What serve() changes for its whole process, given back."""
    previous = os.umask(0o022)
    yield
    os.umask(previous)


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of modules that children can run."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "short.py").write_text("import sys; print('ran', flush=True); sys.exit(3)")
    (folder / "long.py").write_text("import time; time.sleep(60)")
    (folder / "stubborn.py").write_text(
        "import pathlib, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "pathlib.Path(sys.argv[1]).touch(); time.sleep(60)"
    )
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{ROOT}")
    return folder


def environment() -> dict[str, str]:
    return dict(os.environ)


def wait(done: Callable[[], bool], within_s: float = 10) -> None:
    deadline = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_people_wait_for_waits_behind_nothing_long_and_every_queue_has_a_process() -> None:
    children = supervisor._children("127.0.0.1", 8000)
    served = {
        child.name: [queue for queue in child.command if queue in QUEUES]
        for child in children
        if child.command[0] == "service.worker"
    }
    assert (served["inference"], served["explanation"]) == (["inference"], ["explanation", "planning"])
    assert served["normalising"] == ["normalising"]
    assert sorted(queue for queues in served.values() for queue in queues) == sorted(QUEUES)
    assert {child.name: child.niceness for child in children} == {
        "web": 0,
        "inference": 0,
        "normalising": 19,
        "explanation": 19,
        "evaluation": 19,
        "background": 19,
    }


def test_a_second_serve_on_the_same_data_is_refused(settings: Settings) -> None:
    with (
        supervisor._only_one(settings.data_dir),
        pytest.raises(AlreadyServingError, match="expected a data directory of its own"),
    ):
        serve(settings, host="127.0.0.1", port=1, demo=False)
    with supervisor._only_one(settings.data_dir):
        pass


def test_what_serve_and_its_children_write_is_private(
    tmp_path: Path, modules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    (modules / "writing.py").write_text("import pathlib, sys; pathlib.Path(sys.argv[1]).touch()")
    written = tmp_path / "data" / "written"

    def prepare(*_args: object, **_options: object) -> None:
        pass

    def supervise(*_args: object) -> None:
        child = Child("writing", ("writing", str(written)))
        child.keep_running(environment())
        assert child.process is not None
        assert child.process.wait(timeout=20) == 0

    monkeypatch.setattr(supervisor, "prepare", prepare)
    monkeypatch.setattr(supervisor, "require_address", prepare)
    monkeypatch.setattr(supervisor, "_supervise", supervise)
    serve(settings, host="127.0.0.1", port=1, demo=False)
    modes = [path.stat().st_mode & 0o777 for path in (settings.data_dir, written)]
    assert modes == [0o700, 0o600]


def test_others_write_while_the_first_model_is_read_through(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrote = []

    def meanwhile(_storage: object, _version: object) -> None:
        with closing(sqlite3.connect(settings.data_dir / "restnet.db", timeout=0)) as other:
            other.execute("BEGIN IMMEDIATE")
            wrote.append(other.execute("SELECT count(*) FROM model_versions").fetchone())

    monkeypatch.setattr(promoting, "require_intact", meanwhile)
    supervisor.prepare(settings, demo=False)
    supervisor.prepare(settings, demo=False)
    assert wrote == [(1,)], "read through once, at the first start"


@pytest.mark.enable_socket
def test_a_port_in_use_is_said(settings: Settings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"127.0.0.1:{port} in use") as refusal:
            serve(settings, host="127.0.0.1", port=port, demo=False)
    assert refusal.value.details() == {"host": "127.0.0.1", "port": port}


@pytest.mark.enable_socket
@pytest.mark.parametrize("host", ["no host", "a..b", "192.0.2.1", ""])
def test_an_address_that_is_none_is_not_called_a_port_in_use(settings: Settings, host: str) -> None:
    with pytest.raises(HostUnknownError, match=f"found {host or 'none'}"):
        serve(settings, host=host, port=1, demo=False)


def test_a_child_that_dies_is_started_again_after_longer_and_longer_pauses(
    modules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "LONGEST_PAUSE_S", 0.4)
    child = Child("short", ("short",), pause_s=0.1)
    processes, pauses = set(), set()

    def step() -> bool:
        child.keep_running(environment())
        if child.process is not None:
            processes.add(child.process)
        pauses.add(child.pause_s)
        return len(processes) == 3

    wait(step)
    for process in processes:
        assert process.wait() == 3
    assert pauses == {0.1, 0.2, 0.4}


def test_a_child_runs_at_its_priority(modules: Path) -> None:
    child = Child("long", ("long",), niceness=5)
    child.keep_running(environment())
    assert child.process is not None
    process = psutil.Process(child.process.pid)
    wait(lambda: process.cmdline()[-2:] == ["-m", "long"])
    assert process.nice() == psutil.Process().nice() + 5
    supervisor._stop((child,), 5)
    assert child.process.returncode == -signal.SIGTERM


def test_who_does_not_stop_is_killed_in_time(modules: Path, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    child = Child("stubborn", ("stubborn", str(ready)))
    child.keep_running(environment())
    wait(ready.exists)
    started_at = time.monotonic()
    supervisor._stop((child,), 0.5)
    assert 0.4 < time.monotonic() - started_at < 3
    assert child.process is not None
    assert child.process.returncode == -signal.SIGKILL


def test_a_child_ends_with_a_supervisor_that_is_killed(modules: Path) -> None:
    code = (
        "import os, sys; from service.embedded.supervisor import Child; child = Child('long', ('long',)); "
        "child.keep_running(dict(os.environ)); print(child.process.pid, file=sys.stderr, flush=True); "
        "sys.stdin.read()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )
    with parent:
        assert parent.stderr is not None
        orphan = psutil.Process(int(parent.stderr.readline()))
        wait(lambda: orphan.cmdline()[-2:] == ["-m", "long"])
        parent.kill()
    orphan.wait(timeout=10)


def test_a_signal_ends_the_watch_and_stops_the_children(
    settings: Settings, modules: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    child = Child("long", ("long",))

    def ask() -> None:
        wait(lambda: child.process is not None)
        signal.raise_signal(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    asking = threading.Thread(target=ask)
    asking.start()
    supervisor._supervise(settings, (child,))
    asking.join()
    assert child.process is not None
    assert child.process.returncode is not None
    assert signal.getsignal(signal.SIGTERM) is before
    # Log lines come before it where no other test has sent them to standard error.
    assert capsys.readouterr().out.endswith("Stopping ...\n")
