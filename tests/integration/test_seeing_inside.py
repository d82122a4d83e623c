"""The production stack's commands as processes: one id from upload to result, and figures of it all."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import PredictionState
from service.identity.accounts import create_user
from service.identity.api_keys import create_api_key
from service.identity.roles import Role
from tests.integration.conftest import MakeWorkplace, Workplace
from tests.servers import end, free_port, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.enable_socket]

RESTNET = Path(__file__).with_name("restnet_command.py")
SENT = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"


def start(place: Workplace, log: Path, *command: str) -> subprocess.Popen[bytes]:
    with log.open("wb") as written:
        process = subprocess.Popen(
            [sys.executable, RESTNET, *command],
            env={**os.environ, **place.settings.environment()},
            cwd=RESTNET.parents[2],
            stderr=written,
        )
    place.processes.append(process)
    return process


def ask(url: str, data: bytes | None = None, **headers: str) -> tuple[bytes, str | None]:
    """The answer and its id; names of headers are written with `_`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, data=data, headers=named)  # noqa: S310  (loopback)
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        return answer.read(), answer.headers["X-Request-ID"]


def answers(url: str) -> bool:
    try:
        return bool(ask(url))
    except OSError:
        return False


def healthy(place: Workplace) -> bool:
    command = [sys.executable, RESTNET, "health", "worker"]
    environment = {**os.environ, **place.settings.environment()}
    done = subprocess.run(command, env=environment, cwd=RESTNET.parents[2], check=False, capture_output=True)
    return done.returncode == 0


def test_a_scan_is_followed_from_the_upload_to_the_result(
    make_workplace: MakeWorkplace, tmp_path: Path
) -> None:
    place = make_workplace(broker="redis", database="postgresql", log_format="json")
    with place.sessions.begin() as session:
        user = create_user(
            session,
            username="machine",
            password="correct horse battery",
            role=Role.INTEGRATOR,
            organisation_id=DEFAULT_ORGANISATION_ID,
        )
        key = create_api_key(session, user=user, name="test")
    port = free_port()
    web = start(place, tmp_path / "web.log", "web", "--port", str(port))
    worker = start(place, tmp_path / "worker.log", "worker", "--queue", "inference", "--queue", "maintenance")
    address = f"http://127.0.0.1:{port}"
    wait_until(lambda: answers(f"{address}/healthz"), "the web process to answer", within_s=60)
    body, answered = ask(
        f"{address}/api/v1/scans",
        place.scan.read_bytes(),
        Authorization=f"Bearer {key}",
        Content_Type="application/octet-stream",
        X_Filename="anna-mueller.nii.gz",
        X_Request_ID=SENT,
    )
    assert answered == SENT
    prediction_id = json.loads(body)["prediction_id"]
    place.wait_for(prediction_id, PredictionState.SUCCEEDED, within_s=120)

    text = ask(f"{address}/metrics")[0].decode()
    figures = dict(re.findall(r"^(restnet_\w+\{.*\}) (\S+)$", text, re.MULTILINE))
    assert figures['restnet_workers{queue="inference"}'] == "1.0"
    assert re.search(r'restnet_jobs_ended_total\{.*kind="prediction".*outcome="succeeded"\} 1\.0', text)
    assert figures['restnet_job_seconds_count{kind="prediction",stage="classify"}'] == "1.0"
    assert healthy(place)

    assert end(worker) == 0
    # uvicorn stops in good order and then lets the signal have its way.
    assert end(web) == -signal.SIGTERM
    assert not healthy(place)
    logs = {name: (tmp_path / f"{name}.log").read_text() for name in ("web", "worker")}
    assert "anna" not in "".join(logs.values()).lower()
    told = [json.loads(line) for log in logs.values() for line in log.splitlines()]
    followed = {line["event"] for line in told if line.get("request_id") == SENT}
    assert {"request", "prediction_started", "prediction_ended"} <= followed
