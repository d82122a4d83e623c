"""A training run before its first fold and after its last: planned here, then gathered and registered."""

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from celery import Celery
from sqlalchemy import select
from sqlalchemy.orm import Session

from service import evaluations, jobs
from service.cohorts import CohortNotUsableError
from service.db.base import utc_now
from service.db.rows import CohortRow, FoldState, RunState, TrainingFoldRow, TrainingRunRow
from service.errors import ServiceError, as_json
from service.identity.actor import program
from service.presence import workers_of
from service.queue import announce
from service.registry.registering import register
from service.storage import EncryptionKeyMissingError
from service.worker.heartbeat import Heartbeat
from service.worker.job import Work, Write, run_job
from service.worker.reviewed_copies import discard_staging
from service.worker.runtime import Runtime
from service.worker.training_needs import hands_of, needs_of, require_room, threads_of_a_fold
from training.runs import CHECKPOINT_FILE, SUBJECTS_FILE, read_outcome

if TYPE_CHECKING:
    from model.predictor import Device
    from training.cohort.store.cohort_store import CohortStore
    from training.cohort.subjects import Subject
    from training.fitting.settings import TrainingSettings
    from training.runs import RunRecord

# Network file systems show what another machine wrote with a delay.
FOLDER_PATIENCE_S = 120.0
_FIGURES = ("auc", "balanced_accuracy", "sensitivity", "specificity")


class FoldsNotSeenError(ServiceError):
    """Folds that are finished, and whose outcomes this worker does not see yet."""

    code: ClassVar[str] = "folds_not_seen"

    def __init__(self, *, missing: list[int]) -> None:
        self.missing = missing
        self.host = socket.gethostname()
        super().__init__(
            f"expected the outcome of every fold in the run's folder, found none yet of {len(missing)} on "
            f"{self.host}"
        )


def run_training(runtime: Runtime, run_id: str) -> None:
    """Claim a run and plan it, or finish it where it is planned; see :func:`service.worker.job.run_job`."""
    run_job(RUN, runtime, run_id)


def announce_folds(app: Celery, runtime: Runtime, run_id: str) -> None:
    """Tell the workers of the folds of a run that nobody has been told of yet."""
    with runtime.sessions() as session:
        waiting = [
            fold.id
            for fold in jobs.folds_of_run(session, run_id)
            if fold.state == FoldState.QUEUED and fold.published_at is None
        ]
    for fold_id in waiting:
        announce(app, runtime.sessions, TrainingFoldRow, fold_id)


def settle_run(app: Celery, runtime: Runtime, run_id: str) -> None:
    """Move a run on whose folds are over, and tell the workers where it waits to be finished."""
    with runtime.sessions.begin() as session:
        moved = jobs.settle(session, run_id)
    if moved is not None and moved.state == RunState.QUEUED:
        announce(app, runtime.sessions, TrainingRunRow, run_id)


def _advance(runtime: Runtime, row: TrainingRunRow, owner: str, heartbeat: Heartbeat) -> Write:
    act = _plan if row.plan is None else _finish
    return act(runtime, row, owner, heartbeat)


def _plan(runtime: Runtime, row: TrainingRunRow, owner: str, heartbeat: Heartbeat) -> Write:
    from model.predictor import choose_device  # noqa: PLC0415  (torch)
    from service.worker.reviewed_addition import add_reviewed  # noqa: PLC0415  (scipy)
    from training.cohort.selecting.selection import default_selection  # noqa: PLC0415
    from training.cohort.selecting.selection import select as select_subjects  # noqa: PLC0415
    from training.cohort.store.cohort_store import CohortStore  # noqa: PLC0415
    from training.fitting.settings import read_settings  # noqa: PLC0415
    from training.validation.cross_validation import plan_run  # noqa: PLC0415
    from training.validation.run_folder import is_finished  # noqa: PLC0415

    asked = dict(row.request or {})
    settings = read_settings(overrides=asked["settings"])
    store = CohortStore.open(Path(row.cohort_folder))
    heartbeat.report(0.2)
    with runtime.sessions() as session:
        _require_as_registered(session, row, store)
    selection = asked["selection"] or default_selection(
        store.subjects, cohort=store.name, release_unknown=store.release_unknown
    )
    subjects = select_subjects(store.subjects, selection, where=asked["where"], seed=settings.seed)
    heartbeat.report(0.3)
    folder = Path(row.run_folder)
    reviewed = None
    if asked.get("reviewed_scans"):
        reviewed = add_reviewed(runtime, row, store, heartbeat, split=asked["split"])
    heartbeat.report(0.8)
    record = plan_run(
        store,
        subjects,
        settings=settings,
        out=folder,
        device=cast("Device", row.device),
        split=asked["split"],
        selection=_in_words(selection, asked["where"]),
        added=None if reviewed is None else reviewed.addition,
        threads=threads_of_a_fold(runtime.settings.training_threads),
    )
    on_gpu = choose_device(cast("Device", row.device)).type == "cuda"
    with runtime.sessions() as session:
        workers = workers_of(session, "training", host=socket.gethostname())
    plan = _described(
        record,
        settings,
        store=store,
        subjects=subjects,
        n_added_frames=0 if reviewed is None else reviewed.n_frames,
        folder=folder,
        workers=workers,
        on_gpu=on_gpu,
    )
    if reviewed is not None:
        plan["reviewed"] = reviewed.to_json()
        discard_staging(folder)
    outcomes = {
        fold: as_json(read_outcome(folder, fold).model_dump(mode="json"))
        for fold in range(len(record.fold_names))
        if is_finished(folder, fold)
    }
    return lambda session: jobs.begin_training(
        session, row.id, owner=owner, plan=plan, outcomes=outcomes, actor=program("worker")
    )


