"""Evaluation sets and evaluations over REST; what is computed is for the tests of the worker."""

from typing import Any

import pytest
from sqlalchemy import select

from service.db.rows import AuditEventRow, CohortState, EvaluationRow, EvaluationState
from service.identity.roles import Role
from tests.service.api.serving import Serving
from tests.service.api.test_models import SOUND
from tests.service.evaluated import EXPECTED, add_set, evaluate, outcome

ADMIN = "/api/v1/admin"
SETS = f"{ADMIN}/evaluation-sets"


@pytest.fixture
def chief(served: Serving) -> dict[str, str]:
    return served.key("chief", Role.ADMINISTRATOR)


@pytest.fixture
def models(served: Serving, chief: dict[str, str]) -> tuple[str, str]:
    """The one that answers, and a challenger."""
    champion, challenger = served.add_model("1", SOUND), served.add_model("2", SOUND)
    body = {"reason": "the first"}
    answer = served.client.post(f"{ADMIN}/models/{champion}/promote", headers=chief, json=body)
    assert answer.status_code == 200
    return champion, challenger


def code_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_a_set_is_added_and_chosen_and_never_two_at_once(served: Serving, chief: dict[str, str]) -> None:
    served.register_cohort()
    added = []
    for name in ("B", "A"):
        body = {"name": name, "cohort": "tiny", "where": ["site=NYU"]}
        answer = served.client.post(SETS, headers=chief, json=body)
        assert answer.status_code == 201, answer.text
        added.append(answer.json())
    assert [(one["in_use"], one["fingerprint"], one["added_by"]) for one in added] == [
        (False, None, "chief"),
        (False, None, "chief"),
    ]
    for chosen in (added[0], added[1], added[1]):
        answer = served.client.post(f"{SETS}/{chosen['id']}/use", headers=chief)
        assert (answer.status_code, answer.json()["in_use"]) == (200, True)
    listed = served.client.get(SETS, headers=chief).json()["items"]
    assert [(one["name"], one["in_use"], one["cohort"]) for one in listed] == [
        ("A", True, "tiny"),
        ("B", False, "tiny"),
    ]
    with served.sessions() as session:
        told = session.scalars(
            select(AuditEventRow)
            .where(AuditEventRow.subject_kind == "evaluation_set")
            .order_by(AuditEventRow.sequence)
        ).all()
    assert [event.action.partition(".")[2] for event in told] == ["add", "add", "use", "use"]
    assert (told[-1].details or {})["replaced"] == added[0]["id"]


def test_what_cannot_be_a_set_is_refused(served: Serving, chief: dict[str, str]) -> None:
    served.register_cohort()
    served.register_cohort("few", n_cases=9)
    served.register_cohort("gone", state=CohortState.MISSING)
    served.register_cohort("unreleased", releases=[])
    served.register_cohort("released", releases=["test", "train"])
    body = {"name": "held out", "cohort": "tiny"}
    assert served.client.post(SETS, headers=chief, json=body).status_code == 201
    for changes, expected in (
        ({}, (409, "evaluation_set_name_taken")),
        ({"name": "b", "cohort": "few"}, (422, "evaluation_cohort_too_small")),
        ({"name": "b", "cohort": "unreleased", "selection": "test"}, (422, "selection_needs_release")),
        ({"name": "b", "cohort": "gone"}, (409, "cohort_not_usable")),
        ({"name": "b", "cohort": "nobody"}, (422, "cohort_not_known")),
        ({"name": " b"}, (422, "request_not_valid")),
        ({"name": "b", "selection": "train"}, (422, "request_not_valid")),
        ({"name": "b", "fingerprint": "0"}, (422, "request_not_valid")),
    ):
        assert code_of(served.client.post(SETS, headers=chief, json=body | changes)) == expected
    for unknown in ("nothing", "00000000-0000-0000-0000-000000000000"):
        answer = served.client.post(f"{SETS}/{unknown}/use", headers=chief)
        assert code_of(answer) == (404, "evaluation_set_not_found")
    assert len(served.client.get(SETS, headers=chief).json()["items"]) == 1
    for cohort, selection in (("unreleased", "all"), ("released", "test"), ("tiny", "test")):
        others = {"name": f"of {cohort}", "cohort": cohort, "selection": selection}
        assert served.client.post(SETS, headers=chief, json=others).status_code == 201


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("foo>>1", "a field, one of = != < <= > >= and a value"),
        ("foo=1", "one of the fields age, iq, site,"),
        ("age<=young", "a number for age"),
        ("site=NYU,Stanford", "site to be one of NYU"),
        ("QC_Athena=2", "1 (pass) or 0 (questionable)"),
    ],
)
def test_a_filter_without_a_meaning_makes_no_set(
    served: Serving, chief: dict[str, str], condition: str, expected: str
) -> None:
    served.register_cohort()
    body = {"name": "held out", "cohort": "tiny", "where": ["age>=7", "QC_Athena=1", "site!=nyu"]}
    refused = served.client.post(SETS, headers=chief, json=body | {"where": ["age>=7", condition]})
    assert code_of(refused) == (422, "evaluation_filter_not_valid")
    assert refused.json()["details"]["condition"] == condition
    assert refused.json()["details"]["expected"].startswith(expected)
    assert served.client.post(SETS, headers=chief, json=body).status_code == 201


