"""``/api/v1/admin``: the organisation's accounts, API keys and audit, and the model versions."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.api.access.principals import (
    AnyResources,
    AuditReader,
    KeyManager,
    ModelReader,
    Principal,
    UserManager,
)
from service.api.actions.viewing import row_id
from service.api.cursor import decode_number, encode_cursor, encode_number, newest_first
from service.api.parameters import known_parameters_only
from service.api.payloads import (
    ApiKeyPage,
    ApiKeyRequest,
    ApiKeyResponse,
    AuditEventResponse,
    AuditPage,
    IssuedApiKeyResponse,
    LoginsEndedResponse,
    ModelVersionPage,
    ModelVersionResponse,
    UserPage,
    UserRequest,
    UserResponse,
)
from service.api.problems.problem import problem_responses
from service.api.resources import Resources
from service.audit import record
from service.db.rows import ApiKeyRow, AuditEventRow, ModelVersionRow, UserRow
from service.identity.accounts import (
    AccountNotFoundError,
    Role,
    create_user,
    require_user,
)
from service.identity.api_keys import (
    API_KEY_PREFIX_LENGTH,
    ApiKeyNotFoundError,
    create_api_key,
    require_api_key,
    revoke_api_key,
)
from service.identity.logins import end_logins
from service.identity.scopes import read_scopes

router = APIRouter(
    prefix="/api/v1/admin",
    tags=["administration"],
    responses=problem_responses(401, 403, 422),
    dependencies=[Depends(known_parameters_only)],
)

Cursor = Annotated[str | None, Query(max_length=512)]
Limit = Annotated[int, Query(ge=1, le=200)]


@router.get("/users", summary="List accounts", responses=problem_responses(422))
def get_users(
    principal: UserManager, resources: AnyResources, cursor: Cursor = None, limit: Limit = 50
) -> UserPage:
    """Return a page of accounts, newest first."""
    query = newest_first(select(UserRow), UserRow.created_at, UserRow.id, cursor=cursor, limit=limit)
    with resources.sessions_for(principal).open() as session:
        rows = session.scalars(query).all()
        _note_list(session, resources, principal, action="user.list", rows=rows[:limit])
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
        _note_list(
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


@router.get("/models", summary="List model versions")
def get_models(principal: ModelReader, resources: AnyResources) -> ModelVersionPage:
    """Return every registered checkpoint with its card; the active one answers."""
    with resources.sessions_for(principal).open() as session:
        rows = session.scalars(select(ModelVersionRow).order_by(ModelVersionRow.created_at.desc())).all()
    items = [
        ModelVersionResponse(
            id=row.id,
            name=row.name,
            version=row.version,
            sha256=row.sha256,
            active=row.active,
            created_at=row.created_at,
            card=row.card,
        )
        for row in rows
    ]
    return ModelVersionPage(items=items)


@router.get("/audit", summary="Read the audit", responses=problem_responses(422))
def get_audit(
    principal: AuditReader,
    resources: AnyResources,
    subject_id: Annotated[str | None, Query(max_length=64, pattern=r"^[A-Za-z0-9-]+$")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> AuditPage:
    """Return a page of what was done, newest first."""
    query = select(AuditEventRow)
    if subject_id is not None:
        query = query.where(AuditEventRow.subject_id == subject_id)
    if cursor is not None:
        query = query.where(AuditEventRow.sequence < decode_number(cursor))
    newest = query.order_by(AuditEventRow.sequence.desc()).limit(limit + 1)
    with resources.sessions_for(principal).open() as session:
        resources.reads.note(
            session,
            principal.actor,
            action="audit.read",
            subject_kind="audit",
            subject_id=subject_id or "list",
        )
        rows = session.scalars(newest).all()
    items = [
        AuditEventResponse(
            id=row.id,
            sequence=row.sequence,
            at=row.at,
            actor=row.actor,
            address=row.address,
            action=row.action,
            subject_kind=row.subject_kind,
            subject_id=row.subject_id,
            details=row.details,
            previous_hash=row.previous_hash,
            hash=row.hash,
        )
        for row in rows[:limit]
    ]
    more = encode_number(rows[limit - 1].sequence) if len(rows) > limit else None
    return AuditPage(items=items, next_cursor=more)


def _note_list(
    session: Session,
    resources: Resources,
    principal: Principal,
    *,
    action: str,
    rows: Sequence[UserRow] | Sequence[ApiKeyRow],
) -> None:
    ids = [row.id for row in rows]
    kind = action.removesuffix(".list")
    resources.reads.note_list(session, principal.actor, action=action, subject_kind=kind, ids=ids)


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
    )


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
