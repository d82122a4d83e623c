"""Evaluation sets and evaluations as REST and the pages give them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from service import evaluations, registry
from service.api.actions.naming import names_of
from service.api.evaluation_payloads import (
    ComparedModel,
    EvaluationDetailResponse,
    EvaluationErrorResponse,
    EvaluationResponse,
    EvaluationSetName,
    EvaluationSetResponse,
)
from service.db.rows import EvaluationRow, EvaluationSetRow, EvaluationState, ModelVersionRow


def set_responses(session: Session, rows: Sequence[EvaluationSetRow]) -> list[EvaluationSetResponse]:
    """Describe evaluation sets, each loaded with its cohort."""
    names = names_of(session, {row.added_by for row in rows})
    compared = evaluations.compared_sets(session)
    return [
        EvaluationSetResponse(
            id=row.id,
            name=row.name,
            in_use=row.in_use,
            compared=row.id in compared,
            cohort_id=row.cohort_id,
            cohort=row.cohort.name,
            cohort_state=row.cohort.state,
            selection=row.selection,
            where=row.where,
            simulated=row.simulated,
            fingerprint=row.fingerprint,
            n_cases=row.n_cases,
            n_controls=row.n_controls,
            sites=row.sites,
            added_by=names.get(row.added_by),
            added_at=row.added_at,
        )
        for row in rows
    ]


def evaluation_responses(session: Session, rows: Sequence[EvaluationRow]) -> list[EvaluationResponse]:
    """Describe evaluations of :func:`service.evaluations.with_names`."""
    return [EvaluationResponse(**one) for one in _described(session, rows)]


def evaluation_detail(session: Session, row: EvaluationRow) -> EvaluationDetailResponse:
    """Describe an evaluation with everything that was measured."""
    [described] = _described(session, [row])
    outcome = row.outcome if row.state == EvaluationState.SUCCEEDED else None
    return EvaluationDetailResponse(**described, outcome=outcome)


def newest_evaluation(session: Session, model_version_id: str) -> EvaluationDetailResponse | None:
    """Describe the evaluation of a challenger that the gate goes by, else its newest; None without one."""
    row = evaluations.newest_of(session, model_version_id)
    return None if row is None else evaluation_detail(session, row)


def _described(session: Session, rows: Sequence[EvaluationRow]) -> list[dict[str, Any]]:
    champion = registry.active_model(session)
    names = names_of(session, {row.requested_by for row in rows})
    return [
        {
            "id": row.id,
            "status": row.state,
            "progress": row.progress,
            "cancel_requested": row.cancel_requested,
            "current": evaluations.is_current(row, champion),
            "champion": _model(row.champion),
            "challenger": _model(row.challenger),
            "evaluation_set": EvaluationSetName(id=row.evaluation_set.id, name=row.evaluation_set.name),
            "passed": row.passed,
            "error": _error(row),
            "attempts": row.attempts,
            "requested_by": names.get(row.requested_by),
            "created_at": row.created_at,
            "started_at": row.started_at,
            "finished_at": row.finished_at,
        }
        for row in rows
    ]


def _model(version: ModelVersionRow) -> ComparedModel:
    return ComparedModel(id=version.id, name=version.name, version=version.version)


def _error(row: EvaluationRow) -> EvaluationErrorResponse | None:
    # While a job waits to be tried again its row says why; people see that too.
    if row.error_code is None or row.state == EvaluationState.SUCCEEDED:
        return None
    return EvaluationErrorResponse(
        code=row.error_code,
        message=row.error_message or "",
        details=row.error_details,
        reference=row.error_reference,
    )