def test_a_set_that_no_model_was_compared_on_is_removed_and_no_other(
    served: Serving, chief: dict[str, str], models: tuple[str, str]
) -> None:
    champion, challenger = models
    served.register_cohort()
    body = {"name": "held out", "cohort": "tiny"}
    one = served.client.post(SETS, headers=chief, json=body).json()
    address = f"{SETS}/{one['id']}"
    assert served.client.post(f"{address}/use", headers=chief).status_code == 200
    asked = served.client.post(f"{ADMIN}/models/{challenger}/evaluations", headers=chief).json()
    assert code_of(served.client.delete(address, headers=chief)) == (409, "evaluation_set_compared")
    with served.sessions.begin() as session:
        row = session.get_one(EvaluationRow, asked["id"])
        row.state, row.error_code = EvaluationState.FAILED, "selection_needs_release"
    [listed] = served.client.get(SETS, headers=chief).json()["items"]
    assert listed["compared"] is False
    assert served.client.delete(address, headers=chief).status_code == 204
    assert code_of(served.client.delete(address, headers=chief)) == (404, "evaluation_set_not_found")
    assert served.client.get(SETS, headers=chief).json()["items"] == []
    with served.sessions() as session:
        query = select(AuditEventRow).where(AuditEventRow.action == "evaluation_set.remove")
        event = session.scalars(query).one()
        assert (event.subject_id, (event.details or {})["name"]) == (one["id"], "held out")

    with served.sessions.begin() as session:
        measured = add_set(session)
        evaluate(session, champion=champion, challenger=challenger)
        address = f"{SETS}/{measured.id}"
    assert code_of(served.client.delete(address, headers=chief)) == (409, "evaluation_set_compared")
    [listed] = served.client.get(SETS, headers=chief).json()["items"]
    assert (listed["compared"], listed["in_use"]) == (True, True)


def test_a_comparison_is_asked_for_once_stopped_and_asked_for_again(
    served: Serving, chief: dict[str, str], models: tuple[str, str]
) -> None:
    champion, challenger = models
    address = f"{ADMIN}/models/{challenger}/evaluations"
    assert code_of(served.client.post(address, headers=chief)) == (409, "no_evaluation_set")
    with served.sessions.begin() as session:
        add_set(session)
    asked = [served.client.post(address, headers=chief) for _ in range(2)]
    assert [answer.status_code for answer in asked] == [202, 202]
    first, second = (answer.json() for answer in asked)
    assert first["id"] == second["id"]
    assert (first["status"], first["current"], first["requested_by"]) == ("queued", True, "chief")
    assert (first["champion"]["id"], first["challenger"]["version"]) == (champion, "2")
    one = f"{ADMIN}/evaluations/{first['id']}"
    for _ in range(2):
        stopped = served.client.post(f"{one}/cancel", headers=chief)
        assert (stopped.status_code, stopped.json()["status"]) == (200, "cancelled")
    again = served.client.post(address, headers=chief).json()
    assert (again["id"], again["status"], again["cancel_requested"]) == (first["id"], "queued", False)
    with served.sessions.begin() as session:
        row = session.get_one(EvaluationRow, first["id"])
        assert row.published_at is not None, "nobody was told"
        row.state, row.outcome, row.passed = EvaluationState.SUCCEEDED, outcome(), True
    assert served.client.post(address, headers=chief).json()["status"] == "succeeded"
    read = served.client.get(one, headers=chief).json()
    assert (read["passed"], read["outcome"]["together"]["called_otherwise"]) == (True, 17)
    assert code_of(served.client.post(f"{one}/cancel", headers=chief)) == (409, "evaluation_over")
    listed = served.client.get(f"{ADMIN}/evaluations", headers=chief).json()
    assert ([item["id"] for item in listed["items"]], listed["next_cursor"]) == ([first["id"]], None)
    assert "outcome" not in listed["items"][0]
    repeated = served.client.post(f"{address}?again=true", headers=chief).json()
    assert [repeated[name] for name in ("id", "status", "passed", "outcome")] == [
        first["id"],
        "queued",
        None,
        None,
    ]
    with served.sessions() as session:
        assert session.get_one(EvaluationRow, first["id"]).published_at is not None


