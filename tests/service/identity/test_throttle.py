"""The brake on guessing passwords: who is slowed, and who never is."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, sessionmaker

from service.db.base import utc_now
from service.db.rows import LoginAttemptRow
from service.identity.throttle import LoginThrottle, TooManyAttemptsError
from tests.service.conftest import BOTH_DATABASES

Sessions = sessionmaker[Session]


def let_pass(sessions: Sessions, seconds: float) -> None:
    """Make every attempt so far older."""
    with sessions.begin() as session:
        session.execute(update(LoginAttemptRow).values(at=utc_now(-seconds)))


def guess(throttle: LoginThrottle, times: int, *, username: str = "doctor", address: str) -> None:
    for _ in range(times):
        throttle.begin(username=username, address=address)


@BOTH_DATABASES
def test_guessing_is_slowed_until_the_window_has_passed(sessions: Sessions) -> None:
    throttle = LoginThrottle(sessions, limit=3, window=timedelta(seconds=60))
    guess(throttle, 3, address="192.0.2.1")
    for _ in range(3):
        with pytest.raises(TooManyAttemptsError) as refusal:
            throttle.begin(username="doctor", address="192.0.2.1")
        assert 55 < refusal.value.retry_after_s <= 61
    # What was refused did not count, or the one who tries again would wait for ever.
    let_pass(sessions, 61)
    guess(throttle, 3, address="192.0.2.1")
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(LoginAttemptRow)) == 3


@BOTH_DATABASES
def test_another_process_counts_on(sessions: Sessions) -> None:
    guess(LoginThrottle(sessions, limit=4), 2, address="192.0.2.1")
    other = LoginThrottle(sessions, limit=4)
    guess(other, 2, address="192.0.2.1")
    with pytest.raises(TooManyAttemptsError):
        other.begin(username="doctor", address="192.0.2.1")


def test_an_attacker_elsewhere_cannot_lock_the_owner_out(sessions: Sessions) -> None:
    throttle = LoginThrottle(sessions, limit=3, address_limit=1000)
    for number in range(100):
        throttle.begin(username="doctor", address=f"198.51.100.{number}")
    for _ in range(3):
        throttle.begin(username="doctor", address="192.0.2.1")


def test_an_attacker_at_the_same_address_cannot_lock_out_a_browser_that_is_known(sessions: Sessions) -> None:
    throttle = LoginThrottle(sessions, limit=3, address_limit=5)
    guess(throttle, 3, address="192.0.2.1")
    guess(throttle, 2, username="another", address="192.0.2.1")
    with pytest.raises(TooManyAttemptsError):
        throttle.begin(username="third", address="192.0.2.1")
    for _ in range(3):
        throttle.begin(username="doctor", address="192.0.2.1", browser_id="b")
    with pytest.raises(TooManyAttemptsError):
        throttle.begin(username="doctor", address="192.0.2.1", browser_id="b")


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("2001:db8:0:1::1", "2001:0db8:0000:0001:0:0:0:9", True),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("192.0.2.1", "192.0.2.2", False),
    ],
)
def test_one_customer_of_a_provider_is_one_neighbour(
    sessions: Sessions, one: str, other: str, together: bool
) -> None:
    throttle = LoginThrottle(sessions, limit=1)
    throttle.begin(username="doctor", address=one)
    if together:
        with pytest.raises(TooManyAttemptsError):
            throttle.begin(username="doctor", address=other)
    else:
        throttle.begin(username="doctor", address=other)


@pytest.mark.parametrize("spelling", ["A", " a", "a  ", "a\t", "\u2003a\n"])
def test_every_spelling_of_a_name_counts_as_the_name(sessions: Sessions, spelling: str) -> None:
    throttle = LoginThrottle(sessions, limit=1)
    throttle.begin(username="a", address="1")
    with pytest.raises(TooManyAttemptsError):
        throttle.begin(username=spelling, address="1")


def test_names_that_cannot_exist_count_together(sessions: Sessions) -> None:
    throttle = LoginThrottle(sessions, limit=2)
    for name in ("a b", "a\0"):
        throttle.begin(username=name, address="1")
    with pytest.raises(TooManyAttemptsError):
        throttle.begin(username="", address="1")


def test_what_was_typed_for_a_name_is_not_kept(sessions: Sessions) -> None:
    # People type their password into the wrong field.
    LoginThrottle(sessions).begin(username="my-secret-password", address="1")
    with sessions() as session:
        [row] = session.scalars(select(LoginAttemptRow)).all()
    assert "secret" not in row.account + row.source


def test_an_address_is_slowed_whatever_the_accounts(sessions: Sessions) -> None:
    throttle = LoginThrottle(sessions, limit=8, address_limit=5)
    for number in range(5):
        throttle.succeeded(throttle.begin(username=f"known{number}", address="1"))
    for number in range(5):
        throttle.begin(username=f"user{number}", address="1")
    with pytest.raises(TooManyAttemptsError):
        throttle.begin(username="another", address="1")
    throttle.begin(username="another", address="2")


def test_a_login_that_succeeds_forgets_the_failures_before_it(sessions: Sessions) -> None:
    throttle = LoginThrottle(sessions, limit=3)
    guess(throttle, 2, address="1")
    throttle.succeeded(throttle.begin(username="doctor", address="1"))
    guess(throttle, 3, address="1")
    with pytest.raises(TooManyAttemptsError):
        throttle.begin(username="doctor", address="1")


def test_an_attempt_without_an_answer_is_taken_back(sessions: Sessions) -> None:
    throttle = LoginThrottle(sessions, limit=1, address_limit=1)
    for _ in range(3):
        throttle.withdrawn(throttle.begin(username="a", address="1"))
    throttle.begin(username="a", address="1")
    with pytest.raises(TooManyAttemptsError):
        throttle.begin(username="a", address="1")


@BOTH_DATABASES
def test_simultaneous_attempts_count_before_any_of_them_has_failed(sessions: Sessions) -> None:
    throttle = LoginThrottle(sessions, limit=4)
    together = threading.Barrier(8)
    let_through: list[str] = []

    def attempt() -> None:
        together.wait()
        try:
            let_through.append(throttle.begin(username="a", address="1"))
        except TooManyAttemptsError:
            return

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(let_through) <= 4
    # And none of those that were refused is left behind.
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(LoginAttemptRow)) == len(let_through)
