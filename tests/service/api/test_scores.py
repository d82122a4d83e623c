"""Shadow mode and batches over REST: who may, what is refused, and that nobody else is shown a score."""

from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import select

from service.db.organisations import OrganisationRow
from service.db.rows import AuditEventRow, RescoreRow, ScoreState
from service.identity.roles import Role
from service.identity.scopes import Scope
from tests.service.api.scoring_rows import begin_batch, put_in_shadow, score
from tests.service.api.serving import CARD, Serving, sample_result, scan_bytes
from tests.service.evaluated import add_set

MODELS = "/api/v1/admin/models"
RESCORES = "/api/v1/admin/rescores"


@dataclass
class Place:
    """A service with a model that answers, another one, and three answers: two here, one elsewhere."""

    served: Serving
    chief: dict[str, str]
    champion: str
    challenger: str
    ours: list[str]
    theirs: str

    def get(self, path: str, headers: dict[str, str] | None = None, **query: Any) -> Any:
        return self.served.client.get(path, headers=headers or self.chief, params=query)

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        return self.served.client.post(path, headers=self.chief, json=body)


@pytest.fixture
def place(served: Serving) -> Place:
    champion, challenger = served.register_model(), served.add_model("2")
    elsewhere = served.organisation("Elsewhere")
    doctor, stranger = served.key("doctor"), served.key("stranger", Role.CLINICIAN, elsewhere)
    answered = []
    for number, key in enumerate((doctor, doctor, stranger)):
        accepted = served.upload(key, scan_bytes(seed=number), subject_id=f"P-{number}")
        served.finish(accepted["prediction_id"], sample_result(), model_version_id=champion)
        answered.append(accepted["prediction_id"])
    chief = served.key("chief", Role.ADMINISTRATOR)
    return Place(served, chief, champion, challenger, answered[:2], answered[2])


def code_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_a_model_is_put_in_shadow_and_taken_out(place: Place) -> None:
    address = f"{MODELS}/{place.challenger}/shadow"
    assert place.get(address).json() == {"shadow": None}
    assert code_of(place.get(f"{address}/comparison")) == (409, "model_not_in_shadow")
    assert code_of(place.post(f"{address}/end")) == (409, "model_not_in_shadow")
    begun = place.post(address, {"reason": "to see"})
    assert begun.status_code == 201, begun.text
    assert (begun.json()["by"], begun.json()["ended_at"], begun.json()["reason"]) == ("chief", None, "to see")
    assert code_of(place.post(address, {"reason": "again"})) == (409, "shadow_taken")
    champion = f"{MODELS}/{place.champion}/shadow"
    assert code_of(place.post(champion, {"reason": "why"})) == (409, "model_already_active")
    ended = place.post(f"{address}/end").json()
    assert (ended["id"], ended["ended_by"], ended["ended_because"]) == (
        begun.json()["id"],
        "chief",
        "request",
    )
    assert place.get(address).json()["shadow"]["ended_at"] == ended["ended_at"]
    with place.served.sessions() as session:
        told = session.scalars(select(AuditEventRow).where(AuditEventRow.action.like("model.shadow%"))).all()
    assert [event.action for event in told] == ["model.shadow", "model.shadow_end"]


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": " "}, {"reason": "x", "more": 1}])
def test_shadow_mode_needs_a_reason(place: Place, body: dict[str, Any]) -> None:
    assert place.post(f"{MODELS}/{place.challenger}/shadow", body).status_code == 422


def test_a_model_that_does_not_run_here_scores_and_is_compared_with_nothing(place: Place) -> None:
    with place.served.sessions.begin() as session:
        add_set(session)
    other = place.served.add_model("3", CARD | {"preprocessing": {"version": 2}})
    lost = place.served.add_model("4")
    place.served.lose_model(lost)
    for model, code in ((other, "gate_not_passed"), (lost, "checkpoint_missing")):
        rescore = {"model_version_id": model, "reason": "why"}
        for path, body in (
            (f"{MODELS}/{model}/shadow", {"reason": "to see"}),
            (RESCORES, rescore),
            (f"{MODELS}/{model}/evaluations", None),
        ):
            answer = place.post(path, body)
            assert code_of(answer) == (409, code), path
            if model == other:
                [rule] = answer.json()["details"]["rules"]
                assert (rule["name"], rule["found"]) == ("preprocessing_known", "version: 2")


def test_a_promotion_ends_shadow_mode(place: Place) -> None:
    put_in_shadow(place.served, place.challenger)
    promote = {"reason": "better", "override_reason": "a card for a test"}
    assert place.post(f"{MODELS}/{place.challenger}/promote", promote).status_code == 200
    shadow = place.get(f"{MODELS}/{place.challenger}/shadow").json()["shadow"]
    assert (shadow["ended_because"], shadow["ended_by"]) == ("promotion", "chief")


def test_what_would_have_changed_is_counted_for_all_and_listed_for_ones_own(place: Place) -> None:
    shadow = put_in_shadow(place.served, place.challenger)
    for prediction_id in (*place.ours, place.theirs):
        score(place.served, prediction_id, shadow)
    address = f"{MODELS}/{place.challenger}/shadow"
    found = place.get(f"{address}/comparison").json()
    assert (found["n"], found["changed"]["count"]) == (3, 3)
    assert found["decisions"]["uncertain"] == {"control": 0, "adhd": 3, "uncertain": 0}
    assert found["differences"]["mean"] == pytest.approx(0.29)
    assert found["differences"]["quantiles"]["0.5"] == pytest.approx(0.29)
    first = place.get(f"{address}/changes", limit=1).json()
    second = place.get(f"{address}/changes", limit=1, cursor=first["next_cursor"]).json()
    listed = [first["items"][0], second["items"][0]]
    assert [one["prediction_id"] for one in listed] == place.ours[::-1]
    assert [one["subject_id"] for one in listed] == ["P-1", "P-0"]
    assert (first["elsewhere"], second["next_cursor"]) == (1, None)
    assert (listed[0]["then"]["decision"], listed[0]["now"]["decision"]) == ("uncertain", "adhd")
    assert place.theirs not in place.get(f"{address}/changes").text
    assert place.get(f"{address}/changes", cursor="nonsense").status_code == 422


