"""Finding a registered version by what people and programs call it."""

from collections.abc import Collection

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from service.db.rows import ModelVersionRow, TrainingRunRow
from service.registry.errors import ModelAmbiguousError, ModelNotFoundError


def require_version(session: Session, model_version_id: str) -> ModelVersionRow:
    """Return the version with this identifier.

    Raises
    ------
    ModelNotFoundError
        If there is none.
    """
    version = session.get(ModelVersionRow, model_version_id)
    if version is None:
        raise ModelNotFoundError
    return version


def find_version(session: Session, named: str) -> ModelVersionRow:
    """Return the version that is called so: its identifier, the sha256 of its file, or its version.

    Raises
    ------
    ModelNotFoundError
        If there is none.
    ModelAmbiguousError
        If several models have this version.
    """
    called = or_(
        ModelVersionRow.id == named, ModelVersionRow.sha256 == named, ModelVersionRow.version == named
    )
    found = session.scalars(select(ModelVersionRow).where(called)).all()
    if not found:
        raise ModelNotFoundError
    if len(found) > 1:
        raise ModelAmbiguousError(found=len(found))
    return found[0]


def origins_of(session: Session, model_version_ids: Collection[str]) -> dict[str, str]:
    """Return which run of training made each of some versions; one that no run of here made is left out.

    The same run asked for twice makes the same bytes: the first one counts.
    """
    made = (
        select(TrainingRunRow.model_version_id, TrainingRunRow.id)
        .where(TrainingRunRow.model_version_id.in_(model_version_ids))
        .order_by(TrainingRunRow.created_at.desc(), TrainingRunRow.id.desc())
    )
    return {version_id: run_id for version_id, run_id in session.execute(made) if version_id is not None}
