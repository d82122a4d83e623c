"""Connections that are bounded in number and in time: slow clients (slow loris) hold nothing for long.

uvicorn waits for ever for the rest of a request's head, for the rest of a body that was answered early, and
for a client that does not take its answer.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import cast

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from service.networks import Network, lies_within, neighbour

# For a client that is still sending when it has been answered, as one whose scan is too large: closed at
# once, the connection would be reset, and the answer lost with it.
LINGER_S = 2.0
TOO_SLOW = (
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n"
    b"content-type: text/plain\r\ncontent-length: 15\r\n\r\nRequest Timeout"
)


@dataclass(frozen=True)
class ConnectionLimits:
    """How long and how many.

    Attributes
    ----------
    head_s : float
        A connection on which no request is being served ends after this.
    stall_s : float
        A client that takes nothing of its answer ends after this.
    per_address : int
        Connections of one address.
    unlimited : tuple of networks
        Whose connections are not counted: proxies, which hold those of everybody.
    """

    head_s: float
    stall_s: float
    per_address: int
    unlimited: tuple[Network, ...] = ()
    opened: Counter[str] = field(default_factory=Counter, repr=False, compare=False)


def bounded_protocol(limits: ConnectionLimits) -> type[H11Protocol]:
    """Make the protocol class of one server."""

    class BoundedProtocol(H11Protocol):
        """HTTP/1.1 of uvicorn, with an end to waiting."""

        _idle_timer: asyncio.TimerHandle | None = None
        _stall_timer: asyncio.TimerHandle | None = None
        _address: str | None = None
        _heard = False

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            address = self.client[0] if self.client else ""
            if not lies_within(address, limits.unlimited):
                self._address = neighbour(address)
                limits.opened[self._address] += 1
                if limits.opened[self._address] > limits.per_address:
                    transport.abort()
                    return
            self._wait(limits.head_s)

        def connection_lost(self, exc: Exception | None) -> None:
            for timer in (self._idle_timer, self._stall_timer):
                if timer is not None:
                    timer.cancel()
            if self._address is not None:
                limits.opened[self._address] -= 1
                if not limits.opened[self._address]:
                    del limits.opened[self._address]
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            self._heard = True
            super().data_received(data)
            if self._serves() and self._idle_timer is not None:
                self._idle_timer.cancel()
                self._idle_timer = None

        def on_response_complete(self) -> None:
            unfinished = self.cycle.more_body
            super().on_response_complete()
            if not self._serves() and not self.transport.is_closing():
                self._wait(LINGER_S if unfinished else limits.head_s)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._watch_writing()

        def resume_writing(self) -> None:
            super().resume_writing()
            if self._stall_timer is not None:
                self._stall_timer.cancel()
                self._stall_timer = None

        def _watch_writing(self) -> None:
            left_bytes = self.transport.get_write_buffer_size()
            self._stall_timer = self.loop.call_later(limits.stall_s, self._look_at_writing, left_bytes)

        def _look_at_writing(self, left_bytes: int) -> None:
            if self.transport.get_write_buffer_size() < left_bytes:
                # Slow, but it reads.
                self._watch_writing()
            else:
                self.transport.abort()

        def _serves(self) -> bool:
            asked = self._latest()
            return asked is not None and not asked.response_complete

        def _latest(self) -> RequestResponseCycle | None:
            # uvicorn's own annotation leaves out that there is none at first.
            return cast("RequestResponseCycle | None", self.cycle)

        def _wait(self, seconds: float) -> None:
            if self._idle_timer is not None:
                self._idle_timer.cancel()
            self._idle_timer = self.loop.call_later(seconds, self._give_up)

        def _give_up(self) -> None:
            if self._heard and self._latest() is None:
                self.transport.write(TOO_SLOW)
            if self.transport.get_write_buffer_size():
                self.transport.abort()
            self.transport.close()

    return BoundedProtocol
