"""Training runs as workers leave them, one in each state, for the tests that look at them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from service import jobs
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import CohortRow, FoldState, RunState, TrainingFoldRow, TrainingRunRow
from service.identity.actor import Actor
from service.training_request import TrainingRequest

PLAN = {
    "fold_names": ["0", "1", "2"],
    "n_subjects": 40,
    "n_cases": 20,
    "n_folds": 3,
    "n_parameters": 4_354_769,
    "selection": "all",
    "threads": 1,
    "disk_bytes": 330 << 20,
    "memory_bytes": 1900 << 20,
    "folds_at_once": 1,
    "finishing_bytes": 720 << 20,
}
OUTCOME = {"epochs_run": 9, "best_epoch": 4, "seconds_per_epoch": 61.5}
SHOWN = (
    RunState.SUCCEEDED,
    RunState.FAILED,
    RunState.CANCELLED,
    RunState.TRAINING,
    RunState.PLANNING,
    RunState.QUEUED,
)


def epochs(number: int) -> list[dict[str, Any]]:
    """Losses that fall, and from the middle on only those of the training."""
    return [
        {
            "epoch": epoch,
            "training_loss": 0.7 - 0.03 * epoch,
            "stopping_loss": 0.69 - 0.02 * epoch + 0.004 * epoch**2,
            "stopping_auc": 0.5 + 0.02 * epoch,
            "learning_rate": 1e-4,
            "seconds": 61.5,
        }
        for epoch in range(1, number + 1)
    ]


def add_runs(session: Session, cohort: CohortRow, *, model_version_id: str) -> dict[RunState, str]:
    """Add a run in each state; gives their ids."""
    asked = TrainingRequest(cohort=cohort.name, seeds=list(range(len(SHOWN))), epochs=20)
    runs = jobs.request_runs(
        session,
        asked,
        cohort,
        runs_dir=Path("/runs"),
        actor=Actor("user:1", "test"),
        organisation_id=DEFAULT_ORGANISATION_ID,
    )
    for run, state in zip(runs, SHOWN, strict=True):
        _bring_to(session, run, state, model_version_id=model_version_id)
    return {state: run.id for run, state in zip(runs, SHOWN, strict=True)}


def _bring_to(session: Session, run: TrainingRunRow, state: RunState, *, model_version_id: str) -> None:
    run.state = state
    if state in {RunState.QUEUED, RunState.PLANNING}:
        return
    run.plan, run.started_at = PLAN, datetime.now(UTC) - timedelta(minutes=20)
    jobs.note(session, run, "planned", details=PLAN)
    folds = [
        TrainingFoldRow(organisation_id=run.organisation_id, run_id=run.id, fold=number)
        for number in range(3)
    ]
    done, going, last = folds
    done.state, done.progress, done.outcome, done.epochs = FoldState.SUCCEEDED, 1.0, OUTCOME, epochs(9)
    jobs.note(session, run, "fold_finished", fold=0, details=OUTCOME)
    match state:
        case RunState.SUCCEEDED:
            for fold in (going, last):
                fold.state, fold.progress, fold.outcome = FoldState.SUCCEEDED, 1.0, OUTCOME
                fold.epochs = epochs(9)
            run.progress, run.model_version_id = 1.0, model_version_id
            jobs.note(session, run, "finished", details={"auc": 0.612, "balanced_accuracy": 0.58})
            jobs.note(session, run, "registered", details={"model_version_id": model_version_id})
        case RunState.FAILED:
            going.state, last.state = FoldState.FAILED, FoldState.CANCELLED
            going.error_code, going.error_message = "training_diverged", "expected a finite loss, found inf"
            run.error_code = going.error_code
            run.error_message = f"fold 2 of 3: {going.error_message}"
            told = {"code": going.error_code, "message": going.error_message}
            jobs.note(session, run, "fold_failed", fold=1, details=told)
        case RunState.CANCELLED:
            going.state = last.state = FoldState.CANCELLED
            jobs.note(session, run, "cancelled")
        case _:
            going.state, going.progress, going.epochs = FoldState.TRAINING, 0.24, epochs(4)
            going.figures = {
                "epoch": 5,
                "n_epochs": 20,
                "training_loss": 0.55,
                "stopping_loss": 0.67,
                "remaining_s": 930.0,
            }
            for epoch in epochs(4):
                jobs.note(session, run, "epoch", fold=1, details=epoch)
    session.add_all(folds)
    session.flush()
