"""The organisation's accounts, their logins and second factors."""

from service.api.access.principals import AnyResources, UserManager
from service.api.account_payloads import UserChangeRequest
from service.api.actions.accounts import (
    account_response,
    change_account,
    end_logins_of,
    list_accounts,
    reset_second_factor_of,
)
from service.api.admin.common import Cursor, Limit, make_router
from service.api.payloads import LoginsEndedResponse, UserPage, UserRequest, UserResponse
from service.api.problems.problem import problem_responses
from service.audit import record
from service.identity.accounts import create_user
from service.identity.administration import require_administrator

router = make_router()


@router.get("/users", summary="List accounts", responses=problem_responses(422))
def get_users(
    principal: UserManager, resources: AnyResources, cursor: Cursor = None, limit: Limit = 50
) -> UserPage:
    """Return a page of accounts, newest first."""
    with resources.sessions_for(principal).open() as session:
        return list_accounts(session, principal, cursor=cursor, limit=limit, reads=resources.reads)


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
        # After the hash of the password, which takes its time.
        require_administrator(session, principal.user_id)
        record(
            session,
            actor=principal.actor,
            action="user.create",
            subject_kind="user",
            subject_id=user.id,
            details={"role": user.role},
        )
        return account_response(user)


@router.patch(
    "/users/{user_id}", summary="Change an account", responses=problem_responses(400, 404, 409, 422)
)
def patch_user(
    user_id: str, body: UserChangeRequest, principal: UserManager, resources: AnyResources
) -> UserResponse:
    """Give an account another role, shut it out at once, or let it in again; never one's own."""
    return change_account(resources, principal, user_id, role=body.role, disabled=body.disabled)


@router.delete(
    "/users/{user_id}/logins", summary="End the logins of an account", responses=problem_responses(404)
)
def delete_logins(user_id: str, principal: UserManager, resources: AnyResources) -> LoginsEndedResponse:
    """End every login of an account at once; its keys stay, and it may log in again."""
    return LoginsEndedResponse(ended=end_logins_of(resources, principal, user_id))


@router.delete(
    "/users/{user_id}/second-factor",
    status_code=204,
    summary="Reset the second factor of an account",
    responses=problem_responses(404, 409),
)
def delete_second_factor(user_id: str, principal: UserManager, resources: AnyResources) -> None:
    """Let the password alone open an account whose owner has lost the authenticator, and end its logins."""
    reset_second_factor_of(resources, principal, user_id)
