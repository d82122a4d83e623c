"""What an identity provider says of somebody who has an account already, and what goes with another role."""

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from service.access_settings import AccessSettings
from service.db.rows import ApiKeyRow, AuditEventRow, InvitationRow, UserRow
from service.identity.actor import Actor
from service.identity.api_keys import create_api_key
from service.identity.invitations import invite
from service.identity.roles import Role
from service.identity.scopes import Scope
from service.provider.accounts import account_of

ISSUER = "https://provider.test"
SETTINGS = AccessSettings(oidc_role_claim="groups", oidc_roles="admins=administrator, doctors=clinician")


def log_in(session: Session, group: str) -> UserRow:
    claims = {"sub": "1", "preferred_username": "mina", "groups": [group]}
    return account_of(session, SETTINGS, issuer=ISSUER, claims=claims, address="192.0.2.1")


@pytest.fixture
def administrator(sessions: sessionmaker[Session]) -> UserRow:
    """Whom the provider has made one, with two keys and an open invitation."""
    with sessions.begin() as session:
        user = log_in(session, "admins")
        invite(session, username="new", role=Role.ADMINISTRATOR, by=user, actor=Actor("test", ""))
        for name, scopes in (("admin", [Scope.ADMIN]), ("both", [Scope.ADMIN, Scope.SCANS_READ])):
            create_api_key(session, user=user, name=name, scopes=scopes)
    return user


def test_a_lesser_role_takes_invitations_and_keys_along_and_the_audit_has_both(
    sessions: sessionmaker[Session], administrator: UserRow
) -> None:
    with sessions.begin() as session:
        assert log_in(session, "doctors").role == "clinician"
    with sessions() as session:
        [invitation] = session.scalars(select(InvitationRow))
        keys = {key.name: key.id for key in session.scalars(select(ApiKeyRow))}
        events = session.scalars(select(AuditEventRow).order_by(AuditEventRow.sequence)).all()
    assert invitation.revoked_at is not None
    changed, withdrawn = events[-2:]
    assert (changed.action, changed.details) == (
        "user.role",
        {"role": "clinician", "keys_narrowed": [keys["both"]], "keys_revoked": [keys["admin"]]},
    )
    assert (withdrawn.action, withdrawn.subject_id) == ("invitation.revoke", invitation.id)
    for event in (changed, withdrawn):
        assert (event.actor, event.address) == ("identity-provider", "192.0.2.1")
        assert event.organisation_id == administrator.organisation_id


def test_the_same_role_again_changes_nothing(sessions: sessionmaker[Session], administrator: UserRow) -> None:
    with sessions.begin() as session:
        log_in(session, "admins")
    with sessions() as session:
        assert session.scalars(select(InvitationRow.revoked_at)).all() == [None]
        actions = session.scalars(select(AuditEventRow.action)).all()
    assert actions == ["user.create"]
    assert administrator.role == "administrator"
