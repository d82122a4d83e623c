"""A folder for what is unpacked of a person's images: gone when the work on it ends, in whichever way."""

import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def private_folder() -> Iterator[Path]:
    """Make a folder that nobody else may read, and remove it with all that is in it.

    A second Ctrl-C, or a terminal that is closed meanwhile, does not stop the removal: it counts afterwards.
    """
    made = Path(mkdtemp(prefix="restnet-"))
    try:
        yield made
    finally:
        with _signals_wait():
            shutil.rmtree(made)


@contextmanager
def _signals_wait() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        # Only the main thread is interrupted by a signal, and may say what one does.
        yield
        return
    came: list[int] = []
    before = {number: signal.signal(number, lambda got, _frame: came.append(got)) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])
