"""Who may use the service: people with passwords and programs with API keys.

Functions take a database session and never commit: the caller decides what belongs to one transaction. Only
``verify_login`` opens one of its own, because it must not hold it while it hashes.
Nothing here knows of HTTP, so the command line and the REST API share it.
"""

import hashlib
import re
import secrets
import threading
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import ClassVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from service.db.rows import ApiKeyRow, UserRow
from service.errors import ServiceError

API_KEY_MARK = "rnk_"
API_KEY_PREFIX_LENGTH = len(API_KEY_MARK) + 8
USERNAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
PASSWORD_MIN_LENGTH = 12
PASSWORD_MAX_LENGTH = 256
API_KEY_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,100}")
LAST_USED_RESOLUTION = timedelta(minutes=1)

# OWASP's Argon2id profile m = 19 MiB, t = 2, p = 1 (Password Storage Cheat Sheet). One hash at a time a
# process: a burst of logins must not multiply the 19 MiB by the number of request threads.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_ONE_HASH_AT_A_TIME = threading.Semaphore(1)


class Role(StrEnum):
    """What an account is for."""

    CLINICIAN = "clinician"
    INTEGRATOR = "integrator"
    RESEARCHER = "researcher"
    ADMINISTRATOR = "administrator"


class UsernameTakenError(ServiceError):
    """An account with this name exists already."""

    code: ClassVar[str] = "username_taken"

    def __init__(self) -> None:
        super().__init__("expected a user name that is still free, found one that an account has already")


class UsernameError(ServiceError):
    """A user name that cannot be one."""

    code: ClassVar[str] = "username_not_valid"

    def __init__(self) -> None:
        super().__init__(
            "expected 1 to 64 letters, digits or . _ @ - beginning with a letter or digit, found another"
        )


class RoleError(ServiceError):
    """A role that no account can have."""

    code: ClassVar[str] = "role_not_valid"

    def __init__(self, *, found: str) -> None:
        self.expected = [role.value for role in Role]
        self.found = found
        super().__init__(f"expected one of the roles {', '.join(self.expected)}, found {found!r}")


class AccountNotFoundError(ServiceError):
    """No account has this name."""

    code: ClassVar[str] = "account_not_found"

    def __init__(self) -> None:
        super().__init__("expected the name of an account, found none that has it")


class PasswordLengthError(ServiceError):
    """A password that is too short to be safe, or too long to hash."""

    code: ClassVar[str] = "password_length"

    def __init__(self, *, length: int) -> None:
        self.length = length
        allowed = f"{PASSWORD_MIN_LENGTH} to {PASSWORD_MAX_LENGTH}"
        super().__init__(f"expected a password of {allowed} characters, found {length}")


class ApiKeyNameError(ServiceError):
    """A name that an API key cannot be listed under."""

    code: ClassVar[str] = "api_key_name_not_valid"

    def __init__(self) -> None:
        super().__init__("expected 1 to 100 characters without control characters, found another name")


class CredentialsError(ServiceError):
    """No account answers to this user name and password; which of the two was wrong is not said."""

    code: ClassVar[str] = "credentials_not_valid"

    def __init__(self) -> None:
        super().__init__("expected the user name and password of an account, found no match")


def create_user(session: Session, *, username: str, password: str, role: Role) -> UserRow:
    """Add an account.

    Parameters
    ----------
    session : Session
        The row is flushed, not committed.
    username : str
        Compared without regard to case.
    password : str
        12 to 256 characters; stored as an Argon2id hash.
    role : Role

    Raises
    ------
    UsernameError, UsernameTakenError, PasswordLengthError
        If the name or the password cannot be accepted.
    """
    name = normal_username(username)
    if find_user(session, username=name) is not None:
        raise UsernameTakenError
    user = UserRow(username=name, password_hash=hash_password(password), role=role.value)
    session.add(user)
    session.flush()
    return user


def normal_username(username: str) -> str:
    """Bring a user name into the one form that is stored and compared.

    Raises
    ------
    UsernameError
        If it holds other characters than letters, digits and ``. _ @ -``.
    """
    name = username.strip().casefold()
    if not USERNAME.fullmatch(name):
        raise UsernameError
    return name


def find_user(session: Session, *, username: str) -> UserRow | None:
    """Look an account up by its name, in any case; what cannot be a name is never asked for."""
    try:
        name = normal_username(username)
    except UsernameError:
        return None
    return session.scalars(select(UserRow).where(UserRow.username == name)).one_or_none()


def require_user(session: Session, *, username: str) -> UserRow:
    """Look an account up by its name, in any case.

    Raises
    ------
    AccountNotFoundError
        If there is none.
    """
    user = find_user(session, username=username)
    if user is None:
        raise AccountNotFoundError
    return user


def parse_role(text: str) -> Role:
    """Read a role as people type it.

    Raises
    ------
    RoleError
        If it is none of :class:`Role`.
    """
    try:
        return Role(text.strip().casefold())
    except ValueError as error:
        raise RoleError(found=text) from error


def hash_password(password: str) -> str:
    """Hash a password with Argon2id and a salt of its own.

    Raises
    ------
    PasswordLengthError
        If it has fewer than 12 or more than 256 characters.
    """
    if not PASSWORD_MIN_LENGTH <= len(password) <= PASSWORD_MAX_LENGTH:
        raise PasswordLengthError(length=len(password))
    with _ONE_HASH_AT_A_TIME:
        return _HASHER.hash(password)


def verify_login(sessions: sessionmaker[Session], *, username: str, password: str) -> UserRow:
    """Find the account that a user name and a password belong to.

    An unknown name costs as much time as a wrong password: names cannot be told apart by timing. The look-up
    is over before the hashing begins: logins that wait for their turn hold no database connection.

    Raises
    ------
    CredentialsError
        If there is no such account, the password differs, or the account is disabled.
    """
    with sessions() as session:
        user = find_user(session, username=username)
    stored = user.password_hash if user is not None else _hash_of_nobody()
    matches = len(password) <= PASSWORD_MAX_LENGTH and _verify(stored, password)
    if user is None or not matches or user.disabled_at is not None:
        raise CredentialsError
    return user


def create_api_key(session: Session, *, user: UserRow, name: str, lifetime: timedelta | None = None) -> str:
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

    Returns
    -------
    str
        ``rnk_`` and 256 random bits.

    Raises
    ------
    ApiKeyNameError
        If the name is empty, too long, or holds a control character, which no database or list can take.
    """
    if not API_KEY_NAME.fullmatch(name):
        raise ApiKeyNameError
    plain = API_KEY_MARK + secrets.token_urlsafe(32)
    now = datetime.now(UTC)
    row = ApiKeyRow(
        name=name,
        prefix=plain[:API_KEY_PREFIX_LENGTH],
        key_hash=secret_hash(plain),
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


def secret_hash(plain: str) -> str:
    """SHA-256 of a random secret, in hexadecimal.

    A slow hash protects what people choose; 256 random bits need none.
    """
    return hashlib.sha256(plain.encode()).hexdigest()


def _verify(stored: str, password: str) -> bool:
    with _ONE_HASH_AT_A_TIME:
        try:
            return _HASHER.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False


def _hash_of_nobody() -> str:
    return "$argon2id$v=19$m=19456,t=2,p=1$cmVzdG5ldC1ub2JvZHktcw$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
