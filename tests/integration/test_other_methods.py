"""A model that is no network, over REST: registered, in shadow, put in use, and asked what it cannot do."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from imaging.native.preparing import prepare_any
from model.prediction import bootstrap_seed
from model.predictor import Predictor
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import ExplanationRow, PredictionState, ScanMeasurementRow, ScoreRow
from service.identity.accounts import create_user
from service.identity.actor import program
from service.identity.api_keys import create_api_key
from service.identity.roles import Role
from service.identity.scopes import Scope
from service.registry.registering import register
from tests.integration.conftest import MakeWorkplace, Workplace
from tests.servers import wait_until
from tests.service.api.serving import PASSWORD, web_process
from tests.training.methods.tiny_ridge import train_tiny_ridge

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.enable_socket]

ADMIN = "/api/v1/admin/models"


@pytest.fixture(scope="module")
def ridge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_tiny_ridge(tmp_path_factory.mktemp("ridge")).checkpoint


@pytest.fixture
def place(make_workplace: MakeWorkplace) -> Workplace:
    # Every answer is explained that can be.
    return make_workplace(explanations="always")


@pytest.fixture
def client(place: Workplace) -> Iterator[httpx2.Client]:
    with place.sessions.begin() as session:
        chief = create_user(
            session,
            username="chief",
            password=PASSWORD,
            role=Role.ADMINISTRATOR,
            organisation_id=DEFAULT_ORGANISATION_ID,
            by_owner=True,
        )
        scopes = [
            Scope.ADMIN,
            Scope.MODELS_READ,
            Scope.SCANS_WRITE,
            Scope.PREDICTIONS_READ,
            Scope.PREDICTIONS_WRITE,
        ]
        key = create_api_key(session, user=chief, name="test", scopes=scopes)
    place.worker("inference", "scoring")
    with (
        web_process(place.settings) as (address, _process, _seconds),
        httpx2.Client(base_url=address, headers={"Authorization": f"Bearer {key}"}, timeout=60) as client,
    ):
        yield client


def post(client: httpx2.Client, path: str, *, expected: int, **body: Any) -> Any:
    answer = client.post(path, json=body or None)
    assert answer.status_code == expected, answer.text
    return answer.json()


def predicted(client: httpx2.Client, place: Workplace) -> Any:
    """Upload a scan and wait for its answer."""
    answer = client.post(
        "/api/v1/scans", content=place.scan.read_bytes(), headers={"X-Filename": place.scan.name}
    )
    assert answer.status_code == 202, answer.text
    prediction_id = answer.json()["prediction_id"]
    place.wait_for(prediction_id, PredictionState.SUCCEEDED, within_s=180)
    return client.get(f"/api/v1/predictions/{prediction_id}").json()


def test_a_ridge_is_registered_scores_in_shadow_and_answers(
    place: Workplace, client: httpx2.Client, ridge: Path
) -> None:
    with place.sessions.begin() as session:
        version = register(session, place.storage, ridge, actor=program("test")).id
    shown = client.get(f"{ADMIN}/{version}").json()
    assert (shown["method"], shown["card"]["network"], shown["card"]["rnn"]) == (
        "ridge-connectivity",
        None,
        None,
    )
    assert shown["card"]["regions"]["name"] == "cubes"

    post(client, f"{ADMIN}/{version}/shadow", expected=201, reason="to see first")
    before = predicted(client, place)["result"]["model"]
    assert (before["method"], before["network"], before["rnn"]) == ("network", "C", "lstm")

    def scores() -> list[ScoreRow]:
        with place.sessions() as session:
            of_ridge = select(ScoreRow).where(ScoreRow.model_version_id == version)
            return [score for score in session.scalars(of_ridge) if score.state == "succeeded"]

    wait_until(lambda: bool(scores()), "a score beside an answer", within_s=120)

    # What is compared is the same for every method; here no people are chosen to compare on.
    refused = post(client, f"{ADMIN}/{version}/promote", expected=409, reason="because")
    assert refused["code"] == "gate_not_passed"
    why = "people of noise: the way is tried, not the model"
    post(client, f"{ADMIN}/{version}/promote", expected=200, reason="because", override_reason=why)

    answer = predicted(client, place)
    result = answer["result"]
    predictor = Predictor.load(ridge)
    network_input = prepare_any(place.scan, predictor.spec).network_input
    expected = predictor.classify(network_input, seed=bootstrap_seed(result["scan"]["sha256"]))
    assert result["adhd_probability"] == pytest.approx(expected.adhd_probability, abs=1e-6)
    assert result["interval"]["low"] == pytest.approx(expected.interval.low, abs=1e-6)
    assert result["model"]["method"] == "ridge-connectivity"
    assert (result["model"]["network"], result["model"]["rnn"]) == (None, None)
    assert result["computed_with"] == {"device": "cpu", "backend": "numpy"}
    assert [window["start_frame"] for window in result["windows"]] == [0]
    assert scores()[0].adhd_probability == pytest.approx(result["adhd_probability"], abs=1e-6)

    no_map = post(client, f"/api/v1/predictions/{answer['id']}/explanation", expected=409)
    assert (no_map["code"], no_map["details"]) == (
        "explanation_not_available",
        {"method": "ridge-connectivity"},
    )
    with place.sessions() as session:
        explained = set(session.scalars(select(ExplanationRow.prediction_id)))
        assert answer["id"] not in explained
        assert len(explained) == 1, "the network's answer is explained"
        measured = select(ScanMeasurementRow).where(ScanMeasurementRow.prediction_id == answer["id"])
        assert session.scalars(measured).one().embedding == pytest.approx(expected.embedding, abs=1e-4)
    page = client.get(f"/api/v1/predictions/{answer['id']}/report.html")
    assert page.status_code == 200
    assert "Ridge on connectivity, 2 members" in page.text
    assert "which the model reads at once" in page.text
