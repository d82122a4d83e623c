"""What people ask of training runs: to be made, stopped, gone on with."""

from pathlib import Path
from typing import ClassVar

from sqlalchemy import and_
from sqlalchemy.orm import Session

from service.audit import record
from service.correlation import origin
from service.db.base import new_id, utc_now
from service.db.job import TERMINAL
from service.db.rows import (
    CohortRow,
    EvaluationSetRow,
    FoldState,
    RunState,
    TrainingFoldRow,
    TrainingLogRow,
    TrainingRunRow,
)
from service.errors import ServiceError
from service.identity.actor import Actor
from service.jobs.change import change, lock
from service.jobs.requests import FRESH, cancel, queue_again
from service.jobs.training_log import lines_of, note
from service.jobs.training_runs import folds_of_run
from service.registry.comparison import set_in_use
from service.reviews import consented_people
from service.training_request import TrainingRequest

# Lines of a log that warn whoever asks, and hold nothing up.
WARNINGS = frozenset({"meets_evaluation_set", "nobody_agreed"})
# Why planning refuses what was asked for, whenever it is asked: nothing of such a run is there to go on with.
REFUSED_FOR_GOOD = frozenset(
    {
        "fold_without_class",
        "inner_part_without_class",
        "one_class_only",
        "selection_empty",
        "selection_filter_invalid",
        "selection_needed",
        "selection_needs_release",
        "selection_pool_too_small",
        "selection_unknown",
        "test_release_in_training",
        "too_few_folds",
        "too_few_sites",
        "training_settings_invalid",
    }
)


class TrainingRunNotFoundError(ServiceError):
    """No run has this id, or none that the account may see."""

    code: ClassVar[str] = "training_run_not_found"

    def __init__(self) -> None:
        super().__init__("expected the id of a training run, found none with this id")


class TrainingRunOverError(ServiceError):
    """A run that is over, so that there is nothing to stop."""

    code: ClassVar[str] = "training_run_over"

    def __init__(self, found: str) -> None:
        self.found = found
        super().__init__(f"expected a training run that waits or is at work, found one that has {found}")


class TrainingRunNotResumableError(ServiceError):
    """A run that cannot be gone on with."""

    code: ClassVar[str] = "training_run_not_resumable"

    def __init__(self, found: str) -> None:
        self.found = found
        super().__init__(f"expected a training run that has failed or was cancelled, found {found}")


def request_runs(
    session: Session,
    asked: TrainingRequest,
    cohort: CohortRow,
    *,
    runs_dir: Path,
    actor: Actor,
    organisation_id: str,
    requested_by: str | None = None,
    max_attempts: int = 3,
) -> list[TrainingRunRow]:
    """Queue a run for each network, recurrent layer and seed.

    Parameters
    ----------
    asked : TrainingRequest
    cohort : CohortRow
        That ``asked`` names; see :func:`service.cohorts.require_trainable`.
    runs_dir : Path
        Absolute; each run gets a folder of its own there, made when it is planned.
    actor, organisation_id, requested_by, max_attempts
        As :func:`service.jobs.training.enqueue_run`.
    """
    grid_id, runs = new_id(), []
    met = _set_that_may_be_met(session, asked, cohort)
    nobody = asked.reviewed_scans and not consented_people(session, organisation_id=organisation_id).people
    for each in asked.of_each():
        run_id = new_id()
        run = TrainingRunRow(
            id=run_id,
            organisation_id=organisation_id,
            run_folder=str(runs_dir / run_id),
            cohort_folder=cohort.folder,
            device=asked.device,
            cohort_id=cohort.id,
            grid_id=grid_id,
            request=each | {"cohort": cohort.name},
            requested_by=requested_by,
            max_attempts=max_attempts,
        )
        session.add(run)
        session.flush()
        note(session, run, "queued", details={"cohort": cohort.name, **_named(each["settings"])})
        if met is not None:
            note(session, run, "meets_evaluation_set", details={"cohort": cohort.name, "set": met.name})
        if nobody:
            note(session, run, "nobody_agreed", details={"n_people": 0})
        _record(session, run, actor, action="training.request", details={"grid_id": grid_id, **each})
        runs.append(run)
    return runs


def cancel_run(session: Session, run: TrainingRunRow, *, actor: Actor) -> TrainingRunRow:
    """Stop a run and every fold of it; asking again changes nothing.

    Folds that are being trained stop at their next batch, and planning at its end.

    Raises
    ------
    TrainingRunOverError
        If it has succeeded or failed.
    """
    # Before anything is read: whoever plans the run at this moment has queued its folds, or never will.
    lock(session, TrainingRunRow, run.id)
    stopped = [cancel(session, TrainingFoldRow, fold.id) for fold in folds_of_run(session, run.id)]
    at_once = change(
        session,
        TrainingRunRow,
        run.id,
        TrainingRunRow.state == RunState.TRAINING,
        {"state": RunState.CANCELLED, "cancel_requested": True, "finished_at": utc_now()},
    )
    changed = at_once or cancel(session, TrainingRunRow, run.id)
    session.refresh(run)
    if changed is None and run.state in {RunState.SUCCEEDED, RunState.FAILED}:
        raise TrainingRunOverError(run.state.value)
    if changed is not None or any(stopped):
        note(session, run, "cancelled")
        _record(session, run, actor, action="training.cancel")
    return run


