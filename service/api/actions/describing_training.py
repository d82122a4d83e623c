"""Training runs as REST and the pages give them."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy.orm import Session

from service import jobs
from service.api.training_payloads import (
    CohortResponse,
    EpochResponse,
    FoldDetailResponse,
    FoldResponse,
    LogLineResponse,
    TrainingErrorResponse,
    TrainingRunDetailResponse,
    TrainingRunResponse,
    WaitingResponse,
)
from service.db.job import JobRow
from service.db.rows import (
    CohortRow,
    CohortState,
    FoldState,
    RunState,
    TrainingFoldRow,
    TrainingLogRow,
    TrainingRunRow,
)
from service.jobs.training_pace import remaining_s
from service.methods import architecture_of
from service.presence import attendance
from service.training_request import TrainingRequest
from service.web.training.log_wording import log_line

# Of a run's progress: where its first fold begins, and where its last one ends.
_PLANNED, _TRAINED = 0.1, 0.95


class Describer:
    """Describes runs of one look: the clock and the workers are the same for all of them.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        served = attendance(session)
        self._workers = {
            queue: served[queue].present for queue in ("planning", "training") if queue in served
        }
        self._now = datetime.now(UTC)

    def run(self, row: TrainingRunRow, folds: Sequence[TrainingFoldRow]) -> TrainingRunResponse:
        """Describe a run and where its folds stand."""
        return TrainingRunResponse(
            **self._shared(row, folds), folds=[FoldResponse(**_fold(fold, row)) for fold in folds]
        )

    def detail(
        self, row: TrainingRunRow, folds: Sequence[TrainingFoldRow], lines: Iterable[TrainingLogRow]
    ) -> TrainingRunDetailResponse:
        """Describe a run with the epochs of its folds and the end of its log."""
        return TrainingRunDetailResponse(
            **self._shared(row, folds),
            folds=[FoldDetailResponse(**_fold(fold, row), epochs=_epochs(fold)) for fold in folds],
            log=[line_response(line) for line in lines],
        )

    def _shared(self, row: TrainingRunRow, folds: Sequence[TrainingFoldRow]) -> dict[str, Any]:
        asked: dict[str, Any] = row.request or {}
        settings: dict[str, Any] = asked.get("settings", {})
        left_s = self._left_s(row, folds)
        return {
            "id": row.id,
            "grid_id": row.grid_id,
            "status": jobs.stage_of(row),
            "cancel_requested": row.cancel_requested,
            "progress": _progress(row, folds),
            "cohort_id": row.cohort_id,
            "cohort": asked.get("cohort"),
            **(architecture_of(settings) if settings else dict.fromkeys(("method", "network", "rnn"))),
            "seed": settings.get("seed"),
            "selection": asked.get("selection"),
            "where": asked.get("where", []),
            "split": asked.get("split"),
            "device": row.device,
            "reviewed_scans": jobs.has_reviewed_scans(row),
            "settings": settings,
            "plan": row.plan,
            "remaining_s": left_s,
            "estimated_end_at": None if left_s is None else self._now + timedelta(seconds=left_s),
            "waiting": self._waiting(row, folds),
            "model_version_id": row.model_version_id,
            "resumable": _resumable(row, folds),
            "error": _error(row),
            "created_at": row.created_at,
            "started_at": row.started_at,
            "finished_at": row.finished_at,
        }

    def _waiting(self, row: TrainingRunRow, folds: Sequence[TrainingFoldRow]) -> WaitingResponse | None:
        if row.state == RunState.QUEUED:
            return self._behind("planning", row)
        queued = [fold for fold in folds if fold.state == FoldState.QUEUED]
        at_work = any(fold.state == FoldState.TRAINING for fold in folds)
        return self._behind("training", queued[0]) if queued and not at_work else None

    def _behind(self, queue: Literal["planning", "training"], row: JobRow) -> WaitingResponse:
        ahead = (jobs.queue_position(self._session, row) or 1) - 1
        return WaitingResponse(queue=queue, ahead=ahead, workers=self._workers.get(queue, 0))

    def _left_s(self, row: TrainingRunRow, folds: Sequence[TrainingFoldRow]) -> float | None:
        if row.state != RunState.TRAINING:
            return None
        return remaining_s(folds, n_epochs=epochs_of(row), workers=self._workers.get("training", 0))