def _require_as_registered(session: Session, row: TrainingRunRow, store: "CohortStore") -> None:
    cohort = session.get(CohortRow, row.cohort_id) if row.cohort_id else None
    if cohort is not None and store.fingerprint(store.subjects) != cohort.fingerprint:
        raise CohortNotUsableError(name=cohort.name, found="changed")


def _described(
    record: "RunRecord",
    settings: "TrainingSettings",
    *,
    store: "CohortStore",
    subjects: "list[Subject]",
    n_added_frames: int,
    folder: Path,
    workers: list[str],
    on_gpu: bool,
) -> dict[str, Any]:
    """Say what is to be trained, once this machine has the room for it."""
    chosen = {subject.subject_id for subject in subjects}
    n_folds = len(record.fold_names)
    needs = needs_of(
        settings,
        n_parameters=record.n_parameters,
        n_folds=n_folds,
        n_frames=n_added_frames
        + sum(scan.n_stored_frames for scan in store.scans if scan.subject_id in chosen),
        window_frames=store.spec.window_frames,
        on_gpu=on_gpu,
    )
    hands = hands_of(workers, n_folds=n_folds)
    require_room(needs, folder=folder, n_folds=n_folds, hands=hands)
    return {
        "n_subjects": len(subjects),
        "n_cases": sum(subject.label == 1 for subject in subjects),
        "n_folds": n_folds,
        "fold_names": list(record.fold_names),
        "n_parameters": record.n_parameters,
        "selection": record.selection,
        "threads": int(str(record.machine["threads"])),
        "disk_bytes": needs.disk_bytes,
        "memory_bytes": needs.memory_bytes,
        "folds_at_once": hands.at_once,
        "finishing_bytes": needs.finishing_bytes,
    }


def _finish(runtime: Runtime, row: TrainingRunRow, owner: str, heartbeat: Heartbeat) -> Write:
    from model.checkpoint import load_checkpoint  # noqa: PLC0415  (torch)
    from training.validation.cross_validation import finish_run  # noqa: PLC0415

    folder = Path(row.run_folder)
    heartbeat.report(0.1, state=RunState.FINISHING)
    _require_folder(folder)
    _require_outcomes(runtime, row)
    card = finish_run(folder)
    # As it lies on the disk: what was written there may be other than what was computed.
    load_checkpoint(folder / CHECKPOINT_FILE)
    heartbeat.report(0.6)
    actor = program("worker")
    with runtime.sessions.begin() as session:
        # In a transaction of its own: copying a checkpoint must not keep everybody from the database.
        version = register(session, runtime.storage, folder / CHECKPOINT_FILE, actor=actor, run_id=row.id)
    measured = cast("dict[str, Any]", card.metrics)
    metrics = {name: measured[name]["value"] for name in _FIGURES}
    metrics = as_json(metrics)

    def end(session: Session) -> bool:
        if not jobs.end_well(session, row.id, owner=owner, model_version_id=version.id, metrics=metrics):
            return False
        evaluations.request_after_training(
            session, version.id, actor=actor, max_attempts=runtime.settings.max_attempts
        )
        return True

    return end


def _require_folder(folder: Path) -> None:
    from service.worker.fold import SharedFolderMissingError  # noqa: PLC0415  (its own module's error)

    if not (folder / SUBJECTS_FILE).exists():
        raise SharedFolderMissingError(folder="run", name=folder.name)


def _require_outcomes(runtime: Runtime, row: TrainingRunRow) -> None:
    from training.validation.run_folder import is_finished  # noqa: PLC0415  (torch)

    folder, names = Path(row.run_folder), (row.plan or {})["fold_names"]
    missing = [fold for fold in range(len(names)) if not is_finished(folder, fold)]
    if not missing:
        return
    with runtime.sessions() as session:
        # Queued as its last fold ended. What stays away longer is for the finishing itself to refuse.
        lately = TrainingRunRow.queued_at > utc_now(-FOLDER_PATIENCE_S)
        if session.scalar(select(TrainingRunRow.id).where(TrainingRunRow.id == row.id, lately)):
            raise FoldsNotSeenError(missing=missing)


def _in_words(selection: str, where: list[str]) -> str:
    return f"{selection} where {' and '.join(where)}" if where else selection


RUN = Work(
    kind=TrainingRunRow,
    name="training_run",
    do=_advance,
    awaited=(FoldsNotSeenError, EncryptionKeyMissingError),
    out_of_reach="expected the run's and the cohort's folders to be at hand, found the system refusing them",
    limited=False,
)
