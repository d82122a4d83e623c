"""Remembers an event with the session, and appends it to the chain just before the commit."""

from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction

from service.audit.chain import append
from service.db.restricted import OrganisationSession
from service.db.rows import AuditEventRow
from service.identity.actor import Actor

_KEY = "audit"


def record(
    session: Session,
    *,
    actor: Actor,
    action: str,
    subject_kind: str,
    subject_id: str,
    details: dict[str, Any] | None = None,
    organisation_id: str | None = None,
) -> None:
    """Add an audit event to the caller's transaction: it is kept if, and only if, the act itself is.

    Nothing is written before the commit. Only then does the transaction take its turn at the head of the
    chain, with every other lock that it needs in its hands: two of them can never wait for each other there.

    Parameters
    ----------
    actor : Actor
        Who acted, and from where.
    action : str
        What was done, such as ``prediction.cancel``; ``docs/audit.md`` lists them all.
    details : dict, optional
        JSON values; never patient data.
    organisation_id : str, optional
        Whose administrators may read it. A session of an organisation says it by itself; to any other it has
        to be said, or else the event is one of the whole installation, which no organisation is shown.
    """
    if isinstance(session, OrganisationSession):
        organisation_id = session.organisation_id
    _remembered(session).rows.append(
        AuditEventRow(
            organisation_id=organisation_id,
            actor=actor.name,
            address=actor.address,
            action=action,
            subject_kind=subject_kind,
            subject_id=subject_id,
            details=details,
        )
    )


class _Remembered:
    """The events of one session's transaction, forgotten with it, or back to a savepoint's beginning."""

    def __init__(self) -> None:
        self.rows: list[AuditEventRow] = []
        self._begun_at: dict[SessionTransaction, int] = {}

    def write(self, session: Session) -> None:
        # The release of a savepoint is announced as a commit too.
        if session.in_nested_transaction() or not self.rows:
            return
        session.flush()
        append(session, self.rows)
        self.rows.clear()

    def begin(self, _session: Session, transaction: SessionTransaction) -> None:
        self._begun_at[transaction] = len(self.rows)

    def roll_back(self, _session: Session, transaction: SessionTransaction) -> None:
        del self.rows[self._begun_at.get(transaction, 0) :]

    def end(self, _session: Session, transaction: SessionTransaction) -> None:
        # A savepoint's end is told before its rollback.
        if transaction.parent is None:
            self.rows.clear()
            self._begun_at.clear()


def _remembered(session: Session) -> _Remembered:
    # What was recorded belongs to a transaction from the start, even if nothing else has begun one.
    if not session.in_transaction():
        session.begin()
    found = session.info.get(_KEY)
    if isinstance(found, _Remembered):
        return found
    made = session.info[_KEY] = _Remembered()
    event.listen(session, "before_commit", made.write)
    event.listen(session, "after_transaction_create", made.begin)
    event.listen(session, "after_soft_rollback", made.roll_back)
    event.listen(session, "after_transaction_end", made.end)
    return made
