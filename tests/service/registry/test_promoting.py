"""Promotions and rollbacks: whole, told, one at a time, and refused before anything has changed."""

import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pyrage import encrypt, x25519
from sqlalchemy import func, inspect, select, update
from sqlalchemy.orm import Session, sessionmaker

from service.audit.verification import verify
from service.db.rows import AuditEventRow, EvaluationState, ModelDeploymentRow, ModelVersionRow
from service.registry import (
    CheckpointDamagedError,
    CheckpointMissingError,
    GateNotPassedError,
    ModelAlreadyActiveError,
    NoActiveModelError,
    NothingToRollBackToError,
    PromotionConflictError,
    ReasonNotValidError,
    active_model,
    deployments,
    let_answer,
    promote,
    roll_back,
)
from service.settings import Settings
from service.storage import open_as_kept, open_storage
from service.storage.key_file import make_key_file
from tests.service.conftest import BOTH_DATABASES
from tests.service.evaluated import evaluate, let_pass, outcome
from tests.service.registry.conftest import ACTOR, CARD, Registry

SAME_PREPROCESSING_FAILED = {
    "name": "same_preprocessing",
    "passed": False,
    "expected": "band_hz [0.009, 0.08]",
    "found": "band_hz [0.01, 0.1]",
    "overridable": False,
}


def promoted(registry: Registry, version: ModelVersionRow, **more: Any) -> ModelDeploymentRow:
    """Promote a version that has been compared, and has passed, as far as there is one to compare with."""
    with registry.sessions.begin() as session:
        let_pass(session, version.id)
        return promote(session, registry.storage, version, actor=ACTOR, **{"reason": "better"} | more)


def rolled_back(registry: Registry, **more: Any) -> tuple[str, list[str]]:
    with registry.sessions.begin() as session:
        done = roll_back(session, registry.storage, actor=ACTOR, **{"reason": "worse"} | more)
        return done.deployment.model_version.version, [one.version for one in done.skipped]


def answering(registry: Registry) -> str | None:
    with registry.sessions() as session:
        found = active_model(session)
        return None if found is None else found.version


@BOTH_DATABASES
def test_the_history_says_what_answered_when_by_whom_and_why(registry: Registry) -> None:
    first, second = registry.add("1"), registry.add("2")
    promoted(registry, first, reason=" the first ", expected_active="none")
    promoted(registry, second, expected_active=first.id)
    assert rolled_back(registry, reason="worse after all") == ("1", [])
    with registry.sessions() as session:
        rows = deployments(session)
        verify(session)
        told = session.execute(
            select(AuditEventRow.action, AuditEventRow.subject_id, AuditEventRow.details).order_by(
                AuditEventRow.sequence
            )
        ).all()
    assert [(row.number, row.model_version.version, row.kind, row.reason) for row in rows] == [
        (3, "1", "rollback", "worse after all"),
        (2, "2", "promotion", "better"),
        (1, "1", "first", "the first"),
    ]
    assert {row.actor for row in rows} == {"user:chief"}
    # One ends in the moment in which the next begins, and the last one is open.
    assert rows[0].ended_at is None
    assert [row.started_at for row in rows[:2]] == [row.ended_at for row in rows[1:]]
    assert answering(registry) == "1"
    assert [tuple(event) for event in told][2:] == [
        (
            "model.promote",
            first.id,
            {"sha256": first.sha256, "replaced": None, "reason": "the first", "overridden": None},
        ),
        (
            "model.promote",
            second.id,
            {"sha256": second.sha256, "replaced": first.id, "reason": "better", "overridden": None},
        ),
        (
            "model.rollback",
            first.id,
            {"sha256": first.sha256, "replaced": second.id, "reason": "worse after all", "skipped": []},
        ),
    ]


def test_a_history_leaves_the_cards_in_the_database(registry: Registry) -> None:
    for name in "12":
        promoted(registry, registry.add(name))
    with registry.sessions() as session:
        rows = deployments(session)
        assert [inspect(row.model_version).unloaded for row in rows] == [{"card"}, {"card"}]
        champion = active_model(session)
    assert champion is not None
    assert champion.card["version"] == "2", "the gate compares with it"


