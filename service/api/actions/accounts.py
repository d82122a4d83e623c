"""The organisation's accounts, for its administrators: REST and the pages do the same here."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.api.access.principal import Principal
from service.api.actions.viewing import row_id
from service.api.cursor import encode_cursor, newest_first
from service.api.payloads import UserPage, UserResponse
from service.api.resources import Resources
from service.audit import ReadLog, record
from service.db.rows import InvitationRow, UserRow
from service.identity.administration import change_role, let_in, shut_out, take_account
from service.identity.errors import AccountNotFoundError, OwnAccountError
from service.identity.invitations import withdraw
from service.identity.logins import end_logins
from service.identity.roles import Role
from service.identity.second_factor import has_second_factor, reset_second_factor


def list_accounts(
    session: Session,
    principal: Principal,
    *,
    cursor: str | None,
    limit: int,
    reads: ReadLog,
    beside: Sequence[str] = (),
) -> UserPage:
    """Show an administrator one page of the accounts, newest first, once the audit has it.

    Parameters
    ----------
    session : Session
    principal : Principal
    cursor : str or None
    limit : int
    reads : ReadLog
    beside : sequence of str
        What else the page shows: identifiers of invitations.

    Raises
    ------
    FieldsNotValidError
        If the cursor is not one that this service gave.
    """
    query = newest_first(select(UserRow), UserRow.created_at, UserRow.id, cursor=cursor, limit=limit)
    rows = session.scalars(query).all()
    shown = rows[:limit]
    ids = [*(row.id for row in shown), *beside]
    reads.note_list(session, principal.actor, action="user.list", subject_kind="user", ids=ids)
    more = encode_cursor(shown[-1].created_at, shown[-1].id) if len(rows) > limit else None
    return UserPage(items=[account_response(row) for row in shown], next_cursor=more)


def find_account(session: Session, user_id: str) -> UserRow:
    """Read an account of the organisation.

    Raises
    ------
    AccountNotFoundError
        If it has none of this identifier.
    """
    user = session.get(UserRow, row_id(user_id))
    if user is None:
        raise AccountNotFoundError
    return user


def change_account(
    resources: Resources,
    principal: Principal,
    user_id: str,
    *,
    role: Role | None = None,
    disabled: bool | None = None,
) -> UserResponse:
    """Give an account another role, shut it out or let it in, all in one transaction or not at all.

    What an administrator has invited whom the account is no more, is withdrawn with it.

    Raises
    ------
    AdministratorNoMoreError
        If whoever asks was shut out or given another role meanwhile.
    AccountNotFoundError
        If the organisation has none of this identifier.
    OwnAccountError, LastAdministratorError
        If the organisation might lock itself out.
    """
    with resources.sessions_for(principal).begin() as session:
        user = take_account(session, row_id(user_id), by=principal.user_id)
        was_administrator = user.role == Role.ADMINISTRATOR
        if role is not None:
            narrowed = change_role(session, user, role, by=principal.user_id)
            if narrowed is not None:
                details = {"role": role.value} | narrowed.told()
                _record(session, principal, user, action="user.role", details=details)
        if disabled is True and shut_out(session, user, by=principal.user_id):
            _record(session, principal, user, action="user.disable")
        if disabled is False and let_in(user):
            _record(session, principal, user, action="user.enable")
        if was_administrator and (user.disabled_at is not None or user.role != Role.ADMINISTRATOR):
            withdraw(session, InvitationRow.invited_by == user.id, actor=principal.actor)
        return account_response(user)


def end_logins_of(resources: Resources, principal: Principal, user_id: str) -> int:
    """End every login of an account at once; returns how many there were.

    Raises
    ------
    AccountNotFoundError
        If the organisation has none of this identifier.
    """
    with resources.sessions_for(principal).begin() as session:
        user = find_account(session, user_id)
        ended = end_logins(session, user_id=user.id)
        _record(session, principal, user, action="login.revoke", details={"ids": ended})
    return len(ended)


def reset_second_factor_of(resources: Resources, principal: Principal, user_id: str) -> None:
    """Let the password alone open an account whose owner has lost the authenticator, and end its logins.

    Raises
    ------
    AccountNotFoundError
        If the organisation has none of this identifier.
    OwnAccountError
        If it is one's own: to remove a second factor of one's own takes the password and a code.
    """
    with resources.sessions_for(principal).begin() as session:
        user = find_account(session, user_id)
        if user.id == principal.user_id:
            raise OwnAccountError
        reset_second_factor(session, user)
        _record(session, principal, user, action="second_factor.reset")


def account_response(user: UserRow) -> UserResponse:
    """Describe an account."""
    return UserResponse(
        id=user.id,
        username=user.username,
        role=Role(user.role),
        created_at=user.created_at,
        disabled_at=user.disabled_at,
        must_change_password=user.first_password_at is not None,
        second_factor=has_second_factor(user),
    )


def _record(
    session: Session,
    principal: Principal,
    user: UserRow,
    *,
    action: str,
    details: dict[str, Any] | None = None,
) -> None:
    record(
        session,
        actor=principal.actor,
        action=action,
        subject_kind="user",
        subject_id=user.id,
        details=details,
    )
