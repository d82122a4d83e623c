"""A run on its way: planned, in training, gathered; its folds decide when it moves on.

::

    queued -> planning -> training ......... -> queued -> finishing -> succeeded
              (lease)     (no lease: folds)               (lease)

A run that waits to be finished is ``queued`` like one that waits to be planned, so that claim, sweep and
message are those of every job; its ``plan`` tells the two apart.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session

from service.audit import record
from service.db.base import utc_now
from service.db.job import TERMINAL
from service.db.rows import FoldState, RunState, TrainingFoldRow, TrainingRunRow
from service.identity.actor import Actor
from service.jobs.change import change
from service.jobs.lease import hand_on, succeed
from service.jobs.requests import FRESH, cancel
from service.jobs.training_log import note


def stage_of(run: TrainingRunRow) -> RunState:
    """Say where a run stands for people: one that is planned is never planned again, but finished."""
    if run.plan is not None and run.state in {RunState.QUEUED, RunState.PLANNING}:
        return RunState.FINISHING
    return run.state


def folds_of_run(session: Session, run_id: str) -> Sequence[TrainingFoldRow]:
    """Read the folds of a run as they are now, by number."""
    statement = select(TrainingFoldRow).where(TrainingFoldRow.run_id == run_id)
    return session.scalars(
        statement.order_by(TrainingFoldRow.fold), execution_options={"populate_existing": True}
    ).all()


def begin_training(
    session: Session,
    run_id: str,
    *,
    owner: str,
    plan: Mapping[str, Any],
    outcomes: Mapping[int, Mapping[str, Any]],
    actor: Actor,
) -> bool:
    """Queue the folds of a run that is planned, if the lease is held and nobody cancelled; False otherwise.

    Parameters
    ----------
    plan : mapping
        JSON values; ``fold_names`` has a name for each fold.
    outcomes : mapping of int to mapping
        Of folds that the run's folder says are done.
    actor : Actor
        For the audit.
    """
    values = {"state": RunState.TRAINING, "plan": dict(plan), "attempts": 0, "progress": 0.0}
    if not hand_on(session, TrainingRunRow, run_id, owner=owner, values=values):
        return False
    run = session.get_one(TrainingRunRow, run_id, populate_existing=True)
    known = {fold.fold for fold in folds_of_run(session, run_id)}
    for fold in range(len(plan["fold_names"])):
        if fold in known:
            continue
        done = outcomes.get(fold)
        over = {"state": FoldState.SUCCEEDED, "progress": 1.0, "outcome": dict(done)} if done else {}
        session.add(
            TrainingFoldRow(
                organisation_id=run.organisation_id,
                run_id=run.id,
                fold=fold,
                max_attempts=run.max_attempts,
                **over,
            )
        )
    session.flush()
    note(session, run, "planned", details=plan)
    reviewed = plan.get("reviewed")
    if reviewed is not None:
        note(session, run, "reviewed_added", details=reviewed)
    record(
        session,
        actor=actor,
        action="training.start",
        subject_kind="training_run",
        subject_id=run.id,
        details=None if reviewed is None else {"reviewed": reviewed},
        organisation_id=run.organisation_id,
    )
    return True


def end_well(
    session: Session, run_id: str, *, owner: str, model_version_id: str, metrics: Mapping[str, Any]
) -> bool:
    """Note what a run has come to, if the lease is held and nobody cancelled; False otherwise."""
    values = {"model_version_id": model_version_id}
    if not succeed(session, TrainingRunRow, run_id, owner=owner, values=values):
        return False
    run = session.get_one(TrainingRunRow, run_id, populate_existing=True)
    note(session, run, "finished", details=metrics)
    note(session, run, "registered", details={"model_version_id": model_version_id})
    return True


def unsettled(session: Session) -> Sequence[str]:
    """List the runs in training of which a fold has failed, or no fold is left to be trained."""
    of_it = select(TrainingFoldRow.id).where(TrainingFoldRow.run_id == TrainingRunRow.id)
    failed = exists(of_it.where(TrainingFoldRow.state == FoldState.FAILED))
    left = exists(of_it.where(TrainingFoldRow.state.not_in(TERMINAL)))
    statement = select(TrainingRunRow.id).where(TrainingRunRow.state == RunState.TRAINING, or_(failed, ~left))
    return session.scalars(statement).all()


def settle(session: Session, run_id: str) -> TrainingRunRow | None:
    """Move a run on whose folds have come to an end; the first who asks does it.

    With all folds done it waits to be finished. One that failed fails the run, and the others are stopped: an
    ensemble would lack a member. Those of ``restnet train`` go on: the command says what becomes of them.

    Returns
    -------
    TrainingRunRow or None
        The run, where it has moved.
    """
    run = session.get(TrainingRunRow, run_id, populate_existing=True)
    if run is None or run.state != RunState.TRAINING:
        return None
    folds = folds_of_run(session, run_id)
    failed = next((fold for fold in folds if fold.state == FoldState.FAILED), None)
    over = all(fold.state in TERMINAL for fold in folds)
    by_command = run.request is None
    if failed is not None and (over or not by_command):
        return _fail(session, run, failed, folds)
    if not folds or not over:
        return None
    if any(fold.state == FoldState.CANCELLED for fold in folds):
        moved = _move(session, run, {"state": RunState.CANCELLED, "finished_at": utc_now()})
        if moved is not None:
            note(session, moved, "cancelled")
        return moved
    # Queued anew, with all its attempts; the moment at which it was taken up first stays.
    to_finish = {**FRESH, "started_at": run.started_at}
    return None if by_command else _move(session, run, to_finish)


def _fail(
    session: Session, run: TrainingRunRow, failed: TrainingFoldRow, folds: Sequence[TrainingFoldRow]
) -> TrainingRunRow | None:
    name = f"fold {failed.fold + 1} of {len(folds)}"
    moved = _move(
        session,
        run,
        {
            "state": RunState.FAILED,
            "finished_at": utc_now(),
            "error_code": failed.error_code,
            "error_message": f"{name}: {failed.error_message}",
            "error_details": failed.error_details,
            "error_reference": failed.error_reference,
        },
    )
    if moved is not None:
        for fold in folds:
            cancel(session, TrainingFoldRow, fold.id)
        details = {"code": failed.error_code, "message": failed.error_message}
        note(session, moved, "fold_failed", fold=failed.fold, details=details)
    return moved


def _move(session: Session, run: TrainingRunRow, values: Mapping[str, Any]) -> TrainingRunRow | None:
    return change(session, TrainingRunRow, run.id, TrainingRunRow.state == RunState.TRAINING, values)
