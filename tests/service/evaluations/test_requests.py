"""Asking for evaluations: one row for the same three, whoever asks and however many at once."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session, sessionmaker

from service import evaluations
from service.db.rows import AuditEventRow, EvaluationRow, EvaluationSetRow, EvaluationState, ModelVersionRow
from service.evaluations import requests
from service.evaluations.errors import NoEvaluationSetError
from service.identity.actor import Actor
from service.registry import CheckpointDamagedError, CheckpointMissingError, GateNotPassedError
from service.registry.comparison import evaluation_of
from service.storage import FolderStorage, Storage, checkpoint_key
from tests.service.answering import let_answer
from tests.service.checkpoint_bytes import checkpoint_bytes
from tests.service.conftest import BOTH_DATABASES
from tests.service.evaluated import add_set, outcome

ACTOR = Actor("user:1", "test")


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return FolderStorage(tmp_path / "storage")


def version(session: Session, storage: Storage, name: str) -> ModelVersionRow:
    with storage.receive(max_bytes=1000) as upload:
        upload.write(checkpoint_bytes(name))
        key = checkpoint_key(upload.sha256)
        storage.promote(upload, key)
    row = ModelVersionRow(name="n", version=name, sha256=upload.sha256, storage_key=key, card={})
    session.add(row)
    session.flush()
    return row


@pytest.fixture
def challenger_id(sessions: sessionmaker[Session], storage: Storage) -> str:
    with sessions.begin() as session:
        let_answer(session, version(session, storage, "a"))
        add_set(session)
        return version(session, storage, "b").id


@BOTH_DATABASES
def test_of_two_who_ask_at_once_the_second_gets_the_firsts_and_keeps_what_it_wrote(
    sessions: sessionmaker[Session], storage: Storage, challenger_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sessions.begin() as session:
        challenger = session.get_one(ModelVersionRow, challenger_id)
        first = evaluations.request_evaluation(session, storage, challenger, actor=ACTOR).id
    looks: list[EvaluationRow | None] = []

    def look(*asked: Any, **more: Any) -> EvaluationRow | None:
        # The first look was before the other one's commit.
        looks.append(evaluation_of(*asked, **more) if looks else None)
        return looks[-1]

    monkeypatch.setattr(requests, "evaluation_of", look)
    with sessions.begin() as session:
        version(session, storage, "c")
        challenger = session.get_one(ModelVersionRow, challenger_id)
        assert evaluations.request_evaluation(session, storage, challenger, actor=ACTOR).id == first
    assert len(looks) == 2
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(EvaluationRow)) == 1
        assert session.scalar(select(func.count()).select_from(ModelVersionRow)) == 3
        told = session.scalars(select(AuditEventRow.action)).all()
    assert told.count("evaluation.request") == 1


@BOTH_DATABASES
def test_a_set_that_is_removed_while_somebody_asks_is_no_set(
    sessions: sessionmaker[Session], storage: Storage, challenger_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(session: Session, *_asked: object, **_more: object) -> None:
        session.execute(delete(EvaluationSetRow))

    monkeypatch.setattr(requests, "evaluation_of", look)
    with sessions() as session:
        challenger = session.get_one(ModelVersionRow, challenger_id)
        with pytest.raises(NoEvaluationSetError):
            evaluations.request_evaluation(session, storage, challenger, actor=ACTOR)


@BOTH_DATABASES
def test_a_failed_one_begins_anew_with_all_its_attempts_and_a_measured_one_stays(
    sessions: sessionmaker[Session], storage: Storage, challenger_id: str
) -> None:
    def asked(**more: bool) -> tuple[str, int, str | None]:
        with sessions.begin() as session:
            challenger = session.get_one(ModelVersionRow, challenger_id)
            row = evaluations.request_evaluation(session, storage, challenger, actor=ACTOR, **more)
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


@pytest.mark.parametrize("wrong", ["gone", "damaged", "preprocessing"])
def test_what_does_not_run_here_is_not_compared(
    sessions: sessionmaker[Session], storage: Storage, challenger_id: str, wrong: str
) -> None:
    with sessions.begin() as session:
        challenger = session.get_one(ModelVersionRow, challenger_id)
        if wrong == "gone":
            storage.delete(challenger.storage_key)
        elif wrong == "damaged":
            with storage.receive(max_bytes=100) as upload:
                upload.write(b"something else")
                storage.promote(upload, challenger.storage_key)
        else:
            challenger.card = {"preprocessing": {"version": 2}}
    refusals = {
        "gone": (CheckpointMissingError, "found none"),
        "damaged": (CheckpointDamagedError, "expected a checkpoint with sha256"),
        "preprocessing": (GateNotPassedError, "preprocessing_known: .* found version: 2"),
    }
    refusal, said = refusals[wrong]
    with sessions() as session:
        challenger = session.get_one(ModelVersionRow, challenger_id)
        with pytest.raises(refusal, match=said):
            evaluations.request_evaluation(session, storage, challenger, actor=ACTOR)
        assert session.scalar(select(func.count()).select_from(EvaluationRow)) == 0
