"""Shadow mode: one version at a time, never the one that answers."""

import threading

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.db.rows import AuditEventRow, ModelVersionRow, ShadowRow
from service.registry import (
    CheckpointDamagedError,
    CheckpointMissingError,
    GateNotPassedError,
    ModelAlreadyActiveError,
    ModelNotInShadowError,
    ReasonNotValidError,
    ShadowTakenError,
    active_model,
    begin_shadow,
    end_shadow,
    gate,
    newest_shadow,
    open_shadow,
    promote,
    roll_back,
)
from service.registry.intactness import require_intact
from service.storage import Storage
from tests.service.conftest import BOTH_DATABASES
from tests.service.evaluated import let_pass
from tests.service.registry.conftest import ACTOR, Registry


def begin(registry: Registry, version: ModelVersionRow, reason: str = "to see") -> ShadowRow:
    with registry.sessions.begin() as session:
        found = session.get_one(ModelVersionRow, version.id)
        return begin_shadow(session, registry.storage, found, actor=ACTOR, reason=reason)


def let_answer(registry: Registry, version: ModelVersionRow) -> None:
    with registry.sessions.begin() as session:
        found = session.get_one(ModelVersionRow, version.id)
        let_pass(session, found.id)
        promote(session, registry.storage, found, actor=ACTOR, reason="better")


def in_shadow(session: Session) -> str | None:
    shadow = open_shadow(session)
    return None if shadow is None else shadow.model_version_id


def test_a_version_is_put_in_shadow_and_taken_out_again(registry: Registry) -> None:
    champion, challenger = registry.add("1"), registry.add("2")
    let_answer(registry, champion)
    begin(registry, challenger)
    with registry.sessions.begin() as session:
        assert in_shadow(session) == challenger.id
        ended = end_shadow(session, challenger, actor=ACTOR)
        assert (ended.ended_by, ended.ended_because) == (ACTOR.name, "request")
        assert ended.ended_at is not None
        assert ended.ended_at >= ended.started_at
    with registry.sessions() as session:
        assert in_shadow(session) is None
        newest = newest_shadow(session, challenger)
        assert newest is not None
        assert newest.id == ended.id
        events = session.scalars(
            select(AuditEventRow).where(AuditEventRow.action.like("model.shadow%"))
        ).all()
    assert [(event.action, event.subject_id) for event in events] == [
        ("model.shadow", challenger.id),
        ("model.shadow_end", challenger.id),
    ]
    with registry.sessions() as session, pytest.raises(ModelNotInShadowError):
        end_shadow(session, challenger, actor=ACTOR)


def test_the_model_that_answers_is_no_shadow_and_one_is_enough(registry: Registry) -> None:
    champion, second, third = registry.add("1"), registry.add("2"), registry.add("3")
    let_answer(registry, champion)
    with pytest.raises(ModelAlreadyActiveError):
        begin(registry, champion)
    with pytest.raises(ReasonNotValidError):
        begin(registry, second, " ")
    begin(registry, second)
    for version in (second, third):
        with pytest.raises(ShadowTakenError) as refused:
            begin(registry, version)
        assert refused.value.found == second.id


def test_a_file_that_is_gone_or_damaged_makes_no_shadow(registry: Registry) -> None:
    lost, damaged = registry.add("1"), registry.add("2")
    registry.lose(lost)
    registry.damage(damaged)
    with pytest.raises(CheckpointMissingError):
        begin(registry, lost)
    with pytest.raises(CheckpointDamagedError):
        begin(registry, damaged)
    with registry.sessions() as session:
        assert in_shadow(session) is None


def test_whoever_answers_is_out_of_shadow(registry: Registry) -> None:
    first, second = registry.add("1"), registry.add("2")
    let_answer(registry, first)
    begin(registry, second)
    let_answer(registry, second)
    with registry.sessions() as session:
        ended = newest_shadow(session, second)
        assert ended is not None
        assert (in_shadow(session), ended.ended_because) == (None, "promotion")
    # The one before watches the new one, and a rollback lets it answer again.
    begin(registry, first)
    with registry.sessions.begin() as session:
        roll_back(session, registry.storage, actor=ACTOR, reason="worse")
        assert in_shadow(session) is None


@BOTH_DATABASES
def test_a_version_that_comes_to_answer_while_its_file_is_read_is_no_shadow(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = registry.add("1"), registry.add("2")
    let_answer(registry, first)

    def read(storage: Storage, version: ModelVersionRow) -> None:
        require_intact(storage, version)
        let_answer(registry, second)

    monkeypatch.setattr(gate, "require_intact", read)
    with pytest.raises(ModelAlreadyActiveError):
        begin(registry, second)
    with registry.sessions() as session:
        assert in_shadow(session) is None


# SQLite has one writer at a time anyway.
@pytest.mark.parametrize(
    "database_url",
    [pytest.param("postgresql", marks=[pytest.mark.integration, pytest.mark.enable_socket])],
    indirect=True,
)
def test_of_a_promotion_and_a_shadow_at_once_the_second_waits_for_the_first(registry: Registry) -> None:
    first, second = registry.add("1"), registry.add("2")
    let_answer(registry, first)
    with registry.sessions.begin() as session:
        let_pass(session, second.id)
    opened = registry.sessions()
    version = opened.get_one(ModelVersionRow, second.id)
    begin_shadow(opened, registry.storage, version, actor=ACTOR, reason="to see")
    promoting = threading.Thread(target=let_answer, args=(registry, second))
    promoting.start()
    promoting.join(timeout=0.5)
    assert promoting.is_alive(), "it does not know of the shadow that is not committed"
    opened.commit()
    opened.close()
    promoting.join(timeout=10)
    with registry.sessions() as session:
        answering = active_model(session)
        assert answering is not None
        assert (answering.id, in_shadow(session)) == (second.id, None)


def test_another_promotion_leaves_a_shadow_alone(registry: Registry) -> None:
    first, second, third = registry.add("1"), registry.add("2"), registry.add("3")
    let_answer(registry, first)
    begin(registry, third)
    let_answer(registry, second)
    with registry.sessions() as session:
        assert in_shadow(session) == third.id


def test_what_does_not_run_here_does_not_come_into_shadow(registry: Registry) -> None:
    other = registry.add("1", preprocessing={"version": 2})
    with pytest.raises(GateNotPassedError, match=r"preprocessing_known: .* found version: 2"):
        begin(registry, other)
    with registry.sessions() as session:
        assert in_shadow(session) is None
