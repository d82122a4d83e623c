"""The brake on guessing passwords, and the line in which logins wait for their hash."""

import threading

import anyio
import pytest
from anyio import to_thread

from service.identity.logins import LoginQueue, LoginThrottle, TooManyAttemptsError


def test_guessing_is_slowed_for_one_account_and_address() -> None:
    now = [0.0]
    throttle = LoginThrottle(limit=3, window_s=60, clock=lambda: now[0])
    for second in range(3):
        now[0] = float(second)
        throttle.begin(username="a", address="1")
    with pytest.raises(TooManyAttemptsError) as refusal:
        throttle.begin(username="a", address="1")
    assert refusal.value.retry_after_s == 59
    throttle.begin(username="a", address="2")
    throttle.begin(username="b", address="1")
    now[0] = 60.5
    moment = throttle.begin(username="a", address="1")
    throttle.succeeded(username="a", address="1", moment=moment)
    for _ in range(3):
        throttle.begin(username="a", address="1")


@pytest.mark.parametrize("spelling", ["A", " a", "a  ", "a\t", "\u2003a\n"])
def test_every_spelling_of_a_name_counts_as_the_name(spelling: str) -> None:
    throttle = LoginThrottle(limit=1)
    throttle.begin(username="a", address="1")
    with pytest.raises(TooManyAttemptsError):
        throttle.begin(username=spelling, address="1")


def test_names_that_cannot_exist_count_together() -> None:
    throttle = LoginThrottle(limit=2)
    for name in ("a b", "a\0"):
        throttle.begin(username=name, address="1")
    with pytest.raises(TooManyAttemptsError):
        throttle.begin(username="", address="1")


def test_an_address_is_slowed_whatever_the_accounts() -> None:
    throttle = LoginThrottle(limit=8, address_limit=5)
    for number in range(5):
        moment = throttle.begin(username=f"known{number}", address="1")
        throttle.succeeded(username=f"known{number}", address="1", moment=moment)
    for number in range(5):
        throttle.begin(username=f"user{number}", address="1")
    with pytest.raises(TooManyAttemptsError):
        throttle.begin(username="another", address="1")
    throttle.begin(username="another", address="2")


def test_an_attempt_without_an_answer_is_taken_back() -> None:
    throttle = LoginThrottle(limit=1, address_limit=1)
    for _ in range(3):
        moment = throttle.begin(username="a", address="1")
        throttle.withdrawn(username="a", address="1", moment=moment)
    throttle.begin(username="a", address="1")
    with pytest.raises(TooManyAttemptsError):
        throttle.begin(username="a", address="1")


def test_simultaneous_attempts_count_before_any_of_them_has_failed() -> None:
    throttle = LoginThrottle(limit=4)
    together = threading.Barrier(16)
    let_through: list[float] = []

    def attempt() -> None:
        together.wait()
        try:
            let_through.append(throttle.begin(username="a", address="1"))
        except TooManyAttemptsError:
            return

    threads = [threading.Thread(target=attempt) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(let_through) == 4


def test_the_brake_forgets_the_oldest_rather_than_fill_the_memory() -> None:
    throttle = LoginThrottle(limit=1, capacity=10)
    for number in range(50):
        throttle.begin(username=f"user{number}", address=f"{number}")
    assert len(throttle._pairs) == len(throttle._addresses) == 10
    throttle.begin(username="user0", address="0")
    with pytest.raises(TooManyAttemptsError):
        throttle.begin(username="user49", address="49")


def test_waiting_logins_take_no_thread_of_the_others_and_the_line_ends() -> None:
    release = threading.Event()
    line = LoginQueue(most=5)
    refused: list[int] = []

    async def log_in() -> None:
        try:
            await line.run(lambda: release.wait(10))
        except TooManyAttemptsError as refusal:
            refused.append(refusal.retry_after_s)

    async def main() -> None:
        others = to_thread.current_default_thread_limiter()
        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(log_in)
            while line.threads.statistics().tasks_waiting < 3:  # noqa: ASYNC110  (nothing tells of it)
                await anyio.sleep(0.005)
            assert line.threads.borrowed_tokens == 2
            assert others.borrowed_tokens == 0
            release.set()
        assert line.inside == 0
        await line.run(lambda: None)

    anyio.run(main)
    assert refused == [2, 2, 2]
