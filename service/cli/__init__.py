"""The ``restnet`` command.

Heavy packages load inside the commands that need them: ``restnet --help`` answers at once.
"""

import _thread
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_AGAIN_S = 0.05
# A batch system's or a supervisor's word, and that of a terminal that is closed.
_ENDING = (signal.SIGTERM, signal.SIGHUP)


def main() -> None:
    """Run the command line, and end with its exit status.

    Ctrl-C ends it with 130, SIGTERM with 143 and SIGHUP with 129, once what it had begun is cleared away:
    of a patient's images that were unpacked, nothing may stay.
    """
    told: list[int] = []
    try:
        with _heard(told), _ctrl_c_is_heard():
            from service.cli.app import run

            status = run()
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        status = 128 + signal.SIGINT
    sys.exit(128 + told[0] if told else status)


@contextmanager
def _heard(told: list[int]) -> Iterator[None]:
    """Take a signal that would end the process at once for Ctrl-C; servers set their own handlers later."""

    def stop(number: int, frame: FrameType | None) -> None:
        told.append(number)
        # A terminal that is closed may send both; the second shall not stop the clearing away.
        for other in _ENDING:
            signal.signal(other, signal.SIG_IGN)
        signal.default_int_handler(number, frame)

    # One that is ignored, as under nohup, stays so.
    before = {
        number: signal.signal(number, stop)
        for number in _ENDING
        if signal.getsignal(number) == signal.SIG_DFL
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if told else handler)


@contextmanager
def _ctrl_c_is_heard() -> Iterator[None]:
    """Send Ctrl-C again where Python drops it: in a destructor or a callback of a weak reference."""
    told = sys.unraisablehook

    def hook(lost: "sys.UnraisableHookArgs") -> None:
        if lost.exc_type is not KeyboardInterrupt:
            told(lost)
            return
        again = threading.Timer(_AGAIN_S, _thread.interrupt_main)
        again.daemon = True
        again.start()

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = told


__all__ = ["main"]
