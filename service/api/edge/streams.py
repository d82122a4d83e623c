"""How many event streams one process keeps open: each costs a look into the database at every poll."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from service.api.problems.refusals import TooManyStreamsError


@dataclass
class Streams:
    """Counts the open streams of one event loop.

    Attributes
    ----------
    limit : int
    open : int
    """

    limit: int = 200
    open: int = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Count a stream for as long as it is open.

        Raises
        ------
        TooManyStreamsError
            If the limit is reached.
        """
        if self.open >= self.limit:
            raise TooManyStreamsError(limit=self.limit)
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1
