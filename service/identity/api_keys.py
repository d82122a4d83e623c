"""API keys: how programs prove in whose name they act.

Functions take a database session and never commit, as those of ``service.identity.accounts`` do.
"""

import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.db.rows import ApiKeyRow, UserRow
from service.errors import ServiceError
from service.identity.accounts import secret_hash
from service.identity.roles import Role
from service.identity.scopes import SCOPES_OF_ROLE, Scope, read_scopes, scopes_for_key, written

API_KEY_MARK = "rnk_"
API_KEY_PREFIX_LENGTH = len(API_KEY_MARK) + 8
API_KEY_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,100}")
LAST_USED_RESOLUTION = timedelta(minutes=1)


class ApiKeyNameError(ServiceError):
    """A name that an API key cannot be listed under."""

    code: ClassVar[str] = "api_key_name_not_valid"

    def __init__(self) -> None:
        super().__init__("expected 1 to 100 characters without control characters, found another name")


class ApiKeyNotFoundError(ServiceError):
    """No such API key."""

    code: ClassVar[str] = "api_key_not_found"

    def __init__(self) -> None:
        super().__init__("expected the identifier of an API key, found none that has it")


class AccountDisabledError(ServiceError):
    """A key would act in the name of an account that is shut out."""

    code: ClassVar[str] = "account_disabled"

    def __init__(self) -> None:
        super().__init__("expected an account that may be used, found one that is disabled")


def create_api_key(
    session: Session,
    *,
    user: UserRow,
    name: str,
    lifetime: timedelta | None = None,
    scopes: Collection[Scope] | None = None,
) -> str:
    """Issue an API key of an account and return its text, which is shown this once and stored only as a hash.

    Parameters
    ----------
    session : Session
        The row is flushed, not committed.
    user : UserRow
        The account in whose name the key acts, with its role.
    name : str
        What the key is for, as its owner will read it in a list.
    lifetime : timedelta, optional
        How long it is valid; without it, until it is revoked.
    scopes : collection of Scope, optional
        What it may do; without them all that the account's role allows, except administration.

    Returns
    -------
    str
        ``rnk_`` and 256 random bits.

    Raises
    ------
    ApiKeyNameError
        If the name is empty, too long, or holds a control character, which no database or list can take.
    AccountDisabledError
        If the account is disabled: the key would be born without validity.
    ScopeNotAllowedError
        If the account's role does not have one of the scopes, or there is none.
    """
    if not API_KEY_NAME.fullmatch(name):
        raise ApiKeyNameError
    if user.disabled_at is not None:
        raise AccountDisabledError
    allowed = scopes_for_key(Role(user.role), scopes)
    plain = API_KEY_MARK + secrets.token_urlsafe(32)
    now = datetime.now(UTC)
    row = ApiKeyRow(
        organisation_id=user.organisation_id,
        name=name,
        prefix=plain[:API_KEY_PREFIX_LENGTH],
        key_hash=secret_hash(plain),
        scopes=written(allowed),
        user_id=user.id,
        created_at=now,
        expires_at=None if lifetime is None else now + lifetime,
    )
    session.add(row)
    session.flush()
    return plain


def find_api_key(session: Session, plain: str) -> tuple[ApiKeyRow, UserRow] | None:
    """Find a key that is valid now, with its account; None if there is none.

    The prefix finds the candidates, a comparison in constant time decides.
    """
    candidates = session.execute(
        select(ApiKeyRow, UserRow)
        .join(UserRow, UserRow.id == ApiKeyRow.user_id)
        .where(ApiKeyRow.prefix == plain[:API_KEY_PREFIX_LENGTH])
    )
    digest = secret_hash(plain)
    now = datetime.now(UTC)
    for key, user in candidates:
        if not secrets.compare_digest(key.key_hash, digest):
            continue
        expired = key.expires_at is not None and key.expires_at <= now
        if expired or key.revoked_at is not None or user.disabled_at is not None:
            return None
        return key, user
    return None


def require_api_key(session: Session, text: str) -> ApiKeyRow:
    """Look a key up by its identifier or by its prefix, ``rnk_`` and 8 characters, valid or not.

    Raises
    ------
    ApiKeyNotFoundError
        If there is none, or the prefix does not tell two of them apart.
    """
    named = ApiKeyRow.prefix == text if text.startswith(API_KEY_MARK) else ApiKeyRow.id == text
    found = session.scalars(select(ApiKeyRow).where(named).limit(2)).all()
    if len(found) != 1:
        raise ApiKeyNotFoundError
    return found[0]


def note_api_key_use(key: ApiKeyRow) -> bool:
    """Record when a key was last used, at most once a minute; True if the row changed."""
    now = datetime.now(UTC)
    if key.last_used_at is not None and now - key.last_used_at < LAST_USED_RESOLUTION:
        return False
    key.last_used_at = now
    return True


def revoke_api_key(key: ApiKeyRow) -> None:
    """End a key's validity at once; revoking it again changes nothing."""
    if key.revoked_at is None:
        key.revoked_at = datetime.now(UTC)


@dataclass(frozen=True)
class NarrowedKeys:
    """What another role has taken from the keys of an account.

    Attributes
    ----------
    narrowed : list of str
        Identifiers of the keys that lost scopes, and have others left.
    revoked : list of str
        Of those that had no other, and are revoked.
    """

    narrowed: list[str] = field(default_factory=list)
    revoked: list[str] = field(default_factory=list)

    def told(self) -> dict[str, list[str]]:
        """Name the keys that changed, if any did, as the audit keeps it of another role."""
        keys = {"keys_narrowed": self.narrowed, "keys_revoked": self.revoked}
        return {name: ids for name, ids in keys.items() if ids}


def narrow_api_keys(session: Session, user: UserRow) -> NarrowedKeys:
    """Take from an account's keys what its role does not allow, for good: a later role gives nothing back.

    Parameters
    ----------
    session : Session
    user : UserRow
        With its new role.
    """
    found = NarrowedKeys()
    allowed = SCOPES_OF_ROLE[Role(user.role)]
    valid = select(ApiKeyRow).where(ApiKeyRow.user_id == user.id, ApiKeyRow.revoked_at.is_(None))
    for key in session.scalars(valid.order_by(ApiKeyRow.created_at, ApiKeyRow.id)):
        held = read_scopes(key.scopes)
        if held <= allowed:
            continue
        key.scopes = written(held & allowed)
        if held & allowed:
            found.narrowed.append(key.id)
        else:
            revoke_api_key(key)
            found.revoked.append(key.id)
    return found
