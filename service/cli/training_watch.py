"""Watching the folds that workers train: shows them, gathers finished runs, and says why nothing moves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import ClassVar

from celery import Celery
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from imaging.words import counted
from service import jobs
from service.cli.training_display import FoldDisplay, title
from service.db.job import TERMINAL
from service.db.rows import FoldState, TrainingFoldRow
from service.errors import ServiceError
from service.settings import Settings
from service.worker.sweeper import sweep_once
from service.worker.training_run import FOLDER_PATIENCE_S
from training.fitting.progress import FitProgress
from training.runs import FoldOutcome
from training.validation.cross_validation import finish_run
from training.validation.run_folder import is_finished

POLL_S = 0.5
# A worker that is idle takes a fold at once; who waits for longer wants to know why.
WORKER_PATIENCE_S = 5.0
# The trainings go on without us, so a database may be away for a while.
DATABASE_PATIENCE_S = 60.0


@dataclass(frozen=True, kw_only=True)
class FailedFold:
    """A fold that ended without an outcome.

    Attributes
    ----------
    run, fold : str, int
        The run's folder, and the fold's number from 0.
    code, message : str
        As on its row, or :class:`TrainingCancelledError`'s where somebody else stopped it.
    reference : str or None
        Of the traceback in the worker's log.
    """

    run: str
    fold: int
    code: str
    message: str
    reference: str | None


class TrainingCancelledError(ServiceError):
    """A fold that somebody else cancelled."""

    code: ClassVar[str] = "training_cancelled"

    def __init__(self) -> None:
        super().__init__("expected the fold to be trained, found it cancelled; the same command goes on")


class Watch:
    """Looks at the rows of some runs again and again, and does what is to be done about them.

    Parameters
    ----------
    settings, sessions, app
    runs : mapping of Path to Path
        From a run's folder as its row names it to the folder as people named it.
    display : FoldDisplay
    finished : callable
        Called as ``finished(run)`` for each run whose ensemble is written.
    """

    def __init__(
        self,
        settings: Settings,
        sessions: sessionmaker[Session],
        app: Celery,
        *,
        runs: Mapping[Path, Path],
        display: FoldDisplay,
        finished: Callable[[Path], None],
    ) -> None:
        self._settings, self._sessions, self._app = settings, sessions, app
        self._runs = {str(folder): run for folder, run in runs.items()}
        self._display, self._finished = display, finished
        self._begun = False
        self._told: set[str] = set()
        self._over: set[str] = set()
        self._failed: dict[str, FailedFold] = {}
        self._done_at: dict[str, float] = {}
        self._swept_at = self._answered_at = self._moved_at = monotonic()

    def until_over(self) -> list[FailedFold]:
        """Watch until nothing of the runs waits or is being trained; gives the folds that failed."""
        self._sweep()
        while True:
            try:
                if self._look():
                    return list(self._failed.values())
                if monotonic() - self._swept_at > self._settings.sweep_s:
                    self._sweep()
                self._answered_at = monotonic()
            except OperationalError:
                if monotonic() - self._answered_at > DATABASE_PATIENCE_S:
                    raise
                self._tell("The database does not answer. The workers go on; waiting for it.")
            sleep(POLL_S)

    def _look(self) -> bool:
        with self._sessions() as session:
            folds = jobs.folds_of(session, [Path(folder) for folder in self._runs])
        if not self._begun:
            self._begun = True
            n_left = sum(fold.state not in TERMINAL for fold in folds)
            if n_left:
                folds_left = counted(n_left, "fold")
                self._display.note(f"{folds_left} for the training workers; Ctrl-C cancels what is left.")
        for fold in folds:
            self._show(fold)
        for folder in self._runs:
            its_folds = [fold for fold in folds if fold.run.run_folder == folder]
            if folder not in self._over and all(fold.state in TERMINAL for fold in its_folds):
                self._end(folder, its_folds)
        self._explain_waiting(folds)
        return len(self._over) == len(self._runs)

    def _show(self, row: TrainingFoldRow) -> None:
        run = self._runs[row.run.run_folder]
        if row.state == FoldState.TRAINING:
            if row.figures is not None:
                self._display.update(run, row.fold, FitProgress(**row.figures))
        elif row.id in self._failed or row.state == FoldState.QUEUED:
            self._display.drop(run, row.fold)
        elif row.state == FoldState.SUCCEEDED:
            if row.id not in self._told and row.outcome is not None:
                self._told.add(row.id)
                self._display.finish(run, row.fold, FoldOutcome.model_validate(row.outcome))
        else:
            self._display.drop(run, row.fold)
            failed = self._failed[row.id] = _failure(run, row)
            self._display.say(
                f"{title(run, row.fold)} failed: {failed.message}  [{failed.code}]", style="red"
            )

    def _end(self, folder: str, folds: Sequence[TrainingFoldRow]) -> None:
        run = self._runs[folder]
        if all(fold.state == FoldState.SUCCEEDED for fold in folds):
            since = self._done_at.setdefault(folder, monotonic())
            seen = all(is_finished(run, fold.fold) for fold in folds)
            if not seen and monotonic() - since < FOLDER_PATIENCE_S:
                return
            finish_run(run)
            with self._sessions.begin() as session:
                jobs.finish_run(session, Path(folder))
            self._finished(run)
        self._over.add(folder)

    def _sweep(self) -> None:
        # So that neither a maintenance worker nor a broker that never fails is needed.
        sweep_once(self._app, self._sessions, TrainingFoldRow, republish_s=self._settings.republish_s)
        self._swept_at = monotonic()

    def _explain_waiting(self, folds: Sequence[TrainingFoldRow]) -> None:
        waiting = [fold for fold in folds if fold.state == FoldState.QUEUED]
        if not waiting or any(fold.state == FoldState.TRAINING for fold in folds):
            self._moved_at = monotonic()
            return
        if monotonic() - self._moved_at < WORKER_PATIENCE_S:
            return
        for fold in waiting:
            if fold.error_message is not None:
                self._tell(f"{title(self._runs[fold.run.run_folder], fold.fold)} waits: {fold.error_message}")
        due = [fold for fold in waiting if fold.not_before is None]
        if any(fold.published_at is None for fold in due):
            self._tell("The message broker does not answer. The folds are sent to the workers when it does.")
        elif due and self._busy_elsewhere():
            self._tell(f"Every training worker is busy with other runs; folds that wait for one: {len(due)}.")
        elif due:
            nobody = (
                "is at work any more" if any(fold.started_at for fold in folds) else "has taken a fold yet"
            )
            self._tell(
                f"No training worker {nobody}: start one with `restnet worker --queue training`, "
                "with the same settings. Waiting for it."
            )

    def _busy_elsewhere(self) -> bool:
        with self._sessions() as session:
            running = select(func.count()).where(TrainingFoldRow.state == FoldState.TRAINING)
            return session.execute(running).scalar_one() > 0

    def _tell(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._display.say(line, style="yellow")


def _failure(run: Path, row: TrainingFoldRow) -> FailedFold:
    if row.state == FoldState.CANCELLED:
        cancelled = TrainingCancelledError()
        code, message = cancelled.code, str(cancelled)
    else:
        code, message = row.error_code or jobs.JobFailure.INTERNAL_ERROR, row.error_message or ""
    return FailedFold(run=str(run), fold=row.fold, code=code, message=message, reference=row.error_reference)
