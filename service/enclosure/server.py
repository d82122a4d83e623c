"""Forks the children of one enclosure: it has loaded what they need, and reads no file itself.

Run as ``python -m service.enclosure.server CONTROL MODULE...``. A request on the socket CONTROL names a
function and brings the ends of two channels, the child's and this process's own, and the files to work on.
Forking takes milliseconds, where a fresh interpreter takes a second to load numpy and scipy.

Not `multiprocessing`'s fork server: its children run the caller's main module again, take their orders as
pickles, inherit the caller's environment with its passwords, and can reach its listening socket.
"""

import ctypes
import gc
import os
import selectors
import signal
import socket
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any

from service.enclosure import channel
from service.enclosure.child import live


def main() -> None:
    """Load the modules, then fork for each request until the other side is gone."""
    control = socket.socket(fileno=int(sys.argv[1]))
    # Ctrl-C is for the process that started this one: when it ends, so does the channel.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in sys.argv[2:]:
        import_module(name).prepare_to_fork()
    # What is loaded by now is shared with every child as long as nobody writes to it.
    gc.collect()
    gc.freeze()
    # What is free by now would be shared too, and a child that used it would copy it first, 4 KB at a time.
    with suppress(AttributeError):  # glibc's alone
        ctypes.CDLL(None).malloc_trim(0)
    _Server(control).run()


class _Server:
    """The children that are alive, each with the channel over which its end is told."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._status: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        # A child's end wakes the loop.
        woken, waker = socket.socketpair()
        for end in (woken, waker):
            end.settimeout(0)
        self._woken, self._waker = woken, waker
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(control, selectors.EVENT_READ, None)
        self._selector.register(woken, selectors.EVENT_READ, None)

    def run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._control:
                    try:
                        self._fork(*channel.receive(self._control))
                    except channel.ChannelClosedError:
                        # Children may still end while this process does.
                        signal.set_wakeup_fd(-1)
                        return
                elif key.fileobj is self._woken:
                    self._woken.recv(4096)
                    self._reap()
                elif key.data in self._status:
                    # Nothing is ever said here: it was closed, because nobody waits for the child any more.
                    self._selector.unregister(self._status[key.data])
                    os.kill(key.data, signal.SIGKILL)

    def _fork(self, request: dict[str, Any], files: list[int]) -> None:
        own, status, *given = files
        teller = socket.socket(fileno=status)
        server = os.getpid()
        try:
            child = os.fork()
        except OSError:
            channel.send(teller, {"unavailable": True})
            teller.close()
        else:
            if child == 0:
                signal.set_wakeup_fd(-1)
                live(request, own, tuple(given), server=server)
            self._status[child] = teller
            self._selector.register(teller, selectors.EVENT_READ, child)
        channel.close([own, *given])

    def _reap(self) -> None:
        while self._status:
            child, status = os.waitpid(-1, os.WNOHANG)
            if child == 0:
                return
            teller = self._status.pop(child)
            if teller in self._selector.get_map():
                self._selector.unregister(teller)
            # There may be nobody who waits for it any more.
            with suppress(OSError):
                channel.send(teller, {"ended": os.waitstatus_to_exitcode(status)})
            teller.close()


if __name__ == "__main__":
    main()
