"""A clinician's review over REST: what is taken, what is refused, who reads it, and what is counted."""

import logging
from typing import Any

import pytest
from sqlalchemy import select

from service.db.rows import AuditEventRow, PredictionState, ReviewRow
from service.identity.roles import Role
from tests.service.api.serving import Serving, sample_result

ADHD = (0.9, 0.8, 0.95)
CONTROL = (0.1, 0.05, 0.2)
UNCERTAIN = (0.6, 0.4, 0.8)
OVERRIDE = {"verdict": "overridden", "decision": "control", "reason": "The child slept."}


def finished(
    served: Serving, key: dict[str, str], model_version_id: str, figures: tuple[float, float, float] = ADHD
) -> str:
    accepted = served.upload(key, subject_id="P-17")
    prediction_id: str = accepted["prediction_id"]
    served.finish(prediction_id, sample_result(*figures), model_version_id=model_version_id)
    return prediction_id


def review(served: Serving, key: dict[str, str], prediction_id: str, **said: Any) -> Any:
    return served.client.post(f"/api/v1/predictions/{prediction_id}/review", headers=key, json=said)


def reviews(served: Serving, key: dict[str, str], prediction_id: str, **query: Any) -> Any:
    return served.client.get(f"/api/v1/predictions/{prediction_id}/reviews", headers=key, params=query)


@pytest.fixture
def key(served: Serving) -> dict[str, str]:
    return served.key("doctor")


@pytest.fixture
def model(served: Serving) -> str:
    return served.register_model()


def test_each_review_is_kept_beside_the_earlier_ones(
    served: Serving, key: dict[str, str], model: str
) -> None:
    prediction_id = finished(served, key, model)
    first = review(served, key, prediction_id, verdict="accepted")
    assert first.status_code == 201, first.text
    second = review(
        served, served.key("chief", Role.ADMINISTRATOR), prediction_id, **OVERRIDE, diagnosis="other"
    )
    assert second.status_code == 201, second.text
    found = reviews(served, key, prediction_id).json()
    assert found == {"items": [second.json(), first.json()], "next_cursor": None}
    told = [
        {name: item[name] for name in ("reviewer", "verdict", "decision", "reason", "diagnosis")}
        for item in found["items"]
    ]
    assert told == [
        {"reviewer": "chief", **OVERRIDE, "diagnosis": "other"},
        {"reviewer": "doctor", "verdict": "accepted", "decision": None, "reason": None, "diagnosis": None},
    ]
    assert {item["prediction_id"] for item in found["items"]} == {prediction_id}


def test_a_review_may_state_consent_to_training_and_a_later_one_withdraw_it(
    served: Serving, key: dict[str, str], model: str
) -> None:
    prediction_id = finished(served, key, model)
    for said in ({"training_consent": True}, {}, {"training_consent": False}, {"training_consent": None}):
        answer = review(served, key, prediction_id, verdict="accepted", diagnosis="adhd", **said)
        assert answer.status_code == 201, answer.text
    found = reviews(served, key, prediction_id).json()["items"]
    assert [one["training_consent"] for one in found] == [None, False, None, True]
    with served.sessions() as session:
        events = session.scalars(
            select(AuditEventRow)
            .where(AuditEventRow.action == "prediction.review")
            .order_by(AuditEventRow.sequence)
        )
        told = [(event.details or {}).get("training_consent", "not a word") for event in events]
    assert told == [True, "not a word", False, "not a word"]


def test_reviews_are_paged(served: Serving, key: dict[str, str], model: str) -> None:
    prediction_id = finished(served, key, model)
    made = [review(served, key, prediction_id, verdict="accepted").json()["id"] for _ in range(3)]
    first = reviews(served, key, prediction_id, limit=2).json()
    rest = reviews(served, key, prediction_id, limit=2, cursor=first["next_cursor"]).json()
    assert [item["id"] for item in (*first["items"], *rest["items"])] == made[::-1]
    assert rest["next_cursor"] is None


@pytest.mark.parametrize(
    ("said", "where"),
    [
        ({}, "body"),
        ({"verdict": "maybe"}, "body"),
        ({"verdict": "accepted", "decision": "adhd"}, "body.accepted.decision"),
        ({"verdict": "accepted", "diagnosis": "autism"}, "body.accepted.diagnosis"),
        ({"verdict": "overridden", "reason": "x"}, "body.overridden.decision"),
        ({"verdict": "overridden", "decision": "control"}, "body.overridden.reason"),
        (OVERRIDE | {"decision": "uncertain"}, "body.overridden.decision"),
        (OVERRIDE | {"reason": ""}, "body.overridden.reason"),
        (OVERRIDE | {"reason": " \n\t"}, "body.overridden.reason"),
        (OVERRIDE | {"reason": "a\x00b"}, "body.overridden.reason"),
        (OVERRIDE | {"reason": "x" * 2001}, "body.overridden.reason"),
        (OVERRIDE | {"note": "x"}, "body.overridden.note"),
        (OVERRIDE | {"training_consent": "yes"}, "body.overridden.training_consent"),
    ],
)
def test_what_is_no_review_is_refused_without_repeating_it(
    served: Serving, key: dict[str, str], model: str, said: dict[str, Any], where: str
) -> None:
    prediction_id = finished(served, key, model)
    answer = review(served, key, prediction_id, **said)
    assert (answer.status_code, answer.json()["code"]) == (422, "request_not_valid")
    assert [problem["where"] for problem in answer.json()["details"]["errors"]] == [where]
    assert "slept" not in answer.text
    assert reviews(served, key, prediction_id).json()["items"] == []


