"""What keeps an organisation from locking itself out, also where two act at one moment."""

import threading
from collections.abc import Callable

import pytest
from sqlalchemy.orm import Session, sessionmaker

from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import ApiKeyRow, UserRow
from service.identity.accounts import create_user
from service.identity.administration import change_role, require_administrator, shut_out, take_account
from service.identity.api_keys import create_api_key, find_api_key
from service.identity.errors import AdministratorNoMoreError, LastAdministratorError, OwnAccountError
from service.identity.roles import Role
from service.identity.scopes import Scope, read_scopes
from tests.service.conftest import BOTH_DATABASES

Sessions = sessionmaker[Session]


def administrator(session: Session, name: str) -> str:
    return create_user(
        session,
        username=name,
        password="correct horse battery",
        role=Role.ADMINISTRATOR,
        organisation_id=DEFAULT_ORGANISATION_ID,
    ).id


def demote(session: Session, user: UserRow, by: str) -> None:
    change_role(session, user, Role.CLINICIAN, by=by)


def disable(session: Session, user: UserRow, by: str) -> None:
    shut_out(session, user, by=by)


@pytest.mark.parametrize("act", [demote, disable])
def test_nobody_does_it_to_themselves_and_one_administrator_stays(
    sessions: Sessions, act: Callable[[Session, UserRow, str], None]
) -> None:
    with sessions.begin() as session:
        one, other = (administrator(session, name) for name in ("one", "other"))
    with sessions.begin() as session, pytest.raises(OwnAccountError):
        act(session, take_account(session, one, by=one), one)
    with sessions.begin() as session:
        act(session, take_account(session, other, by=one), one)
    # By whom does not matter: nobody would be left.
    with sessions.begin() as session, pytest.raises(LastAdministratorError):
        act(session, take_account(session, one, by=one), other)


@BOTH_DATABASES
@pytest.mark.parametrize("act", [demote, disable])
def test_two_who_turn_on_each_other_at_one_moment_leave_one(
    sessions: Sessions, act: Callable[[Session, UserRow, str], None]
) -> None:
    with sessions.begin() as session:
        both = [administrator(session, name) for name in ("one", "other")]
    ready, outcomes = threading.Barrier(2), []

    def turn_on(by: str, against: str) -> None:
        ready.wait(10)
        try:
            with sessions.begin() as session:
                act(session, take_account(session, against, by=by), by)
            outcomes.append("done")
        except AdministratorNoMoreError:
            outcomes.append("refused")

    threads = [threading.Thread(target=turn_on, args=pair) for pair in (both, both[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(outcomes) == ["done", "refused"]


@BOTH_DATABASES
@pytest.mark.parametrize("change", [demote, disable])
def test_who_administers_no_more_does_nothing_that_they_had_begun(
    sessions: Sessions, change: Callable[[Session, UserRow, str], None]
) -> None:
    with sessions.begin() as session:
        one, other = (administrator(session, name) for name in ("one", "other"))
    ready, outcomes = threading.Event(), []

    def begin() -> None:
        with sessions.begin() as session:
            # As the request was let in.
            session.get_one(UserRow, other)
            ready.set()
            try:
                require_administrator(session, other)
            except AdministratorNoMoreError:
                outcomes.append("refused")

    with sessions.begin() as session:
        change(session, take_account(session, other, by=one), one)
        session.flush()
        begun = threading.Thread(target=begin)
        begun.start()
        assert ready.wait(10)
        # It waits for what becomes of this.
        begun.join(0.3)
        assert begun.is_alive()
    begun.join(20)
    assert outcomes == ["refused"]
    with sessions.begin() as session, pytest.raises(AdministratorNoMoreError):
        take_account(session, one, by=other)


def test_keys_lose_what_another_role_lacks_and_get_nothing_back(sessions: Sessions) -> None:
    with sessions.begin() as session:
        chief = administrator(session, "chief")
        user = session.get_one(UserRow, administrator(session, "other"))
        plain = {
            name: create_api_key(session, user=user, name=name, scopes=scopes)
            for name, scopes in (
                ("both", [Scope.ADMIN, Scope.SCANS_READ]),
                ("admin", [Scope.ADMIN]),
                ("scans", [Scope.SCANS_READ]),
            )
        }
    for role in (Role.INTEGRATOR, Role.ADMINISTRATOR):
        with sessions.begin() as session:
            narrowed = change_role(session, take_account(session, user.id, by=chief), role, by=chief)
        assert narrowed is not None
        assert [len(narrowed.narrowed), len(narrowed.revoked)] == (
            [1, 1] if role == Role.INTEGRATOR else [0, 0]
        )
        with sessions() as session:
            held = {key.name: read_scopes(key.scopes) for key in session.query(ApiKeyRow)}
            assert held == {"both": {Scope.SCANS_READ}, "admin": set(), "scans": {Scope.SCANS_READ}}
            valid = {name: find_api_key(session, text) is not None for name, text in plain.items()}
            assert valid == {"both": True, "admin": False, "scans": True}
