"""Asking for the comparison of a challenger with the model that answers, stopping it, and its end."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service import jobs
from service.audit import record
from service.db.job import JobState
from service.db.rows import EvaluationRow, EvaluationSetRow, EvaluationState, ModelVersionRow
from service.evaluations.errors import EvaluationOverError, NoEvaluationSetError
from service.identity.actor import Actor
from service.registry import ModelAlreadyActiveError, NoActiveModelError, active_model
from service.registry.comparison import evaluation_of, set_in_use
from service.registry.gate import require_runnable
from service.storage import Storage

MAX_ATTEMPTS = 3


def request_evaluation(
    session: Session,
    storage: Storage,
    challenger: ModelVersionRow,
    *,
    actor: Actor,
    max_attempts: int = MAX_ATTEMPTS,
    again: bool = False,
) -> EvaluationRow:
    """Queue the comparison of a version with the model that answers, on the set in use.

    One that waits, runs or has succeeded is left as it is. One that failed or was cancelled begins anew; so
    does one that found no way to measure the challenger, whose file may have been put right since.

    Parameters
    ----------
    session : Session
        Not committed.
    storage : Storage
        The challenger's file is read through.
    challenger : ModelVersionRow
    actor : Actor
    max_attempts : int
        How often a worker may be lost at it.
    again : bool
        Whether one that has succeeded begins anew too: what it found may have been put right since.

    Raises
    ------
    NoActiveModelError
        If no model answers: there is nothing to compare with.
    ModelAlreadyActiveError
        If it is the one that answers.
    NoEvaluationSetError
        If no set is in use.
    CheckpointMissingError, CheckpointDamagedError, GateNotPassedError
        As :func:`service.registry.gate.require_runnable`.
    """
    _require_comparable(session, challenger)
    # Before anything is written: nobody has to wait for a file to be read.
    require_runnable(storage, challenger)
    return _request(session, challenger, actor=actor, max_attempts=max_attempts, again=again)


def request_after_training(
    session: Session, model_version_id: str, *, actor: Actor, max_attempts: int
) -> EvaluationRow | None:
    """Queue the comparison of a challenger that training has just registered.

    Returns
    -------
    EvaluationRow or None
        None where it cannot be compared: no model answers, it does itself, or no set is in use.
    """
    challenger = session.get_one(ModelVersionRow, model_version_id)
    try:
        return _request(session, challenger, actor=actor, max_attempts=max_attempts, again=False)
    except (NoActiveModelError, ModelAlreadyActiveError, NoEvaluationSetError):
        return None


def cancel_evaluation(session: Session, row: EvaluationRow, *, actor: Actor) -> EvaluationRow:
    """Stop an evaluation: at once where it waits, after the next person where it is at work.

    Asking again changes nothing.

    Raises
    ------
    EvaluationOverError
        If it has succeeded or failed.
    """
    changed = jobs.cancel(session, EvaluationRow, row.id)
    session.refresh(row)
    if changed is None and row.state in {EvaluationState.SUCCEEDED, EvaluationState.FAILED}:
        raise EvaluationOverError(row.state.value)
    if changed is not None:
        _record(session, row, actor, action="evaluation.cancel")
    return row


def finish_evaluation(
    session: Session, evaluation_id: str, *, owner: str, outcome: Mapping[str, Any]
) -> bool:
    """Store what an evaluation came to, if the lease is held and nobody cancelled; False otherwise.

    Parameters
    ----------
    outcome : mapping
        A `Challenge` as JSON.
    """
    values = {"outcome": dict(outcome), "passed": bool(outcome["passed"])}
    return jobs.succeed(session, EvaluationRow, evaluation_id, owner=owner, values=values)


def unannounced(session: Session) -> Sequence[str]:
    """List the evaluations that wait and that no worker was told of."""
    waiting = select(EvaluationRow.id).where(
        EvaluationRow.state == EvaluationState.QUEUED, EvaluationRow.published_at.is_(None)
    )
    return session.scalars(waiting.order_by(EvaluationRow.queued_at, EvaluationRow.id)).all()


def _require_comparable(
    session: Session, challenger: ModelVersionRow
) -> tuple[ModelVersionRow, EvaluationSetRow]:
    """Return the model that answers and the set in use, for a challenger that is another model."""
    champion = active_model(session)
    if champion is None:
        raise NoActiveModelError
    if champion.id == challenger.id:
        raise ModelAlreadyActiveError
    people = set_in_use(session)
    if people is None:
        raise NoEvaluationSetError
    return champion, people


def _request(
    session: Session, challenger: ModelVersionRow, *, actor: Actor, max_attempts: int, again: bool
) -> EvaluationRow:
    champion, people = _require_comparable(session, challenger)
    row = evaluation_of(session, challenger, champion=champion, people=people)
    if row is None:
        row, queued = _added(session, challenger, champion, people, actor=actor, max_attempts=max_attempts)
    else:
        unmeasured = row.outcome is not None and row.outcome["together"] is None
        anew = JobState.SUCCEEDED if again or unmeasured else None
        queued = jobs.queue_again(session, EvaluationRow, row.id, also=anew) is not None
    if queued:
        row.requested_by = actor.name
        _record(
            session,
            row,
            actor,
            action="evaluation.request",
            details={
                "champion_id": champion.id,
                "challenger_id": challenger.id,
                "evaluation_set_id": people.id,
                **({"again": True} if again else {}),
            },
        )
        session.flush()
    return row


def _added(
    session: Session,
    challenger: ModelVersionRow,
    champion: ModelVersionRow,
    people: EvaluationSetRow,
    *,
    actor: Actor,
    max_attempts: int,
) -> tuple[EvaluationRow, bool]:
    """Add the row, or find the one that somebody else has added at this moment."""
    row = EvaluationRow(
        challenger_id=challenger.id,
        champion_id=champion.id,
        evaluation_set_id=people.id,
        requested_by=actor.name,
        max_attempts=max_attempts,
    )
    try:
        # A savepoint: whoever asks may have written more in this transaction.
        with session.begin_nested():
            session.add(row)
            session.flush()
    except IntegrityError as error:
        theirs = evaluation_of(session, challenger, champion=champion, people=people)
        if theirs is None:
            # Nobody has asked for it: the set itself was removed at this moment.
            raise NoEvaluationSetError from error
        return theirs, False
    return row, True


def _record(
    session: Session,
    row: EvaluationRow,
    actor: Actor,
    *,
    action: str,
    details: dict[str, Any] | None = None,
) -> None:
    record(
        session,
        actor=actor,
        action=action,
        subject_kind="evaluation",
        subject_id=row.id,
        details=details,
    )
