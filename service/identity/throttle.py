"""The brake on guessing: failed logins counted in the database, so that every process counts alike.

Who is slowed is the one who guesses: an account is counted for each address apart, never for itself alone, so
that nobody can lock its owner out from elsewhere. A browser that has logged in to the account before is
counted by itself (OWASP's device cookie): not even a neighbour behind the same address can lock it out.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session, sessionmaker

from service.db.base import utc_now
from service.db.rows import LoginAttemptRow
from service.errors import ServiceError
from service.identity.accounts import normal_username, secret_hash
from service.identity.errors import UsernameError
from service.networks import neighbour


class TooManyAttemptsError(ServiceError):
    """Too many failed logins for one account or from one address, or too many logins at once."""

    code: ClassVar[str] = "too_many_attempts"

    def __init__(self, *, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"expected fewer attempts to log in, found too many: try again in {retry_after_s} s")


@dataclass
class LoginThrottle:
    """Counts attempts to log in, for an account from an address, and for an address alone.

    An attempt counts from its beginning, so that simultaneous guesses cannot slip past the limit together; a
    login that succeeds takes its own attempt back. Of attempts that meet exactly at the limit, more may be
    refused than needed, never fewer.

    Attributes
    ----------
    sessions : sessionmaker
    limit : int
        Attempts that may fail within the window, for one account from one address (or one known browser).
    address_limit : int
        Attempts that may fail within the window from one address, whatever the accounts.
    window : timedelta
    """

    sessions: sessionmaker[Session]
    limit: int = 8
    address_limit: int = 100
    window: timedelta = timedelta(minutes=15)

    def begin(self, *, username: str, address: str, browser_id: str | None = None) -> str:
        """Count an attempt and let it be made; returns its id, by which it can be taken back.

        Parameters
        ----------
        username, address : str
            As they came; every spelling of a name and every address of a neighbourhood count as one.
        browser_id : str, optional
            Of a browser that has logged in to this very account before: counted instead of the address.

        Raises
        ------
        TooManyAttemptsError
            If this account from this address, or the address alone, failed too often within the window.
        """
        account = _account(username)
        source = f"browser {browser_id}" if browser_id else neighbour(address)
        of_source = LoginAttemptRow.source == source
        return self._begin(account, source, also=((of_source, self.address_limit),))

    def begin_code(self, *, username: str, browser_id: str | None = None) -> str:
        """Count an attempt at the code that is asked for after the password; as :meth:`begin`.

        Who gets here knows the password: an account is counted for all addresses together, or a guesser with
        many of them would find a code of six digits. A browser that the account knows is counted by itself.

        Raises
        ------
        TooManyAttemptsError
            If this account failed too often within the window.
        """
        return self._begin(_account(username), f"code {browser_id}" if browser_id else "code")

    def _begin(
        self, account: str, source: str, *, also: tuple[tuple[ColumnElement[bool], int], ...] = ()
    ) -> str:
        of_pair = (LoginAttemptRow.account == account) & (LoginAttemptRow.source == source)
        with self.sessions.begin() as session:
            session.execute(delete(LoginAttemptRow).where(LoginAttemptRow.at <= self._window_start()))
            attempt = LoginAttemptRow(account=account, source=source)
            session.add(attempt)
        # Read after the commit: of two attempts at once, at least the later one sees the other.
        for condition, limit in ((of_pair, self.limit), *also):
            retry_after_s = self._wait_s(condition, limit, own_id=attempt.id)
            if retry_after_s is not None:
                self.withdrawn(attempt.id)
                raise TooManyAttemptsError(retry_after_s=retry_after_s)
        return attempt.id

    def succeeded(self, attempt_id: str) -> None:
        """Forget the failures of an attempt's account from its address, and the attempt itself."""
        with self.sessions.begin() as session:
            attempt = session.get(LoginAttemptRow, attempt_id)
            if attempt is not None:
                session.execute(
                    delete(LoginAttemptRow).where(
                        LoginAttemptRow.account == attempt.account, LoginAttemptRow.source == attempt.source
                    )
                )

    def withdrawn(self, attempt_id: str) -> None:
        """Take an attempt back that came to no answer: it was no guess."""
        with self.sessions.begin() as session:
            session.execute(delete(LoginAttemptRow).where(LoginAttemptRow.id == attempt_id))

    def _wait_s(self, condition: ColumnElement[bool], limit: int, *, own_id: str) -> int | None:
        latest = (
            select(LoginAttemptRow.at)
            .where(condition, LoginAttemptRow.at > self._window_start(), LoginAttemptRow.id != own_id)
            .order_by(LoginAttemptRow.at.desc())
            .limit(limit)
            .subquery()
        )
        with self.sessions() as session:
            count, oldest = session.execute(select(func.count(), func.min(latest.c.at))).one()
        if count < limit:
            return None
        return max(int((oldest + self.window - datetime.now(UTC)).total_seconds()), 0) + 1

    def _window_start(self) -> utc_now:
        return utc_now(-self.window.total_seconds())


def _account(username: str) -> str:
    # The accounts' own form of a name: no spelling of it counts apart. "" stands for all that can be no name.
    # Hashed, because people type their password into the wrong field.
    try:
        return secret_hash(normal_username(username))
    except UsernameError:
        return ""
