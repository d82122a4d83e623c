"""What a worker writes while its child is killed: lines of one form, no traceback of the queue's inside."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.db.rows import PredictionState
from tests.integration.conftest import HELD_WORKER, MakeWorkplace
from tests.servers import end

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.enable_socket]


@pytest.mark.timed
def test_every_line_is_structured_even_when_a_child_is_killed(make_workplace: MakeWorkplace) -> None:
    place = make_workplace(log_format="json", max_attempts=1)
    log, said = place.marks / "log", place.marks / "said"
    with log.open("wb") as written, said.open("wb") as out:
        worker = subprocess.Popen(
            [sys.executable, HELD_WORKER, place.marks, "--queue", "inference", "--queue", "maintenance"],
            env={**os.environ, **place.settings.environment()},
            cwd=Path(__file__).parents[2],
            stdout=out,
            stderr=written,
        )
    place.processes.append(worker)
    place.wait_for(place.upload("poison"), PredictionState.FAILED, within_s=90)
    # The next child answers, so that all of its beginning has been written too.
    place.wait_for(place.upload("good"), PredictionState.SUCCEEDED, within_s=90)
    assert end(worker) == 0
    assert said.read_text() == "", "standard output belongs to the caller"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {"event", "level", "logger", "timestamp"} <= set.intersection(*map(set, lines))
    assert any(line["event"] == "worker_stopping" for line in lines)
    assert any("SIGKILL" in line["event"] for line in lines), "the kill was not told"
    assert not any("exception" in line or "\n" in line["event"] for line in lines)