def epochs_of(row: TrainingRunRow) -> int | None:
    """Return the limit of epochs that a run was asked for; None for one of ``restnet train``."""
    if row.request is None:
        return None
    return int(row.request["settings"].get("epochs", TrainingRequest.model_fields["epochs"].default))


def cohort_response(row: CohortRow, *, state: CohortState) -> CohortResponse:
    """Describe a cohort as it stands now; where its folder lies is no client's business."""
    values = {name: getattr(row, name) for name in CohortResponse.model_fields}
    return CohortResponse(**values | {"state": state})


def line_response(row: TrainingLogRow) -> LogLineResponse:
    """Describe a line of a log, in the language that is spoken."""
    return LogLineResponse(
        id=row.id,
        at=row.at,
        fold=row.fold,
        event=row.event,
        details=row.details,
        text=log_line(row.event, fold=row.fold, details=row.details or {}),
    )


def _progress(row: TrainingRunRow, folds: Sequence[TrainingFoldRow]) -> float:
    """Put the planning, the folds and the finishing behind each other: what is shown never falls back."""
    if row.state == RunState.SUCCEEDED:
        return 1.0
    if not folds:
        return round(_PLANNED * row.progress, 4)
    if row.state == RunState.FINISHING:
        return round(_TRAINED + (1 - _TRAINED) * row.progress, 4)
    trained = sum(_share_done(fold, row) for fold in folds) / len(folds)
    return round(_PLANNED + (_TRAINED - _PLANNED) * trained, 4)


def _kept_epoch(fold: TrainingFoldRow) -> dict[str, Any] | None:
    """Return the last whole epoch of a fold that waits to be gone on with."""
    return fold.epochs[-1] if fold.state == FoldState.QUEUED and fold.epochs else None


def _share_done(fold: TrainingFoldRow, run: TrainingRunRow) -> float:
    kept, limit = _kept_epoch(fold), epochs_of(run)
    return min(kept["epoch"] / limit, 1.0) if kept and limit else fold.progress


def _resumable(row: TrainingRunRow, folds: Sequence[TrainingFoldRow]) -> bool:
    stopping = any(fold.state in {FoldState.QUEUED, FoldState.TRAINING} for fold in folds)
    lacking = any(fold.state != FoldState.SUCCEEDED for fold in folds) and jobs.has_reviewed_scans(row)
    over = row.state in {RunState.FAILED, RunState.CANCELLED}
    return (
        row.request is not None
        and over
        and not stopping
        and not lacking
        and not jobs.is_refused_for_good(row)
    )


def _error(row: JobRow) -> TrainingErrorResponse | None:
    # While a job waits to be tried again its row says why; people see that too.
    if row.error_code is None or row.state == RunState.SUCCEEDED:
        return None
    return TrainingErrorResponse(
        code=row.error_code,
        message=row.error_message or "",
        details=row.error_details,
        reference=row.error_reference,
    )


def _fold(fold: TrainingFoldRow, run: TrainingRunRow) -> dict[str, Any]:
    figures = fold.figures or _kept_epoch(fold) or {}
    names = (run.plan or {}).get("fold_names", [])
    return {
        "fold": fold.fold,
        "name": names[fold.fold] if fold.fold < len(names) else str(fold.fold),
        "status": fold.state,
        "cancel_requested": fold.cancel_requested,
        "progress": _share_done(fold, run),
        "epoch": figures.get("epoch"),
        "n_epochs": figures.get("n_epochs", epochs_of(run)),
        "training_loss": figures.get("training_loss"),
        "stopping_loss": figures.get("stopping_loss"),
        "remaining_s": figures.get("remaining_s"),
        "attempts": fold.attempts,
        "outcome": fold.outcome,
        "error": _error(fold),
        "started_at": fold.started_at,
        "finished_at": fold.finished_at,
    }


def _epochs(fold: TrainingFoldRow) -> list[EpochResponse]:
    return [EpochResponse.model_validate(epoch) for epoch in fold.epochs or ()]
