"""The record of what people did."""

from typing import Any

from sqlalchemy.orm import Session

from service.db.rows import AuditEventRow


def record(
    session: Session,
    *,
    actor: str,
    action: str,
    subject_kind: str,
    subject_id: str,
    details: dict[str, Any] | None = None,
    organisation_id: str | None = None,
) -> AuditEventRow:
    """Add an audit event to the caller's transaction: it is kept if, and only if, the act itself is.

    Parameters
    ----------
    actor : str
        Who acted, such as ``user:<id>``, ``key:<id>`` or ``command-line``.
    action : str
        What was done, such as ``prediction.cancel``.
    details : dict, optional
        JSON values; never patient data.
    organisation_id : str, optional
        Whose administrators may read it. A session of an organisation says it by itself; to any other it has
        to be said, or else the event is one of the whole installation, which no organisation is shown.
    """
    event = AuditEventRow(
        organisation_id=organisation_id,
        actor=actor,
        action=action,
        subject_kind=subject_kind,
        subject_id=subject_id,
        details=details,
    )
    session.add(event)
    return event
