"""Puts a model version in the place of the one that answers, without its file being looked at."""

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from service.db.base import utc_now
from service.db.rows import ModelDeploymentRow, ModelVersionRow


def let_answer(session: Session, version: ModelVersionRow) -> ModelVersionRow:
    """Add a version, if it is not there, and a deployment of it in the place of the open one."""
    session.add(version)
    session.flush()
    session.execute(
        update(ModelDeploymentRow)
        .where(ModelDeploymentRow.answering)
        .values(answering=False, ended_at=utc_now())
    )
    numbers = session.scalars(select(ModelDeploymentRow.number)).all()
    session.add(
        ModelDeploymentRow(
            number=max(numbers, default=0) + 1,
            model_version_id=version.id,
            kind="promotion" if numbers else "first",
            actor="test",
            reason="for a test",
        )
    )
    session.flush()
    return version
