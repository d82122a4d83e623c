"""The names of the accounts and keys that events of the audit know by their identifiers."""

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.api.payloads import AuditEventResponse
from service.db.rows import ApiKeyRow, UserRow

ACCOUNT, KEY = "user", "key"


def names_in(session: Session, events: Iterable[AuditEventResponse]) -> dict[str, str]:
    """Return how people know those who acted, and the accounts and keys that something was done to.

    Parameters
    ----------
    session : Session
        Of the organisation.
    events : iterable of AuditEventResponse

    Returns
    -------
    dict of str
        By actor as the audit writes it: ``user:<id>`` and ``key:<id>``. What is not known has no entry.
    """
    wanted: dict[str, set[str]] = {ACCOUNT: set(), KEY: set()}
    for event in events:
        kind, _, identifier = event.actor.partition(":")
        wanted.get(kind, set()).add(identifier)
        if event.subject_kind == "user":
            wanted[ACCOUNT].add(event.subject_id)
        if event.subject_kind == "api_key":
            wanted[KEY].add(event.subject_id)
    accounts = select(UserRow.id, UserRow.username).where(UserRow.id.in_(wanted[ACCOUNT]))
    keys = select(ApiKeyRow.id, ApiKeyRow.name).where(ApiKeyRow.id.in_(wanted[KEY]))
    found = {f"{ACCOUNT}:{id_}": name for id_, name in session.execute(accounts)}
    return found | {f"{KEY}:{id_}": name for id_, name in session.execute(keys)}
