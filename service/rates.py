"""How often somebody may ask within a minute, counted where every web process can see it.

With Redis as broker the counts lie there. The embedded service has one web process and counts in its memory,
and so does one that Redis does not answer: a limit that is a little generous is better than a service that
stands still. Failed logins are another matter: ``service.identity.throttle`` counts them in the database.
"""

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

import anyio
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError

from service.errors import ServiceError
from service.logs import get_logger
from service.settings import Settings

# Counting must not hold up what it counts: Redis gets this long, and is left alone for a while when it fails.
ANSWER_S = 0.5
PAUSE_S = 10.0

log = get_logger(__name__)


class RateLimitError(ServiceError):
    """More requests within a minute than one address, key or login may send."""

    code: ClassVar[str] = "rate_limited"

    def __init__(self, *, limit: int, retry_after_s: int) -> None:
        self.limit = limit
        self.retry_after_s = retry_after_s
        super().__init__(
            f"expected at most {limit} such requests a minute, found more: try again in {retry_after_s} s"
        )


class Kind(StrEnum):
    """What is counted apart."""

    UPLOAD = "upload"
    OTHER = "other"


@dataclass
class Rates:
    """The limits of a service and the counts held to them.

    Attributes
    ----------
    limits : dict
        For each kind, the requests a minute of one address and of one key or login; 0 is none.
    memory : SlidingWindowCounterRateLimiter
    shared : SlidingWindowCounterRateLimiter or None
        Counts that the other processes see too.
    """

    limits: dict[Kind, tuple[int, int]]
    memory: SlidingWindowCounterRateLimiter = field(
        default_factory=lambda: SlidingWindowCounterRateLimiter(MemoryStorage())
    )
    shared: SlidingWindowCounterRateLimiter | None = None
    _shared_again_at: float = field(default=0.0, repr=False)

    async def count(self, kind: Kind, *, address: str, credential: str | None) -> None:
        """Count a request.

        Parameters
        ----------
        kind : Kind
        address : str
            Of the client, as :func:`service.networks.neighbour` gives it.
        credential : str or None
            What tells its key or login from others; not the secret itself.

        Raises
        ------
        RateLimitError
            If the address, or the key or login, has used its limit up.
        """
        of_address, of_credential = self.limits[kind]
        counted = [(of_address, f"address {address}")] if of_address else []
        if of_credential and credential is not None:
            counted.append((of_credential, f"credential {credential}"))
        await self._count([(RateLimitItemPerMinute(limit), kind.value, whom) for limit, whom in counted])

    async def _count(self, hits: Iterable[tuple[RateLimitItem, str, str]]) -> None:
        for item, kind, whom in hits:
            wait_s = await self._wait_s(item, kind, whom)
            if wait_s is not None:
                raise RateLimitError(limit=item.amount, retry_after_s=wait_s)

    async def _wait_s(self, item: RateLimitItem, kind: str, whom: str) -> int | None:
        if self.shared is not None and time.monotonic() >= self._shared_again_at:
            try:
                with anyio.fail_after(ANSWER_S):
                    return await _hit(self.shared, item, kind, whom)
            except (StorageError, TimeoutError) as error:
                self._shared_again_at = time.monotonic() + PAUSE_S
                log.warning("rates_counted_here", seconds=PAUSE_S, reason=type(error).__name__)
        return await _hit(self.memory, item, kind, whom)


def open_rates(settings: Settings) -> Rates:
    """Build the limits that the settings ask for; nothing is reached yet."""
    limits = {
        Kind.UPLOAD: (settings.uploads_per_minute_per_address, settings.uploads_per_minute),
        Kind.OTHER: (settings.requests_per_minute_per_address, settings.requests_per_minute),
    }
    broker = settings.broker_url.get_secret_value()
    if not broker.startswith(("redis://", "rediss://")):
        return Rates(limits)
    # redis-py is here already; limits would ask for another client.
    storage = RedisStorage(
        f"async+{broker}", wrap_exceptions=True, implementation="redispy", key_prefix="restnet-rates"
    )
    return Rates(limits, shared=SlidingWindowCounterRateLimiter(storage))


async def _hit(
    limiter: SlidingWindowCounterRateLimiter, item: RateLimitItem, kind: str, whom: str
) -> int | None:
    if await limiter.hit(item, kind, whom):
        return None
    window = await limiter.get_window_stats(item, kind, whom)
    return max(math.ceil(window.reset_time - time.time()), 1)
