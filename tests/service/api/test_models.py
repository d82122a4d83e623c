"""The registry over REST: who may look, who may promote, and what is told of it."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select

from service.api.resources import HASHING_THREADS
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import AuditEventRow, ModelVersionRow, TrainingRunRow, UserRow
from service.identity.roles import Role
from service.identity.scopes import Scope
from service.registry import gate
from tests.service.api.serving import CARD, Serving
from tests.service.evaluated import let_pass

FIGURE = {"value": 0.9, "low": 0.85, "high": 0.94}
SOUND = CARD | {
    "metrics": {"protocol": "nested"}
    | dict.fromkeys(("auc", "balanced_accuracy", "sensitivity", "specificity"), FIGURE)
}
MODELS = "/api/v1/admin/models"


@pytest.fixture
def chief(served: Serving) -> dict[str, str]:
    return served.key("chief", Role.ADMINISTRATOR)


def promote(served: Serving, key: dict[str, str], model: str, **more: Any) -> Any:
    """Promote a model that has been compared, and has passed, as far as there is one to compare with."""
    body = {"reason": "better"} | more
    with served.sessions.begin() as session:
        let_pass(session, model)
    return served.client.post(f"{MODELS}/{model}/promote", headers=key, json=body)


def test_a_promotion_is_answered_shown_and_told(served: Serving, chief: dict[str, str]) -> None:
    first, second = served.add_model("1", SOUND), served.add_model("2", SOUND)
    done = promote(served, chief, first, expected_active="none")
    assert done.status_code == 200, done.text
    assert (done.json()["number"], done.json()["kind"], done.json()["by"]) == (1, "first", "chief")
    done = promote(served, chief, second, expected_active=first).json()
    assert (done["model_version_id"], done["kind"], done["ended_at"]) == (second, "promotion", None)

    listed = served.client.get(MODELS, headers=chief).json()["items"]
    assert [(row["version"], row["active"], row["added_by"]) for row in listed] == [
        ("2", True, "command-line"),
        ("1", False, "command-line"),
    ]
    assert (listed[0]["answering_since"], listed[1]["answering_since"]) == (done["started_at"], None)
    one = served.client.get(f"{MODELS}/{first}", headers=chief).json()
    assert one["card"]["version"] == "1"
    assert {rule["name"]: rule["passed"] for rule in one["gate"]} == {
        "file_intact": True,
        "preprocessing_known": True,
        "preprocessing_unchanged": True,
        "evidence_complete": True,
        "protocol": True,
        "compared_with_champion": False,
    }
    [then] = one["deployments"]
    assert (then["number"], then["ended_at"]) == (1, done["started_at"])
    with served.sessions() as session:
        user = session.scalars(select(UserRow.id).where(UserRow.username == "chief")).one()
        events = session.scalars(select(AuditEventRow).where(AuditEventRow.action == "model.promote")).all()
    assert [event.subject_id for event in events] == [first, second]
    assert {event.organisation_id for event in events} == {DEFAULT_ORGANISATION_ID}
    assert all(event.actor.startswith("key:") for event in events), user


def test_what_is_refused_says_what_was_found(served: Serving, chief: dict[str, str]) -> None:
    first, second, bare = (
        served.add_model("1", SOUND),
        served.add_model("2", SOUND),
        served.add_model("3", CARD),
    )
    assert promote(served, chief, first).status_code == 200
    for answer, status, code, details in (
        (promote(served, chief, first), 409, "model_already_active", {}),
        (
            promote(served, chief, second, expected_active=second),
            409,
            "promotion_conflict",
            {"expected": second, "found": first},
        ),
        (promote(served, chief, "no-such"), 404, "model_not_found", {}),
    ):
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (status, code)
        assert problem.get("details", {}) == details
    for body in ({}, {"reason": " "}, {"reason": "x" * 1001}, {"reason": "x", "override_reason": "short"}):
        answer = served.client.post(f"{MODELS}/{second}/promote", headers=chief, json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "request_not_valid"), body
    answer = promote(served, chief, bare)
    assert (answer.status_code, answer.json()["code"]) == (409, "gate_not_passed")
    assert [(rule["name"], rule["overridable"]) for rule in answer.json()["details"]["rules"]] == [
        ("evidence_complete", True),
        ("protocol", True),
    ]
    asked = {"action": "model.promotion_refused"}
    [event] = served.client.get("/api/v1/admin/audit", headers=chief, params=asked).json()["items"]
    assert (event["subject_id"], event["details"]["rules"]) == (bare, ["evidence_complete", "protocol"])
    assert event["actor"].startswith("key:")
    done = promote(served, chief, bare, override_reason="measured elsewhere, in print")
    assert [rule["name"] for rule in done.json()["overridden"]["rules"]] == ["evidence_complete", "protocol"]
    served.lose_model(second)
    answer = promote(served, chief, second, override_reason="never mind the file")
    assert (answer.status_code, answer.json()["code"]) == (409, "checkpoint_missing")
    listed = served.client.get(MODELS, headers=chief).json()["items"]
    assert [row["id"] for row in listed if row["active"]] == [bare]


def test_a_rollback_goes_back_past_what_is_gone_and_says_so(served: Serving, chief: dict[str, str]) -> None:
    models = [served.add_model(version, SOUND) for version in "123"]
    back = f"{MODELS}/rollback"
    for body in ({}, {"json": {}}, {"json": {"reason": ""}}, {"json": {"reason": None}}):
        silent = served.client.post(back, headers=chief, **body)
        assert (silent.status_code, silent.json()["code"]) == (422, "request_not_valid"), body
    nothing = served.client.post(back, headers=chief, json={"reason": "worse"})
    assert (nothing.status_code, nothing.json()["code"]) == (409, "no_active_model")
    for model in models:
        assert promote(served, chief, model).status_code == 200
    served.lose_model(models[1])
    stale = served.client.post(back, headers=chief, json={"reason": "worse", "expected_active": models[0]})
    assert (stale.status_code, stale.json()["code"]) == (409, "promotion_conflict")
    done = served.client.post(back, headers=chief, json={"reason": "worse", "expected_active": models[2]})
    assert done.status_code == 200, done.text
    assert (done.json()["model_version_id"], done.json()["kind"]) == (models[0], "rollback")
    assert [(one["version"], one["code"]) for one in done.json()["skipped"]] == [("2", "checkpoint_missing")]
    again = served.client.post(back, headers=chief, json={"reason": "once more"})
    assert (again.status_code, again.json()["code"]) == (409, "nothing_to_roll_back_to")


@pytest.mark.parametrize("path", [MODELS, "/models"])
def test_files_are_read_through_a_few_at_once_and_without_the_database(
    served: Serving, chief: dict[str, str], monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    address, headers = f"{path}/{served.add_model('1', SOUND)}", chief if path == MODELS else None
    if headers is None:
        served.log_in("chief")
    lock, at_once, most, connections = threading.Lock(), 0, 0, []

    def slow(_storage: object, _version: object) -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
            connections.append(served.resources.engine.pool.checkedout())
        time.sleep(0.1)
        with lock:
            at_once -= 1

    monkeypatch.setattr(gate, "require_intact", slow)
    assert served.client.get(address, headers=headers).status_code == 200
    assert connections == [0]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: served.client.get(address, headers=headers), range(6)))
    assert {answer.status_code for answer in answers} == {200}
    assert most == HASHING_THREADS


def test_deployments_are_listed_in_pages(served: Serving, chief: dict[str, str]) -> None:
    one, other = served.add_model("1", SOUND), served.add_model("2", SOUND)
    for model in (one, other, one, other, one):
        assert promote(served, chief, model).status_code == 200
    numbers, cursor = [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = served.client.get("/api/v1/admin/deployments", headers=chief, params=query).json()
        numbers.append([row["number"] for row in page["items"]])
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert numbers == [[5, 4], [3, 2], [1]]
    wrong = served.client.get("/api/v1/admin/deployments?cursor=x", headers=chief)
    assert wrong.status_code == 422


def test_only_the_organisation_that_runs_the_installation_changes_its_model(served: Serving) -> None:
    first = served.add_model("1", SOUND)
    north = served.organisation("north")
    key = served.key("north-chief", Role.ADMINISTRATOR, north)
    for path, body in (
        (f"{MODELS}/{first}/promote", {"reason": "x"}),
        (f"{MODELS}/rollback", {"reason": "x"}),
    ):
        answer = served.client.post(path, headers=key, json=body)
        assert (answer.status_code, answer.json()["code"]) == (403, "installation_only")
    # The role comes first: whoever could never do it does not hear of organisations.
    clinician = served.key("north-doctor", Role.CLINICIAN, north)
    assert promote(served, clinician, first).json()["code"] == "permission_denied"
    assert served.client.get(MODELS, headers=key).json()["items"][0]["active"] is False
    small = served.key("chief", Role.ADMINISTRATOR, scopes=[Scope.MODELS_READ])
    assert promote(served, small, first).json()["code"] == "scope_missing"


def test_another_organisation_reads_what_answers_and_not_who_works_here(
    served: Serving, chief: dict[str, str]
) -> None:
    model = served.add_model("1", SOUND)
    with served.sessions.begin() as session:
        run = TrainingRunRow(
            organisation_id=DEFAULT_ORGANISATION_ID, run_folder="/r", cohort_folder="/c", device="cpu"
        )
        session.add(run)
        session.flush()
        run.model_version_id, row = model, session.get_one(ModelVersionRow, model)
        user = session.scalars(select(UserRow.id).where(UserRow.username == "chief")).one()
        row.added_by = f"user:{user}"
    promote(served, chief, model)
    north = served.key("reader", Role.RESEARCHER, served.organisation("north"))
    for key, name, run_id in ((chief, "chief", run.id), (north, None, None)):
        shown = served.client.get(f"{MODELS}/{model}", headers=key).json()
        assert (shown["active"], shown["added_by"], shown["origin_run_id"]) == (True, name, run_id)
        assert [one["by"] for one in shown["deployments"]] == [name]
