"""What an administrator does to the accounts of the organisation: their roles, and who is shut out.

Two rules keep an organisation from locking itself out: nobody does this to their own account, and one
administrator who may log in always stays. The operator's command line and an identity provider are held to
neither.
Functions take a database session and never commit, as those of ``service.identity.accounts`` do.
"""

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from service.db.rows import UserRow
from service.identity.accounts import disable_user
from service.identity.api_keys import NarrowedKeys, narrow_api_keys
from service.identity.errors import (
    AccountNotFoundError,
    AdministratorNoMoreError,
    LastAdministratorError,
    OwnAccountError,
)
from service.identity.roles import Role

_ACTIVE_ADMINISTRATOR = (UserRow.role == Role.ADMINISTRATOR.value, UserRow.disabled_at.is_(None))


def take_account(session: Session, user_id: str, *, by: str) -> UserRow:
    """Read an account that something is to be done to; who does such things in an organisation takes turns.

    Until the transaction ends, nobody changes the account, or an administrator of the organisation.

    Parameters
    ----------
    session : Session
        Of the organisation.
    user_id : str
    by : str
        The account in whose name this is done.

    Raises
    ------
    AdministratorNoMoreError
        If that is no administrator who may log in, by now.
    AccountNotFoundError
        If the organisation has none of this identifier.
    """
    # Two administrators who shut each other out at one moment would each see the other as still there. Not
    # FOR UPDATE: whatever else refers to these rows meanwhile need not wait.
    turn = _active_administrators().order_by(UserRow.id).with_for_update(key_share=True)
    session.execute(turn).all()
    require_administrator(session, by)
    user = session.get(UserRow, user_id, populate_existing=True, with_for_update={"key_share": True})
    if user is None:
        raise AccountNotFoundError
    return user


def require_administrator(session: Session, user_id: str) -> None:
    """Refuse who is no administrator any more, and keep who is one until the transaction ends.

    Raises
    ------
    AdministratorNoMoreError
    """
    # Written as it is: that waits for whoever is changing the account, and makes them wait, on SQLite too,
    # where a SELECT does neither.
    same = (
        update(UserRow)
        .where(UserRow.id == user_id, *_ACTIVE_ADMINISTRATOR)
        .values(role=UserRow.role)
        .returning(UserRow.id)
    )
    if session.scalar(same) is None:
        raise AdministratorNoMoreError


def shut_out(session: Session, user: UserRow, *, by: str) -> bool:
    """Disable an account: its logins end at once, and neither its password nor its keys are accepted.

    Parameters
    ----------
    session : Session
    user : UserRow
        As :func:`take_account` gives it.
    by : str
        The account in whose name this is done.

    Returns
    -------
    bool
        Whether anything changed.

    Raises
    ------
    OwnAccountError, LastAdministratorError
    """
    if user.disabled_at is not None:
        return False
    if user.id == by:
        raise OwnAccountError
    disable_user(session, username=user.username)
    _require_administrator(session)
    return True


def let_in(user: UserRow) -> bool:
    """Let a disabled account in again, with its password and its keys; whether anything changed."""
    if user.disabled_at is None:
        return False
    user.disabled_at = None
    return True


def change_role(session: Session, user: UserRow, role: Role, *, by: str) -> NarrowedKeys | None:
    """Give an account another role; its keys lose what that does not allow.

    Parameters
    ----------
    session : Session
    user : UserRow
        As :func:`take_account` gives it.
    role : Role
    by : str
        The account in whose name this is done.

    Returns
    -------
    NarrowedKeys or None
        None where the account has the role already.

    Raises
    ------
    OwnAccountError, LastAdministratorError
    """
    if user.role == role.value:
        return None
    if user.id == by:
        raise OwnAccountError
    user.role = role.value
    narrowed = narrow_api_keys(session, user)
    _require_administrator(session)
    return narrowed


def _require_administrator(session: Session) -> None:
    # After the change is written: on SQLite that is what makes others wait, and what is found is the truth.
    session.flush()
    if session.scalars(_active_administrators().limit(1)).first() is None:
        raise LastAdministratorError


def _active_administrators() -> Select[str]:
    return select(UserRow.id).where(*_ACTIVE_ADMINISTRATOR)
