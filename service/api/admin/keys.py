"""The organisation's API keys."""

from service.api.access.principals import AnyResources, KeyManager
from service.api.actions.keys import issue_key, list_keys, revoke_key
from service.api.admin.common import Cursor, Limit, make_router
from service.api.payloads import ApiKeyPage, ApiKeyRequest, ApiKeyResponse, IssuedApiKeyResponse
from service.api.problems.problem import problem_responses

router = make_router()


@router.get("/api-keys", summary="List API keys", responses=problem_responses(422))
def get_api_keys(
    principal: KeyManager, resources: AnyResources, cursor: Cursor = None, limit: Limit = 50
) -> ApiKeyPage:
    """Return a page of API keys, newest first; their text is never shown again."""
    with resources.sessions_for(principal).open() as session:
        return list_keys(session, principal, cursor=cursor, limit=limit, reads=resources.reads)


@router.post(
    "/api-keys", status_code=201, summary="Issue an API key", responses=problem_responses(400, 404, 409, 422)
)
def post_api_key(body: ApiKeyRequest, principal: KeyManager, resources: AnyResources) -> IssuedApiKeyResponse:
    """Issue a key that acts in the name of an account; the answer is the only place that ever shows it."""
    return issue_key(
        resources,
        principal,
        name=body.name,
        username=body.username,
        scopes=body.scopes,
        days=body.expires_in_days,
    )


@router.post(
    "/api-keys/{key_id}/revoke",
    status_code=200,
    summary="Revoke an API key",
    responses=problem_responses(404),
)
def post_api_key_revocation(key_id: str, principal: KeyManager, resources: AnyResources) -> ApiKeyResponse:
    """End a key's validity at once; revoking it again changes nothing."""
    return revoke_key(resources, principal, key_id)
