"""Every real file over REST: a prediction or a refusal with the code that the command line gives."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from imaging import ScanError
from model import demonstration_checkpoint
from model.prediction import predict_scan
from model.predictor import Predictor
from tests.servers import end, free_port, wait_until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.enable_socket,
    pytest.mark.real_data,
]

REPOSITORY = Path(__file__).parents[2]
ENDED = {"succeeded", "failed", "cancelled"}
SAME = ("scan", "space", "normalisation", "adhd_probability", "interval", "quality", "warnings")
ANSWERED = {"bold": ["ds205_sub-03_bold_53x53x27x40_TR2.2.nii.gz"], "malformed": [], "wrong_modality": []}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    data_dir, port = tmp_path_factory.mktemp("data"), free_port()
    program = "from service.cli import main; main()"
    options = ["serve", "--demo", "--port", str(port), "--data-dir", str(data_dir)]
    with (data_dir / "output").open("wb") as output:
        service = subprocess.Popen(
            [sys.executable, "-c", program, *options], cwd=REPOSITORY, env=os.environ.copy(), stdout=output
        )
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as opened:
            wait_until(lambda: is_ready(opened), "the service to be ready", within_s=90)
            key = json.loads((data_dir / "demo-credentials.json").read_text())["api_key"]
            opened.headers["Authorization"] = f"Bearer {key}"
            yield opened
    finally:
        end(service)


def is_ready(client: httpx2.Client) -> bool:
    try:
        return client.get("/readyz").status_code == httpx2.codes.OK
    except httpx2.TransportError:
        return False


def send(client: httpx2.Client, scan: Path, **said: str) -> dict[str, object]:
    """Upload a file and return how it ended: a prediction, or the problem that refused it."""
    with scan.open("rb") as body:
        answer = client.post("/api/v1/scans", data=said, files={"scan": (scan.name, body)})
    if answer.status_code != httpx2.codes.ACCEPTED:
        assert 400 <= answer.status_code < 500, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        return {"status": "refused", "error": answer.json()}
    address = f"/api/v1/predictions/{answer.json()['prediction_id']}"
    wait_until(lambda: client.get(address).json()["status"] in ENDED, "a prediction to end", within_s=120)
    ended: dict[str, object] = client.get(address).json()
    return ended


def test_an_athena_scan_gets_the_answer_that_the_command_line_gives(
    client: httpx2.Client, shared_data: Path
) -> None:
    [scan] = (shared_data / "athena_like").glob("*.nii.gz")
    result = send(client, scan)["result"]
    alone = predict_scan(scan, Predictor.load(demonstration_checkpoint(), device="cpu")).to_json()
    assert result["adhd_probability"] == pytest.approx(alone["adhd_probability"], abs=1e-4)
    assert result["interval"] == pytest.approx(alone["interval"], abs=1e-4)
    for same in ("scan", "model", "decision", "threshold", "quality", "warnings"):
        assert json.dumps(result[same], sort_keys=True) == json.dumps(alone[same], sort_keys=True)


def alone_on(scan: Path, predictor: Predictor) -> dict[str, object]:
    """Give what the command line says of a file: its answer, or the code and words of its refusal."""
    try:
        found: dict[str, object] = json.loads(json.dumps(predict_scan(scan, predictor).to_json()))
    except ScanError as refusal:
        return {"refused": [refusal.code, str(refusal)]}
    return found


@pytest.mark.parametrize("folder", ["bold", "malformed", "wrong_modality"])
def test_every_other_file_ends_as_on_the_command_line(
    folder: str, client: httpx2.Client, shared_data: Path
) -> None:
    files = [file for file in sorted((shared_data / folder).rglob("*")) if file.suffix != ".tsv"]
    scans = [file for file in files if file.is_file()]
    assert len(scans) >= 5
    predictor = Predictor.load(demonstration_checkpoint(), device="cpu")
    answered = []
    for scan in scans:
        ended = send(client, scan)
        assert str(shared_data) not in json.dumps(ended)
        alone = alone_on(scan, predictor)
        if "refused" in alone:
            assert ended["status"] in {"refused", "failed"}, scan.name
            told = ended["error"].get("message") or ended["error"]["detail"]
            assert [ended["error"]["code"], told] == alone["refused"], scan.name
            continue
        answered.append(scan.name)
        assert ended["status"] == "succeeded", scan.name
        for same in SAME:
            assert ended["result"][same] == alone[same], (scan.name, same)
    # Of all that is there, these show a whole brain in the scanner's space, for long enough.
    assert answered == ANSWERED[folder]
