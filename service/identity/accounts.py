"""Accounts: who may use the service, their passwords and roles. Their keys are in ``api_keys`` beside this.

Functions take a database session and never commit: the caller decides what belongs to one transaction. Only
``verify_login`` opens one of its own, because it must not hold it while it hashes.
Nothing here knows of HTTP, so the command line and the REST API share it.
"""

import hashlib
import re
import threading
from datetime import UTC, datetime, timedelta

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from service.db.restricted import COUNTS_EVERY_ORGANISATION
from service.db.rows import SecondStepRow, SessionRow, UserRow
from service.identity.errors import (
    AccountNotFoundError,
    CredentialsError,
    FirstPasswordEndedError,
    PasswordUnchangedError,
    UsernameError,
    UsernameTakenError,
)
from service.identity.passwords import PASSWORD_MAX_LENGTH, require_good_password
from service.identity.roles import Role

USERNAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")

# OWASP's Argon2id profile m = 19 MiB, t = 2, p = 1 (Password Storage Cheat Sheet). One hash at a time a
# process: a burst of logins must not multiply the 19 MiB by the number of request threads.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_ONE_HASH_AT_A_TIME = threading.Semaphore(1)


def create_user(
    session: Session,
    *,
    username: str,
    password: str,
    role: Role,
    organisation_id: str,
    by_owner: bool = False,
) -> UserRow:
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
    organisation_id : str
        Whose scans it will see; for good.
    by_owner : bool
        Whether whoever will log in knows the password alone, and keeps it. Otherwise it is a first one.

    Raises
    ------
    UsernameError, UsernameTakenError, PasswordLengthError, PasswordGuessableError
        If the name or the password cannot be accepted. A name may be taken in another organisation too.
    """
    name = normal_username(username)
    if find_user(session, username=name) is not None:
        raise UsernameTakenError
    require_good_password(password, username=name)
    user = UserRow(
        organisation_id=organisation_id,
        username=name,
        password_hash=hash_password(password),
        first_password_at=None if by_owner else datetime.now(UTC),
        role=role.value,
    )
    session.add(user)
    try:
        session.flush()
    except IntegrityError as error:
        # An account that this session does not see has the name, or one that was added at this moment.
        raise UsernameTakenError from error
    return user


def create_user_without_password(
    session: Session, *, username: str, role: Role, organisation_id: str
) -> UserRow:
    """Add an account that no password opens, for a person whom an identity provider vouches for.

    Raises
    ------
    UsernameError, UsernameTakenError
        If the name cannot be accepted.
    """
    name = normal_username(username)
    if find_user(session, username=name) is not None:
        raise UsernameTakenError
    user = UserRow(
        organisation_id=organisation_id,
        username=name,
        password_hash=_hash_of_nobody(),
        role=role.value,
    )
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


def is_taken(session: Session, username: str) -> bool:
    """Whether an account of any organisation has a name, in its normal form; not which, or whose."""
    having = select(func.count(UserRow.id)).where(UserRow.username == username)
    asked = session.execute(having, execution_options={COUNTS_EVERY_ORGANISATION: True})
    return asked.scalar_one() > 0


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


def hash_password(password: str) -> str:
    """Hash a password with Argon2id and a salt of its own."""
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


def disable_user(session: Session, *, username: str) -> UserRow:
    """Shut an account out: its logins end at once, and neither its password nor its keys are accepted.

    What it did and uploaded stays. Disabling it again changes nothing.

    Raises
    ------
    AccountNotFoundError
        If there is none.
    """
    user = require_user(session, username=username)
    if user.disabled_at is None:
        user.disabled_at = datetime.now(UTC)
        _end_logins(session, user)
    return user


def enable_user(session: Session, *, username: str) -> UserRow:
    """Let a disabled account in again, with its password and its keys.

    Raises
    ------
    AccountNotFoundError
        If there is none.
    """
    user = require_user(session, username=username)
    user.disabled_at = None
    return user


def set_password(session: Session, *, username: str, password: str) -> UserRow:
    """Give an account another first password and end its logins: who knew the old one is out.

    Raises
    ------
    AccountNotFoundError
        If there is no such account.
    PasswordLengthError, PasswordGuessableError
        If the password cannot be accepted.
    """
    user = require_user(session, username=username)
    require_good_password(password, username=user.username)
    user.password_hash = hash_password(password)
    user.first_password_at = datetime.now(UTC)
    _end_logins(session, user)
    return user


def change_password(session: Session, *, user: UserRow, password: str) -> None:
    """Give an account the password that its owner has chosen, and end its logins, the owner's own too.

    Parameters
    ----------
    session : Session
        Of the row; nothing is committed.
    user : UserRow
        Whose old password has been verified.
    password : str

    Raises
    ------
    PasswordLengthError, PasswordGuessableError, PasswordUnchangedError
        If the password cannot be accepted.
    """
    require_good_password(password, username=user.username)
    if _verify(user.password_hash, password):
        raise PasswordUnchangedError
    user.password_hash = hash_password(password)
    user.first_password_at = None
    _end_logins(session, user)


def require_lasting_password(user: UserRow, *, first_lifetime: timedelta) -> None:
    """Refuse a first password that was not changed in time.

    Parameters
    ----------
    user : UserRow
        Whose password has been verified.
    first_lifetime : timedelta
        For how long a first password opens the account.

    Raises
    ------
    FirstPasswordEndedError
        If it was set longer ago.
    """
    if user.first_password_at is not None and user.first_password_at + first_lifetime <= datetime.now(UTC):
        raise FirstPasswordEndedError


def has_password(user: UserRow) -> bool:
    """Whether a password opens an account; none does where an identity provider vouches for the person."""
    return user.password_hash != _hash_of_nobody()


def secret_hash(plain: str) -> str:
    """SHA-256 of a random secret, in hexadecimal.

    A slow hash protects what people choose; 256 random bits need none.
    """
    return hashlib.sha256(plain.encode()).hexdigest()


def _end_logins(session: Session, user: UserRow) -> None:
    session.execute(delete(SessionRow).where(SessionRow.user_id == user.id))
    session.execute(delete(SecondStepRow).where(SecondStepRow.user_id == user.id))


def _verify(stored: str, password: str) -> bool:
    with _ONE_HASH_AT_A_TIME:
        try:
            return _HASHER.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False


def _hash_of_nobody() -> str:
    return "$argon2id$v=19$m=19456,t=2,p=1$cmVzdG5ldC1ub2JvZHktcw$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
