"""The ``restnet`` command.

Heavy packages load inside the commands that need them: ``restnet --help`` answers at once.
"""

import _thread
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_AGAIN_S = 0.05


def main() -> None:
    """Run the command line, and end with its exit status; 130 where Ctrl-C has ended it."""
    try:
        with _ctrl_c_is_heard():
            from service.cli.app import run

            status = run()
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        status = 130
    sys.exit(status)


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
