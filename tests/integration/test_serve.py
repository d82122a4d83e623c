"""The whole service as ``restnet serve`` starts it, stopped and killed under way."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from service.db.rows import PredictionState
from tests.integration.conftest import MakeWorkplace, Workplace
from tests.servers import end, free_port, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.enable_socket]

SERVE = (
    "import sys; from service.settings import Settings; from service.embedded.supervisor import serve; "
    "serve(Settings(), host='127.0.0.1', port=int(sys.argv[1]), demo=True)"
)


@pytest.fixture
def place(make_workplace: MakeWorkplace, checkpoint: Path) -> Iterator[Workplace]:
    return make_workplace(checkpoint=checkpoint)


def start(place: Workplace, port: int) -> subprocess.Popen[bytes]:
    output = (place.marks / f"output-{port}").open("ab")
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(port)],
        env={**os.environ, **place.settings.environment()},
        cwd=Path(__file__).parents[2],
        stdout=output,
    )
    output.close()
    place.processes.append(process)
    return process


def healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


def worker_children(supervisor: subprocess.Popen[bytes]) -> list[psutil.Process]:
    found = psutil.Process(supervisor.pid).children()
    return [
        child for child in found if "service.worker" in child.cmdline() and "inference" in child.cmdline()
    ]


def test_nothing_accepted_is_lost_when_serve_stops_and_starts(place: Workplace) -> None:
    port = free_port()
    first = start(place, port)
    wait_until(lambda: healthy(port), "the web process")
    credentials = place.settings.data_dir / "demo-credentials.json"
    assert credentials.stat().st_mode & 0o777 == 0o600
    api_key = json.loads(credentials.read_text())["api_key"]
    output = place.marks / f"output-{port}"
    assert api_key in output.read_text()

    # A second one on the same data is refused, and so is one on the same port.
    second = start(place, free_port())
    assert second.wait(20) != 0

    queued = [place.upload(f"good-{number}") for number in range(3)]
    place.wait_for(
        queued[0], PredictionState.PREPROCESSING, PredictionState.CLASSIFYING, PredictionState.SUCCEEDED
    )
    started_at = time.monotonic()
    assert end(first, within_s=30) == 0
    assert time.monotonic() - started_at < place.settings.shutdown_s + 5
    assert not healthy(port)

    output.unlink()
    again = start(place, port)
    for prediction_id in queued:
        place.wait_for(prediction_id, PredictionState.SUCCEEDED, within_s=90)
        assert place.results(prediction_id) == 1

    assert str(credentials) in output.read_text()
    assert api_key not in output.read_text(), "the key was shown again"

    # A killed worker is replaced.
    (worker,) = worker_children(again)
    worker.kill()
    place.wait_for(place.upload("good-after"), PredictionState.SUCCEEDED)

    # A killed supervisor leaves nobody behind, once what each was at has had its time.
    family = psutil.Process(again.pid).children(recursive=True)
    os.kill(again.pid, signal.SIGKILL)
    again.wait()
    _, alive = psutil.wait_procs(family, timeout=place.settings.shutdown_s + 60)
    assert alive == []
