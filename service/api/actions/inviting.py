"""Invitations into the organisation: REST and the pages do the same here."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.api.access.principal import Principal
from service.api.account_payloads import InvitationPage, InvitationResponse
from service.api.actions.viewing import row_id
from service.api.cursor import encode_cursor, newest_first
from service.api.resources import Resources
from service.audit import ReadLog, record
from service.db.rows import InvitationRow, UserRow
from service.identity.administration import require_administrator
from service.identity.invitations import InvitationNotFoundError, invite, is_open, state_of, withdraw
from service.identity.roles import Role


def invite_somebody(
    resources: Resources, principal: Principal, *, username: str, role: Role
) -> tuple[InvitationResponse, str]:
    """Invite somebody by the name that the account will have; gives the path of the link too.

    Raises
    ------
    AdministratorNoMoreError
        If whoever asks was shut out or given another role meanwhile.
    UsernameError, UsernameTakenError
        If the name cannot be accepted, or an account has it, in whichever organisation.
    """
    with resources.sessions_for(principal).begin() as session:
        # Whoever withdraws the invitations of who administers no more must find this one.
        require_administrator(session, principal.user_id)
        inviting = session.get_one(UserRow, principal.user_id)
        row, token = invite(session, username=username, role=role, by=inviting, actor=principal.actor)
        record(
            session,
            actor=principal.actor,
            action="user.invite",
            subject_kind="invitation",
            subject_id=row.id,
            details={"role": row.role},
        )
        return invitation_response(row), f"/invitation/{token}"


def list_invitations(
    session: Session, principal: Principal, *, cursor: str | None, limit: int, reads: ReadLog
) -> InvitationPage:
    """Show an administrator one page of the invitations, newest first, once the audit has it.

    Raises
    ------
    FieldsNotValidError
        If the cursor is not one that this service gave.
    """
    query = newest_first(
        select(InvitationRow), InvitationRow.created_at, InvitationRow.id, cursor=cursor, limit=limit
    )
    rows = session.scalars(query).all()
    shown = rows[:limit]
    reads.note_list(
        session,
        principal.actor,
        action="invitation.list",
        subject_kind="invitation",
        ids=[row.id for row in shown],
    )
    more = encode_cursor(shown[-1].created_at, shown[-1].id) if len(rows) > limit else None
    return InvitationPage(items=[invitation_response(row) for row in shown], next_cursor=more)


def open_invitations(session: Session, *, limit: int) -> list[InvitationResponse]:
    """Return the invitations that are still open, newest first, for a page that says itself who looked."""
    query = select(InvitationRow).where(is_open())
    newest = query.order_by(InvitationRow.created_at.desc(), InvitationRow.id.desc()).limit(limit)
    return [invitation_response(row) for row in session.scalars(newest)]


def withdraw_invitation(resources: Resources, principal: Principal, invitation_id: str) -> None:
    """Close a link; one that is used, withdrawn or too old stays as it is.

    Raises
    ------
    InvitationNotFoundError
        If the organisation has none of this identifier.
    """
    with resources.sessions_for(principal).begin() as session:
        row = session.get(InvitationRow, row_id(invitation_id))
        if row is None:
            raise InvitationNotFoundError
        withdraw(session, InvitationRow.id == row.id, actor=principal.actor)


def invitation_response(row: InvitationRow) -> InvitationResponse:
    """Describe an invitation."""
    return InvitationResponse(
        id=row.id,
        username=row.username,
        role=Role(row.role),
        state=state_of(row),
        created_at=row.created_at,
        expires_at=row.expires_at,
        invited_by=row.invited_by,
        user_id=row.user_id,
    )