@pytest.mark.parametrize("reason", ["x", "x" * 2000, "Zwei Zeilen,\r\n\tund ein Zeichen: 🧠"])
def test_a_reason_comes_back_as_it_was_written(
    served: Serving, key: dict[str, str], model: str, reason: str
) -> None:
    prediction_id = finished(served, key, model)
    assert review(served, key, prediction_id, **OVERRIDE | {"reason": reason}).json()["reason"] == reason
    assert reviews(served, key, prediction_id).json()["items"][0]["reason"] == reason


@pytest.mark.parametrize("state", [state for state in PredictionState if state != PredictionState.SUCCEEDED])
def test_only_a_finished_prediction_is_reviewed(
    served: Serving, key: dict[str, str], state: PredictionState
) -> None:
    prediction_id = served.upload(key)["prediction_id"]
    served.set_state(prediction_id, state)
    answer = review(served, key, prediction_id, verdict="accepted")
    assert (answer.status_code, answer.json()["code"]) == (409, "prediction_not_finished")
    assert answer.json()["details"] == {"state": state.value}
    assert reviews(served, key, prediction_id).json()["items"] == []


@pytest.mark.parametrize(
    ("figures", "word"), [(ADHD, "adhd"), (CONTROL, "control"), (UNCERTAIN, "cannot_tell")]
)
def test_an_override_says_something_else_than_the_model(
    served: Serving, key: dict[str, str], model: str, figures: tuple[float, float, float], word: str
) -> None:
    prediction_id = finished(served, key, model, figures)
    for decision in ("adhd", "control", "cannot_tell"):
        answer = review(served, key, prediction_id, **OVERRIDE | {"decision": decision})
        assert answer.status_code == (409 if decision == word else 201), decision
    answer = review(served, key, prediction_id, **OVERRIDE | {"decision": word})
    assert answer.json()["code"] == "override_agrees"
    assert answer.json()["details"] == {"decision": word}


def test_who_sees_a_prediction_reads_its_reviews_and_nobody_else(
    served: Serving, key: dict[str, str], model: str
) -> None:
    researcher = served.key("researcher", Role.RESEARCHER)
    own, others = finished(served, researcher, model), finished(served, key, model)
    assert review(served, key, own, **OVERRIDE).status_code == 201
    assert [item["reviewer"] for item in reviews(served, researcher, own).json()["items"]] == ["doctor"]
    refused = reviews(served, researcher, others)
    assert (refused.status_code, refused.json()["code"]) == (404, "prediction_not_found")
    assert review(served, researcher, own, verdict="accepted").json()["code"] == "permission_denied"


def test_a_deleted_scan_takes_its_reviews_along(served: Serving, key: dict[str, str], model: str) -> None:
    kept, gone = finished(served, key, model), finished(served, key, model)
    for prediction_id in (kept, gone):
        review(served, key, prediction_id, **OVERRIDE)
    scan_id = served.client.get(f"/api/v1/predictions/{gone}", headers=key).json()["scan_id"]
    assert served.client.delete(f"/api/v1/scans/{scan_id}", headers=key).status_code == 204
    assert reviews(served, key, gone).status_code == 404
    assert review(served, key, gone, verdict="accepted").status_code == 404
    with served.sessions() as session:
        assert list(session.scalars(select(ReviewRow.prediction_id))) == [kept]


def test_the_audit_has_who_and_what_and_neither_it_nor_the_log_why(
    served: Serving, key: dict[str, str], model: str, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    prediction_id = finished(served, key, model)
    with caplog.at_level(logging.DEBUG):
        made = review(served, key, prediction_id, **OVERRIDE, diagnosis="control").json()
    with served.sessions() as session:
        [event] = session.scalars(select(AuditEventRow).where(AuditEventRow.action == "prediction.review"))
        everything = " ".join(str(row.details) for row in session.scalars(select(AuditEventRow)))
    assert event.actor.startswith("key:")
    assert (event.subject_kind, event.subject_id) == ("prediction", prediction_id)
    assert event.details == {"review_id": made["id"], "verdict": "overridden"}
    assert "slept" not in everything + caplog.text + "".join(capfd.readouterr())


def test_each_prediction_counts_once_and_decision_and_diagnosis_are_compared(
    served: Serving, key: dict[str, str], model: str
) -> None:
    for figures, said in (
        # The diagnosis that came first stands, though the last word on the answer is a later one.
        (ADHD, [{"verdict": "accepted", "diagnosis": "adhd"}, OVERRIDE]),
        # A later diagnosis takes the place of the first.
        (ADHD, [OVERRIDE | {"diagnosis": "adhd"}, {"verdict": "accepted", "diagnosis": "control"}]),
        (CONTROL, [{"verdict": "accepted", "diagnosis": "control"}]),
        (CONTROL, [{"verdict": "accepted", "diagnosis": "other"}]),
        (UNCERTAIN, [{"verdict": "accepted", "diagnosis": "adhd"}]),
        (UNCERTAIN, [{"verdict": "accepted"}]),
        (ADHD, []),
    ):
        prediction_id = finished(served, key, model, figures)
        for each in said:
            assert review(served, key, prediction_id, **each).status_code == 201
    administrator = served.key("chief", Role.ADMINISTRATOR)
    counts = served.client.get("/api/v1/admin/reviews/counts", headers=administrator)
    nothing = {"adhd": 0, "control": 0, "uncertain": 0}
    assert counts.json() == {
        "accepted": 5,
        "overridden": 1,
        "with_diagnosis": 5,
        "agreement": {"agreeing": 2, "decided": 3},
        "by_diagnosis": {
            "adhd": nothing | {"adhd": 1, "uncertain": 1},
            "control": nothing | {"adhd": 1, "control": 1},
            "other": nothing | {"control": 1},
        },
    }
