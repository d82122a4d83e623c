"""One fold of a training run, in folders that every training worker shares."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from sqlalchemy.orm import Session

from service import jobs
from service.db.rows import TrainingFoldRow, TrainingRunRow
from service.errors import ServiceError, as_json
from service.jobs.change import lock
from service.worker.epoch_notes import EpochNotes
from service.worker.heartbeat import Heartbeat
from service.worker.job import Work, Write, run_job
from service.worker.runtime import Runtime
from training.runs import RUN_FILE, read_run
from training.validation.fold_lock import FoldInProgressError

if TYPE_CHECKING:
    from model.predictor import Device
    from training.fitting.progress import FitProgress

# Somebody else's fold is left to them soon: a cancellation must not wait for their lock.
LOCK_PATIENCE_S = 2.0


class SharedFolderMissingError(ServiceError):
    """A run's or a cohort's folder that this worker does not see."""

    code: ClassVar[str] = "shared_folder_missing"

    def __init__(self, *, folder: str, name: str) -> None:
        self.folder = folder
        self.name = name
        self.host = socket.gethostname()
        super().__init__(
            f"expected the {folder}'s folder {name!r} at the same path on every machine that trains, "
            f"found none on {self.host}"
        )


def run_fold(runtime: Runtime, fold_id: str) -> None:
    """Claim a fold and bring it to an end, as :func:`service.worker.job.run_job` says.

    A fold that was begun before, here or on another machine, goes on from its last whole epoch. One that
    another process is at waits for it.
    """
    run_job(FOLD, runtime, fold_id)


def _train(runtime: Runtime, row: TrainingFoldRow, owner: str, heartbeat: Heartbeat) -> Write:
    from training.validation.fold import train_fold  # noqa: PLC0415  (torch)

    with runtime.sessions() as session:
        asked = session.get_one(TrainingRunRow, row.run_id)
    run, cohort = Path(asked.run_folder), Path(asked.cohort_folder)
    _require_shared(run, cohort)
    epochs = EpochNotes(runtime.sessions, row, owner, run)
    epochs.begin()
    report = _Report(heartbeat, epochs)
    with _threads_of(run):
        outcome = train_fold(
            run,
            row.fold,
            cohort=cohort,
            device=cast("Device", asked.device),
            lock_patience_s=LOCK_PATIENCE_S,
            progress=report,
        )
    epochs.catch_up()
    told = as_json(outcome.model_dump(mode="json"))
    return lambda session: _finish(session, row, asked, owner=owner, outcome=told)


def _finish(
    session: Session, row: TrainingFoldRow, run: TrainingRunRow, *, owner: str, outcome: dict[str, Any]
) -> bool:
    lock(session, TrainingRunRow, run.id)
    if not jobs.finish_fold(session, row.id, owner=owner, outcome=outcome):
        return False
    figures = {name: outcome[name] for name in ("epochs_run", "best_epoch", "seconds_per_epoch")}
    jobs.note(session, run, "fold_finished", fold=row.fold, details=figures)
    return True


def _require_shared(run: Path, cohort: Path) -> None:
    for folder, path, seen in (("run", run, run / RUN_FILE), ("cohort", cohort, cohort)):
        if not seen.exists():
            raise SharedFolderMissingError(folder=folder, name=path.name)


@contextmanager
def _threads_of(run: Path) -> Iterator[None]:
    """Compute on as many threads as the run was planned for: with another number come other weights."""
    import torch  # noqa: PLC0415

    before = torch.get_num_threads()
    torch.set_num_threads(int(str(read_run(run).machine["threads"])))
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Report:
    """Tells the row how far a fold is, after each batch and each encoded scan."""

    def __init__(self, heartbeat: Heartbeat, epochs: EpochNotes) -> None:
        self._heartbeat = heartbeat
        self._epochs = epochs
        self._first_epoch: int | None = None

    def __call__(self, _fold: int, progress: "FitProgress") -> None:
        # Epoch 0 is the encoding of frames, which every attempt may have to do again.
        if self._first_epoch is None and progress.epoch:
            self._first_epoch = progress.epoch
        # A worker that was lost after a whole epoch has brought the fold on. Only attempts that end before
        # one, each at the same place, can go on for ever.
        begun = self._first_epoch is not None and progress.epoch > self._first_epoch
        advanced = {"attempts": 1} if begun else {}
        self._epochs.see(progress.epoch)
        self._heartbeat.report(progress.share_done, figures=asdict(progress), **advanced)


FOLD = Work(
    kind=TrainingFoldRow,
    name="fold",
    do=_train,
    awaited=(FoldInProgressError,),
    out_of_reach="expected the run's and the cohort's folders to be at hand, found the system refusing them",
    limited=False,
)
