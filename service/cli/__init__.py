"""The ``restnet`` command.

Heavy packages load inside the commands that need them: ``restnet --help`` answers at once.
"""

import _thread
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType

_AGAIN_S = 0.05
# A terminal, a batch system or an impatient finger send Ctrl-C more than once: within this time it is one.
_ONE_S = 1.0
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
    """Hear Ctrl-C once, and again where Python drops it: in a destructor or a callback of a weak reference.

    A second one in the midst of what the first began would leave that undone.
    """
    told = sys.unraisablehook
    heard_at = [-_ONE_S]

    def stop(number: int, frame: FrameType | None) -> None:
        if monotonic() - heard_at[0] >= _ONE_S:
            heard_at[0] = monotonic()
            signal.default_int_handler(number, frame)

    def hook(lost: "sys.UnraisableHookArgs") -> None:
        if lost.exc_type is not KeyboardInterrupt:
            told(lost)
            return
        heard_at[0] = -_ONE_S
        again = threading.Timer(_AGAIN_S, _thread.interrupt_main)
        again.daemon = True
        again.start()

    before = signal.getsignal(signal.SIGINT)
    if before == signal.default_int_handler:
        signal.signal(signal.SIGINT, stop)
    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = told
        if signal.getsignal(signal.SIGINT) == stop:
            signal.signal(signal.SIGINT, before)


__all__ = ["main"]
