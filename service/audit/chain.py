"""The hash chain: each event carries the hash of the one before it, under one head that takes turns."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import text, update
from sqlalchemy.orm import Session

from service.db.base import new_id, utc_now
from service.db.rows import AuditEventRow, AuditHeadRow
from service.errors import ServiceError

# What the first event names as the one before it.
BEGINNING = "0" * 64
# How long a transaction may stand still at the head of the chain, in milliseconds.
TURN_MS = 10_000
COLUMNS = tuple(column.key for column in AuditEventRow.__table__.columns)


class AuditHeadMissingError(ServiceError):
    """The database has lost the place where its audit goes on: nothing that is audited may happen."""

    code: ClassVar[str] = "audit_head_missing"

    def __init__(self) -> None:
        super().__init__("expected the head of the audit in the database, found none: restore a backup")


def append(session: Session, rows: Sequence[AuditEventRow]) -> None:
    """Put events at the end of the chain, in order; whoever else appends waits until this transaction ends.

    Parameters
    ----------
    session : Session
        About to commit: between here and the end of the transaction nothing else may be locked.
    rows : sequence of AuditEventRow
        Without sequence, time and hashes, and not yet in the session.

    Raises
    ------
    AuditHeadMissingError
        If there is no chain to append to.
    """
    if session.get_bind().dialect.name == "postgresql":
        # Whoever stands still from here on, a process that is paused or a machine that is lost, would keep
        # everybody else waiting: the server gives its turn back.
        turn = text(f"SET LOCAL idle_in_transaction_session_timeout = {TURN_MS}")
        # Past the session, which may be an organisation's and refuses what it cannot filter.
        session.connection().execute(turn)
    # An UPDATE and not a SELECT: it is what makes SQLite wait for its turn as well.
    taken = session.execute(
        update(AuditHeadRow)
        .values(sequence=AuditHeadRow.sequence + len(rows))
        .returning(AuditHeadRow.sequence, AuditHeadRow.hash, utc_now()),
        execution_options={"synchronize_session": False},
    ).one_or_none()
    if taken is None:
        raise AuditHeadMissingError
    last, previous_hash, now = taken
    for sequence, row in enumerate(rows, start=last - len(rows) + 1):
        row.id, row.sequence, row.at, row.previous_hash = new_id(), sequence, now, previous_hash
        row.hash = previous_hash = event_hash({name: getattr(row, name) for name in COLUMNS})
    session.add_all(rows)
    session.execute(
        update(AuditHeadRow).values(hash=previous_hash), execution_options={"synchronize_session": False}
    )
    session.flush()


def event_hash(event: Mapping[str, Any]) -> str:
    """Return the SHA-256 of an event's canonical form, in hexadecimal.

    Parameters
    ----------
    event : mapping
        Every column by its name.
    """
    return hashlib.sha256(canonical(event).encode()).hexdigest()


def canonical(event: Mapping[str, Any]) -> str:
    """Write an event, its own hash apart, as the one JSON text that is hashed.

    Keys in order, no blanks, ASCII only, moments in UTC to the microsecond. What is null is left out: a
    column that is added one day leaves the hashes of earlier events as they are.
    """
    said = {name: _plain(value) for name, value in event.items() if name != "hash" and value is not None}
    return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return value
