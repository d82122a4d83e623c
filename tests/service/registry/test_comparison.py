"""What an evaluation found and nobody may overrule: it stands whatever the model is compared with next."""

from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session, sessionmaker

from service import evaluations
from service.db.rows import EvaluationRow, EvaluationState, ModelVersionRow
from service.registry import GateNotPassedError, active_model, judge_comparison, promote
from tests.service.answering import let_answer
from tests.service.evaluated import add_set, evaluate, outcome
from tests.service.registry.conftest import ACTOR, Registry

WHY = "the tests are about something else"
LONG_AGO = datetime.now(UTC) - timedelta(days=30)


def unmeasured(name: str) -> dict[str, Any]:
    """A challenger that was not even measured, for one reason."""
    found = deepcopy(outcome(name, overridable=False))
    rule = {"name": name, "passed": False, "expected": "this", "found": "that", "overridable": False}
    return found | {"together": None, "rules": [rule]}


@pytest.fixture
def models(registry: Registry) -> tuple[str, str, str]:
    champion, challenger, third = (registry.add(version).id for version in ("1", "2", "3"))
    with registry.sessions.begin() as session:
        let_answer(session, session.get_one(ModelVersionRow, champion))
        add_set(session)
    return champion, challenger, third


def use(sessions: sessionmaker[Session], name: str) -> None:
    with sessions.begin() as session:
        evaluations.use_set(session, add_set(session, name, in_use=False), actor=ACTOR)


def failed(sessions: sessionmaker[Session], version_id: str) -> list[str]:
    with sessions() as session:
        version = session.get_one(ModelVersionRow, version_id)
        rules = judge_comparison(session, version, champion=active_model(session))
    return [rule.name for rule in rules if rule.passed is False]


def found(registry: Registry, models: tuple[str, str, str], said: dict[str, Any]) -> str:
    champion, challenger, _ = models
    with registry.sessions.begin() as session:
        return evaluate(session, champion=champion, challenger=challenger, found=said).id


@pytest.mark.parametrize("said", [unmeasured("intact"), outcome("backends_agree", overridable=False)])
@pytest.mark.parametrize("way_out", ["another set", "another champion", "once more"])
def test_no_other_comparison_lets_pass_what_nobody_may_overrule(
    registry: Registry, models: tuple[str, str, str], said: dict[str, Any], way_out: str
) -> None:
    _, challenger, third = models
    found(registry, models, said)
    [name] = [rule["name"] for rule in said["rules"] if not rule["passed"]]
    if way_out == "another set":
        use(registry.sessions, "more convenient")
    with registry.sessions.begin() as session:
        if way_out == "another champion":
            let_answer(session, session.get_one(ModelVersionRow, third))
        if way_out == "once more":
            version = session.get_one(ModelVersionRow, challenger)
            evaluations.request_evaluation(session, registry.storage, version, actor=ACTOR, again=True)
    assert failed(registry.sessions, challenger) == ["compared_with_champion", name]
    with registry.sessions.begin() as session:
        version = session.get_one(ModelVersionRow, challenger)
        with pytest.raises(GateNotPassedError) as refused:
            promote(session, registry.storage, version, actor=ACTOR, reason="better", override_reason=WHY)
    assert name in str(refused.value.rules)
    assert failed(registry.sessions, third) in (["compared_with_champion"], []), "it is no fault of others"


def test_a_later_measurement_disproves_it_and_an_earlier_one_does_not(
    registry: Registry, models: tuple[str, str, str]
) -> None:
    _, challenger, _ = models
    bad = found(registry, models, outcome("backends_agree", overridable=False))
    use(registry.sessions, "another")
    other = found(registry, models, outcome())
    assert failed(registry.sessions, challenger) == []
    with registry.sessions.begin() as session:
        session.get_one(EvaluationRow, other).finished_at = LONG_AGO
    assert failed(registry.sessions, challenger) == ["backends_agree"]
    with registry.sessions.begin() as session:
        # Asked for again and stopped, it has measured nothing since.
        row = session.get_one(EvaluationRow, other)
        row.state, row.finished_at = EvaluationState.CANCELLED, datetime.now(UTC)
    assert failed(registry.sessions, challenger) == ["compared_with_champion", "backends_agree"]
    with registry.sessions.begin() as session:
        session.get_one(EvaluationRow, bad).outcome = outcome()
    assert failed(registry.sessions, challenger) == ["compared_with_champion"]


def test_another_preprocessing_is_held_against_a_model_on_that_set_alone(
    registry: Registry, models: tuple[str, str, str]
) -> None:
    _, challenger, third = models
    found(registry, models, unmeasured("same_preprocessing"))
    with registry.sessions.begin() as session:
        let_answer(session, session.get_one(ModelVersionRow, third))
    assert failed(registry.sessions, challenger) == ["compared_with_champion", "same_preprocessing"]
    use(registry.sessions, "prepared as it wants them")
    assert failed(registry.sessions, challenger) == ["compared_with_champion"]
