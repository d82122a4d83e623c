"""Logins whose password was right and whose code is still asked for: kept for minutes."""

import secrets
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from service.db.rows import SecondStepRow, UserRow
from service.identity.accounts import secret_hash

LIFETIME = timedelta(minutes=5)


def begin_second_step(session: Session, *, user: UserRow) -> str:
    """Note that an account's password was right; returns the token for the browser's cookie.

    Parameters
    ----------
    session : Session
        The row is flushed, not committed; those past their time are removed on the way.
    user : UserRow
    """
    now = datetime.now(UTC)
    session.execute(delete(SecondStepRow).where(SecondStepRow.expires_at <= now))
    token = secrets.token_urlsafe(32)
    session.add(
        SecondStepRow(
            organisation_id=user.organisation_id,
            token_hash=secret_hash(token),
            user_id=user.id,
            expires_at=now + LIFETIME,
        )
    )
    session.flush()
    return token


def user_at_second_step(session: Session, token: str | None) -> UserRow | None:
    """Return who has typed the password in a browser; None if nobody has, or too long ago."""
    if not token:
        return None
    return session.scalars(
        select(UserRow)
        .join(SecondStepRow, SecondStepRow.user_id == UserRow.id)
        .where(
            SecondStepRow.token_hash == secret_hash(token),
            SecondStepRow.expires_at > datetime.now(UTC),
            # Both may have changed since.
            UserRow.disabled_at.is_(None),
            UserRow.totp_since.is_not(None),
        )
    ).one_or_none()


def end_second_step(session: Session, token: str) -> None:
    """Forget that a password was right; nothing happens when it is forgotten already."""
    session.execute(delete(SecondStepRow).where(SecondStepRow.token_hash == secret_hash(token)))
