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
    """
    event = AuditEventRow(
        actor=actor, action=action, subject_kind=subject_kind, subject_id=subject_id, details=details
    )
    session.add(event)
    return event
