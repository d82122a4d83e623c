"""Whether the drift reference has to be made anew: it belongs to one model version."""

from typing import Final

from sqlalchemy import or_, select
from sqlalchemy.orm import Session, defer, joinedload

from service.db.job import TERMINAL
from service.db.rows import DriftReferenceRow

REFERENCE_OF_ANOTHER_MODEL: Final = "reference_of_another_model"
"""The code of the warning."""


def reference_of_another_model(session: Session, model_version_id: str) -> DriftReferenceRow | None:
    """Return the reference that another version was watched by, where this one has none.

    Returns
    -------
    DriftReferenceRow or None
        The newest that is in use, with its version; None where there is none, or where the version has one
        of its own, in use or on its way.
    """
    of_version = DriftReferenceRow.model_version_id == model_version_id
    of_its_own = or_(DriftReferenceRow.in_use, DriftReferenceRow.state.not_in(TERMINAL))
    if (
        session.scalars(select(DriftReferenceRow.id).where(of_version, of_its_own).limit(1)).first()
        is not None
    ):
        return None
    of_others = (
        select(DriftReferenceRow)
        .where(DriftReferenceRow.in_use, ~of_version)
        .options(defer(DriftReferenceRow.sample), joinedload(DriftReferenceRow.model_version))
        .order_by(DriftReferenceRow.created_at.desc(), DriftReferenceRow.id.desc())
    )
    return session.scalars(of_others.limit(1)).first()


def warning_of(row: DriftReferenceRow) -> str:
    """Say what a promotion leaves to be done."""
    version = row.model_version
    return (
        f"the drift reference (cohort {row.cohort_name!r}) belongs to {version.name} {version.version}: "
        "measure a cohort by this model, or its scans are compared with nothing"
    )
