"""From what the identity provider says about a person to an account of this service.

The provider decides: who has no role there any more is not let in, and another role there is another role
here. A person is known by issuer and subject alone: a name or an e-mail address that an account has already
never makes two people one. An account stays in the organisation that it was made in, as any other does.
"""

import secrets
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.access_settings import AccessSettings
from service.audit import record
from service.db.organisations import DEFAULT_ORGANISATION_ID, OrganisationRow
from service.db.rows import InvitationRow, ProviderIdentityRow, UserRow
from service.identity.accounts import create_user_without_password, find_user, normal_username
from service.identity.actor import Actor
from service.identity.api_keys import narrow_api_keys
from service.identity.errors import UsernameError
from service.identity.invitations import withdraw
from service.identity.roles import Role
from service.provider.errors import ProviderAccountError

LONGEST_NAME = 48


def account_of(
    session: Session, settings: AccessSettings, *, issuer: str, claims: Mapping[str, Any], address: str
) -> UserRow:
    """Find the account of a person whom the provider vouches for, or make it at their first login.

    Parameters
    ----------
    session : Session
        Rows are flushed, not committed.
    settings : AccessSettings
        Which claims give a role, and which organisations are let in.
    issuer : str
    claims : mapping
        As verified.
    address : str
        Of the client, for the audit.

    Raises
    ------
    ProviderAccountError
        If no role or no organisation of ours comes from the claims, or another organisation than the
        account's, or the account is disabled.
    """
    role, organisation_id = _role(settings, claims), _organisation_id(session, settings, claims)
    if role is None or organisation_id is None:
        raise ProviderAccountError
    actor = Actor("identity-provider", address)
    subject = str(claims["sub"])
    user = session.scalars(
        select(UserRow)
        .join(ProviderIdentityRow, ProviderIdentityRow.user_id == UserRow.id)
        .where(ProviderIdentityRow.issuer == issuer, ProviderIdentityRow.subject == subject)
    ).one_or_none()
    if user is None:
        user = create_user_without_password(
            session, username=_free_name(session, claims), role=role, organisation_id=organisation_id
        )
        session.add(
            ProviderIdentityRow(
                organisation_id=organisation_id, issuer=issuer, subject=subject, user_id=user.id
            )
        )
        session.flush()
        _record(session, user, actor, action="user.create", details={"role": user.role})
    if user.disabled_at is not None or user.organisation_id != organisation_id:
        raise ProviderAccountError
    if user.role != role.value:
        user.role = role.value
        details = {"role": user.role} | narrow_api_keys(session, user).told()
        _record(session, user, actor, action="user.role", details=details)
        # All of them: there are some only of who was an administrator until now.
        withdraw(session, InvitationRow.invited_by == user.id, actor=actor)
    return user


def claim(claims: Mapping[str, Any], path: str) -> tuple[str, ...]:
    """Return the texts of a claim: one or a list, under its name or a path such as ``realm_access.roles``."""
    value: Any = claims
    for name in [path] if path in claims else path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    found = value if isinstance(value, list) else [value]
    return tuple(text for text in found if isinstance(text, str))


def _role(settings: AccessSettings, claims: Mapping[str, Any]) -> Role | None:
    held = claim(claims, settings.oidc_role_claim)
    return next((role for value, role in settings.oidc_role_of.items() if value in held), None)


def _organisation_id(session: Session, settings: AccessSettings, claims: Mapping[str, Any]) -> str | None:
    if not settings.oidc_organisation_claim:
        return DEFAULT_ORGANISATION_ID
    named = claim(claims, settings.oidc_organisation_claim)
    fitting = [name for value, name in settings.oidc_organisation_of.items() if value in named]
    if not fitting:
        return None
    if fitting[0] is None:
        return DEFAULT_ORGANISATION_ID
    return session.scalars(select(OrganisationRow.id).where(OrganisationRow.name == fitting[0])).one_or_none()


def _free_name(session: Session, claims: Mapping[str, Any]) -> str:
    try:
        name = normal_username(str(claims.get("preferred_username", "")))[:LONGEST_NAME]
    except UsernameError:
        name = "person"
    if name != "person" and find_user(session, username=name) is None:
        return name
    return f"{name}-{secrets.token_hex(4)}"


def _record(
    session: Session,
    user: UserRow,
    actor: Actor,
    *,
    action: str,
    details: dict[str, Any],
) -> None:
    record(
        session,
        actor=actor,
        action=action,
        subject_kind="user",
        subject_id=user.id,
        details=details,
        organisation_id=user.organisation_id,
    )
