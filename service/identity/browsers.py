"""Browsers that an account knows, because somebody has logged in to it there: OWASP's device cookie.

Knowing one gives no access. It only decides by what failed logins are counted, so that an attacker who shares
an address with the owner, as behind the gateway of a hospital, cannot lock the owner out.
"""

import secrets
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from service.db.rows import KnownBrowserRow, UserRow
from service.identity.accounts import find_user, secret_hash

REMEMBERED = timedelta(days=180)

# What each says of itself in its User-Agent; most claim to be others too, so the order decides.
_PROGRAMS = {
    "Edg": "Edge",
    "OPR/": "Opera",
    "Firefox/": "Firefox",
    "FxiOS/": "Firefox",
    "Chrome/": "Chrome",
    "CriOS/": "Chrome",
    "Safari/": "Safari",
}
_SYSTEMS = {
    "Windows": "Windows",
    "Android": "Android",
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Mac OS X": "macOS",
    "CrOS": "ChromeOS",
    "Linux": "Linux",
}


def browser_name(user_agent: str) -> str | None:
    """Say which browser somebody uses, as in ``Firefox on Windows``; None if it is unknown.

    Nothing else of what the browser sent is kept, and nothing is decided by it.
    """
    program = next((name for mark, name in _PROGRAMS.items() if mark in user_agent), None)
    system = next((name for mark, name in _SYSTEMS.items() if mark in user_agent), None)
    return f"{program} on {system}" if program and system else program or system


def known_browser(session: Session, token: str | None, *, username: str) -> str | None:
    """Return the id under which an account knows a browser; None if it does not."""
    if not token:
        return None
    user = find_user(session, username=username)
    found = None if user is None else _find(session, token, user)
    if found is None or found.created_at <= datetime.now(UTC) - REMEMBERED:
        return None
    return found.id


def remember_browser(session: Session, token: str | None, *, user: UserRow) -> str:
    """Let an account know a browser from now on; returns the browser's token, a new one if it had none.

    Parameters
    ----------
    session : Session
        The row is flushed, not committed; browsers past their time are forgotten on the way.
    token : str or None
        As the browser sent it. One token serves every account that is used there.
    user : UserRow
        Who has just logged in.
    """
    now = datetime.now(UTC)
    session.execute(delete(KnownBrowserRow).where(KnownBrowserRow.created_at <= now - REMEMBERED))
    kept = token if token and _is_ours(session, token) else secrets.token_urlsafe(32)
    found = _find(session, kept, user)
    if found is None:
        session.add(
            KnownBrowserRow(
                organisation_id=user.organisation_id,
                token_hash=secret_hash(kept),
                user_id=user.id,
                created_at=now,
            )
        )
        session.flush()
    else:
        found.created_at = now
    return kept


def _find(session: Session, token: str, user: UserRow) -> KnownBrowserRow | None:
    query = select(KnownBrowserRow).where(
        KnownBrowserRow.token_hash == secret_hash(token), KnownBrowserRow.user_id == user.id
    )
    return session.scalars(query).one_or_none()


def _is_ours(session: Session, token: str) -> bool:
    # A token that somebody planted is not taken over.
    query = select(KnownBrowserRow.id).where(KnownBrowserRow.token_hash == secret_hash(token)).limit(1)
    return session.scalars(query).first() is not None
