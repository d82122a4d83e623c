"""The line in which logins wait for their hash."""

import threading

import anyio
from anyio import to_thread

from service.identity.logins import LoginQueue
from service.identity.throttle import TooManyAttemptsError


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
