"""The organisation's API keys."""

from datetime import timedelta
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.api.access.principal import Principal
from service.api.access.principals import AnyResources, KeyManager
from service.api.actions.viewing import row_id
from service.api.admin.common import Cursor, Limit, make_router, note_list
from service.api.cursor import encode_cursor, newest_first
from service.api.payloads import ApiKeyPage, ApiKeyRequest, ApiKeyResponse, IssuedApiKeyResponse
from service.api.problems.problem import problem_responses
from service.api.resources import Resources
from service.audit import record
from service.db.rows import ApiKeyRow, UserRow
from service.identity.accounts import require_user
from service.identity.api_keys import (
    API_KEY_PREFIX_LENGTH,
    ApiKeyNotFoundError,
    create_api_key,
    require_api_key,
    revoke_api_key,
)
from service.identity.scopes import read_scopes

router = make_router()


@router.get("/api-keys", summary="List API keys", responses=problem_responses(422))
def get_api_keys(
    principal: KeyManager, resources: AnyResources, cursor: Cursor = None, limit: Limit = 50
) -> ApiKeyPage:
    """Return a page of API keys, newest first; their text is never shown again."""
    # Typed as a select of anything: the paging does not care what is selected.
    query: Any = select(ApiKeyRow, UserRow.username).join(UserRow, UserRow.id == ApiKeyRow.user_id)
    paged = newest_first(query, ApiKeyRow.created_at, ApiKeyRow.id, cursor=cursor, limit=limit)
    with resources.sessions_for(principal).open() as session:
        rows = session.execute(paged).all()
        note_list(
            session,
            resources,
            principal,
            action="api_key.list",
            rows=[key for key, _username in rows[:limit]],
        )
    last = rows[limit - 1][0] if len(rows) > limit else None
    more = encode_cursor(last.created_at, last.id) if last is not None else None
    return ApiKeyPage(
        items=[_key_response(key, username) for key, username in rows[:limit]], next_cursor=more
    )


@router.post(
    "/api-keys", status_code=201, summary="Issue an API key", responses=problem_responses(400, 404, 409, 422)
)
def post_api_key(body: ApiKeyRequest, principal: KeyManager, resources: AnyResources) -> IssuedApiKeyResponse:
    """Issue a key that acts in the name of an account; the answer is the only place that ever shows it."""
    with resources.sessions_for(principal).begin() as session:
        user = require_user(session, username=body.username or principal.username)
        plain = create_api_key(
            session,
            user=user,
            name=body.name,
            lifetime=_lifetime(resources, body.expires_in_days),
            scopes=body.scopes,
        )
        key = require_api_key(session, plain[:API_KEY_PREFIX_LENGTH])
        _record_key(session, principal, key, action="api_key.create")
        return IssuedApiKeyResponse(**_key_response(key, user.username).model_dump(), key=plain)


@router.post(
    "/api-keys/{key_id}/revoke",
    status_code=200,
    summary="Revoke an API key",
    responses=problem_responses(404),
)
def post_api_key_revocation(key_id: str, principal: KeyManager, resources: AnyResources) -> ApiKeyResponse:
    """End a key's validity at once; revoking it again changes nothing."""
    with resources.sessions_for(principal).begin() as session:
        query = select(ApiKeyRow, UserRow.username).join(UserRow, UserRow.id == ApiKeyRow.user_id)
        found = session.execute(query.where(ApiKeyRow.id == row_id(key_id))).one_or_none()
        if found is None:
            raise ApiKeyNotFoundError
        key, username = found
        if key.revoked_at is None:
            revoke_api_key(key)
            _record_key(session, principal, key, action="api_key.revoke")
        return _key_response(key, username)


def _lifetime(resources: Resources, asked_days: int | Literal["never"] | None) -> timedelta | None:
    if asked_days == "never":
        return None
    if asked_days is None:
        return timedelta(seconds=resources.settings.api_key_lifetime_s)
    return timedelta(days=asked_days)


def _key_response(key: ApiKeyRow, username: str) -> ApiKeyResponse:
    return ApiKeyResponse(
        id=key.id,
        name=key.name,
        prefix=key.prefix,
        username=username,
        scopes=sorted(read_scopes(key.scopes)),
        created_at=key.created_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        last_used_at=key.last_used_at,
    )


def _record_key(session: Session, principal: Principal, key: ApiKeyRow, *, action: str) -> None:
    record(
        session,
        actor=principal.actor,
        action=action,
        subject_kind="api_key",
        subject_id=key.id,
        details={"name": key.name, "user_id": key.user_id, "scopes": key.scopes},
    )
