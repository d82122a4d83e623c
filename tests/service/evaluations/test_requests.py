"""Asking for evaluations: one row for the same three, whoever asks and however many at once."""

from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from service import evaluations
from service.db.rows import AuditEventRow, EvaluationRow, EvaluationSetRow, EvaluationState, ModelVersionRow
from service.evaluations import requests
from service.identity.actor import Actor
from service.registry.comparison import evaluation_of
from tests.service.answering import let_answer
from tests.service.conftest import BOTH_DATABASES
from tests.service.evaluated import add_set, outcome

ACTOR = Actor("user:1", "test")


def version(session: Session, name: str) -> ModelVersionRow:
    row = ModelVersionRow(name="n", version=name, sha256=name * 64, storage_key=f"models/{name}", card={})
    session.add(row)
    session.flush()
    return row


@pytest.fixture
def challenger_id(sessions: sessionmaker[Session]) -> str:
    with sessions.begin() as session:
        let_answer(session, version(session, "a"))
        add_set(session)
        return version(session, "b").id


@BOTH_DATABASES
def test_of_two_who_ask_at_once_the_second_gets_the_firsts_and_keeps_what_it_wrote(
    sessions: sessionmaker[Session], challenger_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sessions.begin() as session:
        challenger = session.get_one(ModelVersionRow, challenger_id)
        first = evaluations.request_evaluation(session, challenger, actor=ACTOR).id
    looks: list[EvaluationRow | None] = []

    def look(*asked: Any, **more: Any) -> EvaluationRow | None:
        # The first look was before the other one's commit.
        looks.append(evaluation_of(*asked, **more) if looks else None)
        return looks[-1]

    monkeypatch.setattr(requests, "evaluation_of", look)
    with sessions.begin() as session:
        version(session, "c")
        challenger = session.get_one(ModelVersionRow, challenger_id)
        assert evaluations.request_evaluation(session, challenger, actor=ACTOR).id == first
    assert len(looks) == 2
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(EvaluationRow)) == 1
        assert session.scalar(select(func.count()).select_from(ModelVersionRow)) == 3
        told = session.scalars(select(AuditEventRow.action)).all()
    assert told.count("evaluation.request") == 1


@BOTH_DATABASES
def test_a_failed_one_begins_anew_with_all_its_attempts_and_a_measured_one_stays(
    sessions: sessionmaker[Session], challenger_id: str
) -> None:
    def asked(**more: bool) -> tuple[str, int, str | None]:
        with sessions.begin() as session:
            challenger = session.get_one(ModelVersionRow, challenger_id)
            row = evaluations.request_evaluation(session, challenger, actor=ACTOR, **more)
            return row.state.value, row.attempts, row.error_code

    def put(**values: Any) -> None:
        with sessions.begin() as session:
            row = session.scalars(select(EvaluationRow)).one()
            for name, value in values.items():
                setattr(row, name, value)

    assert asked() == ("queued", 0, None)
    put(state=EvaluationState.FAILED, attempts=3, error_code="worker_lost")
    assert asked() == ("queued", 0, None)
    put(state=EvaluationState.SUCCEEDED, outcome=outcome() | {"together": None}, passed=False)
    assert asked() == ("queued", 0, None)
    put(state=EvaluationState.SUCCEEDED, outcome=outcome(), passed=True)
    assert asked() == ("succeeded", 0, None)
    # Unless somebody says so, which the audit tells.
    assert asked(again=True) == ("queued", 0, None)
    assert asked(again=True) == ("queued", 0, None)
    with sessions() as session:
        requests = select(AuditEventRow).where(AuditEventRow.action == "evaluation.request")
        told = [event.details.get("again") for event in session.scalars(requests) if event.details]
    assert told == [None, None, None, True]


@BOTH_DATABASES
def test_people_are_locked_once(sessions: sessionmaker[Session], challenger_id: str) -> None:
    assert challenger_id
    people = outcome()["evaluation_set"]
    with sessions.begin() as session:
        row = session.scalars(select(EvaluationSetRow)).one()
        row.fingerprint = row.n_cases = row.n_controls = row.sites = None
        session.flush()
        assert evaluations.lock_people(session, row.id, people)
        assert evaluations.lock_people(session, row.id, people)
        assert not evaluations.lock_people(session, row.id, people | {"fingerprint": "f" * 64})
    with sessions() as session:
        row = session.scalars(select(EvaluationSetRow)).one()
    assert (row.fingerprint, row.n_cases, row.sites) == (people["fingerprint"], 120, {"KKI": 8, "NYU": 292})
