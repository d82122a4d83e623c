"""The two ways to run RestNet: the processes of docker-compose.yml, started by hand, and `serve`."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2
import psutil

from service.db.engine import make_engine, session_factory
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.identity.accounts import create_user
from service.identity.api_keys import create_api_key
from service.identity.roles import Role
from service.identity.scopes import EVERY_SCOPE
from service.settings import Settings
from tests.production.servers import Breakable, postgres, redis
from tests.servers import S3Server, end, free_port, wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
# The command that an installation puts beside its interpreter.
RESTNET = str(Path(sys.executable).with_name("restnet"))


@dataclass
class Kept:
    """One process of ours that is started again whenever it ends, as a container's restart policy does."""

    name: str
    command: Sequence[str]
    settings: Settings
    log: Path
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0

    def keep(self) -> None:
        if self.process is None or self.process.poll() is not None:
            with self.log.open("ab") as log:
                self.process = subprocess.Popen(
                    self.command,
                    env={**os.environ, **self.settings.environment()},
                    cwd=REPOSITORY,
                    stdout=log,
                    stderr=log,
                )
            self.starts += 1

    def kill(self) -> None:
        """SIGKILL to the process and all that it started, as where a machine loses its power."""
        if self.process is None or self.process.poll() is not None:
            return
        try:
            family = [*psutil.Process(self.process.pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            family = []
        self.process.kill()
        for member in family:
            try:
                member.kill()
            except psutil.NoSuchProcess:
                continue
        self.process.wait()


@dataclass
class Stack:
    """A running RestNet.

    Attributes
    ----------
    settings : Settings
    addresses : tuple of str
        Of the web processes.
    processes : list of Kept
    servers : list of Breakable
        What they depend on; none where everything is embedded.
    """

    settings: Settings
    addresses: tuple[str, ...]
    processes: list[Kept]
    servers: list[Breakable] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)

    def keep_running(self) -> None:
        """Start again what has ended, until the stack is closed."""
        while not self._ended.wait(0.5):
            for process in self.processes:
                process.keep()

    def wait_until_ready(self) -> None:
        for address in self.addresses:
            wait_until(lambda at=address: answers(f"{at}/readyz"), f"{address} to be ready", within_s=120)

    def web_processes(self) -> list[psutil.Process]:
        """Find what answers requests, also where a supervisor started it."""
        started = [psutil.Process(kept.process.pid) for kept in self.processes if kept.process is not None]
        family = [*started, *(child for parent in started for child in parent.children(recursive=True))]
        return [process for process in family if _answers_requests(process)]

    def close(self) -> None:
        self._ended.set()
        for kept in self.processes:
            if kept.process is not None:
                kept.process.terminate()
        for kept in self.processes:
            if kept.process is not None:
                end(kept.process, within_s=30)


@contextmanager
def production(*, inference_workers: int = 2, **changes: object) -> Iterator[Stack]:
    """Two web processes, inference workers and one for all else, on servers of their own."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="restnet-", ignore_cleanup_errors=True)))
        # PostgreSQL runs as another user, in a folder of its own.
        folder.chmod(0o711)
        database, database_url = postgres(folder / "postgres")
        broker, broker_url = redis(folder / "redis")
        storage = S3Server(folder / "s3")
        for server in (database, broker, storage):
            stack.callback(server.stop)
            server.start()
        settings = Settings(
            data_dir=folder / "data",
            database_url=database_url,
            broker_url=broker_url,
            **storage.settings("restnet"),
            **changes,
        )
        restnet(settings, "prepare")
        ports = free_port(), free_port()
        commands = {f"web-{n}": (RESTNET, "web", "--port", str(port)) for n, port in enumerate(ports)}
        commands |= {
            f"inference-{n}": (RESTNET, "worker", "--queue", "inference") for n in range(inference_workers)
        }
        commands["background"] = (RESTNET, "worker", "--queue", "maintenance", "--queue", "training")
        yield stack.enter_context(
            _running(
                Stack(
                    settings=settings,
                    addresses=tuple(f"http://127.0.0.1:{port}" for port in ports),
                    processes=[
                        Kept(name, command, settings, folder / f"{name}.log")
                        for name, command in commands.items()
                    ],
                    servers=[database, broker, storage],
                )
            )
        )


@contextmanager
def embedded(folder: Path, **changes: object) -> Iterator[Stack]:
    """`restnet serve` with everything in one folder."""
    settings = Settings(data_dir=folder / "data", **changes)
    port = free_port()
    serve = Kept("serve", (RESTNET, "serve", "--port", str(port)), settings, folder / "serve.log")
    with _running(
        Stack(settings=settings, addresses=(f"http://127.0.0.1:{port}",), processes=[serve])
    ) as stack:
        yield stack


def api_key(settings: Settings, *, name: str) -> str:
    """Add an administrator with a key that may do everything; returns its text."""
    engine = make_engine(settings.database_url.get_secret_value())
    with session_factory(engine).begin() as session:
        user = create_user(
            session,
            username=name,
            password="nothing that anybody types",
            role=Role.ADMINISTRATOR,
            organisation_id=DEFAULT_ORGANISATION_ID,
            by_owner=True,
        )
        key = create_api_key(session, user=user, name=name, scopes=EVERY_SCOPE)
    engine.dispose()
    return key


def restnet(settings: Settings, *arguments: str) -> str:
    """Run one command of ours to its end; returns what it printed."""
    return subprocess.run(
        [RESTNET, *arguments],
        env={**os.environ, **settings.environment()},
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=5).status_code == 200
    except httpx2.HTTPError:
        return False


def _answers_requests(process: psutil.Process) -> bool:
    command = process.cmdline()
    return "service.api.main" in command or command[1:3] == [RESTNET, "web"]


@contextmanager
def _running(stack: Stack) -> Iterator[Stack]:
    keeper = threading.Thread(target=stack.keep_running, name="keeper", daemon=True)
    for process in stack.processes:
        process.keep()
    keeper.start()
    try:
        stack.wait_until_ready()
        yield stack
    finally:
        stack.close()
        keeper.join()