def test_a_key_that_may_not_see_predictions_gets_no_pseudonym(place: Place) -> None:
    shadow = put_in_shadow(place.served, place.challenger)
    score(place.served, place.ours[0], shadow)
    key = place.served.key("chief", scopes={Scope.ADMIN})
    changes = place.get(f"{MODELS}/{place.challenger}/shadow/changes", key)
    assert [one["subject_id"] for one in changes.json()["items"]] == [None]
    assert "P-0" not in changes.text


def test_no_answer_list_or_report_shows_a_score(place: Place) -> None:
    shadow = put_in_shadow(place.served, place.challenger)
    batch = begin_batch(place.served, place.challenger)
    for cause in (shadow, batch):
        score(place.served, place.ours[0], cause, probability=0.987)
    doctor = place.served.key("doctor")
    for path in (
        "/api/v1/predictions",
        f"/api/v1/predictions/{place.ours[0]}",
        f"/api/v1/predictions/{place.ours[0]}/report.html",
    ):
        answer = place.get(path, doctor)
        assert answer.status_code == 200
        assert "0.987" not in answer.text
        assert place.challenger not in answer.text
    place.served.log_in("doctor")
    for path in ("/predictions", f"/predictions/{place.ours[0]}"):
        text = place.served.client.get(path, headers={"Accept": "text/html"}).text
        assert "0.987" not in text
        assert place.challenger not in text


def test_a_batch_is_counted_begun_followed_and_cancelled(place: Place) -> None:
    assert place.get(f"{RESCORES}/preview").json() == {"scans": 3}
    assert place.get(f"{RESCORES}/preview", limit=2).json() == {"scans": 2}
    assert place.get(f"{RESCORES}/preview", until="2020-01-01T00:00:00Z").json() == {"scans": 0}
    asked = {"model_version_id": place.challenger, "reason": "why"}
    nothing = place.post(RESCORES, asked | {"until": "2020-01-01T00:00:00Z"})
    assert code_of(nothing) == (409, "nothing_to_rescore")
    begun = place.post(RESCORES, asked | {"limit": 2})
    assert begun.status_code == 202, begun.text
    batch = begun.json()
    assert (batch["status"], batch["n_asked"], batch["n_queued"], batch["by"]) == ("running", 2, 0, "chief")
    assert code_of(place.post(RESCORES, asked)) == (409, "rescore_running")
    with place.served.sessions() as session:
        row = session.get_one(RescoreRow, batch["id"])
    score(place.served, place.ours[0], row)
    failed = {"state": ScoreState.FAILED, "error_code": "too_few_frames", "decision": None, "result": None}
    score(place.served, place.theirs, row, **failed)
    found = place.get(f"{RESCORES}/{batch['id']}").json()
    assert (found["progress"], found["scores"]["succeeded"], found["scores"]["failed"]) == (1.0, 1, 1)
    assert found["scores"]["failed_by_code"] == {"too_few_frames": 1}
    assert [one["id"] for one in place.get(RESCORES).json()["items"]] == [batch["id"]]
    assert place.get(f"{RESCORES}/{batch['id']}/comparison").json()["n"] == 1
    assert len(place.get(f"{RESCORES}/{batch['id']}/changes").json()["items"]) == 1
    for _ in range(2):
        cancelled = place.post(f"{RESCORES}/{batch['id']}/cancel")
        assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    with place.served.sessions.begin() as session:
        row = session.get_one(RescoreRow, batch["id"])
        row.state = "finished"
    assert code_of(place.post(f"{RESCORES}/{batch['id']}/cancel")) == (409, "rescore_over")


def test_what_is_not_there_is_said(place: Place) -> None:
    unknown = "00000000-0000-0000-0000-000000000000"
    for path in (f"{RESCORES}/{unknown}", f"{RESCORES}/x/comparison", f"{RESCORES}/{unknown}/changes"):
        assert code_of(place.get(path)) == (404, "rescore_not_found")
    assert code_of(place.post(f"{RESCORES}/{unknown}/cancel")) == (404, "rescore_not_found")
    assert code_of(place.get(f"{MODELS}/{unknown}/shadow")) == (404, "model_not_found")
    asked = {"model_version_id": unknown, "reason": "why"}
    assert code_of(place.post(RESCORES, asked)) == (404, "model_not_found")
    place.served.lose_model(place.challenger)
    asked = {"model_version_id": place.challenger, "reason": "why"}
    assert code_of(place.post(RESCORES, asked)) == (409, "checkpoint_missing")


def test_another_organisations_administrator_may_not(place: Place) -> None:
    with place.served.sessions() as session:
        elsewhere = session.scalars(
            select(OrganisationRow.id).where(OrganisationRow.name == "Elsewhere")
        ).one()
    far = place.served.key("far", Role.ADMINISTRATOR, elsewhere)
    for path in (RESCORES, f"{RESCORES}/preview", f"{MODELS}/{place.challenger}/shadow"):
        assert code_of(place.get(path, far)) == (403, "installation_only")
