"""PostgreSQL and Redis with their data on disk: processes that can be stopped, paused and started again."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.servers import end, free_port, missing, wait_until


class Breakable(Protocol):
    """A server that may be made to fail."""

    name: str

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


@dataclass
class Server:
    """One server process, always on the same port and the same data.

    Attributes
    ----------
    name : str
    command : sequence of str
    folder : Path
        Where it works and where its output goes.
    answers : callable
        Whether it takes requests.
    account : mapping
        Another user to run as, for `subprocess.Popen`.
    end_signal : int
        What makes it end in good order.
    """

    name: str
    command: Sequence[str | Path]
    folder: Path
    answers: Callable[[], bool]
    account: Mapping[str, object] = field(default_factory=dict)
    end_signal: int = signal.SIGTERM
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        with (self.folder / "output").open("ab") as output:
            self.process = subprocess.Popen(
                self.command, cwd=self.folder, stdout=output, stderr=output, **self.account
            )
        wait_until(self.answers, f"{self.name} to answer", within_s=60)

    def stop(self) -> None:
        """End it in good order, also where it is paused."""
        if self.process is not None:
            self.resume()
            self.process.send_signal(self.end_signal)
            end(self.process)
            self.process = None

    def pause(self) -> None:
        """Let it hang: connections stay open and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        # Its own group: PostgreSQL answers in children.
        if self.process is not None and self.process.poll() is None:
            for pid in (self.process.pid, *_children(self.process.pid)):
                os.kill(pid, number)


def postgres(folder: Path) -> tuple[Server, str]:
    """A cluster of its own that keeps every promise of durability; returns the server and its address."""
    # Debian keeps the server's own programs off the PATH.
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    folders = os.pathsep.join([os.environ["PATH"], *map(str, reversed(found))])
    initdb, program = (shutil.which(name, path=folders) for name in ("initdb", "postgres"))
    if initdb is None or program is None:
        missing("postgres", "PATH")
    # PostgreSQL refuses to run as root.
    account = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    folder.mkdir()
    if account:
        shutil.chown(folder, "postgres", "postgres")
    subprocess.run(
        [initdb, "-D", "data", "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-locale"],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=folder,
        **account,
    )
    port = free_port()
    options = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=100"]
    command = [program, "-D", "data", "-p", str(port)]
    command += [part for option in options for part in ("-c", option)]
    server = Server(
        name="PostgreSQL",
        command=command,
        folder=folder,
        # It listens before it lets anybody in.
        answers=lambda: _ready(folder, port),
        account=account,
        # The fast shutdown, which does not wait for clients.
        end_signal=signal.SIGINT,
    )
    return server, f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"


def redis(folder: Path) -> tuple[Server, str]:
    """A Redis as docker-compose.yml runs it: it evicts nothing and appends every write to a file."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        missing("redis-server", "PATH")
    folder.mkdir()
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder]
    command += [
        "--save",
        "",
        "--appendonly",
        "yes",
        "--appendfsync",
        "always",
        "--maxmemory-policy",
        "noeviction",
    ]
    server = Server(name="Redis", command=command, folder=folder, answers=lambda: _pongs(port))
    return server, f"redis://127.0.0.1:{port}/0"


def _ready(folder: Path, port: int) -> bool:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    program = shutil.which("pg_isready", path=os.pathsep.join([os.environ["PATH"], *map(str, found)]))
    command = [str(program), "-h", "127.0.0.1", "-p", str(port), "-t", "2"]
    return subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=False).returncode == 0


def _pongs(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(b"PING\r\n")
            # It says LOADING while it reads its file.
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text().split()] if listed.exists() else []
