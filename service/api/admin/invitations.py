"""Invitations into the organisation: a link that opens an account once."""

from fastapi import Request

from service.api.access.principals import AnyResources, UserManager
from service.api.account_payloads import InvitationPage, InvitationRequest, IssuedInvitationResponse
from service.api.actions.inviting import invite_somebody, list_invitations, withdraw_invitation
from service.api.admin.common import Cursor, Limit, make_router
from service.api.problems.problem import problem_responses

router = make_router()


@router.get("/users/invitations", summary="List invitations", responses=problem_responses(422))
def get_invitations(
    principal: UserManager, resources: AnyResources, cursor: Cursor = None, limit: Limit = 50
) -> InvitationPage:
    """Return a page of invitations, open and past, newest first; their links are never shown again."""
    with resources.sessions_for(principal).open() as session:
        return list_invitations(session, principal, cursor=cursor, limit=limit, reads=resources.reads)


@router.post(
    "/users/invitations",
    status_code=201,
    summary="Invite somebody",
    responses=problem_responses(400, 409, 422),
)
def post_invitation(
    request: Request, body: InvitationRequest, principal: UserManager, resources: AnyResources
) -> IssuedInvitationResponse:
    """Make a link that opens an account once within 7 days; the answer is the only place that shows it.

    An earlier invitation of the same name is withdrawn.
    """
    made, path = invite_somebody(resources, principal, username=body.username, role=body.role)
    return IssuedInvitationResponse(**made.model_dump(), link=resources.address_of(request, path))


@router.delete(
    "/users/invitations/{invitation_id}",
    status_code=204,
    summary="Withdraw an invitation",
    responses=problem_responses(404),
)
def delete_invitation(invitation_id: str, principal: UserManager, resources: AnyResources) -> None:
    """Close a link; one that is used, withdrawn or too old stays as it is."""
    withdraw_invitation(resources, principal, invitation_id)
