"""Walks the chain of audit events and names the first that is not what was recorded."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.audit.chain import BEGINNING, AuditHeadMissingError, event_hash
from service.db.rows import AuditEventRow, AuditHeadRow
from service.errors import ServiceError

# Events in memory at once.
BATCH = 1000
_ANCHOR = re.compile(r"(0|[1-9][0-9]{0,18}):([0-9a-f]{64})")
_EVENTS = AuditEventRow.__table__


class Fault(StrEnum):
    """What can be wrong with an event."""

    EDITED = "edited"
    MISSING = "missing"
    UNLINKED = "unlinked"
    BEYOND_HEAD = "beyond_head"
    NOT_AS_ANCHORED = "not_as_anchored"


_FOUND = {
    Fault.EDITED: "one that differs from its own hash: edited",
    Fault.MISSING: "none: removed",
    Fault.UNLINKED: "one that does not follow the event before it: one of the two was exchanged or moved",
    Fault.BEYOND_HEAD: "another one than the head names: the end was removed, exchanged or added to",
    Fault.NOT_AS_ANCHORED: "another one than the anchor names: the chain was cut or written anew",
}


class AuditChainBrokenError(ServiceError):
    """The audit is not what was recorded.

    Attributes
    ----------
    sequence : int
        The first event that is wrong.
    fault : Fault
    """

    code: ClassVar[str] = "audit_chain_broken"

    def __init__(self, *, sequence: int, fault: Fault) -> None:
        self.sequence = sequence
        self.fault = fault
        super().__init__(f"expected audit event {sequence} as it was recorded, found {_FOUND[fault]}")


class AuditAnchorError(ServiceError):
    """Text that is no anchor."""

    code: ClassVar[str] = "audit_anchor_not_valid"

    def __init__(self) -> None:
        super().__init__("expected an anchor SEQUENCE:HASH as `audit verify` prints it, found something else")


@dataclass(frozen=True)
class Anchor:
    """An event's number and hash: kept elsewhere, it tells later whether the chain up to it is the same.

    Attributes
    ----------
    sequence : int
        0 for a chain that has not begun.
    hash : str
    """

    sequence: int
    hash: str

    def __str__(self) -> str:
        return f"{self.sequence}:{self.hash}"


def parse_anchor(text: str) -> Anchor:
    """Read an anchor as it was printed or logged.

    Raises
    ------
    AuditAnchorError
        If it is not ``SEQUENCE:HASH``.
    """
    found = _ANCHOR.fullmatch(text.strip())
    if found is None:
        raise AuditAnchorError
    return Anchor(int(found[1]), found[2])


def read_head(session: Session) -> Anchor:
    """Return where the chain ends.

    Raises
    ------
    AuditHeadMissingError
        If the database has no head.
    """
    head = session.execute(select(AuditHeadRow.sequence, AuditHeadRow.hash)).one_or_none()
    if head is None:
        raise AuditHeadMissingError
    return Anchor(head.sequence, head.hash)


def verify(session: Session, *, anchors: Sequence[Anchor] = ()) -> Anchor:
    """Check every event, its place and the head; events that are appended meanwhile do no harm.

    An event that was edited, removed or moved is found, unless every hash after it was computed anew as well,
    which takes the owner of the database. That, and a chain cut at its end together with its head, shows only
    against an anchor that was kept where this owner cannot write.

    Parameters
    ----------
    session : Session
    anchors : sequence of Anchor
        What earlier verifications or log lines said.

    Returns
    -------
    Anchor
        The head, up to which all is well.

    Raises
    ------
    AuditChainBrokenError
        With the first event that is wrong.
    AuditHeadMissingError
        If the database has no head.
    """
    head = read_head(session)
    last = Anchor(0, BEGINNING)
    _check_anchors(last, anchors)
    for event in events_in_order(session, after=None, up_to=head.sequence):
        _check(event, after=last)
        last = Anchor(event["sequence"], event["hash"])
        _check_anchors(last, anchors)
    if last.sequence != head.sequence:
        raise AuditChainBrokenError(sequence=last.sequence + 1, fault=Fault.MISSING)
    if last.hash != head.hash:
        raise AuditChainBrokenError(sequence=last.sequence, fault=Fault.BEYOND_HEAD)
    if any(anchor.sequence > head.sequence for anchor in anchors):
        raise AuditChainBrokenError(sequence=head.sequence + 1, fault=Fault.MISSING)
    _check_nothing_beyond_head(session)
    return head


def events_in_order(session: Session, *, after: int | None, up_to: int) -> Iterator[Any]:
    """Read events by their sequence, a batch at a time: plain values, none of which the session keeps.

    Parameters
    ----------
    session : Session
    after : int or None
        The sequence before the first one; None begins with whatever is there.
    up_to : int
        The sequence of the last one.
    """
    while True:
        query = select(_EVENTS).where(_EVENTS.c.sequence <= up_to).order_by(_EVENTS.c.sequence).limit(BATCH)
        if after is not None:
            query = query.where(_EVENTS.c.sequence > after)
        batch = session.execute(query).mappings().all()
        yield from batch
        if len(batch) < BATCH:
            return
        after = batch[-1]["sequence"]


def _check(event: Any, *, after: Anchor) -> None:
    sequence = after.sequence + 1
    if event["sequence"] != sequence:
        raise AuditChainBrokenError(sequence=sequence, fault=Fault.MISSING)
    if event_hash(event) != event["hash"]:
        raise AuditChainBrokenError(sequence=sequence, fault=Fault.EDITED)
    if event["previous_hash"] != after.hash:
        raise AuditChainBrokenError(sequence=sequence, fault=Fault.UNLINKED)


def _check_anchors(event: Anchor, anchors: Sequence[Anchor]) -> None:
    if any(anchor.sequence == event.sequence and anchor.hash != event.hash for anchor in anchors):
        raise AuditChainBrokenError(sequence=event.sequence, fault=Fault.NOT_AS_ANCHORED)


def _check_nothing_beyond_head(session: Session) -> None:
    # In this order: whoever appends moves the head in the same transaction.
    last = session.scalar(select(func.max(AuditEventRow.sequence))) or 0
    head = read_head(session)
    if last > head.sequence:
        raise AuditChainBrokenError(sequence=head.sequence + 1, fault=Fault.BEYOND_HEAD)
