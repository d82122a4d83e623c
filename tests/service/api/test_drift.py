"""Drift over REST, on the page and in the figures: what an administrator sees, asks for and acknowledges."""

import re
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from service.db.rows import AuditEventRow, DriftReferenceRow
from service.drift.evaluating import evaluate_version
from service.identity.actor import program
from service.identity.roles import Role
from tests.service.api.serving import Serving
from tests.service.drift.drift_rows import add_answers, add_reference
from tests.service.drift.people import draw

ADDRESS = "/api/v1/admin/drift"


@pytest.fixture
def key(served: Serving) -> dict[str, str]:
    return served.key(role=Role.ADMINISTRATOR)


def read(served: Serving, key: dict[str, str], **asked: str) -> dict[str, Any]:
    answer = served.client.get(ADDRESS, headers=key, params=asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def drifted(served: Serving, model: str) -> None:
    generator = np.random.default_rng(2)
    with served.sessions.begin() as session:
        add_reference(session, model)
        add_answers(session, model, draw(generator, 30), site="NYU", ago=timedelta(weeks=2))
        add_answers(session, model, draw(generator, 30), site="NYU")
        add_answers(session, model, draw(generator, 30, tr_s=1.2), site="Peking")
    evaluate_version(served.sessions, model, actor=program("sweeper"))


def figures(served: Serving) -> dict[str, float]:
    text = served.client.get("/metrics", headers=served.key(role=Role.ADMINISTRATOR)).text
    return {
        name: float(value) for name, value in re.findall(r"^(restnet_drift_\S+) (\S+)$", text, re.MULTILINE)
    }


def test_the_verdict_goes_from_no_model_to_an_alarm_and_back(served: Serving, key: dict[str, str]) -> None:
    assert read(served, key)["verdict"] == "no_model"
    model = served.register_model()
    assert read(served, key)["verdict"] == "no_reference"
    assert figures(served)["restnet_drift_reference_in_use"] == 0
    with served.sessions.begin() as session:
        reference = add_reference(session, model)
        session.delete(reference)
    drifted(served, model)
    found = read(served, key)
    assert (found["verdict"], found["alarm_since"]) == ("alarm", found["found"]["weeks"][-1])
    assert {alarm["site"] for alarm in found["alarms"]} == {"", "peking"}
    assert found["reference"]["cohort"] == "tiny"
    assert found["reference"]["people"] == 60
    assert [one["model_version_id"] for one in found["deployments"]] == [model]
    assert {one["site"] for one in read(served, key, site="peking")["found"]["findings"]} == {"peking"}
    assert figures(served)["restnet_drift_alarm"] == 2
    assert figures(served)["restnet_drift_reference_in_use"] == 1
    assert 0.3 < figures(served)['restnet_drift_statistic{variable="tr_s"}'] < 0.6

    for alarm in found["alarms"]:
        answer = served.client.post(f"{ADDRESS}/alarms/{alarm['id']}/acknowledge", headers=key)
        assert answer.status_code == 200
        assert answer.json()["acknowledged_by"]
    after = read(served, key)
    assert (after["verdict"], after["open_alarms"], len(after["alarms"])) == ("acknowledged", 0, 2)
    assert "tr_s" in after["alarm_variables"]
    assert figures(served)["restnet_drift_alarm"] == 0


def test_a_reference_is_queued_once_and_the_audit_has_it(served: Serving, key: dict[str, str]) -> None:
    model, cohort = served.register_model(), served.register_cohort()
    answer = served.client.post(f"{ADDRESS}/references", headers=key, json={"cohort": "tiny"})
    assert answer.status_code == 202, answer.text
    queued = answer.json()
    assert (queued["status"], queued["model_version_id"], queued["people"]) == ("queued", model, None)
    again = served.client.post(f"{ADDRESS}/references", headers=key, json={"cohort": cohort})
    assert (again.status_code, again.json()["code"]) == (409, "drift_reference_waiting")
    assert read(served, key)["newest_reference"]["id"] == queued["id"]
    with served.sessions() as session:
        assert session.get_one(DriftReferenceRow, queued["id"]).published_at is not None
        [event] = session.query(AuditEventRow).where(AuditEventRow.action == "drift.reference")
    assert (event.subject_id, event.details["cohort_id"]) == (model, cohort)


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("references", {"cohort": "nothing"}, 422, "cohort_not_known"),
        ("references", {"cohort": "tiny", "selection": "nobody"}, 422, "request_not_valid"),
        ("references", {"cohort": "tiny", "model_version_id": "x"}, 404, "model_not_found"),
        ("evaluations", {"model_version_id": "x"}, 404, "model_not_found"),
        ("alarms/x/acknowledge", None, 404, "drift_alarm_not_found"),
    ],
)
def test_what_is_not_there_is_refused(
    served: Serving, key: dict[str, str], path: str, body: dict[str, str] | None, status: int, code: str
) -> None:
    served.register_model()
    served.register_cohort()
    answer = served.client.post(f"{ADDRESS}/{path}", headers=key, json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert served.client.get(ADDRESS, headers=key, params={"model_version_id": "x"}).status_code == 404


def test_a_look_that_is_asked_for_is_shown_to_be(served: Serving, key: dict[str, str]) -> None:
    answer = served.client.post(f"{ADDRESS}/evaluations", headers=key, json={})
    assert (answer.status_code, answer.json()["code"]) == (409, "no_active_model")
    model = served.register_model()
    answer = served.client.post(f"{ADDRESS}/evaluations", headers=key, json={})
    assert (answer.status_code, answer.json()) == (202, {"model_version_id": model})
    assert read(served, key)["evaluation_requested"] is True
    evaluate_version(served.sessions, model, actor=program("sweeper"))
    assert read(served, key)["evaluation_requested"] is False


def test_another_organisations_administrator_sees_nothing(served: Serving) -> None:
    far = served.key("far", Role.ADMINISTRATOR, served.organisation("Elsewhere"))
    answer = served.client.get(ADDRESS, headers=far)
    assert answer.status_code == 403


def test_the_page_says_the_verdict_first_and_takes_an_acknowledgement(served: Serving) -> None:
    model = served.register_model()
    token = served.log_in(served.user("chief", Role.ADMINISTRATOR))
    assert "Nothing to compare with yet" in served.client.get("/drift").text
    drifted(served, model)
    text = served.client.get("/drift").text
    assert text.index("Since week") < text.index("By week")
    assert "repetition time" in text
    assert "peking" in text
    forms = re.findall(r'action="(/drift/alarms/[^"/]+/acknowledge)"', text)
    assert len(forms) == 2
    for form in forms:
        answer = served.client.post(form, data={"csrf_token": token})
        assert (answer.status_code, answer.headers["location"][:23]) == (303, "/drift?done=acknowledge")
    text = served.client.get("/drift").text
    assert "still differ from the reference" in text
    assert "No alarm" not in text
    assert "chief" in text


def test_every_alarm_is_acknowledged_by_one_button(served: Serving, key: dict[str, str]) -> None:
    model = served.register_model()
    token = served.log_in(served.user("chief", Role.ADMINISTRATOR))
    drifted(served, model)
    assert 'action="/drift/alarms/acknowledge"' in served.client.get("/drift").text
    form = {"csrf_token": token, "model": model}
    answer = served.client.post("/drift/alarms/acknowledge", data=form)
    assert answer.headers["location"] == f"/drift?done=acknowledged_all&model={model}"
    assert read(served, key)["open_alarms"] == 0
    assert 'action="/drift/alarms/acknowledge"' not in served.client.get("/drift").text


def test_few_scans_are_no_good_news(served: Serving, key: dict[str, str]) -> None:
    model = served.register_model()
    with served.sessions.begin() as session:
        add_reference(session, model)
        add_answers(session, model, draw(np.random.default_rng(1), 9))
    evaluate_version(served.sessions, model, actor=program("sweeper"))
    assert read(served, key)["verdict"] == "nothing_judged"
    with served.sessions.begin() as session:
        add_answers(session, model, draw(np.random.default_rng(2), 20))
    evaluate_version(served.sessions, model, actor=program("sweeper"))
    assert read(served, key)["verdict"] == "no_alarm"
    # The only site is all of them.
    of_site = read(served, key, site="nyu")["found"]
    assert {one["site"] for one in of_site["findings"]} == {"nyu"}
    assert {one["site"] for one in of_site["outcomes"]} == {"nyu"}


def test_after_a_promotion_the_page_leads_to_the_model_before_and_says_what_is_missing(
    served: Serving,
) -> None:
    before = served.register_model()
    served.log_in(served.user("chief", Role.ADMINISTRATOR))
    drifted(served, before)
    other = served.add_model("2")
    text = served.client.get(f"/drift?model={other}").text
    assert "after each promotion the new one needs its own" in text
    assert f'<option value="{before}"' in text
    assert f'href="/api/v1/admin/drift?model_version_id={before}"' in served.client.get("/drift").text


def test_the_page_queues_a_reference_and_refuses_in_words(served: Serving) -> None:
    model, cohort = served.register_model(), served.register_cohort()
    token = served.log_in(served.user("chief", Role.ADMINISTRATOR))
    form = {"csrf_token": token, "model": model, "cohort": cohort}
    answer = served.client.post("/drift/references", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/drift?done=reference&model={model}")
    assert "tiny: waits" in served.client.get("/drift").text
    again = served.client.post("/drift/references", data=form)
    assert again.status_code == 409
    assert "A reference of this model is on its way" in again.text
    refused = served.client.post("/drift/references", data=form | {"selection": "seed430"})
    assert f'<option value="{cohort}" selected>' in refused.text
    assert '<option value="seed430" selected>' in refused.text
    nothing = served.client.post("/drift/references", data=form | {"cohort": ""})
    assert (nothing.status_code, "Choose a cohort." in nothing.text) == (422, True)
    looked = served.client.post("/drift/evaluate", data={"csrf_token": token, "model": model})
    assert looked.status_code == 303