def resume_run(
    session: Session, run: TrainingRunRow, *, actor: Actor
) -> list[tuple[type[TrainingRunRow | TrainingFoldRow], str]]:
    """Go on with a run that failed or was cancelled: finished folds are kept, the others queued again.

    Returns
    -------
    list of (type of row, id)
        What waits now, to be announced after the commit.

    Raises
    ------
    TrainingRunNotResumableError
        If it is at work, has succeeded, is about to stop, was begun by ``restnet train``, was refused for
        what it asked for, or would need copies of reviewed scans again.
    """
    lock(session, TrainingRunRow, run.id)
    session.refresh(run)
    folds = folds_of_run(session, run.id)
    if run.request is None:
        raise TrainingRunNotResumableError("one of `restnet train`, which goes on with it itself")
    if run.state not in {RunState.FAILED, RunState.CANCELLED}:
        is_over = run.state == RunState.SUCCEEDED
        raise TrainingRunNotResumableError(
            "one that has succeeded" if is_over else f"one that is {run.state.value}"
        )
    if any(fold.state not in TERMINAL for fold in folds):
        raise TrainingRunNotResumableError("one with folds that still stop: ask again when they have")
    if is_refused_for_good(run):
        raise TrainingRunNotResumableError(
            f"one that planning refused for what it asked for ({run.error_code}): ask for another one"
        )
    unfinished = [fold for fold in folds if fold.state != FoldState.SUCCEEDED]
    if unfinished and has_reviewed_scans(run):
        raise TrainingRunNotResumableError(
            "one with reviewed scans, whose copies go when it ends: ask anew, with the consents of today"
        )
    over = TrainingRunRow.state.in_([RunState.FAILED, RunState.CANCELLED])
    if unfinished:
        going_on = {**FRESH, **origin(), "state": RunState.TRAINING, "started_at": run.started_at}
        if change(session, TrainingRunRow, run.id, and_(over), going_on) is None:
            raise TrainingRunNotResumableError(f"one that is {run.state.value}")
        waiting: list[tuple[type[TrainingRunRow | TrainingFoldRow], str]] = [
            (TrainingFoldRow, fold.id)
            for fold in unfinished
            if queue_again(session, TrainingFoldRow, fold.id) is not None
        ]
    else:
        if queue_again(session, TrainingRunRow, run.id) is None:
            raise TrainingRunNotResumableError(f"one that is {run.state.value}")
        waiting = [(TrainingRunRow, run.id)]
    session.refresh(run)
    note(session, run, "resumed", details={"n_folds": len(unfinished)})
    _record(session, run, actor, action="training.resume")
    return waiting


def is_refused_for_good(run: TrainingRunRow) -> bool:
    """Say whether planning has refused a run for a reason that stays."""
    return run.state == RunState.FAILED and run.plan is None and run.error_code in REFUSED_FOR_GOOD


def has_reviewed_scans(run: TrainingRunRow) -> bool:
    """Say whether a run was asked to train on reviewed scans too."""
    return bool((run.request or {}).get("reviewed_scans"))


def warnings_of(session: Session, run_id: str) -> list[TrainingLogRow]:
    """Read what a run was warned of as it was asked for: its log begins with that."""
    return [line for line in lines_of(session, run_id, limit=1 + len(WARNINGS)) if line.event in WARNINGS]


def _set_that_may_be_met(
    session: Session, asked: TrainingRequest, cohort: CohortRow
) -> EvaluationSetRow | None:
    """Return the evaluation set in use, where a training may take people of it."""
    people = set_in_use(session)
    if people is None or people.cohort_id != cohort.id:
        return None
    # Without a selection the training release is taken, where a cohort knows who is in the test release.
    apart = people.selection == "test" and asked.selection != "all"
    return None if apart else people


def _named(settings: dict[str, object]) -> dict[str, object]:
    return {name: settings[name] for name in ("network", "rnn", "seed")}


def _record(
    session: Session,
    run: TrainingRunRow,
    actor: Actor,
    *,
    action: str,
    details: dict[str, object] | None = None,
) -> None:
    record(
        session,
        actor=actor,
        action=action,
        subject_kind="training_run",
        subject_id=run.id,
        details=details,
        organisation_id=run.organisation_id,
    )
