"""Waiting for what may take long, and leaving it when the job must not go on."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import copy_context
from typing import TypeVar

# How often a job looks whether it must stop, in seconds.
_LOOK_S = 0.1

Entered = TypeVar("Entered")


@contextmanager
def entered(context: AbstractContextManager[Entered], *, check: Callable[[], None]) -> Iterator[Entered]:
    """Enter a context in a thread of its own, which is left behind when ``check`` raises.

    A download waits in a system call that nothing interrupts: the thread comes to its own end, after the
    store's time-outs, and leaves the context again.

    Parameters
    ----------
    context : context manager
        May be left by another thread than the one that entered it.
    check : callable
        Called ten times a second until the context is entered; what it raises passes through.
    """
    entering: Future[Entered] = Future()

    def enter() -> None:
        try:
            value = context.__enter__()
        except BaseException as error:  # noqa: BLE001  (raised again by whoever waits)
            entering.set_exception(error)
        else:
            entering.set_result(value)

    def leave(ended: "Future[Entered]") -> None:
        if ended.exception() is None:
            context.__exit__(None, None, None)

    threading.Thread(target=copy_context().run, args=(enter,), name="entering", daemon=True).start()
    try:
        while not wait([entering], timeout=_LOOK_S).done:
            check()
    except BaseException:
        entering.add_done_callback(leave)
        raise
    value = entering.result()
    with ExitStack() as stack:
        stack.push(context)
        yield value