def test_what_answers_already_is_not_promoted_again(registry: Registry) -> None:
    first = registry.add("1")
    promoted(registry, first)
    with pytest.raises(ModelAlreadyActiveError):
        promoted(registry, first)


def test_whoever_saw_another_model_answering_is_refused(registry: Registry) -> None:
    first, second, third = (registry.add(name) for name in "123")
    with pytest.raises(PromotionConflictError) as refused:
        promoted(registry, first, expected_active=second.id)
    assert refused.value.details() == {"expected": second.id, "found": "none"}
    promoted(registry, first)
    promoted(registry, second)
    for act in (
        lambda: promoted(registry, third, expected_active=first.id),
        lambda: rolled_back(registry, expected_active=first.id),
    ):
        with pytest.raises(PromotionConflictError) as refused:
            act()
        assert refused.value.details() == {"expected": first.id, "found": second.id}
    assert answering(registry) == "2"


@BOTH_DATABASES
@pytest.mark.parametrize("first_of_all", [True, False])
def test_of_many_at_once_one_wins_and_the_others_hear_of_it(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, first_of_all: bool
) -> None:
    """All of them have looked before any of them writes."""
    from service.registry import promoting

    if not first_of_all:
        promoted(registry, registry.add("0"))
    candidates = [registry.add(str(number)) for number in range(1, 5)]
    for version in candidates:
        with registry.sessions.begin() as session:
            let_pass(session, version.id)
    together = threading.Barrier(len(candidates))
    judge = promoting.judge_card

    def judge_together(*args: Any, **more: Any) -> Any:
        together.wait(timeout=20)
        return judge(*args, **more)

    monkeypatch.setattr(promoting, "judge_card", judge_together)
    won, lost, other = [], [], []

    def act(version: ModelVersionRow) -> None:
        try:
            won.append(promoted(registry, version).model_version_id)
        except PromotionConflictError as refusal:
            lost.append(refusal.expected)
        except Exception as error:  # noqa: BLE001
            other.append(error)

    threads = [threading.Thread(target=act, args=(version,)) for version in candidates]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (other, len(won), len(lost)) == ([], 1, 3)
    with registry.sessions() as session:
        rows = deployments(session)
        verify(session)
        told = select(func.count()).where(AuditEventRow.action == "model.promote")
        assert session.scalar(told) == len(rows) == (1 if first_of_all else 2)
    assert rows[0].model_version_id == won[0]


def changed(sessions: sessionmaker[Session]) -> tuple[int | None, ...]:
    """Count what a promotion leaves, its refusals apart."""
    others = AuditEventRow.action != "model.promotion_refused"
    with sessions() as session:
        return (
            session.scalar(select(func.count()).select_from(ModelDeploymentRow)),
            session.scalar(select(func.count()).select_from(AuditEventRow).where(others)),
        )


def refusals(sessions: sessionmaker[Session]) -> list[tuple[str, str, Any]]:
    columns = (AuditEventRow.actor, AuditEventRow.subject_id, AuditEventRow.details)
    asked = select(*columns).where(AuditEventRow.action == "model.promotion_refused")
    with sessions() as session:
        verify(session)
        return [tuple(row) for row in session.execute(asked.order_by(AuditEventRow.sequence))]


def test_a_file_that_is_gone_or_changed_is_refused_before_anything_changes(registry: Registry) -> None:
    first, gone, damaged = (registry.add(name) for name in "123")
    promoted(registry, first)
    registry.lose(gone)
    registry.damage(damaged)
    before = changed(registry.sessions)
    with pytest.raises(CheckpointMissingError) as missing:
        promoted(registry, gone, override_reason="never mind the file")
    assert missing.value.details() == {"sha256": gone.sha256}
    with pytest.raises(CheckpointDamagedError) as other:
        promoted(registry, damaged, override_reason="never mind the file")
    assert other.value.expected == damaged.sha256
    assert changed(registry.sessions) == before
    assert refusals(registry.sessions) == [
        (ACTOR.name, version.id, {"sha256": version.sha256, "rules": ["file_intact"]})
        for version in (gone, damaged)
    ]
    assert answering(registry) == "1"


