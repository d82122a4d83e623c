"""The organisation's part of the audit, for its administrators: searched, and taken away as a file."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from service.api.access.principal import Principal
from service.api.cursor import decode_number, encode_number
from service.api.payloads import AuditEventResponse, AuditPage
from service.api.resources import Resources
from service.audit import ReadLog
from service.audit.export import Format, written
from service.db.rows import AuditEventRow

# Of an export, in memory at once.
BATCH = 1000
# A clock that was set back by no more than this hides no event from who asks for days: they are found by
# their place in the chain first, and only then by their own time.
APART = timedelta(hours=1)
_FIRST_MOMENT, _LAST_MOMENT = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class AuditFilter:
    """Which events are asked for; all of them without a condition.

    Attributes
    ----------
    action : str or None
        Such as ``user.disable``.
    actor : str or None
        Such as ``user:<id>``.
    subject_id : str or None
    since, until : datetime or None
        Not before the one, before the other.
    """

    action: str | None = None
    actor: str | None = None
    subject_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def told(self) -> dict[str, str]:
        """Say what is asked for, the subject apart, as the audit keeps it of who looked."""
        said = {name: value for name, value in asdict(self).items() if value is not None}
        said.pop("subject_id", None)
        return {
            name: value.isoformat() if isinstance(value, datetime) else value for name, value in said.items()
        }


def list_events(
    session: Session,
    principal: Principal,
    chosen: AuditFilter,
    *,
    cursor: str | None,
    limit: int,
    reads: ReadLog,
) -> AuditPage:
    """Show an administrator one page of the events, newest first, once the audit has that as well.

    Raises
    ------
    FieldsNotValidError
        If the cursor is not one that this service gave.
    """
    before = None if cursor is None else decode_number(cursor)
    reads.note(
        session,
        principal.actor,
        action="audit.read",
        subject_kind="audit",
        subject_id=chosen.subject_id or "list",
        details=chosen.told() or None,
    )
    query = _matching(session, select(AuditEventRow), chosen)
    if before is not None:
        query = query.where(AuditEventRow.sequence < before)
    rows = session.scalars(query.order_by(AuditEventRow.sequence.desc()).limit(limit + 1)).all()
    shown = rows[:limit]
    more = encode_number(shown[-1].sequence) if len(rows) > limit else None
    return AuditPage(items=[_event_response(row) for row in shown], next_cursor=more)


def export_events(
    resources: Resources, principal: Principal, chosen: AuditFilter, kind: Format
) -> Iterator[str]:
    """Write the events that there are now, oldest first, once the audit has that they were taken.

    A database connection is held for a thousand events at a time only, however slowly they are fetched.

    Parameters
    ----------
    resources : Resources
    principal : Principal
    chosen : AuditFilter
    kind : Format
    """
    with resources.sessions_for(principal).open() as session:
        resources.reads.note(
            session,
            principal.actor,
            action="audit.export",
            subject_kind="audit",
            subject_id=chosen.subject_id or "list",
            details={"format": kind.value} | chosen.told(),
        )
        last = session.scalar(select(func.max(AuditEventRow.sequence))) or 0
    return written(kind, _events(resources, principal, chosen, up_to=last))


def _events(
    resources: Resources, principal: Principal, chosen: AuditFilter, *, up_to: int
) -> Iterator[dict[str, Any]]:
    columns = [getattr(AuditEventRow, column.key) for column in AuditEventRow.__mapper__.column_attrs]
    after = 0
    while True:
        with resources.sessions_for(principal).open() as session:
            query = _matching(session, select(*columns), chosen)
            query = query.where(AuditEventRow.sequence > after, AuditEventRow.sequence <= up_to)
            rows = session.execute(query.order_by(AuditEventRow.sequence).limit(BATCH)).mappings().all()
        yield from (dict(row) for row in rows)
        if len(rows) < BATCH:
            return
        after = rows[-1]["sequence"]


def _matching(session: Session, query: Select[Any], chosen: AuditFilter) -> Select[Any]:
    # The places where days begin and end in the chain are looked up along the index of times; the order of
    # the chain is another one to the database, and would have it read every event of the organisation that
    # is not of these days.
    if chosen.action is not None:
        query = query.where(AuditEventRow.action == chosen.action)
    if chosen.actor is not None:
        query = query.where(AuditEventRow.actor == chosen.actor)
    if chosen.subject_id is not None:
        query = query.where(AuditEventRow.subject_id == chosen.subject_id)
    if chosen.since is not None:
        query = query.where(AuditEventRow.at >= chosen.since)
        if chosen.since - _FIRST_MOMENT > APART:
            # Not the first one after: of events whose clock was set back, that need not be the one in front.
            earlier = select(AuditEventRow.sequence).where(AuditEventRow.at < chosen.since - APART)
            last = session.scalar(earlier.order_by(AuditEventRow.at.desc()).limit(1))
            query = query.where(AuditEventRow.sequence > (last or 0))
    if chosen.until is not None:
        query = query.where(AuditEventRow.at < chosen.until)
        if _LAST_MOMENT - chosen.until > APART:
            later = select(AuditEventRow.sequence).where(AuditEventRow.at >= chosen.until + APART)
            beyond = session.scalar(later.order_by(AuditEventRow.at).limit(1))
            if beyond is not None:
                query = query.where(AuditEventRow.sequence < beyond)
    return query


def _event_response(row: AuditEventRow) -> AuditEventResponse:
    return AuditEventResponse(
        id=row.id,
        sequence=row.sequence,
        at=row.at,
        actor=row.actor,
        address=row.address,
        action=row.action,
        subject_kind=row.subject_kind,
        subject_id=row.subject_id,
        details=row.details,
        previous_hash=row.previous_hash,
        hash=row.hash,
    )
