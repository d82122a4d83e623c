"""Becomes a child of the supervisor: ends with its parent, runs at a priority, then turns into its module.

Run as ``python -m service.embedded.child PARENT NICENESS MODULE ARGUMENTS...``.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # prctl(2); kept across execve


def main() -> None:
    """Replace this process by ``python -m MODULE ARGUMENTS...``."""
    parent, niceness, module, *arguments = sys.argv[1:]
    if sys.platform == "linux":
        # Even a supervisor that is killed leaves nobody behind who holds the port.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(parent):
        sys.exit("the supervisor is gone")
    os.nice(int(niceness))
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606  (our own modules)


if __name__ == "__main__":
    main()