def test_a_version_that_fails_the_gate_needs_somebody_who_says_why(registry: Registry) -> None:
    paper = registry.add("1", metrics=CARD["metrics"] | {"protocol": "paper"})
    before = changed(registry.sessions)
    with pytest.raises(GateNotPassedError):
        promoted(registry, paper)
    with pytest.raises(ReasonNotValidError):
        promoted(registry, paper, reason="  ")
    assert changed(registry.sessions) == before
    refused = {"sha256": paper.sha256, "rules": ["protocol"]}
    assert refusals(registry.sessions) == [(ACTOR.name, paper.id, refused)]
    deployment = promoted(registry, paper, override_reason="for a comparison with the paper")
    assert deployment.overridden == {
        "reason": "for a comparison with the paper",
        "rules": [{"name": "protocol", "expected": "nested", "found": "paper", "overridable": True}],
    }
    with registry.sessions() as session:
        event = session.scalars(select(AuditEventRow).order_by(AuditEventRow.sequence.desc())).first()
    assert event is not None
    assert event.details is not None
    assert event.details["overridden"] == deployment.overridden


@BOTH_DATABASES
def test_a_refusal_outlives_what_its_transaction_had_begun(registry: Registry) -> None:
    paper = registry.add("1", metrics=CARD["metrics"] | {"protocol": "paper"})
    with suppress(GateNotPassedError), registry.sessions.begin() as session:
        session.execute(update(ModelVersionRow).values(added_by="user:other"))
        promote(session, registry.storage, paper, actor=ACTOR, reason="better")
    with registry.sessions() as session:
        assert session.scalars(select(ModelVersionRow.added_by)).one() == ACTOR.name
    assert [rules["rules"] for *_, rules in refusals(registry.sessions)] == [["protocol"]]


def test_what_the_settings_name_answers_and_keeps_what_was_overruled(registry: Registry) -> None:
    bare = registry.add("1", metrics={})
    for expected in (True, False):
        with registry.sessions.begin() as session:
            made = let_answer(session, registry.storage, bare, actor=ACTOR, reason="the settings name it")
        assert (made is not None) == expected
    with registry.sessions() as session:
        [row] = deployments(session)
    assert row.overridden is not None
    assert row.overridden["reason"] == "the settings name it"


@pytest.mark.parametrize("compared", ["not yet", "under way", "found out"])
def test_another_preprocessing_is_for_who_operates_the_service_before_a_comparison_and_after(
    registry: Registry, compared: str
) -> None:
    champion = registry.add("1")
    other = registry.add("2", preprocessing=CARD["preprocessing"] | {"band_hz": [0.01, 0.1]})
    promoted(registry, champion)
    if compared != "not yet":
        state = EvaluationState.QUEUED if compared == "under way" else EvaluationState.SUCCEEDED
        found = outcome() | {"passed": False, "together": None, "rules": [SAME_PREPROCESSING_FAILED]}
        with registry.sessions.begin() as session:
            evaluate(session, champion=champion.id, challenger=other.id, state=state, found=found)
    with registry.sessions.begin() as session, pytest.raises(GateNotPassedError) as refused:
        promote(
            session, registry.storage, other, actor=ACTOR, reason="better", override_reason="it is urgent"
        )
    fixed = {str(rule["name"]) for rule in refused.value.rules if not rule["overridable"]}
    of_a_comparison = {"same_preprocessing"} if compared == "found out" else set()
    assert fixed == {"preprocessing_unchanged"} | of_a_comparison
    assert answering(registry) == "1"

    with registry.sessions.begin() as session:
        made = let_answer(session, registry.storage, other, actor=ACTOR, reason="the settings name it")
    assert made is not None
    assert made.overridden is not None
    assert fixed <= {rule["name"] for rule in made.overridden["rules"]}
    assert answering(registry) == "2"


