"""Logins on the pages: a random token in a cookie, its hash in the database, and a brake on guessing."""

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import ClassVar, TypeVar

from anyio import CapacityLimiter, to_thread
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from service.db.rows import SessionRow, UserRow
from service.errors import ServiceError
from service.identity.accounts import UsernameError, normal_username, secret_hash

LAST_SEEN_RESOLUTION = timedelta(minutes=1)

Key = TypeVar("Key")
Checked = TypeVar("Checked")


class TooManyAttemptsError(ServiceError):
    """Too many failed logins for one account or from one address, or too many logins at once."""

    code: ClassVar[str] = "too_many_attempts"

    def __init__(self, *, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"expected fewer attempts to log in, found too many: try again in {retry_after_s} s")


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
            organisation_id=user.organisation_id,
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


@dataclass
class LoginThrottle:
    """Counts attempts to log in an account and address, and an address alone, in this process's memory.

    An attempt counts from its beginning, so that simultaneous guesses cannot slip past the limit together; a
    login that succeeds takes its own attempt back.

    Attributes
    ----------
    limit : int
        Attempts that may fail within the window, for one account from one address.
    address_limit : int
        Attempts that may fail within the window from one address, whatever the accounts.
    window_s : float
    capacity : int
        Pairs and addresses remembered; the oldest is forgotten first, so that guesses cannot fill the memory.
    clock : callable
        Seconds, monotonic.
    """

    limit: int = 8
    address_limit: int = 100
    window_s: float = 900.0
    capacity: int = 10_000
    clock: Callable[[], float] = time.monotonic
    _pairs: OrderedDict[tuple[str, str], list[float]] = field(default_factory=OrderedDict, repr=False)
    _addresses: OrderedDict[str, list[float]] = field(default_factory=OrderedDict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def begin(self, *, username: str, address: str) -> float:
        """Count an attempt and let it be made; returns its moment, by which it can be taken back.

        Raises
        ------
        TooManyAttemptsError
            If this account from this address, or the address alone, failed too often within the window.
        """
        pair = (_bucket(username), address)
        with self._lock:
            now = self.clock()
            of_pair = self._recent(self._pairs, pair, now)
            of_address = self._recent(self._addresses, address, now)
            for recent, limit in ((of_pair, self.limit), (of_address, self.address_limit)):
                if len(recent) >= limit:
                    raise TooManyAttemptsError(retry_after_s=int(recent[-limit] + self.window_s - now) + 1)
            self._remember(self._pairs, pair, [*of_pair, now])
            self._remember(self._addresses, address, [*of_address, now])
        return now

    def succeeded(self, *, username: str, address: str, moment: float) -> None:
        """Forget the failures of an account from this address, and this attempt of the address."""
        with self._lock:
            self._pairs.pop((_bucket(username), address), None)
            _take_back(self._addresses, address, moment)

    def withdrawn(self, *, username: str, address: str, moment: float) -> None:
        """Take an attempt back that came to no answer: it was no guess."""
        with self._lock:
            _take_back(self._pairs, (_bucket(username), address), moment)
            _take_back(self._addresses, address, moment)

    def _recent(self, counted: OrderedDict[Key, list[float]], key: Key, now: float) -> list[float]:
        return [moment for moment in counted.get(key, []) if moment > now - self.window_s]

    def _remember(self, counted: OrderedDict[Key, list[float]], key: Key, moments: list[float]) -> None:
        counted[key] = moments
        counted.move_to_end(key)
        while len(counted) > self.capacity:
            counted.popitem(last=False)


def _bucket(username: str) -> str:
    # The accounts' own form of a name: no spelling of it counts apart. "" stands for all that can be no name.
    try:
        return normal_username(username)
    except UsernameError:
        return ""


def _take_back(counted: OrderedDict[Key, list[float]], key: Key, moment: float) -> None:
    moments = counted.get(key, [])
    if moment in moments:
        moments.remove(moment)
    if not moments:
        counted.pop(key, None)
