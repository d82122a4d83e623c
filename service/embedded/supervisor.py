"""What ``restnet serve`` runs: the web process and its workers, restarted when they die, stopped together."""

import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from sqlalchemy.orm import Session, sessionmaker

from model import demonstration_checkpoint
from service import logs
from service.db.engine import make_engine, session_factory
from service.db.migrate import upgrade
from service.embedded.demo import FILE_NAME, make_demo_credentials
from service.errors import ServiceError
from service.identity.actor import program
from service.private import make_private_folder, write_privately
from service.registry import active_model, let_answer
from service.registry.registering import register
from service.settings import Settings
from service.storage import open_storage

POLL_S = 0.1
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
# A child that ran for this long had started well: the next pause is the first one again.
SETTLED_S = 60.0
LOWEST_PRIORITY = 19
_CHILD = "service.embedded.child"
# Why a model came to answer, where nobody said so.
NAMED_BY_THE_SETTINGS = "RESTNET_CHECKPOINT names its file"
FIRST_START = "the first start, with the model that RestNet ships with"

log = logs.get_logger(__name__)


class AlreadyServingError(ServiceError):
    """Another supervisor works in this data directory."""

    code: ClassVar[str] = "already_serving"

    def __init__(self) -> None:
        super().__init__("expected a data directory of its own, found another restnet serve at work in it")


class PortInUseError(ServiceError):
    """The address cannot be listened on."""

    code: ClassVar[str] = "port_in_use"

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        super().__init__(f"expected a free address, found {host}:{port} in use or not ours")


class HostUnknownError(ServiceError):
    """A name that no address of this machine is known by."""

    code: ClassVar[str] = "host_unknown"

    def __init__(self, host: str) -> None:
        self.host = host
        super().__init__(f"expected an address of this machine, or a name of it, found {host or 'none'}")


@dataclass
class Child:
    """A process that is kept running.

    Attributes
    ----------
    name : str
        For the log.
    command : tuple of str
        Module and arguments.
    niceness : int
        Added to the supervisor's own.
    """

    name: str
    command: tuple[str, ...]
    niceness: int = 0
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    pause_s: float = field(default=FIRST_PAUSE_S)

    def keep_running(self, environment: dict[str, str]) -> None:
        """Start the process if its time has come; note its end and when to try again."""
        now = time.monotonic()
        if self.process is None:
            if now >= self.start_at:
                self._start(environment, now)
            return
        status = self.process.poll()
        if status is None:
            return
        if now - self.started_at > SETTLED_S:
            self.pause_s = FIRST_PAUSE_S
        log.warning("child_ended", child=self.name, status=status, restart_in_s=self.pause_s)
        self.process = None
        self.start_at = now + self.pause_s
        self.pause_s = min(self.pause_s * 2, LONGEST_PAUSE_S)

    def _start(self, environment: dict[str, str], now: float) -> None:
        self.process = subprocess.Popen(  # noqa: S603  (our own modules)
            [
                sys.executable,
                "-m",
                "service.embedded.child",
                str(os.getpid()),
                str(self.niceness),
                *self.command,
            ],
            env=environment,
            stdin=subprocess.DEVNULL,
            # A group of its own: Ctrl-C is for the supervisor, which stops the others in good order.
            process_group=0,
        )
        self.started_at = now
        log.info("child_started", child=self.name, process_id=self.process.pid)


def serve(settings: Settings, *, host: str, port: int, demo: bool) -> None:
    """Run RestNet on this machine until SIGTERM or SIGINT.

    Parameters
    ----------
    host, port : str, int
        Where the web process listens.
    demo : bool
        Make an administrator and an API key, and print them once.

    Raises
    ------
    AlreadyServingError
        If another supervisor works in the same data directory.
    PortInUseError
        If the address is taken.
    CheckpointError
        If the checkpoint that the settings name is none.
    """
    logs.configure(log_format=settings.log_format, log_level=settings.log_level)
    write_privately()
    make_private_folder(settings.data_dir)
    with _only_one(settings.data_dir):
        require_address(host, port)
        prepare(settings, demo=demo)
        _say(f"RestNet at http://{host}:{port} (Ctrl-C stops it)")
        _supervise(settings, _children(host, port))


