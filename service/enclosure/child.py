"""The life of one enclosed child: leave everything behind, accept the limits, do one thing, tell, end."""

import fcntl
import os
import signal
import socket
import traceback
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from imaging.errors import ScanError
from service.enclosure import channel
from service.enclosure.limits import Limits, end_with, impose
from service.errors import as_json

_TOLD_OF_A_FAULT = 8000

# What a task may call while it works.
Progress = Callable[[str, float], None]
# What a task is: it takes the request's arguments, paths to the files that came with it, and a callable for
# its progress; it returns plain JSON values and, if it made one, an array's bytes. Whose caller keeps notes
# gets a callable for these too: bytes that the caller has although the task may not come to its end.
Task = Callable[..., tuple[dict[str, Any], memoryview | None]]


def live(request: dict[str, Any], own: int, files: tuple[int, ...], *, server: int) -> NoReturn:
    """Do what a request says and end; never returns.

    Parameters
    ----------
    request : dict
        ``task`` ("module:function"), ``arguments``, ``limits``.
    own : int
        The descriptor of this child's channel.
    files : tuple of int
        Descriptors of the files to work on.
    server : int
        Id of the process that forked this one.
    """
    status = 1
    try:
        _leave_behind({own, *files})
        end_with(server)
        with socket.socket(fileno=own) as teller:
            _work(request, teller, files)
        status = 0
    finally:
        # Not sys.exit: what the server registered to be done at its end is not this process's to do.
        os._exit(status)


def _leave_behind(kept: set[int]) -> None:
    """Close what was inherited: the channels of other calls, and the streams that a crash would write to."""
    for number in (signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  (descriptors, not files)
        if int(name) > 2 and int(name) not in kept:
            with suppress(OSError):
                os.close(int(name))


def _work(request: dict[str, Any], teller: socket.socket, files: tuple[int, ...]) -> None:
    module, _, function = request["task"].partition(":")
    task: Task = getattr(import_module(module), function)
    limits = Limits(**request["limits"])
    # Opened again under a name of the kernel's: no path of the storage is known here.
    paths = [Path(f"/proc/self/fd/{file}") for file in files]

    def progress(stage: str, fraction: float) -> None:
        channel.send(teller, {"progress": [stage, fraction]})

    def note(content: bytes) -> None:
        sealed = _sealed(memoryview(content))
        channel.send(teller, {"note": True}, files=(sealed,))
        os.close(sealed)

    impose(limits)
    try:
        more = {"note": note} if request["notes"] else {}
        answer, array = task(*paths, **request["arguments"], progress=progress, **more)
        sealed = () if array is None else (_sealed(array),)
        channel.send(teller, {"answer": answer}, files=sealed)
    except ScanError as refusal:
        told = {"code": refusal.code, "message": str(refusal), "details": as_json(refusal.details())}
        channel.send(teller, {"refusal": told})
    except MemoryError:
        channel.send(teller, {"out_of_memory": True})
    except OSError as error:
        channel.send(teller, {"system_error": error.errno})
    except Exception as error:  # noqa: BLE001  (a fault of ours, told whatever it is)
        # A thread's stack is memory too; Python knows no better name for it.
        memory = str(error) == "can't start new thread"
        fault = {"fault": traceback.format_exc()[-_TOLD_OF_A_FAULT:]}
        channel.send(teller, {"out_of_memory": True} if memory else fault)


def _sealed(array: memoryview) -> int:
    """Copy bytes into memory that nobody can change or cut any more, under its reader."""
    memory = os.memfd_create("answer", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    left = array.cast("B")
    while left:
        left = left[os.write(memory, left) :]
    fcntl.fcntl(
        memory,
        fcntl.F_ADD_SEALS,
        fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL,
    )
    return memory
