"""The organisation's accounts, their logins and second factors."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.api.access.principals import AnyResources, UserManager
from service.api.actions.viewing import row_id
from service.api.admin.common import Cursor, Limit, make_router, note_list
from service.api.cursor import encode_cursor, newest_first
from service.api.payloads import LoginsEndedResponse, UserPage, UserRequest, UserResponse
from service.api.problems.problem import problem_responses
from service.audit import record
from service.db.rows import UserRow
from service.identity.accounts import create_user
from service.identity.errors import AccountNotFoundError
from service.identity.logins import end_logins
from service.identity.roles import Role
from service.identity.second_factor import has_second_factor, reset_second_factor

router = make_router()


@router.get("/users", summary="List accounts", responses=problem_responses(422))
def get_users(
    principal: UserManager, resources: AnyResources, cursor: Cursor = None, limit: Limit = 50
) -> UserPage:
    """Return a page of accounts, newest first."""
    query = newest_first(select(UserRow), UserRow.created_at, UserRow.id, cursor=cursor, limit=limit)
    with resources.sessions_for(principal).open() as session:
        rows = session.scalars(query).all()
        note_list(session, resources, principal, action="user.list", rows=rows[:limit])
    more = encode_cursor(rows[limit - 1].created_at, rows[limit - 1].id) if len(rows) > limit else None
    return UserPage(items=[_user_response(row) for row in rows[:limit]], next_cursor=more)


@router.post("/users", status_code=201, summary="Add an account", responses=problem_responses(400, 409, 422))
def post_user(body: UserRequest, principal: UserManager, resources: AnyResources) -> UserResponse:
    """Add an account with a role and a first password of 12 to 256 characters, for its owner to change."""
    with resources.sessions_for(principal).begin() as session:
        user = create_user(
            session,
            username=body.username,
            password=body.password,
            role=body.role,
            organisation_id=principal.organisation_id,
        )
        record(
            session,
            actor=principal.actor,
            action="user.create",
            subject_kind="user",
            subject_id=user.id,
            details={"role": user.role},
        )
        return _user_response(user)


@router.delete(
    "/users/{user_id}/logins", summary="End the logins of an account", responses=problem_responses(404)
)
def delete_logins(user_id: str, principal: UserManager, resources: AnyResources) -> LoginsEndedResponse:
    """End every login of an account at once; its keys stay, and it may log in again."""
    with resources.sessions_for(principal).begin() as session:
        user = _find_user(session, user_id)
        ended = end_logins(session, user_id=user.id)
        record(
            session,
            actor=principal.actor,
            action="login.revoke",
            subject_kind="user",
            subject_id=user.id,
            details={"ids": ended},
        )
    return LoginsEndedResponse(ended=len(ended))


@router.delete(
    "/users/{user_id}/second-factor",
    status_code=204,
    summary="Reset the second factor of an account",
    responses=problem_responses(404),
)
def delete_second_factor(user_id: str, principal: UserManager, resources: AnyResources) -> None:
    """Let the password alone open an account whose owner has lost the authenticator, and end its logins."""
    with resources.sessions_for(principal).begin() as session:
        user = _find_user(session, user_id)
        reset_second_factor(session, user)
        record(
            session,
            actor=principal.actor,
            action="second_factor.reset",
            subject_kind="user",
            subject_id=user.id,
        )


def _find_user(session: Session, user_id: str) -> UserRow:
    user = session.get(UserRow, row_id(user_id))
    if user is None:
        raise AccountNotFoundError
    return user


def _user_response(user: UserRow) -> UserResponse:
    return UserResponse(
        id=user.id,
        username=user.username,
        role=Role(user.role),
        created_at=user.created_at,
        disabled_at=user.disabled_at,
        must_change_password=user.first_password_at is not None,
        second_factor=has_second_factor(user),
    )