def prepare(settings: Settings, *, demo: bool) -> None:
    """Bring the database up to date, register the model to serve and, for a demonstration, make a login."""
    url = settings.database_url.get_secret_value()
    upgrade(url)
    engine = make_engine(url)
    sessions = session_factory(engine)
    with sessions() as session:
        active = active_model(session)
    if settings.checkpoint is not None:
        _serve_checkpoint(sessions, settings, settings.checkpoint, reason=NAMED_BY_THE_SETTINGS)
    elif active is None:
        # Not on every start: an administrator may have promoted another one.
        _serve_checkpoint(sessions, settings, demonstration_checkpoint(), reason=FIRST_START)
    if demo:
        with sessions.begin() as session:
            credentials = make_demo_credentials(session, settings.data_dir)
        file = settings.data_dir / FILE_NAME
        if credentials is None:
            _say(f"The login of the first start is in {file}")
        else:
            _say(f"User {credentials['username']}, password {credentials['password']}")
            _say(f"API key {credentials['api_key']}\nBoth are in {file}")
    engine.dispose()


def _serve_checkpoint(
    sessions: sessionmaker[Session], settings: Settings, path: Path, *, reason: str
) -> None:
    storage, actor = open_storage(settings), program("serve")
    with sessions.begin() as session:
        version = register(session, storage, path, actor=actor)
    # Apart: the file is read through before anything is written, and nobody has to wait for that.
    with sessions.begin() as session:
        let_answer(session, storage, version, actor=actor, reason=reason)


def _children(host: str, port: int) -> tuple[Child, ...]:
    return (
        Child("web", ("service.api.main", "--host", host, "--port", str(port))),
        Child("inference", ("service.worker", "--queue", "inference")),
        # People wait for it, but minutes: neither an answer nor an explanation is to stand behind it.
        Child("normalising", ("service.worker", "--queue", "normalising"), niceness=LOWEST_PRIORITY),
        # What people wait for, some seconds each: behind a comparison they would wait for minutes.
        Child(
            "explanation",
            ("service.worker", "--queue", "explanation", "--queue", "planning"),
            niceness=LOWEST_PRIORITY,
        ),
        # Beside a fold, which takes hours, a challenger to be compared would wait for them; so would a score.
        Child(
            "evaluation",
            ("service.worker", "--queue", "evaluation", "--queue", "scoring"),
            niceness=LOWEST_PRIORITY,
        ),
        # The sweeper is a thread that sleeps; what needs the processor here is a fold.
        Child(
            "background",
            ("service.worker", "--queue", "maintenance", "--queue", "training"),
            niceness=LOWEST_PRIORITY,
        ),
    )


def _supervise(settings: Settings, children: tuple[Child, ...]) -> None:
    environment = {**os.environ, **settings.environment()}
    with _stop_signals() as told_to_stop:
        while not told_to_stop:
            for child in children:
                child.keep_running(environment)
            time.sleep(POLL_S)
        _say("Stopping ...")
        _stop(children, settings.shutdown_s)


def _stop(children: tuple[Child, ...], patience_s: float) -> None:
    running = [child.process for child in children if child.process is not None]
    for process in running:
        process.terminate()
    deadline = time.monotonic() + patience_s
    for process in running:
        try:
            process.wait(max(deadline - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            # Its leases run out, and the sweep of the next start queues its jobs again.
            log.warning("child_killed", process_id=process.pid)
            process.kill()
            process.wait()


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    # A list and not an Event: setting an Event in a handler can deadlock with waiting on it.
    received: list[int] = []
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    previous = {number: signal.signal(number, lambda got, _frame: received.append(got)) for number in numbers}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def _only_one(data_dir: Path) -> Iterator[None]:
    with (data_dir / "serve.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyServingError from error
        yield


def require_address(host: str, port: int) -> None:
    """Raise HostUnknownError or PortInUseError where nothing could listen."""
    if not host:
        # For the system that is every address there is.
        raise HostUnknownError(host)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As uvicorn does: a port that only waits for old connections to fade is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (socket.gaierror, UnicodeError) as error:
            raise HostUnknownError(host) from error
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise HostUnknownError(host) from error
            raise PortInUseError(host, port) from error


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
