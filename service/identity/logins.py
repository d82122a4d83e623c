"""Logins on the pages: a random token in a cookie, its hash in the database, and the line for the hashing."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import ClassVar, TypeVar

from anyio import CapacityLimiter, to_thread
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from service.db.rows import SessionRow, UserRow
from service.errors import ServiceError
from service.identity.accounts import secret_hash
from service.identity.throttle import TooManyAttemptsError

LAST_SEEN_RESOLUTION = timedelta(minutes=1)

Checked = TypeVar("Checked")


@dataclass(frozen=True)
class Origin:
    """From where a login is begun, for its owner to know it by.

    Attributes
    ----------
    address : str or None
    browser : str or None
        As :func:`service.identity.browsers.browser_name` has it.
    """

    address: str | None = None
    browser: str | None = None


class LoginNotFoundError(ServiceError):
    """No such login of this account."""

    code: ClassVar[str] = "login_not_found"

    def __init__(self) -> None:
        super().__init__("expected the identifier of a login of this account, found none that has it")


NOWHERE_KNOWN = Origin()


def open_login(
    session: Session,
    *,
    user: UserRow,
    lifetime: timedelta,
    through_provider: bool = False,
    origin: Origin = NOWHERE_KNOWN,
) -> str:
    """Start a login and return its token, which only the cookie holds; each login gets a fresh one.

    Parameters
    ----------
    session : Session
        The row is flushed, not committed; logins past their end are removed on the way.
    user : UserRow
    lifetime : timedelta
        After this the login ends in any case.
    through_provider : bool
        Whether an identity provider vouched for the person.
    origin : Origin
    """
    now = datetime.now(UTC)
    session.execute(delete(SessionRow).where(SessionRow.expires_at <= now))
    token = secrets.token_urlsafe(32)
    session.add(
        SessionRow(
            organisation_id=user.organisation_id,
            token_hash=secret_hash(token),
            csrf_token=secrets.token_urlsafe(32),
            user_id=user.id,
            created_at=now,
            last_seen_at=now,
            expires_at=now + lifetime,
            through_provider=through_provider,
            address=origin.address,
            browser=origin.browser,
        )
    )
    session.flush()
    return token


def find_login(session: Session, token: str, *, idle: timedelta) -> tuple[SessionRow, UserRow] | None:
    """Find the login that a cookie stands for, if it has neither ended nor idled too long; else None."""
    found = session.execute(
        select(SessionRow, UserRow)
        .join(UserRow, UserRow.id == SessionRow.user_id)
        .where(SessionRow.token_hash == secret_hash(token))
    ).one_or_none()
    if found is None:
        return None
    login, user = found
    now = datetime.now(UTC)
    if login.expires_at <= now or login.last_seen_at + idle <= now or user.disabled_at is not None:
        return None
    return login, user


def note_login_use(login: SessionRow) -> bool:
    """Move the idle clock, at most once a minute; True if the row changed."""
    now = datetime.now(UTC)
    if now - login.last_seen_at < LAST_SEEN_RESOLUTION:
        return False
    login.last_seen_at = now
    return True


def close_login(session: Session, token: str) -> bool:
    """End a login; nothing happens when it has ended already.

    Returns
    -------
    bool
        Whether an identity provider had vouched for it, and may still hold one of its own.
    """
    gone = delete(SessionRow).where(SessionRow.token_hash == secret_hash(token))
    return bool(session.scalar(gone.returning(SessionRow.through_provider)))


def logins_of(session: Session, *, user_id: str, idle: timedelta) -> list[SessionRow]:
    """Return the logins of an account that have neither ended nor idled too long, the newest first."""
    now = datetime.now(UTC)
    query = select(SessionRow).where(
        SessionRow.user_id == user_id, SessionRow.expires_at > now, SessionRow.last_seen_at > now - idle
    )
    return list(session.scalars(query.order_by(SessionRow.created_at.desc(), SessionRow.id)))


def end_login(session: Session, login_id: str, *, user_id: str) -> None:
    """End one login of an account.

    Raises
    ------
    LoginNotFoundError
        If the account has none of this identifier.
    """
    gone = delete(SessionRow).where(SessionRow.id == login_id, SessionRow.user_id == user_id)
    if session.scalar(gone.returning(SessionRow.id)) is None:
        raise LoginNotFoundError


def end_logins(session: Session, *, user_id: str, except_id: str | None = None) -> list[str]:
    """End every login of an account, or every one but one; returns their identifiers."""
    gone = delete(SessionRow).where(SessionRow.user_id == user_id)
    if except_id is not None:
        gone = gone.where(SessionRow.id != except_id)
    return sorted(session.scalars(gone.returning(SessionRow.id)))


@dataclass
class LoginQueue:
    """Threads that check passwords, apart from those that answer everything else, and a short line for them.

    Attributes
    ----------
    most : int
        Logins inside at once, the two at work included: at some 30 ms a hash nobody waits much over a second.
    retry_after_s : int
        What is said to who finds it full.
    """

    most: int = 34
    retry_after_s: int = 2
    inside: int = 0
    # Two, although one hash is made at a time: one hashes while the other looks up or writes.
    threads: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(2), repr=False)

    async def run(self, check: Callable[[], Checked]) -> Checked:
        """Run a check of a password when its turn comes; called on the event loop only.

        Raises
        ------
        TooManyAttemptsError
            If the line is full.
        """
        if self.inside >= self.most:
            raise TooManyAttemptsError(retry_after_s=self.retry_after_s)
        self.inside += 1
        try:
            return await to_thread.run_sync(check, limiter=self.threads)
        finally:
            self.inside -= 1
