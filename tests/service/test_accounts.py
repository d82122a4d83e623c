"""Accounts, keys, logins and the brake on guessing, without HTTP."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from sqlalchemy import event
from sqlalchemy.orm import Session

from service.accounts import (
    CredentialsError,
    PasswordLengthError,
    Role,
    UsernameError,
    UsernameTakenError,
    create_api_key,
    create_user,
    find_api_key,
    find_user,
    verify_login,
)
from service.db.engine import make_engine, session_factory
from service.db.migrate import upgrade
from service.db.rows import SessionRow
from service.logins import LoginThrottle, TooManyAttemptsError, close_login, find_login, open_login

PASSWORD = "correct horse battery"
HOUR = timedelta(hours=1)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    engine = make_engine(f"sqlite:///{tmp_path / 'accounts.db'}")
    upgrade(engine)
    with session_factory(engine)() as opened:
        yield opened
    engine.dispose()


def add(session: Session, username: str = "doctor") -> None:
    create_user(session, username=username, password=PASSWORD, role=Role.CLINICIAN)


def test_a_password_is_kept_as_argon2id(session: Session) -> None:
    add(session)
    user = find_user(session, username="Doctor ")
    assert user is not None
    assert user.password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert PasswordHasher().verify(user.password_hash, PASSWORD)


@pytest.mark.parametrize("username", ["doctor", " DOCTOR "])
def test_the_right_password_finds_the_account(session: Session, username: str) -> None:
    add(session)
    assert verify_login(session, username=username, password=PASSWORD).username == "doctor"


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
def test_anything_else_finds_none(session: Session, username: str, password: str) -> None:
    add(session)
    with pytest.raises(CredentialsError):
        verify_login(session, username=username, password=password)


@pytest.mark.parametrize("username", ["a\0", "", "a b"])
def test_what_cannot_be_a_name_is_not_asked_for(session: Session, username: str) -> None:
    # PostgreSQL refuses a zero byte with an error of its own; SQLite would not notice.
    asked: list[str] = []
    event.listen(session.get_bind(), "before_cursor_execute", lambda *call: asked.append(call[2]))
    assert find_user(session, username=username) is None
    assert asked == []
    find_user(session, username="doctor")
    assert len(asked) == 1


def test_an_unknown_name_is_hashed_for_as_well(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    add(session)
    hashes: list[str] = []
    monkeypatch.setattr(
        PasswordHasher, "verify", lambda _self, stored, _password: hashes.append(stored) or False
    )
    for name in ("doctor", "nobody"):
        with pytest.raises(CredentialsError):
            verify_login(session, username=name, password=PASSWORD)
    assert [re.findall(r"m=\d+,t=\d+,p=\d+", stored) for stored in hashes] == [["m=19456,t=2,p=1"]] * 2


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
        create_user(session, username="x", password="p" * length, role=Role.CLINICIAN)


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


def test_guessing_is_slowed_for_one_account_and_address_only() -> None:
    now = [0.0]
    throttle = LoginThrottle(limit=3, window_s=60, clock=lambda: now[0])
    for second in range(3):
        now[0] = float(second)
        throttle.check(username="a", address="1")
        throttle.failed(username="A", address="1")
    with pytest.raises(TooManyAttemptsError) as refusal:
        throttle.check(username="a", address="1")
    assert refusal.value.retry_after_s == 59
    throttle.check(username="a", address="2")
    throttle.check(username="b", address="1")
    now[0] = 60.5
    throttle.check(username="a", address="1")
    throttle.succeeded(username="a", address="1")
    now[0] = 61.0
    throttle.check(username="a", address="1")


def test_the_brake_forgets_the_oldest_rather_than_fill_the_memory() -> None:
    throttle = LoginThrottle(limit=1, capacity=10)
    for number in range(50):
        throttle.failed(username=f"user{number}", address="1")
    throttle.check(username="user0", address="1")
    with pytest.raises(TooManyAttemptsError):
        throttle.check(username="user49", address="1")
