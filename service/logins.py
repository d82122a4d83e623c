"""Logins on the pages: a random token in a cookie, its hash in the database, and a brake on guessing."""

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from service.accounts import secret_hash
from service.db.rows import SessionRow, UserRow
from service.errors import ServiceError

LAST_SEEN_RESOLUTION = timedelta(minutes=1)


class TooManyAttemptsError(ServiceError):
    """Too many failed logins from one address for one account."""

    code: ClassVar[str] = "too_many_attempts"

    def __init__(self, *, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"expected fewer failed logins, found too many: try again in {retry_after_s} s")


def open_login(session: Session, *, user: UserRow, lifetime: timedelta) -> str:
    """Start a login and return its token, which only the cookie holds; each login gets a fresh one.

    Parameters
    ----------
    session : Session
        The row is flushed, not committed; logins past their end are removed on the way.
    user : UserRow
    lifetime : timedelta
        After this the login ends in any case.
    """
    now = datetime.now(UTC)
    session.execute(delete(SessionRow).where(SessionRow.expires_at <= now))
    token = secrets.token_urlsafe(32)
    session.add(
        SessionRow(
            token_hash=secret_hash(token),
            csrf_token=secrets.token_urlsafe(32),
            user_id=user.id,
            created_at=now,
            last_seen_at=now,
            expires_at=now + lifetime,
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


def close_login(session: Session, token: str) -> None:
    """End a login; nothing happens when it has ended already."""
    session.execute(delete(SessionRow).where(SessionRow.token_hash == secret_hash(token)))


@dataclass
class LoginThrottle:
    """Counts failed logins an account and address, in this process's memory.

    Attributes
    ----------
    limit : int
        Failures that are allowed within the window.
    window_s : float
    capacity : int
        Pairs remembered; the oldest is forgotten first, so that guesses cannot fill the memory.
    clock : callable
        Seconds, monotonic.
    """

    limit: int = 8
    window_s: float = 900.0
    capacity: int = 10_000
    clock: Callable[[], float] = time.monotonic
    _failures: OrderedDict[tuple[str, str], list[float]] = field(default_factory=OrderedDict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def check(self, *, username: str, address: str) -> None:
        """Let a login be tried.

        Raises
        ------
        TooManyAttemptsError
            If this pair failed too often within the window.
        """
        with self._lock:
            recent = self._recent((username.casefold(), address))
            if len(recent) >= self.limit:
                raise TooManyAttemptsError(retry_after_s=int(recent[0] + self.window_s - self.clock()) + 1)

    def failed(self, *, username: str, address: str) -> None:
        """Count a failure."""
        pair = (username.casefold(), address)
        with self._lock:
            self._failures[pair] = [*self._recent(pair), self.clock()]
            self._failures.move_to_end(pair)
            while len(self._failures) > self.capacity:
                self._failures.popitem(last=False)

    def succeeded(self, *, username: str, address: str) -> None:
        """Forget the failures of a pair."""
        with self._lock:
            self._failures.pop((username.casefold(), address), None)

    def _recent(self, pair: tuple[str, str]) -> list[float]:
        horizon = self.clock() - self.window_s
        return [moment for moment in self._failures.get(pair, []) if moment > horizon]
