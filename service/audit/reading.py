"""What of the audit an organisation is shown: its own part, and what was done to what all of them share."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, or_, select

from service.audit.chain import COLUMNS
from service.db.restricted import COUNTS_EVERY_ORGANISATION, OrganisationSession
from service.db.rows import AuditEventRow

SHARED_KINDS = frozenset(
    {"cohort", "drift_alarm", "evaluation", "evaluation_set", "model_version", "rescore"}
)
"""Kinds of subjects that are the installation's: every organisation is shown what was done to them."""
ANOTHER_ORGANISATION = "another-organisation"
"""Who did it, where an account or a key of another organisation did: neither it nor its address is shown."""

_EVENTS = select(*(getattr(AuditEventRow, name) for name in COLUMNS))


def read_events(
    session: OrganisationSession,
    *conditions: ColumnElement[bool],
    actors: Collection[str] | None = None,
    newest_first: bool,
    limit: int,
) -> list[dict[str, Any]]:
    """Read the events that the session's organisation is shown.

    Parameters
    ----------
    session : OrganisationSession
    *conditions : ColumnElement
        Of columns of `AuditEventRow`, the actor's apart.
    actors : collection of str, optional
        Who acted, as the answer names them.
    newest_first : bool
    limit : int
        As many at most.

    Returns
    -------
    list of dict
        Every column by its name. Of an event that another organisation caused, `actor` is
        `ANOTHER_ORGANISATION`, `address` is empty and `organisation_id` None: its hash is not that of what
        is shown.
    """
    order = AuditEventRow.sequence.desc() if newest_first else AuditEventRow.sequence
    asked = _EVENTS.where(*conditions).order_by(order).limit(limit)
    own = asked if actors is None else asked.where(AuditEventRow.actor.in_(actors))
    # Two queries and not one with an OR: each has an index of its own, and the smaller part is not looked
    # for among all events of the installation.
    found = [dict(row) for row in session.execute(own).mappings()]
    found += _shared(session, asked, actors)
    return sorted(found, key=lambda event: event["sequence"], reverse=newest_first)[:limit]


def _shared(
    session: OrganisationSession, asked: Select[Any], actors: Collection[str] | None
) -> Sequence[dict[str, Any]]:
    """Read what others than the session's organisation did to what all share."""
    programs = AuditEventRow.organisation_id.is_(None)
    others = AuditEventRow.organisation_id != session.organisation_id
    query = asked.where(AuditEventRow.subject_kind.in_(SHARED_KINDS))
    if actors is None:
        query = query.where(or_(programs, others))
    elif ANOTHER_ORGANISATION in actors:
        query = query.where(others)
    else:
        # By name only where it is shown: nobody finds out here which account of others did something.
        query = query.where(programs, AuditEventRow.actor.in_(actors))
    rows = session.execute(query, execution_options={COUNTS_EVERY_ORGANISATION: True}).mappings()
    return [dict(row) if row["organisation_id"] is None else _without_whom(dict(row)) for row in rows]


def _without_whom(event: dict[str, Any]) -> dict[str, Any]:
    return event | {"actor": ANOTHER_ORGANISATION, "address": "", "organisation_id": None}
