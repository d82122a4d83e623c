"""Reviewed scans in a training beside real workers: uploaded, answered, agreed to, trained on, withdrawn."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.identity.accounts import create_user
from service.identity.actor import Actor
from service.identity.api_keys import create_api_key
from service.identity.roles import Role
from service.identity.scopes import EVERY_SCOPE
from service.worker.cohorts import register_cohort
from tests.integration.conftest import MakeWorkplace
from tests.servers import wait_until
from tests.service.api.serving import PASSWORD, web_process
from tests.training.validation.tiny_cohorts import tiny_store
from training.run_files import read_rows
from training.runs import ADDED_FOLDER, PREDICTIONS_FILE, SUBJECTS_FILE, Prediction, RunSubject
from training.simulation.scan_files import write_scan
from training.simulation.simulator import simulate_subject

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.enable_socket]

ADMIN = "/api/v1/admin"
QUICK: dict[str, Any] = {
    "cohort": "tiny",
    "width": 1,
    "folds": 2,
    "epochs": 1,
    "batch_size": 8,
    "inner_stopping": 0.25,
    "inner_calibration": 0.25,
    "device": "cpu",
    "reviewed_scans": True,
}


@pytest.fixture
def client(make_workplace: MakeWorkplace, tmp_path: Path) -> Iterator[httpx2.Client]:
    place = make_workplace()
    with place.sessions.begin() as session:
        register_cohort(session, tiny_store(tmp_path / "cohort").folder, actor=Actor("command-line", "test"))
        chief = create_user(
            session,
            username="chief",
            password=PASSWORD,
            role=Role.ADMINISTRATOR,
            organisation_id=DEFAULT_ORGANISATION_ID,
            by_owner=True,
        )
        key = create_api_key(session, user=chief, name="test", scopes=sorted(EVERY_SCOPE))
    place.worker("inference")
    place.worker("planning", "training", "maintenance")
    with web_process(place.settings) as (address, _process, _seconds):
        headers = {"Authorization": f"Bearer {key}"}
        with httpx2.Client(base_url=address, headers=headers, timeout=60) as opened:
            yield opened


def got(client: httpx2.Client, path: str) -> Any:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def answered(client: httpx2.Client, folder: Path, number: int) -> str:
    """Upload somebody's scan and wait for its answer; gives the prediction's id."""
    scan = simulate_subject(number, seed=31)
    path = folder / f"{number}.nii.gz"
    write_scan(path, next(scan.blocks(frames_per_block=60)), affine=scan.affine, tr_s=scan.tr_s)
    about = {"subject_id": f"HOSPITAL-{number}", "age_years": "11", "site": "Elsewhere"}
    answer = client.post("/api/v1/scans", files={"scan": (path.name, path.read_bytes())}, data=about)
    assert answer.status_code == 202, answer.text
    prediction = f"/api/v1/predictions/{answer.json()['prediction_id']}"
    ended = {"succeeded", "failed"}
    wait_until(lambda: got(client, prediction)["status"] in ended, "an answer", within_s=120)
    assert got(client, prediction)["status"] == "succeeded"
    return prediction


def review(client: httpx2.Client, prediction: str, **said: Any) -> None:
    answer = client.post(f"{prediction}/review", json={"verdict": "accepted", **said})
    assert answer.status_code == 201, answer.text


def run_to_its_end(client: httpx2.Client) -> Any:
    answer = client.post(f"{ADMIN}/training-runs", json=QUICK)
    assert answer.status_code == 202, answer.text
    path = f"{ADMIN}/training-runs/{answer.json()['runs'][0]['id']}"
    wait_until(lambda: got(client, path)["status"] in {"succeeded", "failed"}, "the run", within_s=180)
    run = got(client, path)
    assert run["error"] is None, run["error"]
    return run


def test_scans_are_trained_on_as_long_as_their_people_agree(client: httpx2.Client, tmp_path: Path) -> None:
    first, second, third = (answered(client, tmp_path, number) for number in range(3))
    review(client, first, diagnosis="adhd", training_consent=True)
    review(client, second, diagnosis="control", training_consent=True)
    review(client, third, diagnosis="control")
    counts = got(client, f"{ADMIN}/reviewed-scans")
    assert counts == {"people": 2, "scans": 2, "cases": 1, "controls": 1, "left_out": {}}

    run = run_to_its_end(client)
    told = {"n_people": 2, "n_cases": 1, "n_scans": 2, "n_left_out": 0, "left_out": {}}
    assert (run["reviewed_scans"], run["plan"]["reviewed"], run["plan"]["n_subjects"]) == (True, told, 16)
    assert [fold["outcome"]["n_added"] for fold in run["folds"]] == [2, 2]
    assert [fold["outcome"]["n_test"] for fold in run["folds"]] == [8, 8]
    lines = [line["text"] for line in run["log"] if line["event"] == "reviewed_added"]
    assert lines == [
        "Reviewed scans: 2 people are added to every fold's training, 1 of them cases; scans left out: 0."
    ]
    folder = tmp_path / "data" / "runs" / run["id"]
    cohorts = {str(100 + number) for number in range(16)}
    assert {one.subject_id for one in read_rows(folder, SUBJECTS_FILE, RunSubject)} == cohorts
    assert {one.subject_id for one in read_rows(folder, PREDICTIONS_FILE, Prediction)} == cohorts
    card = got(client, f"{ADMIN}/models/{run['model_version_id']}")["card"]
    assert "2 simulated subjects added from reviewed scans, who are measured nowhere" in card["trained_on"]
    copies = folder / ADDED_FOLDER / "series"
    wait_until(lambda: not copies.exists(), "the copies to go", within_s=90)

    review(client, first, training_consent=False)
    run = run_to_its_end(client)
    assert (run["plan"]["reviewed"]["n_people"], run["plan"]["reviewed"]["left_out"]) == (1, {"withdrawn": 1})