def test_rollbacks_lead_further_back_and_never_to_what_they_took_away(registry: Registry) -> None:
    for name in "ABC":
        promoted(registry, registry.add(name))
    assert rolled_back(registry) == ("B", [])
    assert rolled_back(registry) == ("A", [])
    with pytest.raises(NothingToRollBackToError, match=r"found none$"):
        rolled_back(registry)
    assert answering(registry) == "A"
    promoted(registry, registry.add("C"))
    assert rolled_back(registry) == ("A", [])


def test_a_rollback_passes_over_versions_whose_files_are_not_intact(registry: Registry) -> None:
    first, second, third, fourth = (registry.add(name) for name in "1234")
    for version in (first, second, third, fourth):
        promoted(registry, version)
    registry.lose(third)
    registry.damage(second)
    assert rolled_back(registry) == ("1", ["3", "2"])
    with registry.sessions() as session:
        event = session.scalars(select(AuditEventRow).order_by(AuditEventRow.sequence.desc())).first()
    assert event is not None
    assert event.details is not None
    assert [(one["version"], one["code"]) for one in event.details["skipped"]] == [
        ("3", "checkpoint_missing"),
        ("2", "checkpoint_damaged"),
    ]


@pytest.mark.parametrize("override", [None, "the weights shall not matter"])
def test_weights_that_are_no_numbers_are_never_promoted_though_registered(
    registry: Registry, override: str | None
) -> None:
    first = registry.add("1")
    promoted(registry, first)
    broken = registry.add_broken("2")
    with (
        pytest.raises(CheckpointDamagedError, match="found NaN or infinite values"),
        registry.sessions.begin() as session,
    ):
        promote(session, registry.storage, broken, actor=ACTOR, reason="better", override_reason=override)
    assert answering(registry) == "1"
    with registry.sessions() as session:
        event = session.scalars(select(AuditEventRow).order_by(AuditEventRow.sequence.desc())).first()
    assert event is not None
    assert (event.action, event.subject_id) == ("model.promotion_refused", broken.id)


def test_a_rollback_passes_over_a_version_whose_key_is_gone(
    sessions: sessionmaker[Session], tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path, encryption_key_file=tmp_path / "keys.txt")
    make_key_file(tmp_path / "keys.txt")
    registry = Registry(tmp_path, sessions, open_storage(settings))
    versions = [registry.add(name) for name in "123"]
    for version in versions:
        promoted(registry, version)
    with open_as_kept(settings).receive(max_bytes=10_000) as upload:
        upload.write(encrypt(b"weights", [x25519.Identity.generate().to_public()]))
        open_as_kept(settings).promote(upload, versions[1].storage_key)
    with sessions.begin() as session:
        done = roll_back(session, registry.storage, actor=ACTOR, reason="worse")
    assert done.deployment.model_version.version == "1"
    assert [(one.version, one.code) for one in done.skipped] == [("2", "encryption_key_missing")]


@pytest.mark.parametrize("reason", ["", " \n", "x" * 1001])
def test_a_rollback_without_a_reason_changes_nothing(registry: Registry, reason: str) -> None:
    for name in "12":
        promoted(registry, registry.add(name))
    before = changed(registry.sessions)
    with pytest.raises(ReasonNotValidError, match="expected a reason of 1 to 1000 characters"):
        rolled_back(registry, reason=reason)
    assert changed(registry.sessions) == before
    assert answering(registry) == "2"


def test_without_a_way_back_nothing_changes(registry: Registry) -> None:
    with pytest.raises(NoActiveModelError):
        rolled_back(registry)
    first, second = registry.add("1"), registry.add("2")
    promoted(registry, first)
    promoted(registry, second)
    registry.lose(first)
    before = changed(registry.sessions)
    with pytest.raises(NothingToRollBackToError, match="found none whose file is intact, of 1") as refused:
        rolled_back(registry)
    assert [one["code"] for one in refused.value.skipped] == ["checkpoint_missing"]
    assert changed(registry.sessions) == before
    assert answering(registry) == "2"


def test_a_rollback_asks_the_gate_for_the_file_alone(registry: Registry) -> None:
    promoted(registry, registry.add("1", metrics={}), override_reason="the only one that there is")
    promoted(registry, registry.add("2"))
    assert rolled_back(registry) == ("1", [])
