"""Training by workers, as the command line sees it: rows are written, then followed until all are over.

The folds are jobs like any other: what is written here would be done as well if this process died. The same
command then finds them, wherever they are by that time.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from os.path import normpath
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, ClassVar

from celery import Celery
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from service import jobs, logs
from service.cli.database import bring_up_to_date
from service.cli.output import ACTOR
from service.cli.training_display import FoldDisplay
from service.cli.training_watch import WORKER_PATIENCE_S, FailedFold, Watch
from service.correlation import correlated, request_id_for
from service.db.engine import make_engine, session_factory
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import FoldState, TrainingFoldRow
from service.errors import ServiceError
from service.queue import make_celery
from service.settings import Settings
from service.worker.sweeper import sweep_once
from training.runs import read_outcome, read_run
from training.validation.run_folder import is_finished

if TYPE_CHECKING:
    from model.predictor import Device

# How long a cancellation may take before the command ends without having seen it obeyed.
CANCEL_PATIENCE_S = 15.0
CANCEL_POLL_S = 0.2


class FoldsFailedError(ServiceError):
    """Folds that ended without an outcome; each has a code of its own."""

    code: ClassVar[str] = "folds_failed"

    def __init__(self, failed: Sequence[FailedFold]) -> None:
        self.failed = [asdict(one) for one in failed]
        folds = ", ".join(f"{Path(one.run).name} fold {one.fold + 1} ({one.code})" for one in failed)
        super().__init__(
            f"expected every fold to come to its outcome, found {len(failed)} that did not: {folds}; "
            "the same command tries them again"
        )


@contextmanager
def workers_of(settings: Settings) -> Iterator["Workers"]:
    """Reach the database and the broker of the training workers; the database is made and brought up to date.

    Raises
    ------
    sqlalchemy.exc.OperationalError
        If the database does not answer. A broker that does not answer is no error: the rows wait.
    """
    bring_up_to_date(settings)
    # What the sweep would log of the broker is said in our own words.
    log_level = "debug" if settings.log_level == "debug" else "error"
    logs.configure(log_format=settings.log_format, log_level=log_level)
    engine = make_engine(settings.database_url.get_secret_value())
    app = make_celery(settings)
    try:
        yield Workers(settings, session_factory(engine), app)
    finally:
        app.close()
        engine.dispose()


class Workers:
    """Trains runs by the workers of a database and a broker."""

    def __init__(self, settings: Settings, sessions: sessionmaker[Session], app: Celery) -> None:
        self._settings = settings
        self._sessions = sessions
        self._app = app

    def train(
        self,
        runs: Sequence[Path],
        *,
        cohort: Path,
        device: "Device",
        display: FoldDisplay,
        finished: Callable[[Path], None],
    ) -> list[FailedFold]:
        """Have every fold of some runs trained, all of them queued at once, and make the ensembles.

        Parameters
        ----------
        runs : sequence of Path
            Folders of runs that are begun.
        cohort : Path
        device : "auto", "cpu" or "cuda"
        display : FoldDisplay
        finished : callable
            Called as ``finished(run)`` for each run whose ensemble is written.

        Returns
        -------
        list of FailedFold
            Empty when every run is finished. Other folds go on after one has failed.

        Raises
        ------
        KeyboardInterrupt
            After the folds were cancelled; :meth:`cancel` does it.
        """
        self._enqueue(runs, cohort=cohort, device=device, display=display)
        folders = dict(zip(_absolute(runs), runs, strict=True))
        watch = Watch(
            self._settings, self._sessions, self._app, runs=folders, display=display, finished=finished
        )
        return watch.until_over()

    def cancel(self, runs: Sequence[Path]) -> bool:
        """Cancel what waits or is being trained; says whether all of it has stopped by now."""
        with self._sessions.begin() as session:
            jobs.cancel_runs(session, _absolute(runs), actor=ACTOR)
        deadline = monotonic() + CANCEL_PATIENCE_S
        while self._stopping(runs):
            if monotonic() > deadline:
                return False
            sleep(CANCEL_POLL_S)
        return True

    def _enqueue(self, runs: Sequence[Path], *, cohort: Path, device: str, display: FoldDisplay) -> None:
        # What an earlier command cancelled is not queued again before its worker has let go of it.
        since, told = monotonic(), False
        while self._stopping(runs):
            if not told and monotonic() - since > WORKER_PATIENCE_S:
                display.say("Waiting for workers to stop folds that were cancelled before.", style="yellow")
                told = True
            sleep(CANCEL_POLL_S)
        while True:
            try:
                with correlated(request_id_for(None)), self._sessions.begin() as session:
                    for run in runs:
                        jobs.enqueue_run(
                            session,
                            _run_to_train(run, cohort=cohort, device=device),
                            actor=ACTOR,
                            organisation_id=DEFAULT_ORGANISATION_ID,
                            max_attempts=self._settings.max_attempts,
                        )
            except IntegrityError:
                # The same command at the same moment: the next look finds its rows.
                continue
            return

    def _stopping(self, runs: Sequence[Path]) -> bool:
        sweep_once(self._app, self._sessions, TrainingFoldRow, republish_s=self._settings.republish_s)
        with self._sessions() as session:
            folds = jobs.folds_of(session, _absolute(runs))
        return any(fold.state == FoldState.TRAINING and fold.cancel_requested for fold in folds)


def _run_to_train(run: Path, *, cohort: Path, device: str) -> jobs.RunToTrain:
    folds = range(len(read_run(run).fold_names))
    run_folder, cohort_folder = _absolute([run, cohort])
    return jobs.RunToTrain(
        run_folder=run_folder,
        cohort_folder=cohort_folder,
        device=device,
        n_folds=len(folds),
        outcomes={
            fold: read_outcome(run, fold).model_dump(mode="json") for fold in folds if is_finished(run, fold)
        },
    )


def _absolute(runs: Sequence[Path]) -> list[Path]:
    # Links are kept: what people name is what their machines share.
    return [Path(normpath(run.absolute())) for run in runs]
