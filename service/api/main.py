"""``python -m service.api.main``: one web process, its settings from the environment."""

import argparse
import ctypes
import resource
from collections.abc import Sequence
from types import FrameType

import uvicorn

from service import logs
from service.api.app import create_app
from service.api.edge.connections import ConnectionLimits, bounded_protocol
from service.api.resources import Resources
from service.db.migrate import require_usable
from service.networks import parse_networks
from service.settings import Settings

KEEP_ALIVE_S = 15

# <malloc.h> of glibc.
M_MMAP_THRESHOLD = -3
M_ARENA_MAX = -8
LARGE_BLOCK_BYTES = 128 * 1024


class Server(uvicorn.Server):
    """uvicorn, telling open event streams to end as soon as it is told to stop itself."""

    def __init__(self, config: uvicorn.Config, resources: Resources) -> None:
        super().__init__(config)
        self._resources = resources

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; without the flag uvicorn would wait for streams that wait for it."""
        self._resources.stopping.set()
        super().handle_exit(sig, frame)


def return_memory() -> None:
    """Make glibc give large blocks back to the system when they are freed.

    Left to itself it learns to keep blocks of up to 32 MiB, and opens an arena a thread: a few logins (19 MiB
    a password hash) and parallel uploads would leave the process at twice its size for good.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    # Other C libraries have no mallopt, and no such habit.
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)
        mallopt(M_ARENA_MAX, 2)


def allow_open_files() -> None:
    """Raise the limit on open files to the most that this process may have: an upload takes two."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the address, and serve until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m service.api.main", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    chosen = parser.parse_args(arguments)
    run_web(Settings(), host=chosen.host, port=chosen.port)


def run_web(settings: Settings, *, host: str, port: int) -> None:
    """Serve until told to stop."""
    return_memory()
    allow_open_files()
    logs.configure(log_format=settings.log_format, log_level=settings.log_level)
    require_usable(settings.database_url.get_secret_value())
    app = create_app(settings)
    # Before the first upload, which would otherwise wait for it.
    app.state.resources.quarantine.start()
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        # X-Forwarded-For is whatever a client writes, and uvicorn would believe it from the loopback or from
        # FORWARDED_ALLOW_IPS: limits count by the address of the connection, unless a proxy of ours holds it.
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        http=bounded_protocol(_connection_limits(settings)),
        timeout_keep_alive=KEEP_ALIVE_S,
        # A moment less than the supervisor waits before it kills.
        timeout_graceful_shutdown=max(int(settings.shutdown_s) - 2, 1),
    )
    Server(config, app.state.resources).run()


def _connection_limits(settings: Settings) -> ConnectionLimits:
    return ConnectionLimits(
        head_s=settings.request_head_s,
        stall_s=settings.response_stall_s,
        per_address=settings.connections_per_address,
        unlimited=parse_networks(settings.trusted_proxies),
    )


if __name__ == "__main__":
    main()
