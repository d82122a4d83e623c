"""The embedded message broker: kombu's folder of files, made safe against half-written ones.

kombu's own transport writes a message in place, so that a consumer can meet half of it and die of the parse
error (https://github.com/celery/kombu/issues/1551); it takes messages out through the system's temporary
folder, which may be another disk; and it rewrites its table of bindings in place. Here every file appears by
a rename. A message that is lost all the same (a killed consumer) is announced again by the sweep: the
database is the truth.
"""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty
from time import time, time_ns
from typing import Any
from uuid import uuid4

from kombu.transport import filesystem, virtual

from service.logs import get_logger

# A message is read within milliseconds of being taken; what stays longer was left, in seconds.
LEFT_S = 3600

log = get_logger(__name__)


class Channel(filesystem.Channel):
    """A folder of messages; one file a message, named by time so that they leave in order."""

    def _put(  # type: ignore[override]  # kombu's two base classes name the argument differently
        self, queue: str, message: dict[str, Any], **_kwargs: object
    ) -> None:
        folder = Path(self.data_folder_out)
        unfinished = folder / f"{uuid4()}.part"
        unfinished.write_text(json.dumps(message))
        # Wall-clock time: kombu's monotonic clock starts again with the machine.
        unfinished.rename(folder / f"{time_ns():020d}_{uuid4()}.{queue}.msg")

    def _get(self, queue: str, _timeout: float | None = None) -> dict[str, Any]:
        for message in sorted(Path(self.data_folder_in).glob(f"*.{queue}.msg")):
            mine = Path(self.processed_folder) / message.name
            try:
                # A rename has one winner among all the consumers.
                message.rename(mine)
            except FileNotFoundError:
                continue
            text = mine.read_text()
            mine.unlink()
            try:
                payload: dict[str, Any] = json.loads(text)
            except ValueError:
                # Written by somebody else, or cut off by a full disk or a crash of the machine.
                log.warning("message_unreadable", queue=queue, size_bytes=len(text))
                continue
            return payload
        raise Empty

    def get_table(self, exchange: str) -> list[filesystem.exchange_queue_t]:
        """Return the bindings of an exchange."""
        try:
            bindings = json.loads(self._table_file(exchange).read_text())
        except FileNotFoundError:
            return []
        return [filesystem.exchange_queue_t(*binding) for binding in bindings]

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        binding = filesystem.exchange_queue_t(routing_key or "", pattern or "", queue or "")
        with self._table_lock():
            bindings = self.get_table(exchange)
            if binding not in bindings:
                self._write_table(exchange, [binding, *bindings])

    def _delete(
        self, queue: str, exchange: str, routing_key: str, pattern: str, *_args: object, **_kwargs: object
    ) -> None:
        binding = filesystem.exchange_queue_t(routing_key or "", pattern or "", queue or "")
        self._purge(queue)  # type: ignore[no-untyped-call]  # kombu's
        with self._table_lock():
            kept = [known for known in self.get_table(exchange) if known != binding]
            self._write_table(exchange, kept)

    def _table_file(self, exchange: str) -> Path:
        return Path(self._exchange_file(exchange))  # type: ignore[no-untyped-call]  # kombu's

    @contextmanager
    def _table_lock(self) -> Iterator[None]:
        with (self.control_folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _write_table(self, exchange: str, bindings: list[filesystem.exchange_queue_t]) -> None:
        file = self._table_file(exchange)
        unfinished = file.with_suffix(".part")
        unfinished.write_text(json.dumps(bindings))
        unfinished.rename(file)


class Transport(filesystem.Transport):
    """kombu's transport with the channel above; used by its dotted name."""

    Channel = Channel

    def __init__(self, client: Any, **kwargs: Any) -> None:
        super().__init__(client, **kwargs)  # type: ignore[no-untyped-call]  # kombu's
        # kombu remembers for the whole process what any connection has declared: another folder, or a thread
        # that is still writing its declaration, would be taken for done.
        self.state = virtual.BrokerState()  # type: ignore[no-untyped-call]  # kombu's


def prepare(folder: Path) -> dict[str, Any]:
    """Make the broker's folders, all on one disk, and return kombu's transport options for them."""
    messages, taken, control = (folder / name for name in ("messages", "taken", "control"))
    for path in (messages, taken, control):
        path.mkdir(parents=True, exist_ok=True)
    for left in taken.iterdir():
        # A consumer was killed while it read this; the sweep has announced its job again long ago.
        with suppress(FileNotFoundError):
            if time() - left.stat().st_mtime > LEFT_S:
                left.unlink()
    return {
        "data_folder_in": str(messages),
        "data_folder_out": str(messages),
        "processed_folder": str(taken),
        "store_processed": True,
        "control_folder": str(control),
        # How long a consumer waits before it looks again, in seconds; also after each message.
        "polling_interval": 0.05,
    }
