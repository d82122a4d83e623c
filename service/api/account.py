"""``/api/v1/account``: one's own logins. Passwords are changed on the page alone, by a person."""

from fastapi import APIRouter, Depends

from service.api.access.principals import AnyResources, Person
from service.api.actions.own_logins import end_others, end_own, list_own
from service.api.parameters import known_parameters_only
from service.api.payloads import LoginList, LoginResponse, LoginsEndedResponse
from service.api.problems.problem import problem_responses

router = APIRouter(
    prefix="/api/v1/account",
    tags=["account"],
    responses=problem_responses(401, 403, 422),
    dependencies=[Depends(known_parameters_only)],
)


@router.get("/logins", summary="List one's own logins")
def get_logins(principal: Person, resources: AnyResources) -> LoginList:
    """Return the open logins of the account, newest first."""
    items = [
        LoginResponse(
            id=row.id,
            this_one=row.id == principal.login_id,
            begun_at=row.created_at,
            last_used_at=row.last_seen_at,
            ends_at=row.expires_at,
            address=row.address,
            browser=row.browser,
            through_provider=row.through_provider,
        )
        for row in list_own(resources, principal)
    ]
    return LoginList(items=items)


@router.delete("/logins", summary="End one's own other logins")
def delete_other_logins(principal: Person, resources: AnyResources) -> LoginsEndedResponse:
    """End every login of the account but the one that asks."""
    return LoginsEndedResponse(ended=end_others(resources, principal))


@router.delete(
    "/logins/{login_id}",
    status_code=204,
    summary="End one of one's own logins",
    responses=problem_responses(404),
)
def delete_login(login_id: str, principal: Person, resources: AnyResources) -> None:
    """End a login at once; the one that asks may be it."""
    end_own(resources, principal, login_id)
