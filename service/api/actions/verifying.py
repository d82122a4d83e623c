"""Whether the audit is still what was recorded, asked from a page."""

from dataclasses import dataclass
from typing import Any

from service.api.access.principal import Principal
from service.api.resources import Resources
from service.audit import record
from service.audit.verification import AuditChainBrokenError, read_head, verify

# A second or a few of work; beyond that `restnet audit verify` does it, where nobody waits for a page.
MOST_EVENTS = 100_000


@dataclass(frozen=True)
class Checked:
    """What came of it.

    Attributes
    ----------
    events : int
        How many there are, of all organisations: they hang together.
    too_many : bool
        Whether they are too many to be looked at for a page; nothing was looked at then.
    busy : bool
        Whether somebody else was at it; nothing was looked at then.
    sequence : int or None
        The first event that is wrong; None where all are as they were recorded.
    fault : str
        What is wrong with it.
    """

    events: int
    too_many: bool = False
    busy: bool = False
    sequence: int | None = None
    fault: str = ""


def check_chain(resources: Resources, principal: Principal) -> Checked:
    """Walk the chain of the whole installation, and tell the audit what was found.

    In each web process one request does so at a time.

    Raises
    ------
    AuditHeadMissingError
        If the database has no head of the chain.
    """
    with resources.unrestricted_sessions() as session:
        events = read_head(session).sequence
    if events > MOST_EVENTS:
        return Checked(events, too_many=True)
    if not resources.verifying.acquire(blocking=False):
        return Checked(events, busy=True)
    try:
        checked = _walk(resources)
    finally:
        resources.verifying.release()
    found: dict[str, Any] = {"events": checked.events}
    if checked.sequence is not None:
        found |= {"sequence": checked.sequence, "fault": checked.fault}
    with resources.sessions_for(principal).begin() as session:
        record(
            session,
            actor=principal.actor,
            action="audit.verify",
            subject_kind="audit",
            subject_id="list",
            details=found,
        )
    return checked


def _walk(resources: Resources) -> Checked:
    with resources.unrestricted_sessions() as session:
        events = read_head(session).sequence
        try:
            return Checked(verify(session).sequence)
        except AuditChainBrokenError as broken:
            return Checked(events, sequence=broken.sequence, fault=broken.fault.value)
