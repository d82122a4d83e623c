"""Training runs as REST and the pages give them."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

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
)
from service.db.job import JobRow
from service.db.rows import (
    CohortRow,
    FoldState,
    RunState,
    TrainingFoldRow,
    TrainingLogRow,
    TrainingRunRow,
)
from service.jobs.training_pace import remaining_s
from service.presence import attendance
from service.training_request import TrainingRequest
from service.web.training.log_wording import log_line


class Describer:
    """Describes runs of one look: the clock and the workers are the same for all of them.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        served = attendance(session).get("training")
        self._workers = served.present if served else 0
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
            "network": settings.get("network"),
            "rnn": settings.get("rnn"),
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
            "model_version_id": row.model_version_id,
            "resumable": _resumable(row, folds),
            "error": _error(row),
            "created_at": row.created_at,
            "started_at": row.started_at,
            "finished_at": row.finished_at,
        }

    def _left_s(self, row: TrainingRunRow, folds: Sequence[TrainingFoldRow]) -> float | None:
        if row.state != RunState.TRAINING:
            return None
        return remaining_s(folds, n_epochs=epochs_of(row), workers=self._workers)


def epochs_of(row: TrainingRunRow) -> int | None:
    """Return the limit of epochs that a run was asked for; None for one of ``restnet train``."""
    if row.request is None:
        return None
    return int(row.request["settings"].get("epochs", TrainingRequest.model_fields["epochs"].default))


def cohort_response(row: CohortRow) -> CohortResponse:
    """Describe a cohort; where its folder lies is no client's business."""
    names = CohortResponse.model_fields
    return CohortResponse(**{name: getattr(row, name) for name in names})


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
    if row.state == RunState.SUCCEEDED:
        return 1.0
    return sum(fold.progress for fold in folds) / len(folds) if folds else 0.0


def _resumable(row: TrainingRunRow, folds: Sequence[TrainingFoldRow]) -> bool:
    stopping = any(fold.state in {FoldState.QUEUED, FoldState.TRAINING} for fold in folds)
    lacking = any(fold.state != FoldState.SUCCEEDED for fold in folds) and jobs.has_reviewed_scans(row)
    over = row.state in {RunState.FAILED, RunState.CANCELLED}
    return row.request is not None and over and not stopping and not lacking


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
    figures = fold.figures or {}
    names = (run.plan or {}).get("fold_names", [])
    return {
        "fold": fold.fold,
        "name": names[fold.fold] if fold.fold < len(names) else str(fold.fold),
        "status": fold.state,
        "cancel_requested": fold.cancel_requested,
        "progress": fold.progress,
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
