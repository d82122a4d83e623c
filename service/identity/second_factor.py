"""The second factor: codes of an authenticator (TOTP, RFC 6238), and recovery codes for when it is lost.

A code is six digits that change every 30 seconds. The one before and the one after are taken too, because
clocks differ and people type slowly; none is taken twice. A recovery code serves once. Functions take a
database session and never commit.
"""

import secrets
from base64 import b32encode
from datetime import UTC, datetime
from enum import StrEnum
from typing import ClassVar

import pyotp
from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from service.db.rows import RecoveryCodeRow, UserRow
from service.errors import ServiceError
from service.identity.accounts import secret_hash
from service.identity.logins import end_logins
from service.storage.sealing import Seal

ISSUER = "RestNet"
STEP_S = 30
N_RECOVERY_CODES = 10
# 120 bits: a hash without salt or slowness protects them (ASVS 6.5.2).
RECOVERY_CODE_BYTES = 15
_GROUP = 4
_NEIGHBOURS = (0, -1, 1)


class Means(StrEnum):
    """What somebody passed the second step with."""

    CODE = "code"
    RECOVERY_CODE = "recovery_code"


class CodeNotValidError(ServiceError):
    """A code that is wrong, too old, or was used before; which of these is not said."""

    code: ClassVar[str] = "second_factor_code_not_valid"

    def __init__(self) -> None:
        super().__init__("expected a code that is valid now and has not been used, found another")


class SecondFactorSetError(ServiceError):
    """An account that has a second factor already."""

    code: ClassVar[str] = "second_factor_set"

    def __init__(self) -> None:
        super().__init__(
            "expected an account without a second factor, found one that has it: remove it first"
        )


def has_second_factor(user: UserRow) -> bool:
    """Whether a password alone does not open an account."""
    return user.totp_since is not None


def begin_enrolment(user: UserRow, *, seal: Seal) -> str:
    """Give an account a new secret, which counts once a code of it has been typed; returns it in base 32.

    Raises
    ------
    SecondFactorSetError
        If the account has one that counts.
    """
    if has_second_factor(user):
        raise SecondFactorSetError
    secret = pyotp.random_base32()
    user.totp_secret = seal.close(secret)
    user.totp_last_step = None
    return secret


def address_of_secret(username: str, secret: str) -> str:
    """Return the ``otpauth://`` address that authenticators read, as text or from a picture."""
    return pyotp.TOTP(secret).provisioning_uri(name=username, issuer_name=ISSUER)


def confirm_enrolment(session: Session, user: UserRow, *, code: str, seal: Seal) -> list[str]:
    """Make the secret count, and return the recovery codes: shown this once, and stored as hashes.

    Raises
    ------
    SecondFactorSetError
        If it counts already.
    CodeNotValidError
        If the code is not one of the secret's, or there is none.
    """
    if has_second_factor(user):
        raise SecondFactorSetError
    if user.totp_secret is None:
        raise CodeNotValidError
    _take_step(session, user, code=_typed(code), seal=seal)
    user.totp_since = datetime.now(UTC)
    session.execute(delete(RecoveryCodeRow).where(RecoveryCodeRow.user_id == user.id))
    codes = [_new_recovery_code() for _ in range(N_RECOVERY_CODES)]
    session.add_all(
        RecoveryCodeRow(
            organisation_id=user.organisation_id, user_id=user.id, code_hash=secret_hash(_typed(text))
        )
        for text in codes
    )
    session.flush()
    return codes


def take_code(session: Session, user: UserRow, *, code: str, seal: Seal) -> Means:
    """Use up a code of the authenticator or a recovery code.

    Parameters
    ----------
    session : Session
        In whose transaction it is used up.
    user : UserRow
    code : str
        As it was typed: blanks, hyphens and small letters do not matter.
    seal : Seal

    Raises
    ------
    CodeNotValidError
        If it is neither, or was used before, or there is no second factor.
    """
    if not has_second_factor(user):
        raise CodeNotValidError
    typed = _typed(code)
    if not typed.isdigit():
        gone = delete(RecoveryCodeRow).where(
            RecoveryCodeRow.user_id == user.id, RecoveryCodeRow.code_hash == secret_hash(typed)
        )
        if session.scalar(gone.returning(RecoveryCodeRow.id)) is None:
            raise CodeNotValidError
        return Means.RECOVERY_CODE
    _take_step(session, user, code=typed, seal=seal)
    return Means.CODE


def recovery_codes_left(session: Session, user: UserRow) -> int:
    """Count the recovery codes that have not been used."""
    counted = select(func.count(RecoveryCodeRow.id)).where(RecoveryCodeRow.user_id == user.id)
    return session.scalar(counted) or 0


def remove_second_factor(session: Session, user: UserRow) -> None:
    """Let the password alone open an account again; removing none changes nothing."""
    user.totp_secret = user.totp_since = user.totp_last_step = None
    session.execute(delete(RecoveryCodeRow).where(RecoveryCodeRow.user_id == user.id))


def reset_second_factor(session: Session, user: UserRow) -> None:
    """Remove it for somebody who has lost it, and end their logins: whoever found it may be in one."""
    remove_second_factor(session, user)
    end_logins(session, user_id=user.id)


def _take_step(session: Session, user: UserRow, *, code: str, seal: Seal) -> None:
    secret = seal.open(str(user.totp_secret))
    now = int(datetime.now(UTC).timestamp()) // STEP_S
    generator = pyotp.TOTP(secret, interval=STEP_S)
    fitting = [
        step
        for step in (now + shift for shift in _NEIGHBOURS)
        if secrets.compare_digest(generator.generate_otp(step), code)
    ]
    if not fitting:
        raise CodeNotValidError
    # Decided by the database: of two that send the same code at once, one is let in.
    unused = or_(UserRow.totp_last_step.is_(None), UserRow.totp_last_step < fitting[0])
    taken = (
        update(UserRow)
        .where(UserRow.id == user.id, unused)
        # Under the newest key from now on: an old one can be taken out in the end.
        .values(totp_last_step=fitting[0], totp_secret=seal.close(secret))
        .returning(UserRow.id)
    )
    if session.scalar(taken) is None:
        raise CodeNotValidError


def _new_recovery_code() -> str:
    text = b32encode(secrets.token_bytes(RECOVERY_CODE_BYTES)).decode()
    return "-".join(text[start : start + _GROUP] for start in range(0, len(text), _GROUP))


def _typed(code: str) -> str:
    return "".join(character for character in code if character.isascii() and character.isalnum()).upper()
