"""What an organisation's administrators are shown of the audit: searched, and taken away as a file."""

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, select

from service.api.access.principal import Principal
from service.api.cursor import decode_number, encode_number
from service.api.payloads import AuditEventResponse, AuditPage
from service.api.resources import Resources
from service.audit import ReadLog
from service.audit.export import Format, written
from service.audit.reading import ANOTHER_ORGANISATION, read_events
from service.audit.verification import read_head
from service.db.restricted import OrganisationSession
from service.db.rows import ApiKeyRow, AuditEventRow
from service.identity.accounts import find_user
from service.identity.errors import AccountNotFoundError

# Of an export, in memory at once.
BATCH = 1000
# A clock that was set back by no more than this hides no event from who asks for days: they are found by
# their place in the chain first, and only then by their own time.
APART = timedelta(hours=1)
# Who acts without an account, as the audit names them.
PROGRAMS = frozenset(
    {
        "anonymous",
        "command-line",
        "identity-provider",
        "serve",
        "sweeper",
        "worker",
        ANOTHER_ORGANISATION,
    }
)
_WRITTEN_ACTOR = re.compile(r"(?:user|key):[0-9A-Za-z-]+")
_FIRST_MOMENT, _LAST_MOMENT = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class AuditFilter:
    """Which events are asked for; all of them without a condition.

    Attributes
    ----------
    action : str or None
        Such as ``user.disable``.
    actor : str or None
        Such as ``user:<id>``: what an account did itself, and not with its keys.
    account : str or None
        The identifier of an account, for what it did itself and what was done with any of its keys.
    subject_id : str or None
    since, until : datetime or None
        Not before the one, before the other.
    """

    action: str | None = None
    actor: str | None = None
    account: str | None = None
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


def whose(session: OrganisationSession, typed: str) -> dict[str, str]:
    """Read whose events are asked for, as the fields of an `AuditFilter`.

    Parameters
    ----------
    session : OrganisationSession
    typed : str
        A user name, or an actor as the audit writes it.

    Raises
    ------
    AccountNotFoundError
        If it is neither.
    """
    if not typed:
        return {}
    if typed in PROGRAMS or _WRITTEN_ACTOR.fullmatch(typed):
        return {"actor": typed}
    user = find_user(session, username=typed)
    if user is None:
        raise AccountNotFoundError
    return {"account": user.id}


def list_events(
    session: OrganisationSession,
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
    conditions = _conditions(session, chosen)
    if before is not None:
        conditions.append(AuditEventRow.sequence < before)
    actors = _actors(session, chosen)
    events = read_events(session, *conditions, actors=actors, newest_first=True, limit=limit + 1)
    shown = [AuditEventResponse.model_validate(event) for event in events[:limit]]
    more = encode_number(shown[-1].sequence) if len(events) > limit else None
    return AuditPage(items=shown, next_cursor=more)


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
        last = read_head(session).sequence
    return written(kind, _events(resources, principal, chosen, up_to=last))


def _events(
    resources: Resources, principal: Principal, chosen: AuditFilter, *, up_to: int
) -> Iterator[dict[str, Any]]:
    after = 0
    while True:
        with resources.sessions_for(principal).open() as session:
            events = read_events(
                session,
                *_conditions(session, chosen),
                AuditEventRow.sequence > after,
                AuditEventRow.sequence <= up_to,
                actors=_actors(session, chosen),
                newest_first=False,
                limit=BATCH,
            )
        yield from events
        if len(events) < BATCH:
            return
        after = events[-1]["sequence"]


def _actors(session: OrganisationSession, chosen: AuditFilter) -> list[str] | None:
    if chosen.account is not None:
        keys = select(ApiKeyRow.id).where(ApiKeyRow.user_id == chosen.account)
        return [f"user:{chosen.account}", *(f"key:{id_}" for id_ in session.scalars(keys))]
    return None if chosen.actor is None else [chosen.actor]


def _conditions(session: OrganisationSession, chosen: AuditFilter) -> list[ColumnElement[bool]]:
    # The places where days begin and end in the chain are looked up along the index of times; the order of
    # the chain is another one to the database, and would have it read every event of the organisation that
    # is not of these days.
    found: list[ColumnElement[bool]] = []
    if chosen.action is not None:
        found.append(AuditEventRow.action == chosen.action)
    if chosen.subject_id is not None:
        found.append(AuditEventRow.subject_id == chosen.subject_id)
    if chosen.since is not None:
        found.append(AuditEventRow.at >= chosen.since)
        if chosen.since - _FIRST_MOMENT > APART:
            # Not the first one after: of events whose clock was set back, that need not be the one in front.
            earlier = select(AuditEventRow.sequence).where(AuditEventRow.at < chosen.since - APART)
            last = session.scalar(earlier.order_by(AuditEventRow.at.desc()).limit(1))
            found.append(AuditEventRow.sequence > (last or 0))
    if chosen.until is not None:
        found.append(AuditEventRow.at < chosen.until)
        if _LAST_MOMENT - chosen.until > APART:
            later = select(AuditEventRow.sequence).where(AuditEventRow.at >= chosen.until + APART)
            beyond = session.scalar(later.order_by(AuditEventRow.at).limit(1))
            if beyond is not None:
                found.append(AuditEventRow.sequence < beyond)
    return found
