"""Looking at models, promoting them and rolling back, as an account may."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from service import registry
from service.api.access.principal import Principal
from service.api.actions.describing_evaluations import newest_evaluation
from service.api.actions.naming import names_of
from service.api.actions.viewing import row_id
from service.api.cursor import decode_number, encode_cursor, encode_number, newest_first
from service.api.model_payloads import (
    DeploymentPage,
    DeploymentResponse,
    ModelVersionDetail,
    ModelVersionPage,
    ModelVersionResponse,
    ModelWarning,
    Overridden,
    PromotionRequest,
    PromotionResponse,
    RollbackRequest,
    RollbackResponse,
    RuleResponse,
    SkippedVersion,
)
from service.db.rows import ModelDeploymentRow, ModelVersionRow
from service.drift.renewing import (
    REFERENCE_OF_ANOTHER_MODEL,
    reference_of_another_model,
    warning_of,
)
from service.methods import NETWORK, architecture_of, method_of
from service.registry import Kind
from service.storage import Storage

# As many as a page of a version shows; the list of deployments has all of them.
_SHOWN_DEPLOYMENTS = 50


def list_models(session: Session, *, cursor: str | None, limit: int) -> ModelVersionPage:
    """Show a page of registered versions, newest first.

    Raises
    ------
    FieldsNotValidError
        If the cursor is none.
    """
    paged = newest_first(
        select(ModelVersionRow), ModelVersionRow.created_at, ModelVersionRow.id, cursor=cursor, limit=limit
    )
    rows = session.scalars(paged).all()
    shown = rows[:limit]
    more = encode_cursor(shown[-1].created_at, shown[-1].id) if len(rows) > limit else None
    return ModelVersionPage(items=show_versions(session, shown), next_cursor=more)


def read_model(session: Session, storage: Storage, model_id: str) -> ModelVersionDetail:
    """Show one version, the gate's rules as they stand now, and when it answered; closes the session.

    Raises
    ------
    ModelNotFoundError
        If there is no such version.
    """
    version = registry.require_version(session, row_id(model_id))
    [shown] = show_versions(session, [version])
    champion = registry.active_model(session)
    compared = registry.judge_comparison(session, version, champion=champion)
    evaluation = newest_evaluation(session, version.id)
    rows = registry.deployments(session, model_version_id=version.id, limit=_SHOWN_DEPLOYMENTS)
    then = _deployments(session, rows)
    # The gate reads the whole file: nobody else may lack the connection meanwhile.
    session.close()
    rules = registry.evaluate_gate(storage, version, champion=champion, compared=compared)
    return ModelVersionDetail(
        **shown.model_dump(),
        gate=[RuleResponse(**asdict(rule)) for rule in rules],
        evaluation=evaluation,
        deployments=then,
    )


def list_deployments(session: Session, *, cursor: str | None, limit: int) -> DeploymentPage:
    """Show a page of which version answered when, newest first.

    Raises
    ------
    FieldsNotValidError
        If the cursor is none.
    """
    before = None if cursor is None else decode_number(cursor)
    rows = registry.deployments(session, before=before, limit=limit + 1)
    more = encode_number(rows[limit - 1].number) if len(rows) > limit else None
    return DeploymentPage(items=_deployments(session, rows[:limit]), next_cursor=more)


def promote_model(
    session: Session, principal: Principal, storage: Storage, model_id: str, asked: PromotionRequest
) -> PromotionResponse:
    """Let a version answer from now on, and commit.

    Raises
    ------
    ModelNotFoundError
        If there is no such version.
    ServiceError
        Whatever :func:`service.registry.promote` refuses.
    """
    deployment = registry.promote(
        session,
        storage,
        registry.require_version(session, row_id(model_id)),
        actor=principal.actor,
        reason=asked.reason,
        expected_active=asked.expected_active,
        override_reason=asked.override_reason,
    )
    [shown] = _deployments(session, [deployment])
    warnings = warnings_of(session, deployment.model_version_id)
    session.commit()
    return PromotionResponse(**shown.model_dump(), warnings=warnings)


def roll_back_model(
    session: Session, principal: Principal, storage: Storage, asked: RollbackRequest
) -> RollbackResponse:
    """Let the version before answer again, and commit; refuses as :func:`service.registry.roll_back` does."""
    done = registry.roll_back(
        session,
        storage,
        actor=principal.actor,
        reason=asked.reason,
        expected_active=asked.expected_active,
    )
    [shown] = _deployments(session, [done.deployment])
    warnings = warnings_of(session, done.deployment.model_version_id)
    session.commit()
    skipped = [SkippedVersion(**asdict(one)) for one in done.skipped]
    return RollbackResponse(**shown.model_dump(), skipped=skipped, warnings=warnings)


def warnings_of(session: Session, model_version_id: str) -> list[ModelWarning]:
    """Say what is left to be done where a version answers: a reference for drift of its own."""
    row = reference_of_another_model(session, model_version_id)
    if row is None:
        return []
    return [
        ModelWarning(
            code=REFERENCE_OF_ANOTHER_MODEL,
            message=warning_of(row),
            cohort=row.cohort_name,
            model_version_id=row.model_version_id,
            model_name=row.model_version.name,
            model_version=row.model_version.version,
        )
    ]


def show_versions(session: Session, rows: Sequence[ModelVersionRow]) -> list[ModelVersionResponse]:
    """Show some versions, in their order."""
    current = registry.open_deployment(session)
    names = names_of(session, {row.added_by for row in rows if row.added_by})
    # The session shows an account the runs of its own organisation.
    origins = registry.origins_of(session, [row.id for row in rows])
    shown = []
    for row in rows:
        active = current is not None and current.model_version_id == row.id
        shown.append(
            ModelVersionResponse(
                id=row.id,
                name=row.name,
                version=row.version,
                sha256=row.sha256,
                active=active,
                answering_since=current.started_at if current is not None and active else None,
                created_at=row.created_at,
                added_by=names.get(row.added_by or ""),
                origin_run_id=origins.get(row.id),
                method=method_of(row.card),
                card=_shown(row.card),
            )
        )
    return shown


def _shown(card: Mapping[str, Any]) -> dict[str, Any]:
    return dict(card) if method_of(card) == NETWORK else {**card, **architecture_of(card)}


def _deployments(session: Session, rows: Sequence[ModelDeploymentRow]) -> list[DeploymentResponse]:
    names = names_of(session, {row.actor for row in rows})
    return [
        DeploymentResponse(
            id=row.id,
            number=row.number,
            model_version_id=row.model_version_id,
            model_name=row.model_version.name,
            model_version=row.model_version.version,
            kind=Kind(row.kind),
            started_at=row.started_at,
            ended_at=row.ended_at,
            by=names.get(row.actor),
            reason=row.reason,
            overridden=None if row.overridden is None else Overridden(**row.overridden),
        )
        for row in rows
    ]
