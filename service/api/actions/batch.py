"""Small network chunks gathered into writes that are worth a thread."""

from collections.abc import Callable
from dataclasses import dataclass, field

from anyio import CapacityLimiter, to_thread

WRITE_BYTES = 256 * 1024


@dataclass
class Batch:
    """Hands bytes on in pieces of some size; :meth:`flush` hands over what is left.

    Attributes
    ----------
    write : callable
        Takes a piece, in a thread.
    limiter : CapacityLimiter
        Of those threads.
    """

    write: Callable[[bytes], None]
    limiter: CapacityLimiter
    _pieces: bytearray = field(default_factory=bytearray, repr=False)

    async def add(self, piece: bytes) -> None:
        """Take bytes from the network."""
        self._pieces += piece
        if len(self._pieces) >= WRITE_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Write what has gathered."""
        if self._pieces:
            block, self._pieces = bytes(self._pieces), bytearray()
            await to_thread.run_sync(self.write, block, limiter=self.limiter)
