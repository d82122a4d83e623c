"""The caller's side: one call at a time a thread, as many threads as there are callers."""

import fcntl
import mmap
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from time import monotonic
from typing import Any, BinaryIO

from service.enclosure import channel
from service.enclosure.errors import (
    EnclosedFaultError,
    EnclosureUnavailableError,
    ReaderDiedError,
    ReaderMemoryError,
    ReaderTimeLimitError,
    carried_refusal,
)
from service.enclosure.limits import Limits

# How often a caller looks whether its answer is still wanted, in seconds.
LOOK_S = 0.1
# The kernel has already ended the child when its channel closes; the news takes no longer than this, in
# seconds.
_NEWS_S = 10.0
# What a child needs of the environment: no setting of ours, hence no password.
_ENVIRONMENT = frozenset(
    {
        "HOME",
        "LANG",
        "LC_ALL",
        "LD_LIBRARY_PATH",
        # Which code a BLAS runs: another one rounds in another way.
        "OPENBLAS_CORETYPE",
        "OPENBLAS_L2_SIZE",
        "PATH",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONPATH",
        "TMPDIR",
        "TZ",
    }
)
# Whatever memory a child touches is new to it, and every first touch of 4 KB costs microseconds. So it is had
# in pages of 2 MB, from one heap for all threads, and used again rather than given back: 4,000 first touches
# for an ordinary scan instead of 13,000. And a BLAS that starts no threads leaves the other core alone.
_SPARING = {
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1"
    ":glibc.malloc.mmap_threshold=33554432:glibc.malloc.trim_threshold=536870912",
    "OPENBLAS_NUM_THREADS": "1",
}
_CODE = re.compile("[a-z0-9_]{1,64}")
# What is small enough to be kept beside a job: the poses of the longest run take a tenth of it.
_LARGEST_NOTE_BYTES = 1 << 23
_NONSENSE = "a message that no reader sends"
_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK


@dataclass(frozen=True)
class Answer:
    """What a call returned.

    Attributes
    ----------
    values : dict
        Plain JSON values, as the child said them: to be read with the care that a stranger's words deserve.
    array : mmap or None
        Bytes that nobody can change any more; writing to them changes a private copy.
    """

    values: dict[str, Any]
    array: mmap.mmap | None


