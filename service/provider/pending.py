"""Logins on their way to the identity provider and back: each returns once, soon, and in the same browser."""

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete
from sqlalchemy.orm import Session

from service.db.rows import ProviderLoginRow
from service.identity.accounts import secret_hash

LIFETIME = timedelta(minutes=10)


@dataclass(frozen=True)
class PendingLogin:
    """What was noted at the departure."""

    state: dict[str, Any] = field(repr=False)
    target: str


def note_departure(session: Session, *, state: dict[str, Any], target: str) -> str:
    """Note a login that is sent to the provider; returns the token for the browser's cookie.

    Parameters
    ----------
    session : Session
        The row is flushed, not committed; those that never came back are removed on the way.
    state : dict
        What the answer is compared with.
    target : str
        The page to go to in the end.
    """
    now = datetime.now(UTC)
    session.execute(delete(ProviderLoginRow).where(ProviderLoginRow.expires_at <= now))
    token = secrets.token_urlsafe(32)
    session.add(
        ProviderLoginRow(token_hash=secret_hash(token), state=state, target=target, expires_at=now + LIFETIME)
    )
    session.flush()
    return token


def take_return(session: Session, token: str) -> PendingLogin | None:
    """Return what was noted for a browser and forget it; None if there is nothing, or nothing any more."""
    gone = delete(ProviderLoginRow).where(ProviderLoginRow.token_hash == secret_hash(token))
    row = session.execute(
        gone.returning(ProviderLoginRow.state, ProviderLoginRow.target, ProviderLoginRow.expires_at)
    ).one_or_none()
    if row is None or row.expires_at <= datetime.now(UTC):
        return None
    return PendingLogin(state=row.state, target=row.target)
