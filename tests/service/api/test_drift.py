"""Drift over REST, on the page and in the figures: what an administrator sees, asks for and acknowledges."""

import re
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from service.db.rows import AuditEventRow, DriftReferenceRow, ReferenceState
from service.drift.evaluating import evaluate_version
from service.identity.actor import program
from service.identity.roles import Role
from tests.service.api.serving import Serving
from tests.service.api.test_models import SOUND
from tests.service.drift.drift_rows import add_alarm, add_answers, add_reference
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
        ("references", {"cohort": "unreleased", "selection": "train"}, 422, "selection_needs_release"),
        ("references", {"cohort": "tiny", "model_version_id": "x"}, 404, "model_not_found"),
        ("evaluations", {"model_version_id": "x"}, 404, "model_not_found"),
        ("references/x/cancel", None, 404, "drift_reference_not_found"),
        ("alarms/x/acknowledge", None, 404, "drift_alarm_not_found"),
        ("alarms/acknowledge", {"model_version_id": "x"}, 404, "model_not_found"),
    ],
)
def test_what_is_not_there_is_refused(
    served: Serving, key: dict[str, str], path: str, body: dict[str, str] | None, status: int, code: str
) -> None:
    served.register_model()
    served.register_cohort()
    served.register_cohort("unreleased", releases=[])
    answer = served.client.post(f"{ADDRESS}/{path}", headers=key, json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert served.client.get(ADDRESS, headers=key, params={"model_version_id": "x"}).status_code == 404


def test_a_look_that_is_asked_for_is_shown_to_be(served: Serving, key: dict[str, str]) -> None:
    answer = served.client.post(f"{ADDRESS}/evaluations", headers=key, json={})
    assert (answer.status_code, answer.json()["code"]) == (409, "no_active_model")
    model = served.register_model()
    answer = served.client.post(f"{ADDRESS}/evaluations", headers=key)
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
    # The site of an alarm leads to its weeks.
    assert f'<a href="/drift?model={model}&amp;site=peking#weeks-heading">peking</a>' in text
    assert f'<a href="/drift?model={model}&amp;site=#weeks-heading">all sites</a>' in text
    of_site = served.client.get("/drift", params={"model": model, "site": "peking"}).text
    assert '<option value="peking" selected>' in of_site
    forms = re.findall(r'action="(/drift/alarms/[^"/]+/acknowledge)"', text)
    assert len(forms) == 2
    for form in forms:
        answer = served.client.post(form, data={"csrf_token": token})
        assert (answer.status_code, answer.headers["location"][:23]) == (303, "/drift?done=acknowledge")
    text = served.client.get("/drift").text
    assert "still differ from the reference" in text
    assert "No alarm" not in text
    assert "chief" in text


def test_the_page_says_what_a_site_is_compared_with(served: Serving) -> None:
    model = served.register_model()
    served.log_in(served.user("chief", Role.ADMINISTRATOR))
    generator = np.random.default_rng(5)
    with served.sessions.begin() as session:
        add_reference(session, model, site="peking")
        add_answers(session, model, draw(generator, 20), site="Oslo")
        for site in ("NYU", "Peking"):
            add_answers(session, model, draw(generator, 40), site=site, ago=timedelta(weeks=2))
            add_answers(session, model, draw(generator, 20), site=site)
    evaluate_version(served.sessions, model, actor=program("sweeper"))
    pages = {
        site: served.client.get("/drift", params={"site": site}).text
        for site in ("nyu", "peking", "oslo", "")
    }
    assert "Compared with the first weeks of this site" in pages["nyu"]
    assert "(40 people)" in pages["nyu"]
    assert "Compared with 60 people of this site in the reference." in pages["peking"]
    assert "of this site alone too little is known" in pages["oslo"]
    assert "Compared with the" not in pages[""]


@pytest.mark.parametrize("unknown", ["x", "00000000-0000-4000-8000-000000000000"])
def test_a_model_that_nobody_registered_is_said_to_be_none(served: Serving, unknown: str) -> None:
    served.register_model()
    served.log_in(served.user("chief", Role.ADMINISTRATOR))
    answer = served.client.get("/drift", params={"model": unknown}, headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert "By week" not in answer.text


def test_a_site_with_letters_of_an_address_leads_to_its_own_weeks(served: Serving) -> None:
    model = served.register_model()
    served.log_in(served.user("chief", Role.ADMINISTRATOR))
    with served.sessions.begin() as session:
        add_alarm(session, model, site="a&b #1")
    assert (
        f'href="/drift?model={model}&amp;site=a%26b%20%231#weeks-heading"' in served.client.get("/drift").text
    )


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


def test_a_promotion_that_leaves_the_reference_with_another_model_says_so_until_there_is_one(
    served: Serving, key: dict[str, str]
) -> None:
    first, second = served.add_model("1", SOUND), served.add_model("2", SOUND)

    def act(model: str, act: str) -> list[dict[str, Any]]:
        address = f"/api/v1/admin/models/{model}{act}"
        body = {"reason": "better by far"} | ({"override_reason": "nobody to compare on"} if model else {})
        answer = served.client.post(address.replace("//", "/"), headers=key, json=body)
        assert answer.status_code == 200, answer.text
        warnings: list[dict[str, Any]] = answer.json()["warnings"]
        return warnings

    assert act(first, "/promote") == []
    with served.sessions.begin() as session:
        add_reference(session, first)
    [warning] = act(second, "/promote")
    assert (warning["code"], warning["model_version_id"]) == ("reference_of_another_model", first)
    assert "cohort 'tiny'" in warning["message"]
    assert read(served, key)["warnings"] == [warning]
    # Of a model that does not answer nothing is to be renewed.
    assert read(served, key, model_version_id=first)["warnings"] == []
    served.log_in(served.user("chief", Role.ADMINISTRATOR))
    said = {
        "en": "The drift reference, cohort tiny, belongs to RestNet demonstration 1.",
        "zh-CN": "漂移参照（队列 tiny）属于",
    }
    for language, words in said.items():
        for path in ("/drift", f"/models/{second}"):
            page = served.client.get(path, headers={"Accept": "text/html", "Accept-Language": language})
            assert words in page.text, (path, language)
        other = served.client.get(f"/models/{first}", headers={"Accept-Language": language})
        assert words not in other.text
    # Back to the one that it belongs to nothing is left to be done.
    assert act("", "rollback") == []
    act(second, "/promote")
    served.register_cohort()
    asked = {"cohort": "tiny"}
    assert served.client.post(f"{ADDRESS}/references", headers=key, json=asked).status_code == 202
    assert read(served, key)["warnings"] == [], "one is on its way"


def test_a_reference_that_waits_is_cancelled_once_and_makes_way(served: Serving, key: dict[str, str]) -> None:
    model = served.register_model()
    served.register_cohort()
    queued = served.client.post(f"{ADDRESS}/references", headers=key, json={"cohort": "tiny"}).json()["id"]
    for _ in range(2):
        answer = served.client.post(f"{ADDRESS}/references/{queued}/cancel", headers=key)
        assert answer.status_code == 200, answer.text
        assert (answer.json()["status"], answer.json()["cancel_requested"]) == ("cancelled", True)
    again = served.client.post(f"{ADDRESS}/references", headers=key, json={"cohort": "tiny"})
    assert again.status_code == 202
    refused = served.client.post(f"{ADDRESS}/references", headers=key, json={"cohort": "tiny"})
    assert refused.json()["details"] == {"found": again.json()["id"]}
    with served.sessions() as session:
        [event] = session.query(AuditEventRow).where(AuditEventRow.action == "drift.cancel")
    assert (event.subject_id, event.details) == (model, {"reference_id": queued})


def test_a_reference_that_is_measured_is_asked_to_stop_and_one_that_is_there_stays(
    served: Serving, key: dict[str, str]
) -> None:
    model = served.register_model()
    served.register_cohort()
    with served.sessions.begin() as session:
        done = add_reference(session, model).id
    queued = served.client.post(f"{ADDRESS}/references", headers=key, json={"cohort": "tiny"}).json()["id"]
    with served.sessions.begin() as session:
        session.get_one(DriftReferenceRow, queued).state = ReferenceState.MEASURING
    answer = served.client.post(f"{ADDRESS}/references/{queued}/cancel", headers=key)
    assert (answer.json()["status"], answer.json()["cancel_requested"]) == ("measuring", True)
    over = served.client.post(f"{ADDRESS}/references/{done}/cancel", headers=key)
    assert (over.status_code, over.json()["code"]) == (409, "drift_reference_over")
    assert read(served, key)["reference"]["id"] == done
    token = served.log_in(served.user("chief", Role.ADMINISTRATOR))
    text = served.client.get("/drift").text
    assert "tiny: is being cancelled" in text
    assert f"/drift/references/{queued}/cancel" not in text
    late = served.client.post(f"/drift/references/{done}/cancel", data={"csrf_token": token, "model": model})
    assert (late.status_code, "there is nothing to cancel" in late.text) == (409, True)


def test_every_alarm_is_acknowledged_over_rest(served: Serving, key: dict[str, str]) -> None:
    model = served.register_model()
    drifted(served, model)
    for alarms in (2, 0):
        answer = served.client.post(f"{ADDRESS}/alarms/acknowledge", headers=key, json={})
        assert answer.status_code == 200, answer.text
        assert answer.json() == {"model_version_id": model, "alarms": alarms}
    assert read(served, key)["verdict"] == "acknowledged"


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
    form["cohort"] = served.register_cohort("unreleased", releases=[])
    unknown = served.client.post("/drift/references", data=form | {"selection": "train"})
    assert (unknown.status_code, "ingest it again with --test-ids" in unknown.text) == (422, True)
    nothing = served.client.post("/drift/references", data=form | {"cohort": ""})
    assert (nothing.status_code, "Choose a cohort." in nothing.text) == (422, True)
    [cancel] = re.findall(r'action="(/drift/references/[^"]+/cancel)"', nothing.text)
    stopped = served.client.post(cancel, data={"csrf_token": token, "model": model})
    assert (stopped.status_code, stopped.headers["location"]) == (303, f"/drift?done=cancelled&model={model}")
    text = served.client.get(stopped.headers["location"]).text
    assert "The reference is cancelled." in text
    assert "tiny: was cancelled" in text
    looked = served.client.post("/drift/evaluate", data={"csrf_token": token, "model": model})
    assert looked.status_code == 303
