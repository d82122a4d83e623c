"""Whose invitations open an account, whatever was forgotten when somebody stopped administering."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.orm import Session, sessionmaker

from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import UserRow
from service.identity.accounts import create_user
from service.identity.actor import Actor
from service.identity.invitations import (
    InvitationNotValidError,
    accept_invitation,
    invite,
    require_open_invitation,
)
from service.identity.roles import Role
from tests.service.conftest import BOTH_DATABASES

Sessions = sessionmaker[Session]
PASSWORD = "correct horse battery"


def invited(sessions: Sessions) -> tuple[str, str]:
    """Have somebody invited; returns who invited, and the link's token."""
    with sessions.begin() as session:
        chief = create_user(
            session,
            username="chief",
            password=PASSWORD,
            role=Role.ADMINISTRATOR,
            organisation_id=DEFAULT_ORGANISATION_ID,
        )
        actor = Actor(f"user:{chief.id}", "")
        return chief.id, invite(session, username="new", role=Role.CLINICIAN, by=chief, actor=actor)[1]


@BOTH_DATABASES
@pytest.mark.parametrize("change", [{"role": "clinician"}, {"disabled_at": datetime.now(UTC)}])
def test_a_link_opens_nothing_once_who_gave_it_is_no_administrator(
    sessions: Sessions, change: dict[str, Any]
) -> None:
    by, token = invited(sessions)
    with sessions.begin() as session:
        invitation = require_open_invitation(session, token)
        for name, value in change.items():
            setattr(session.get_one(UserRow, by), name, value)
        session.flush()
        # Found open a moment ago.
        with pytest.raises(InvitationNotValidError):
            accept_invitation(session, invitation, password=PASSWORD)
    with sessions() as session, pytest.raises(InvitationNotValidError):
        require_open_invitation(session, token)


@BOTH_DATABASES
def test_it_opens_an_account_once(sessions: Sessions) -> None:
    _, token = invited(sessions)
    with sessions.begin() as session:
        user = accept_invitation(session, require_open_invitation(session, token), password=PASSWORD)
    assert (user.username, user.role) == ("new", "clinician")
    with sessions() as session, pytest.raises(InvitationNotValidError):
        require_open_invitation(session, token)
