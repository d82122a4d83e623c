"""Invitations: a link that opens an account once, for who is given it; only a hash of its token is kept.

Functions take a database session and never commit, as those of ``service.identity.accounts`` do.
"""

import secrets
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import ClassVar

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from service.audit import record
from service.db.rows import InvitationRow, UserRow
from service.errors import ServiceError
from service.identity.accounts import create_user, is_taken, normal_username, secret_hash
from service.identity.actor import Actor
from service.identity.errors import UsernameTakenError
from service.identity.roles import Role

LIFETIME = timedelta(days=7)


class InvitationState(StrEnum):
    """What has become of an invitation."""

    OPEN = "open"
    ACCEPTED = "accepted"
    REVOKED = "revoked"
    EXPIRED = "expired"


class InvitationNotFoundError(ServiceError):
    """No such invitation."""

    code: ClassVar[str] = "invitation_not_found"

    def __init__(self) -> None:
        super().__init__("expected the identifier of an invitation, found none that has it")


class InvitationNotValidError(ServiceError):
    """A link that opens no account; which of the reasons it has is not said."""

    code: ClassVar[str] = "invitation_not_valid"

    def __init__(self) -> None:
        super().__init__(
            "expected an invitation that is still open, found one that is used, withdrawn, too old or unknown"
        )


def invite(
    session: Session, *, username: str, role: Role, by: UserRow, actor: Actor
) -> tuple[InvitationRow, str]:
    """Invite somebody; an earlier invitation of the same name is withdrawn.

    Parameters
    ----------
    session : Session
        Of the organisation; the row is flushed, not committed.
    username : str
        What the account will be called.
    role : Role
    by : UserRow
        Into whose organisation.
    actor : Actor
        As the audit names them, who withdraws that earlier one.

    Returns
    -------
    InvitationRow
    str
        The token for the link: 256 random bits, given out this once.

    Raises
    ------
    UsernameError, UsernameTakenError
        If the name cannot be accepted, or an account has it, in whichever organisation.
    """
    name = normal_username(username)
    # Of an account that this session does not see too: its link would open nothing.
    if is_taken(session, name):
        raise UsernameTakenError
    withdraw(session, InvitationRow.username == name, actor=actor)
    token, now = secrets.token_urlsafe(32), datetime.now(UTC)
    row = InvitationRow(
        organisation_id=by.organisation_id,
        token_hash=secret_hash(token),
        username=name,
        role=role.value,
        invited_by=by.id,
        created_at=now,
        expires_at=now + LIFETIME,
    )
    session.add(row)
    session.flush()
    return row, token


def require_open_invitation(session: Session, token: str) -> InvitationRow:
    """Find the open invitation that a link belongs to.

    Raises
    ------
    InvitationNotValidError
        If there is none.
    """
    query = select(InvitationRow).where(InvitationRow.token_hash == secret_hash(token), *_opens())
    found = session.scalars(query).one_or_none()
    if found is None:
        raise InvitationNotValidError
    return found


def accept_invitation(session: Session, invitation: InvitationRow, *, password: str) -> UserRow:
    """Make the account of an invitation, with the password that its owner has chosen.

    Parameters
    ----------
    session : Session
        That sees every organisation: who is invited belongs to none yet. Nothing is committed.
    invitation : InvitationRow
        As :func:`require_open_invitation` gives it.
    password : str

    Raises
    ------
    InvitationNotValidError
        If it was used or withdrawn at this moment, or its name belongs to somebody by now.
    PasswordLengthError, PasswordGuessableError
        If the password cannot be accepted.
    """
    try:
        user = create_user(
            session,
            username=invitation.username,
            password=password,
            role=Role(invitation.role),
            organisation_id=invitation.organisation_id,
            by_owner=True,
        )
    except UsernameTakenError as error:
        raise InvitationNotValidError from error
    # Decided by the database: of two that send a password at once, one gets the account.
    taken = (
        update(InvitationRow)
        .where(InvitationRow.id == invitation.id, *_opens())
        .values(accepted_at=datetime.now(UTC), user_id=user.id)
        .returning(InvitationRow.id)
    )
    if session.scalar(taken) is None:
        raise InvitationNotValidError
    return user


def withdraw(session: Session, which: ColumnElement[bool], *, actor: Actor) -> None:
    """Withdraw the open ones among some invitations, and tell the audit of each."""
    gone = (
        update(InvitationRow)
        .where(which, is_open())
        .values(revoked_at=datetime.now(UTC))
        .returning(InvitationRow.id, InvitationRow.organisation_id)
    )
    for invitation_id, organisation_id in sorted(tuple(row) for row in session.execute(gone)):
        record(
            session,
            actor=actor,
            action="invitation.revoke",
            subject_kind="invitation",
            subject_id=invitation_id,
            organisation_id=organisation_id,
        )


def is_open() -> ColumnElement[bool]:
    """Return the condition that an invitation is neither used nor withdrawn nor too old."""
    return (
        InvitationRow.accepted_at.is_(None)
        & InvitationRow.revoked_at.is_(None)
        & (InvitationRow.expires_at > datetime.now(UTC))
    )


def _opens() -> tuple[ColumnElement[bool], ...]:
    # Whoever stops administering has their invitations withdrawn. Where that was missed, as in rows of an
    # earlier version, a link must not outlive the right to invite either.
    administers = select(UserRow.id).where(
        UserRow.id == InvitationRow.invited_by,
        UserRow.role == Role.ADMINISTRATOR.value,
        UserRow.disabled_at.is_(None),
    )
    return is_open(), administers.exists()


def state_of(invitation: InvitationRow) -> InvitationState:
    """Say what has become of an invitation."""
    if invitation.accepted_at is not None:
        return InvitationState.ACCEPTED
    if invitation.revoked_at is not None:
        return InvitationState.REVOKED
    return InvitationState.EXPIRED if invitation.expires_at <= datetime.now(UTC) else InvitationState.OPEN
