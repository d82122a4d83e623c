import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.db.migrate import upgrade
from service.presence import process_of, worker_name
from service.queue import QueueName
from service.settings import Settings
from service.worker import process, tasks
from service.worker.process import run_worker
from service.worker.runtime import open_runtime


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    previous = os.umask(0o022)
    yield
    os.umask(previous)


def test_a_worker_writes_for_its_own_account_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class StoppedError(Exception):
        pass

    def write_and_stop(settings: Settings, **_options: object) -> None:
        settings.data_dir.touch()
        raise StoppedError

    monkeypatch.setattr(process, "make_celery", write_and_stop)
    with pytest.raises(StoppedError):
        run_worker(Settings(data_dir=tmp_path / "written"), ["inference"])
    assert (tmp_path / "written").stat().st_mode & 0o777 == 0o600


def test_workers_with_one_number_on_hosts_of_one_name_have_two_names() -> None:
    first, second = worker_name("inference"), worker_name("inference")
    assert first != second
    assert process_of(first) == os.getpid()


@pytest.mark.parametrize(
    ("queues", "loads"),
    [(["training"], False), (["maintenance", "training"], False), (["training", "inference"], True)],
)
def test_only_who_answers_for_scans_loads_the_model(
    queues: list[QueueName], loads: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    loaded: list[str] = []
    runtime = open_runtime(Settings(data_dir=tmp_path))
    monkeypatch.setattr(runtime, "active_model", lambda: loaded.append("model"))
    monkeypatch.setattr(runtime.enclosure, "start", lambda: loaded.append("reader"))
    monkeypatch.setattr(tasks, "_runtime", runtime)
    name = worker_name(process.first_duty(queues))
    tasks.prepare_process(sender=name)
    assert (loaded, runtime.worker) == (["reader", "model"] if loads else [], name)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_that_is_told_to_stop_has_not_failed(number: signal.Signals, tmp_path: Path) -> None:
    program = (
        "import signal, sys; from service.worker.__main__ import main; "
        # A shell starts what runs in its background deaf to Ctrl-C.
        "signal.signal(signal.SIGINT, signal.default_int_handler); sys.exit(main(['--queue', 'training']))"
    )
    upgrade(Settings(data_dir=tmp_path).database_url.get_secret_value())
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env=os.environ | {"RESTNET_DATA_DIR": str(tmp_path), "RESTNET_LOG_FORMAT": "json"},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    ) as worker:
        try:
            assert worker.stderr is not None
            assert any("worker_ready" in line for line in worker.stderr)
            worker.send_signal(number)
            worker.communicate(timeout=60)
        finally:
            worker.kill()
    assert worker.returncode == 0
