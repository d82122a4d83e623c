"""Which model answers, and which ones did when."""

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from service.db.rows import ModelDeploymentRow, ModelVersionRow


def open_deployment(session: Session) -> ModelDeploymentRow | None:
    """Return the deployment of the version that answers, with the version; None before the first one."""
    version = joinedload(ModelDeploymentRow.model_version)
    query = select(ModelDeploymentRow).options(version).where(ModelDeploymentRow.answering)
    # As it is now, and not as this session has seen it before.
    return session.scalars(query.execution_options(populate_existing=True)).one_or_none()


def active_model(session: Session) -> ModelVersionRow | None:
    """Return the version that answers; None before the first promotion."""
    deployment = open_deployment(session)
    return None if deployment is None else deployment.model_version


def deployments(
    session: Session,
    *,
    model_version_id: str | None = None,
    before: int | None = None,
    limit: int | None = None,
) -> list[ModelDeploymentRow]:
    """List deployments with their versions, newest first, without the cards, which may be large.

    Parameters
    ----------
    session : Session
    model_version_id : str or None
        Of one version alone.
    before : int or None
        Only those with a smaller number.
    limit : int or None
        At most so many.
    """
    version = joinedload(ModelDeploymentRow.model_version).defer(ModelVersionRow.card)
    query = select(ModelDeploymentRow).options(version).order_by(ModelDeploymentRow.number.desc())
    if model_version_id is not None:
        query = query.where(ModelDeploymentRow.model_version_id == model_version_id)
    if before is not None:
        query = query.where(ModelDeploymentRow.number < before)
    return list(session.scalars(query if limit is None else query.limit(limit)))
