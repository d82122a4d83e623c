"""What goes wrong in a machine room, at random moments from one seed."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.production.servers import Breakable
from tests.production.stack import Stack


@contextmanager
def trouble(stack: Stack, *, seed: int, every_s: tuple[float, float]) -> Iterator[Counter[str]]:
    """Kill processes and restart or pause servers while the body runs; afterwards everything runs again.

    Parameters
    ----------
    every_s : tuple of float
        Least and greatest time between two of them, in seconds. What takes longer to start than that is
        never up.

    Yields
    ------
    Counter
        How often each thing was done.
    """
    done: Counter[str] = Counter()
    ended = threading.Event()
    failures: list[BaseException] = []

    def make() -> None:
        chance = random.Random(seed)  # noqa: S311  (a schedule)
        try:
            # In turn, so that a short run has met each of them; in another order each time round.
            while not ended.is_set():
                acts = _acts(stack, chance)
                chance.shuffle(acts)
                for name, act in acts:
                    if ended.wait(chance.uniform(*every_s)):
                        return
                    act()
                    done[name] += 1
        except BaseException as error:  # noqa: BLE001  (raised again in the test's own thread)
            failures.append(error)

    thread = threading.Thread(target=make, name="trouble", daemon=True)
    thread.start()
    try:
        yield done
    finally:
        ended.set()
        thread.join()
        for server in stack.servers:
            server.resume()
    if failures:
        raise failures[0]


def _acts(stack: Stack, chance: random.Random) -> list[tuple[str, Callable[[], None]]]:
    acts: list[tuple[str, Callable[[], None]]] = []
    for process in stack.processes:
        # Workers die twice as often: what they hold is what can be lost.
        n_times = 1 if process.name.startswith("web") else 2
        acts += [(f"kill {process.name}", lambda it=process: it.kill())] * n_times
    for server in stack.servers:
        acts += [
            (f"restart {server.name}", lambda it=server: _restart(it)),
            (f"pause {server.name}", lambda it=server: _pause(it, chance.uniform(1, 6))),
        ]
    return acts


def _restart(server: Breakable) -> None:
    server.stop()
    server.start()


def _pause(server: Breakable, seconds: float) -> None:
    server.pause()
    time.sleep(seconds)
    server.resume()
