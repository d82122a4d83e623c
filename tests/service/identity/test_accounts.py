"""Accounts, keys and logins, without HTTP."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from sqlalchemy import event
from sqlalchemy.orm import Session, sessionmaker

from service.db.engine import make_engine, session_factory
from service.db.migrate import upgrade
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import SessionRow
from service.identity.accounts import create_user, find_user, verify_login
from service.identity.api_keys import ApiKeyNameError, create_api_key, find_api_key
from service.identity.errors import CredentialsError, UsernameError, UsernameTakenError
from service.identity.logins import close_login, find_login, open_login
from service.identity.passwords import PasswordLengthError
from service.identity.roles import Role

PASSWORD = "correct horse battery"
HOUR = timedelta(hours=1)


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[sessionmaker[Session]]:
    engine = make_engine(f"sqlite:///{tmp_path / 'accounts.db'}")
    upgrade(engine)
    yield session_factory(engine)
    engine.dispose()


@pytest.fixture
def session(sessions: sessionmaker[Session]) -> Iterator[Session]:
    with sessions() as opened:
        yield opened


def add(session: Session, username: str = "doctor") -> None:
    create_user(
        session,
        username=username,
        password=PASSWORD,
        role=Role.CLINICIAN,
        organisation_id=DEFAULT_ORGANISATION_ID,
    )
    session.commit()


def test_a_password_is_kept_as_argon2id(session: Session) -> None:
    add(session)
    user = find_user(session, username="Doctor ")
    assert user is not None
    assert user.password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert PasswordHasher().verify(user.password_hash, PASSWORD)


@pytest.mark.parametrize("username", ["doctor", " DOCTOR "])
def test_the_right_password_finds_the_account(
    session: Session, sessions: sessionmaker[Session], username: str
) -> None:
    add(session)
    assert verify_login(sessions, username=username, password=PASSWORD).username == "doctor"


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("doctor", "wrong horse battery"),
        ("nobody", PASSWORD),
        ("", ""),
        ("a\0", PASSWORD),
        ("doctor", "x" * 10_000),
    ],
)
def test_anything_else_finds_none(
    session: Session, sessions: sessionmaker[Session], username: str, password: str
) -> None:
    add(session)
    with pytest.raises(CredentialsError):
        verify_login(sessions, username=username, password=password)


@pytest.mark.parametrize("username", ["a\0", "", "a b"])
def test_what_cannot_be_a_name_is_not_asked_for(session: Session, username: str) -> None:
    # PostgreSQL refuses a zero byte with an error of its own; SQLite would not notice.
    asked: list[str] = []
    event.listen(session.get_bind(), "before_cursor_execute", lambda *call: asked.append(call[2]))
    assert find_user(session, username=username) is None
    assert asked == []
    find_user(session, username="doctor")
    assert len(asked) == 1


def test_an_unknown_name_is_hashed_for_as_well(
    session: Session, sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    add(session)
    hashes: list[str] = []
    monkeypatch.setattr(
        PasswordHasher, "verify", lambda _self, stored, _password: hashes.append(stored) or False
    )
    for name in ("doctor", "nobody"):
        with pytest.raises(CredentialsError):
            verify_login(sessions, username=name, password=PASSWORD)
    assert [re.findall(r"m=\d+,t=\d+,p=\d+", stored) for stored in hashes] == [["m=19456,t=2,p=1"]] * 2


def test_no_connection_is_held_while_hashing(
    session: Session, sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    add(session)
    held: list[int] = []
    pool = session.get_bind().pool
    monkeypatch.setattr(PasswordHasher, "verify", lambda *_: held.append(pool.checkedout()) or True)
    assert verify_login(sessions, username="doctor", password=PASSWORD).role == Role.CLINICIAN
    assert held == [0]


@pytest.mark.parametrize("username", ["", "a b", "-a", "a" * 65, "é", "a/b", "a\n"])
def test_a_name_that_cannot_be_is_refused(session: Session, username: str) -> None:
    if username == "a\n":
        # White space around a name is not part of it.
        add(session, username)
        assert find_user(session, username="a") is not None
        return
    with pytest.raises(UsernameError):
        add(session, username)


def test_a_name_is_given_once(session: Session) -> None:
    add(session)
    with pytest.raises(UsernameTakenError):
        add(session, "DOCTOR")


@pytest.mark.parametrize("length", [0, 11, 257])
def test_a_password_has_a_length(session: Session, length: int) -> None:
    with pytest.raises(PasswordLengthError, match=f"found {length}"):
        create_user(
            session,
            username="x",
            password="p" * length,
            role=Role.CLINICIAN,
            organisation_id=DEFAULT_ORGANISATION_ID,
        )


def test_keys_are_different_and_found_by_their_whole_text(session: Session) -> None:
    add(session)
    user = find_user(session, username="doctor")
    assert user is not None
    keys = {create_api_key(session, user=user, name="k") for _ in range(5)}
    assert len(keys) == 5
    for key in keys:
        assert re.fullmatch(r"rnk_[\w-]{43}", key)
        found = find_api_key(session, key)
        assert found is not None
        assert found[1].username == "doctor"
        assert find_api_key(session, key[:-1]) is None
        assert find_api_key(session, key + "x") is None


@pytest.mark.parametrize("name", ["", "a\0b", "a\nb", "\x7f", "\x9b31m", "x" * 101])
def test_a_key_needs_a_name_that_a_list_can_show(session: Session, name: str) -> None:
    add(session)
    user = find_user(session, username="doctor")
    assert user is not None
    with pytest.raises(ApiKeyNameError):
        create_api_key(session, user=user, name=name)
    assert create_api_key(session, user=user, name="Brücke 1")


def test_a_key_with_a_lifetime_ends(session: Session) -> None:
    add(session)
    user = find_user(session, username="doctor")
    assert user is not None
    assert find_api_key(session, create_api_key(session, user=user, name="k", lifetime=HOUR)) is not None
    assert find_api_key(session, create_api_key(session, user=user, name="k", lifetime=-HOUR)) is None


def test_each_login_has_a_token_of_its_own_and_ends_alone(session: Session) -> None:
    add(session)
    user = find_user(session, username="doctor")
    assert user is not None
    one, two = (open_login(session, user=user, lifetime=HOUR) for _ in range(2))
    first, second = find_login(session, one, idle=HOUR), find_login(session, two, idle=HOUR)
    assert first is not None
    assert second is not None
    assert first[0].csrf_token != second[0].csrf_token
    assert one not in {first[0].token_hash, first[0].csrf_token}
    close_login(session, one)
    assert find_login(session, one, idle=HOUR) is None
    assert find_login(session, two, idle=HOUR) is not None
    assert find_login(session, two, idle=timedelta(0)) is None


def test_ended_logins_are_cleared_by_the_next_one(session: Session) -> None:
    add(session)
    user = find_user(session, username="doctor")
    assert user is not None
    stale = open_login(session, user=user, lifetime=-HOUR)
    assert find_login(session, stale, idle=HOUR) is None
    open_login(session, user=user, lifetime=HOUR)
    assert session.query(SessionRow).count() == 1
