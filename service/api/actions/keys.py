"""The organisation's API keys, for its administrators: REST and the pages do the same here."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.api.access.principal import Principal
from service.api.actions.viewing import row_id
from service.api.cursor import encode_cursor, newest_first
from service.api.payloads import ApiKeyPage, ApiKeyResponse, IssuedApiKeyResponse
from service.api.resources import Resources
from service.audit import ReadLog, record
from service.db.rows import ApiKeyRow, UserRow
from service.identity.accounts import require_user
from service.identity.administration import take_account
from service.identity.api_keys import (
    API_KEY_PREFIX_LENGTH,
    ApiKeyNotFoundError,
    create_api_key,
    require_api_key,
    revoke_api_key,
)
from service.identity.scopes import Scope, read_scopes


def list_keys(
    session: Session, principal: Principal, *, cursor: str | None, limit: int, reads: ReadLog
) -> ApiKeyPage:
    """Show an administrator one page of the keys, newest first, once the audit has it.

    Raises
    ------
    FieldsNotValidError
        If the cursor is not one that this service gave.
    """
    paged = newest_first(_named(), ApiKeyRow.created_at, ApiKeyRow.id, cursor=cursor, limit=limit)
    rows = session.execute(paged).all()
    shown = rows[:limit]
    reads.note_list(
        session,
        principal.actor,
        action="api_key.list",
        subject_kind="api_key",
        ids=[key.id for key, _username in shown],
    )
    last = shown[-1][0] if len(rows) > limit else None
    more = encode_cursor(last.created_at, last.id) if last is not None else None
    return ApiKeyPage(items=[_key_response(key, username) for key, username in shown], next_cursor=more)


def keys_of(session: Session, user: UserRow) -> Sequence[ApiKeyResponse]:
    """Return an account's keys, newest first, for a page that says itself who looked."""
    query = select(ApiKeyRow).where(ApiKeyRow.user_id == user.id)
    newest = query.order_by(ApiKeyRow.created_at.desc(), ApiKeyRow.id.desc())
    return [_key_response(key, user.username) for key in session.scalars(newest)]


def issue_key(
    resources: Resources,
    principal: Principal,
    *,
    name: str,
    username: str | None,
    scopes: Collection[Scope] | None,
    days: int | Literal["never"] | None,
) -> IssuedApiKeyResponse:
    """Issue a key that acts in the name of an account; the answer is the only place that ever shows it.

    Parameters
    ----------
    resources : Resources
    principal : Principal
    name : str
        What the key is for.
    username : str or None
        Whose; one's own without it.
    scopes : collection of Scope or None
        Without them all of the role but administration.
    days : int, "never" or None
        How long it is valid; None leaves it to the settings.

    Raises
    ------
    AdministratorNoMoreError
        If whoever asks was shut out or given another role meanwhile.
    AccountNotFoundError, AccountDisabledError
        If there is no such account, or it is shut out.
    ApiKeyNameError, ScopeNotAllowedError
        If the key cannot be so.
    """
    with resources.sessions_for(principal).begin() as session:
        named = require_user(session, username=username or principal.username)
        # Whoever takes from the account's keys what another role does not allow must find this one.
        user = take_account(session, named.id, by=principal.user_id)
        plain = create_api_key(
            session, user=user, name=name, lifetime=_lifetime(resources, days), scopes=scopes
        )
        key = require_api_key(session, plain[:API_KEY_PREFIX_LENGTH])
        _record(session, principal, key, action="api_key.create")
        return IssuedApiKeyResponse(**_key_response(key, user.username).model_dump(), key=plain)


def revoke_key(resources: Resources, principal: Principal, key_id: str) -> ApiKeyResponse:
    """End a key's validity at once; revoking it again changes nothing.

    Raises
    ------
    ApiKeyNotFoundError
        If the organisation has none of this identifier.
    """
    with resources.sessions_for(principal).begin() as session:
        found = session.execute(_named().where(ApiKeyRow.id == row_id(key_id))).one_or_none()
        if found is None:
            raise ApiKeyNotFoundError
        key, username = found
        if key.revoked_at is None:
            revoke_api_key(key)
            _record(session, principal, key, action="api_key.revoke")
        return _key_response(key, username)


def _named() -> Any:
    # Typed as a select of anything: the paging does not care what is selected.
    return select(ApiKeyRow, UserRow.username).join(UserRow, UserRow.id == ApiKeyRow.user_id)


def _lifetime(resources: Resources, days: int | Literal["never"] | None) -> timedelta | None:
    if days == "never":
        return None
    if days is None:
        return timedelta(seconds=resources.settings.api_key_lifetime_s)
    return timedelta(days=days)


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


def _record(session: Session, principal: Principal, key: ApiKeyRow, *, action: str) -> None:
    record(
        session,
        actor=principal.actor,
        action=action,
        subject_kind="api_key",
        subject_id=key.id,
        details={"name": key.name, "user_id": key.user_id, "scopes": key.scopes},
    )
