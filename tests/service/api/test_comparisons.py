"""A person and a scan beside the training subjects, over REST."""

import json
from typing import Any

import pytest

from service.db.rows import ModelVersionRow, ScanRow
from tests.service.answering import let_answer
from tests.service.api.serving import CARD, Serving, sample_result
from tests.service.test_population import POPULATION

DESCRIBED: dict[str, Any] = CARD | {"population": POPULATION}


def finished(served: Serving, key: dict[str, str], card: dict[str, Any], **said: str) -> str:
    """Upload a scan, have it answered by a model with this card, and return its address."""
    accepted = served.upload(key, **said)
    model = served.register_model(card)
    served.finish(accepted["prediction_id"], sample_result(), model_version_id=model)
    address: str = accepted["links"]["prediction"]
    return address


def test_a_result_stands_beside_the_subjects_of_its_model(served: Serving) -> None:
    key = served.key()
    address = finished(served, key, DESCRIBED, age_years="31.5", sex="male", site="Ulm")
    population = served.client.get(address, headers=key).json()["population"]
    assert (population["subjects"], population["cases"], population["controls"]) == (101, 40, 61)
    compared = {one.pop("name"): one for one in population["comparisons"]}
    assert compared["age_years"] == {
        "value": 31.5,
        "place": "inside",
        "middle_90": {"low": 5.0, "high": 95.0},
        "percentile": 31.5,
        "subjects": None,
    }
    assert (compared["sex"]["place"], compared["sex"]["subjects"]) == ("inside", 99)
    assert (compared["site"]["place"], compared["site"]["subjects"]) == ("outside", 0)
    assert (compared["tr_s"]["place"], compared["tr_s"]["value"]) == ("inside", 2.0)
    assert (compared["n_frames"]["place"], compared["n_frames"]["percentile"]) == ("outside", 100)
    assert compared["tsnr"] == {
        "value": None,
        "place": "unknown",
        "middle_90": None,
        "percentile": None,
        "subjects": None,
    }


def test_it_is_the_model_that_answered_and_not_the_one_that_answers_now(served: Serving) -> None:
    key = served.key()
    address = finished(served, key, DESCRIBED)
    with served.sessions.begin() as session:
        following = ModelVersionRow(
            name="next", version="2", sha256="b" * 64, storage_key="models/b", card=CARD
        )
        let_answer(session, following)
    assert served.client.get(address, headers=key).json()["population"]["subjects"] == 101


@pytest.mark.parametrize("card", [CARD, CARD | {"population": None}])
def test_an_older_card_compares_with_nobody(served: Serving, card: dict[str, Any]) -> None:
    key = served.key()
    answer = served.client.get(finished(served, key, card), headers=key).json()
    assert answer["status"] == "succeeded"
    assert answer["population"] is None


def test_lists_and_what_has_no_result_yet_compare_nothing(served: Serving) -> None:
    key = served.key()
    waiting = served.upload(key)["links"]["prediction"]
    finished(served, key, DESCRIBED)
    assert served.client.get(waiting, headers=key).json()["population"] is None
    listed = served.client.get("/api/v1/predictions", headers=key).json()["items"]
    assert [one["population"] for one in listed] == [None, None]
    assert [one["status"] for one in listed] == ["succeeded", "queued"]


def test_a_stream_ends_with_the_comparison(served: Serving) -> None:
    key = served.key()
    address = finished(served, key, DESCRIBED, sex="female")
    told = served.client.get(f"{address}/events", headers=key).text
    data = [json.loads(line.removeprefix("data: ")) for line in told.splitlines() if line.startswith("data")]
    assert data[-1]["population"] == served.client.get(address, headers=key).json()["population"]


def test_what_was_said_of_the_person_is_compared_as_it_stands(served: Serving) -> None:
    key = served.key()
    address = finished(served, key, DESCRIBED, sex="female")
    with served.sessions.begin() as session:
        session.query(ScanRow).update({"sex": None, "site": "nyu"})
    population = served.client.get(address, headers=key).json()["population"]
    compared = {one["name"]: one for one in population["comparisons"]}
    assert compared["sex"]["place"] == "unknown"
    assert (compared["site"]["value"], compared["site"]["subjects"]) == ("nyu", 60)
