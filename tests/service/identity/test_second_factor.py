"""Codes against the vectors of RFC 6238, each taken once, and recovery codes."""

import re
from datetime import UTC, datetime
from threading import Barrier, Thread

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import RecoveryCodeRow, UserRow
from service.identity import second_factor
from service.identity.accounts import create_user
from service.identity.roles import Role
from service.identity.second_factor import (
    CodeNotValidError,
    Means,
    SecondFactorSetError,
    address_of_secret,
    begin_enrolment,
    confirm_enrolment,
    recovery_codes_left,
    remove_second_factor,
    take_code,
)
from service.storage.sealing import Seal
from tests.service.conftest import BOTH_DATABASES

# RFC 6238, appendix B, for SHA-1; of its eight digits an authenticator shows the last six.
RFC_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
VECTORS = {
    59: "287082",
    1111111109: "081804",
    1111111111: "050471",
    1234567890: "005924",
    2000000000: "279037",
}

SEAL = Seal()


class Clock:
    """Stands for the module's ``datetime``."""

    seconds = 1234567890

    @classmethod
    def now(cls, _zone: object) -> datetime:
        return datetime.fromtimestamp(cls.seconds, UTC)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> type[Clock]:
    monkeypatch.setattr(second_factor, "datetime", Clock)
    monkeypatch.setattr(Clock, "seconds", 1234567890)
    return Clock


@pytest.fixture
def enrolled(sessions: sessionmaker[Session]) -> str:
    """An account with the secret of the RFC, of which no code was used."""
    with sessions.begin() as session:
        user = create_user(
            session,
            username="mina",
            password="correct horse battery",
            role=Role.CLINICIAN,
            organisation_id=DEFAULT_ORGANISATION_ID,
        )
        user.totp_secret, user.totp_since = SEAL.close(RFC_SECRET), datetime.now(UTC)
    return user.id


def take(sessions: sessionmaker[Session], user_id: str, code: str) -> Means:
    with sessions.begin() as session:
        return take_code(session, session.get_one(UserRow, user_id), code=code, seal=SEAL)


@pytest.mark.parametrize(("seconds", "code"), VECTORS.items())
def test_the_vectors_of_the_rfc_are_taken(
    sessions: sessionmaker[Session], enrolled: str, clock: type[Clock], seconds: int, code: str
) -> None:
    clock.seconds = seconds
    assert take(sessions, enrolled, code) == Means.CODE


@pytest.mark.parametrize("typed", ["005 924", " 005924 ", "005-924"])
def test_blanks_and_hyphens_do_not_matter(
    sessions: sessionmaker[Session], enrolled: str, clock: type[Clock], typed: str
) -> None:
    assert take(sessions, enrolled, typed) == Means.CODE


@pytest.mark.parametrize("typed", ["", "005925", "5924", "89005924", "005924x", "00592\u0664", "0" * 60])
def test_anything_else_is_refused(
    sessions: sessionmaker[Session], enrolled: str, clock: type[Clock], typed: str
) -> None:
    with pytest.raises(CodeNotValidError):
        take(sessions, enrolled, typed)


@pytest.mark.parametrize(
    ("late_s", "taken"), [(-60, False), (-30, True), (29, True), (59, True), (61, False)]
)
def test_a_code_is_taken_a_step_before_and_after(
    sessions: sessionmaker[Session], enrolled: str, clock: type[Clock], late_s: int, taken: bool
) -> None:
    # 1234567890 is the beginning of a step.
    clock.seconds += late_s
    if taken:
        assert take(sessions, enrolled, "005924") == Means.CODE
    else:
        with pytest.raises(CodeNotValidError):
            take(sessions, enrolled, "005924")


def test_a_code_serves_once_and_none_from_before_it_afterwards(
    sessions: sessionmaker[Session], enrolled: str, clock: type[Clock]
) -> None:
    clock.seconds = 1111111111
    take(sessions, enrolled, VECTORS[1111111111])
    for code in (VECTORS[1111111111], VECTORS[1111111109]):
        with pytest.raises(CodeNotValidError):
            take(sessions, enrolled, code)


@BOTH_DATABASES
def test_of_many_that_send_one_code_at_once_one_is_let_in(
    sessions: sessionmaker[Session], enrolled: str, clock: type[Clock]
) -> None:
    outcomes: list[object] = []
    barrier = Barrier(6)

    def attempt() -> None:
        barrier.wait()
        try:
            outcomes.append(take(sessions, enrolled, "005924"))
        except CodeNotValidError:
            outcomes.append(None)

    threads = [Thread(target=attempt) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes, key=str) == [None] * 5 + [Means.CODE]


def test_a_secret_counts_once_its_code_was_typed(
    sessions: sessionmaker[Session], enrolled: str, clock: type[Clock]
) -> None:
    with sessions.begin() as session:
        user = session.get_one(UserRow, enrolled)
        with pytest.raises(SecondFactorSetError):
            begin_enrolment(user, seal=SEAL)
        remove_second_factor(session, user)
    with sessions.begin() as session:
        user = session.get_one(UserRow, enrolled)
        with pytest.raises(CodeNotValidError):
            confirm_enrolment(session, user, code="005924", seal=SEAL)
        secret = begin_enrolment(user, seal=SEAL)
        assert re.fullmatch(r"[A-Z2-7]{32}", secret)
        assert secret != begin_enrolment(user, seal=SEAL)
        assert user.totp_since is None
        user.totp_secret = SEAL.close(RFC_SECRET)
        session.flush()
        with pytest.raises(CodeNotValidError):
            take_code(session, user, code="005924", seal=SEAL)
        codes = confirm_enrolment(session, user, code="005924", seal=SEAL)
    # The code that confirmed it is used up.
    with pytest.raises(CodeNotValidError):
        take(sessions, enrolled, "005924")
    assert len(set(codes)) == 10
    assert all(re.fullmatch(r"([A-Z2-7]{4}-){5}[A-Z2-7]{4}", code) for code in codes)


def test_a_recovery_code_serves_once_and_only_its_hash_is_kept(
    sessions: sessionmaker[Session], enrolled: str, clock: type[Clock]
) -> None:
    with sessions.begin() as session:
        user = session.get_one(UserRow, enrolled)
        user.totp_since = None
        first, second, *_ = confirm_enrolment(session, user, code="005924", seal=SEAL)
        kept = session.scalars(select(RecoveryCodeRow.code_hash)).all()
        assert not {first, first.replace("-", "")} & set(kept)
    assert take(sessions, enrolled, f" {first.lower()} ") == Means.RECOVERY_CODE
    with pytest.raises(CodeNotValidError):
        take(sessions, enrolled, first)
    assert take(sessions, enrolled, second.replace("-", "")) == Means.RECOVERY_CODE
    with sessions.begin() as session:
        user = session.get_one(UserRow, enrolled)
        assert recovery_codes_left(session, user) == 8
        remove_second_factor(session, user)
        assert recovery_codes_left(session, user) == 0


def test_the_address_is_what_authenticators_read() -> None:
    assert address_of_secret("m.keller", RFC_SECRET) == (
        f"otpauth://totp/RestNet:m.keller?secret={RFC_SECRET}&issuer=RestNet"
    )
