"""Runs that ``restnet train`` plans and finishes: their folds, and a folder that says which are done."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from service.audit import record
from service.db.base import utc_now
from service.db.job import JobState
from service.db.rows import RunState, TrainingFoldRow, TrainingRunRow
from service.identity.actor import Actor
from service.jobs.change import change, lock
from service.jobs.lease import succeed, success
from service.jobs.requests import cancel, queue_again


@dataclass(frozen=True, kw_only=True)
class RunToTrain:
    """A run whose folder is begun.

    Attributes
    ----------
    run_folder, cohort_folder : Path
        Absolute, and the same on every machine that trains.
    device : str
        As asked for; ``auto`` lets every worker take its best.
    n_folds : int
    outcomes : mapping of int to dict
        A `FoldOutcome` as JSON for each fold that the folder says is done.
    """

    run_folder: Path
    cohort_folder: Path
    device: str
    n_folds: int
    outcomes: Mapping[int, dict[str, Any]] = field(default_factory=dict)


def enqueue_run(
    session: Session,
    run: RunToTrain,
    *,
    actor: Actor,
    organisation_id: str,
    requested_by: str | None = None,
    max_attempts: int = 3,
) -> TrainingRunRow:
    """Queue what is left of a run; folds that wait or are being trained already are left as they are.

    Parameters
    ----------
    run : RunToTrain
    actor : Actor
        For the audit.
    organisation_id : str
        Whose run it becomes; one that is known already stays whose it is.
    requested_by : str, optional
        Id of the user who asked.
    max_attempts : int
        How often a fold may be started without getting a whole epoch further before it fails as
        ``worker_lost``.

    Raises
    ------
    sqlalchemy.exc.IntegrityError
        If somebody else queues the same run at this moment: asking again finds theirs.
    """
    row = session.scalars(_of_folder(run.run_folder)).one_or_none()
    if row is None:
        row = TrainingRunRow(
            organisation_id=organisation_id,
            run_folder=str(run.run_folder),
            requested_by=requested_by,
            state=RunState.TRAINING,
        )
        session.add(row)
    row.cohort_folder, row.device = str(run.cohort_folder), run.device
    if row.state != RunState.SUCCEEDED or len(run.outcomes) < run.n_folds:
        # Before its folds: none is queued under a run that is over.
        _go_on(row)
    session.flush()
    known = {fold.fold: fold for fold in folds_of(session, [run.run_folder])}
    for fold in range(run.n_folds):
        if fold not in known:
            known[fold] = TrainingFoldRow(
                organisation_id=row.organisation_id, run_id=row.id, fold=fold, max_attempts=max_attempts
            )
            session.add(known[fold])
            session.flush()
        outcome = run.outcomes.get(fold)
        if outcome is not None:
            _note_done(session, known[fold].id, outcome)
        else:
            queue_again(session, TrainingFoldRow, known[fold].id, also=JobState.SUCCEEDED)
    record(
        session,
        actor=actor,
        action="training.start",
        subject_kind="training_run",
        subject_id=row.id,
        organisation_id=row.organisation_id,
    )
    session.flush()
    return row


def folds_of(session: Session, run_folders: Iterable[Path]) -> Sequence[TrainingFoldRow]:
    """Read the folds of some runs as they are now, each with its run; sorted by folder and number."""
    wanted = TrainingRunRow.run_folder.in_([str(folder) for folder in run_folders])
    statement = (
        select(TrainingFoldRow)
        .join(TrainingFoldRow.run)
        .where(wanted)
        .options(joinedload(TrainingFoldRow.run))
        .order_by(TrainingRunRow.run_folder, TrainingFoldRow.fold)
    )
    return session.scalars(statement, execution_options={"populate_existing": True}).all()


def finish_fold(session: Session, fold_id: str, *, owner: str, outcome: Mapping[str, Any]) -> bool:
    """Store what a fold came to, if the lease is held and nobody cancelled; False otherwise.

    Parameters
    ----------
    outcome : mapping
        A `FoldOutcome` as JSON.
    """
    return succeed(session, TrainingFoldRow, fold_id, owner=owner, values=_done(outcome))


def finish_run(session: Session, run_folder: Path) -> None:
    """Note that the ensemble of a run's folds is written."""
    row = session.scalars(_of_folder(run_folder)).one()
    row.finished_at = utc_now()  # the database's clock
    row.state, row.progress = RunState.SUCCEEDED, 1.0
    session.flush()


def cancel_runs(session: Session, run_folders: Iterable[Path], *, actor: Actor) -> tuple[str, ...]:
    """Cancel every fold of some runs that waits or is being trained; asking again changes nothing.

    Returns
    -------
    tuple of str
        The folds that are cancelled now, or asked to stop.
    """
    folders = list(run_folders)
    for run_id in sorted({fold.run_id for fold in folds_of(session, folders)}):
        lock(session, TrainingRunRow, run_id)
    folds = folds_of(session, folders)
    stopped = [fold for fold in folds if cancel(session, TrainingFoldRow, fold.id) is not None]
    for run_id, organisation_id in {fold.run_id: fold.organisation_id for fold in stopped}.items():
        still = TrainingRunRow.state == RunState.TRAINING
        values = {"state": RunState.CANCELLED, "finished_at": utc_now()}
        change(session, TrainingRunRow, run_id, still, values)
        record(
            session,
            actor=actor,
            action="training.cancel",
            subject_kind="training_run",
            subject_id=run_id,
            organisation_id=organisation_id,
        )
    return tuple(fold.id for fold in stopped)


def _go_on(row: TrainingRunRow) -> None:
    row.state, row.finished_at, row.cancel_requested = RunState.TRAINING, None, False
    row.error_code = row.error_message = row.error_details = row.error_reference = None


def _of_folder(run_folder: Path) -> Any:
    return select(TrainingRunRow).where(TrainingRunRow.run_folder == str(run_folder))


def _note_done(session: Session, fold_id: str, outcome: Mapping[str, Any]) -> None:
    """Let a row say what its folder says, unless a worker is about to."""
    idle = TrainingFoldRow.state.not_in(TrainingFoldRow.RUNNING)
    change(session, TrainingFoldRow, fold_id, idle, {**success(_done(outcome)), "cancel_requested": False})


def _done(outcome: Mapping[str, Any]) -> dict[str, Any]:
    return {"figures": None, "outcome": dict(outcome)}
