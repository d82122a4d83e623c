"""Where somebody proves who they are: counted, refused and told to the audit in the same way everywhere."""

from dataclasses import dataclass, field
from typing import Any

from fastapi import Request

from service.api.access.principals import client_address
from service.api.resources import Resources
from service.audit import record
from service.db.rows import UserRow
from service.identity.accounts import find_user, require_lasting_password, verify_login
from service.identity.actor import anonymous
from service.identity.browsers import known_browser
from service.identity.errors import CredentialsError, FirstPasswordEndedError
from service.identity.second_factor import CodeNotValidError, Means, take_code
from service.identity.throttle import TooManyAttemptsError
from service.web.language import ngettext


@dataclass(frozen=True)
class Attempt:
    """A name and what was typed to prove it, and from where.

    Attributes
    ----------
    typed : str
        A password, or a code.
    browser : str or None
        What the cookie of a browser that accounts know holds.
    details : dict or None
        For the audit, where it is not the log-in page that asked.
    """

    username: str
    typed: str = field(repr=False)
    address: str
    browser: str | None = field(repr=False)
    details: dict[str, Any] | None = None


def attempt_of(
    request: Request,
    resources: Resources,
    *,
    username: str,
    typed: str,
    details: dict[str, Any] | None = None,
) -> Attempt:
    """Put together what somebody has typed and where the request comes from."""
    browser = request.cookies.get(resources.browser_cookie_name)
    return Attempt(username, typed, client_address(request), browser, details)


def check_password(resources: Resources, attempt: Attempt) -> UserRow:
    """Find the account that a name and a password belong to; to be run by ``Resources.logins``.

    Raises
    ------
    CredentialsError
        If there is none.
    FirstPasswordEndedError
        If it was a first password, and is one no more.
    TooManyAttemptsError
        If there were too many that failed before.
    """
    counted = _count(resources, attempt)
    try:
        user = verify_login(
            resources.unrestricted_sessions, username=attempt.username, password=attempt.typed
        )
        require_lasting_password(user, first_lifetime=resources.first_password_lifetime)
    except (CredentialsError, FirstPasswordEndedError):
        _record_refusal(resources, attempt)
        raise
    except BaseException:
        resources.throttle.withdrawn(counted)
        raise
    resources.throttle.succeeded(counted)
    return user


def check_code(resources: Resources, attempt: Attempt, user_id: str) -> Means:
    """Use up a code of an account whose password was right.

    Parameters
    ----------
    resources : Resources
    attempt : Attempt
    user_id : str

    Raises
    ------
    CodeNotValidError
        If it is not valid, or not any more.
    TooManyAttemptsError
        If there were too many that failed before.
    """
    with resources.unrestricted_sessions() as session:
        browser_id = known_browser(session, attempt.browser, username=attempt.username)
    try:
        counted = resources.throttle.begin_code(username=attempt.username, browser_id=browser_id)
    except TooManyAttemptsError:
        _note_throttled(resources, attempt)
        raise
    try:
        with resources.unrestricted_sessions.begin() as session:
            user = session.get_one(UserRow, user_id)
            means = take_code(session, user, code=attempt.typed, seal=resources.seal)
    except CodeNotValidError:
        _record_refusal(resources, attempt)
        raise
    except BaseException:
        resources.throttle.withdrawn(counted)
        raise
    resources.throttle.succeeded(counted)
    return means


def said_of(refusal: TooManyAttemptsError) -> str:
    """Tell somebody how long they have to wait."""
    minutes = refusal.retry_after_s // 60 + 1
    return ngettext(
        "Too many attempts. Try again in %(num)s minute.",
        "Too many attempts. Try again in %(num)s minutes.",
        minutes,
    )


def _count(resources: Resources, attempt: Attempt) -> str:
    with resources.unrestricted_sessions() as session:
        browser_id = known_browser(session, attempt.browser, username=attempt.username)
    try:
        return resources.throttle.begin(
            username=attempt.username, address=attempt.address, browser_id=browser_id
        )
    except TooManyAttemptsError:
        _note_throttled(resources, attempt)
        raise


def _record_refusal(resources: Resources, attempt: Attempt) -> None:
    with resources.unrestricted_sessions.begin() as session:
        user = find_user(session, username=attempt.username)
        record(
            session,
            actor=anonymous(attempt.address),
            action="login.refused",
            subject_kind="user",
            # Never what was typed: people type their password into the wrong field.
            subject_id="unknown" if user is None else user.id,
            details=attempt.details,
            organisation_id=None if user is None else user.organisation_id,
        )


def _note_throttled(resources: Resources, attempt: Attempt) -> None:
    with resources.unrestricted_sessions() as session:
        resources.reads.note(
            session,
            anonymous(attempt.address),
            action="login.throttled",
            subject_kind="user",
            subject_id="unknown",
        )