class Enclosure:
    """Runs functions of named modules in limited children; threads may share one.

    Parameters
    ----------
    modules : sequence of str
        Loaded once, in the process that the children are forked from; each has a ``prepare_to_fork()``.
    """

    def __init__(self, *modules: str) -> None:
        self._modules = modules
        self._lock = threading.Lock()
        self._server: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def start(self) -> None:
        """Load the modules beside what the caller does next: the first call would wait for it."""
        with self._lock:
            if self._server is None:
                self._start()

    def run(
        self,
        task: str,
        *files: BinaryIO,
        arguments: Mapping[str, Any],
        limits: Limits,
        progress: Callable[[str, float], None] | None = None,
        check: Callable[[], None] | None = None,
        note: Callable[[bytes], None] | None = None,
    ) -> Answer:
        """Call a function in a fresh child; what the callables raise ends it at once and passes through.

        Parameters
        ----------
        task : str
            "module:function", see :data:`service.enclosure.child.Task`.
        *files : open files
            Handed over as they are open, reading or writing.
        arguments : mapping
            Keyword arguments, plain JSON values.
        limits : Limits
        progress : callable, optional
            Called as the task calls its own.
        check : callable, optional
            Called ten times a second, whatever the child does.
        note : callable, optional
            Called with what the task hands out on its way; the task then takes a callable ``note`` too.

        Raises
        ------
        ScanError
            As the task raised it, with the same code, message and details.
        ReaderDiedError, ReaderMemoryError, ReaderTimeLimitError
            If the child met its end.
        EnclosureUnavailableError
            If there could be none.
        OSError
            As the task met it, without its words.
        EnclosedFaultError
            For anything else that the task raised.
        """
        request = {
            "task": task,
            "arguments": dict(arguments),
            "limits": asdict(limits),
            "notes": note is not None,
        }
        with self._child(request, [file.fileno() for file in files]) as (child, status):
            told = _Told(progress or _nobody, check or _nobody, note or _nobody)
            return _Watch(child, status, limits, told).until_answered()

    def close(self) -> None:
        """End the server, and with it every child."""
        with self._lock:
            self._stop()

    @contextmanager
    def _child(
        self, request: dict[str, Any], files: Sequence[int]
    ) -> Iterator[tuple[socket.socket, socket.socket]]:
        child, its_own = channel.pair()
        status, servers_own = channel.pair()
        # Closing ours makes the server kill the child, if it still lives.
        with child, status:
            with its_own, servers_own:
                self._ask(request, (its_own.fileno(), servers_own.fileno(), *files))
            yield child, status

    def _ask(self, request: dict[str, Any], files: tuple[int, ...]) -> None:
        with self._lock:
            for again in (True, False):
                if self._server is None or self._server.poll() is not None:
                    self._start()
                try:
                    assert self._control is not None  # noqa: S101  (for the type checker)
                    channel.send(self._control, request, files=files)
                except OSError as error:
                    # It ended since we looked, or is about to.
                    self._stop()
                    if not again:
                        raise EnclosureUnavailableError from error
                else:
                    return

    def _start(self) -> None:
        self._stop()
        control, its_own = channel.pair()
        environment = {name: value for name, value in os.environ.items() if name in _ENVIRONMENT}
        with its_own:
            os.set_inheritable(its_own.fileno(), True)  # noqa: FBT003
            try:
                self._server = subprocess.Popen(  # noqa: S603  (our own module)
                    [
                        sys.executable,
                        "-m",
                        "service.enclosure.server",
                        str(its_own.fileno()),
                        *self._modules,
                    ],
                    env=environment | _SPARING,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[its_own.fileno()],
                )
            except OSError as error:
                control.close()
                raise EnclosureUnavailableError from error
        self._control = control

    def _stop(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None


@dataclass(frozen=True)
class _Told:
    """Who hears of a child while it works; what they raise ends it."""

    progress: Callable[[str, float], None]
    check: Callable[[], None]
    note: Callable[[bytes], None]


class _Watch:
    """Waits for one child: hears its messages, holds it to the clock, and finds out how it ended."""

    def __init__(
        self,
        child: socket.socket,
        status: socket.socket,
        limits: Limits,
        told: _Told,
    ) -> None:
        self._child = child
        self._status = status
        self._limits = limits
        self._told = told

    def until_answered(self) -> Answer:
        ends_at = monotonic() + self._limits.time_s
        heard = select.poll()
        heard.register(self._child, select.POLLIN)
        while True:
            self._told.check()
            left_s = ends_at - monotonic()
            if left_s <= 0:
                raise ReaderTimeLimitError(limit_s=self._limits.time_s)
            if not heard.poll(1000 * min(left_s, LOOK_S)):
                continue
            try:
                message, files = channel.receive(self._child)
            except channel.ChannelClosedError:
                self._explain_the_end()
            except channel.NonsenseError as error:
                raise ReaderDiedError(found=_NONSENSE) from error
            answer = self._understand(message, files)
            if answer is not None:
                return answer

    def _understand(self, message: dict[str, Any], files: list[int]) -> Answer | None:
        """Return the answer, None for news on the way, or raise what the child raised."""
        try:
            match message:
                case {"progress": [str(stage), int() | float() as fraction]}:
                    self._told.progress(stage, float(fraction))
                    return None
                case {"note": True} if files:
                    self._told.note(_note_in(files[0]))
                    return None
                case {"answer": dict(values)}:
                    return Answer(values, _array(files[0]) if files else None)
                case {"refusal": {"code": str(code), "message": str(words), "details": dict(details)}} if (
                    _CODE.fullmatch(code)
                ):
                    raise carried_refusal(code=code, message=_plain(words), details=details)
                case {"out_of_memory": True}:
                    raise ReaderMemoryError(limit_bytes=self._limits.memory_bytes)
                case {"system_error": int(number)}:
                    raise OSError(number, os.strerror(number))
                case {"fault": str(trace)}:
                    raise EnclosedFaultError(f"in an enclosed child:\n{_plain(trace)}")
                case _:
                    raise ReaderDiedError(found=_NONSENSE)
        finally:
            channel.close(files)

    def _explain_the_end(self) -> None:
        """Raise what became of a child that closed its channel without an answer."""
        self._status.settimeout(_NEWS_S)
        try:
            news, _ = channel.receive(self._status)
        except channel.ChannelClosedError as error:
            # The server itself is gone, and every child with it.
            raise EnclosureUnavailableError from error
        match news:
            case {"unavailable": True}:
                raise EnclosureUnavailableError
            case {"ended": int(status)} if status == -signal.SIGXCPU:
                raise ReaderTimeLimitError(limit_s=self._limits.time_s)
            case {"ended": int(status)} if status < 0:
                raise ReaderDiedError(found=_signal_name(-status))
            case {"ended": status}:
                raise ReaderDiedError(found=f"exit status {status}")
            case _:
                raise EnclosureUnavailableError


def _array(memory: int) -> mmap.mmap:
    """Map an answer's bytes, once it is certain that they cannot change or vanish under their reader."""
    with suppress(OSError, ValueError):
        if fcntl.fcntl(memory, fcntl.F_GET_SEALS) & _SEALS == _SEALS:
            return mmap.mmap(memory, 0, access=mmap.ACCESS_COPY)
    raise ReaderDiedError(found="an answer that could still change")


def _note_in(memory: int) -> bytes:
    if os.fstat(memory).st_size > _LARGEST_NOTE_BYTES:
        raise ReaderDiedError(found=_NONSENSE)
    with _array(memory) as note:
        return bytes(note)


def _signal_name(number: int) -> str:
    with suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"


def _plain(words: str) -> str:
    """Keep what a line of a log or a page may hold."""
    return "".join(character if character.isprintable() or character == "\n" else "?" for character in words)


def _nobody(*_: object) -> None:
    """Nobody is watching."""