def test_what_cannot_be_compared_is_refused(
    served: Serving, chief: dict[str, str], models: tuple[str, str]
) -> None:
    champion, _challenger = models
    for model, expected in (
        (champion, (409, "model_already_active")),
        ("nothing", (404, "model_not_found")),
        ("00000000-0000-0000-0000-000000000000", (404, "model_not_found")),
    ):
        answer = served.client.post(f"{ADMIN}/models/{model}/evaluations", headers=chief)
        assert code_of(answer) == expected
    for method, path in (("GET", ""), ("POST", "/cancel")):
        answer = served.client.request(method, f"{ADMIN}/evaluations/nothing{path}", headers=chief)
        assert code_of(answer) == (404, "evaluation_not_found")


def test_without_a_champion_there_is_nothing_to_compare_with(served: Serving, chief: dict[str, str]) -> None:
    model = served.add_model("1", SOUND)
    answer = served.client.post(f"{ADMIN}/models/{model}/evaluations", headers=chief)
    assert code_of(answer) == (409, "no_active_model")
    shown = served.client.get(f"{ADMIN}/models/{model}", headers=chief).json()
    [rule] = [one for one in shown["gate"] if one["name"] == "compared_with_champion"]
    assert (rule["passed"], rule["found"], shown["evaluation"]) == (None, "no other model answers", None)


def gate_of(served: Serving, key: dict[str, str], model: str) -> dict[str, Any]:
    shown = served.client.get(f"{ADMIN}/models/{model}", headers=key).json()
    return {rule["name"]: rule for rule in shown["gate"]} | {"evaluation": shown["evaluation"]}


def test_the_gate_goes_by_the_comparison_with_the_model_that_answers_now_on_the_set_in_use(
    served: Serving, chief: dict[str, str], models: tuple[str, str]
) -> None:
    champion, challenger = models
    address = f"{ADMIN}/models/{challenger}/promote"
    body = {"reason": "better"}

    def refused(**more: str) -> list[str]:
        answer = served.client.post(address, headers=chief, json=body | more)
        assert code_of(answer) == (409, "gate_not_passed")
        return [rule["name"] for rule in answer.json()["details"]["rules"]]

    with served.sessions.begin() as session:
        add_set(session)
        found = outcome("no_leak", "auc_not_worse")
        evaluation = evaluate(session, champion=champion, challenger=challenger, found=found).id
    gate = gate_of(served, chief, challenger)
    assert gate["compared_with_champion"]["passed"] is True
    assert (gate["auc_not_worse"]["expected"], gate["auc_not_worse"]["overridable"]) == (
        EXPECTED["auc_not_worse"],
        True,
    )
    assert (gate["evaluation"]["id"], gate["evaluation"]["passed"]) == (evaluation, False)
    assert refused() == ["no_leak", "auc_not_worse"]
    with served.sessions.begin() as session:
        row = session.get_one(EvaluationRow, evaluation)
        row.outcome = outcome("backends_agree", overridable=False)
    assert refused(override_reason="nobody may overrule it") == ["backends_agree"]
    with served.sessions.begin() as session:
        session.get_one(EvaluationRow, evaluation).outcome = outcome()
        other = add_set(session, "another", in_use=False).id
    # Another set is chosen: what was compared is of the past.
    served.client.post(f"{SETS}/{other}/use", headers=chief)
    assert refused() == ["compared_with_champion"]
    gate = gate_of(served, chief, challenger)
    assert gate["compared_with_champion"]["found"].startswith("compared with another model or on another set")
    assert (gate["evaluation"]["id"], gate["evaluation"]["current"]) == (evaluation, False)
    with served.sessions() as session:
        first = add_set(session).id
    served.client.post(f"{SETS}/{first}/use", headers=chief)
    promoted = served.client.post(address, headers=chief, json=body)
    assert (promoted.status_code, promoted.json()["overridden"]) == (200, None)


def test_other_organisations_read_what_was_compared_and_not_by_whom(
    served: Serving, chief: dict[str, str], models: tuple[str, str]
) -> None:
    _champion, challenger = models
    with served.sessions.begin() as session:
        add_set(session)
    asked = served.client.post(f"{ADMIN}/models/{challenger}/evaluations", headers=chief).json()
    north = served.organisation("north")
    reader, manager = (served.key(role.value, role, north) for role in (Role.RESEARCHER, Role.ADMINISTRATOR))
    read = served.client.get(f"{ADMIN}/evaluations/{asked['id']}", headers=reader).json()
    assert (read["status"], read["requested_by"]) == ("queued", None)
    for path in (f"models/{challenger}/evaluations", f"evaluations/{asked['id']}/cancel"):
        answer = served.client.post(f"{ADMIN}/{path}", headers=manager)
        assert code_of(answer) == (403, "installation_only")
