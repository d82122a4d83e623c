"""Places for uploads that arrive at the same time, so that no account takes them all."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar

from service.errors import ServiceError


class TooManyUploadsError(ServiceError):
    """One account sends more scans at once than it may."""

    code: ClassVar[str] = "too_many_uploads"
    retry_after_s: ClassVar[int] = 5

    def __init__(self, *, limit: int) -> None:
        self.limit = limit
        super().__init__(f"expected at most {limit} uploads of one account at once, found more")


class UploadsFullError(ServiceError):
    """As many uploads arrive as one process takes."""

    code: ClassVar[str] = "uploads_full"
    retry_after_s: ClassVar[int] = 5

    def __init__(self, *, limit: int) -> None:
        self.limit = limit
        super().__init__(f"expected at most {limit} uploads at once, found more: try again shortly")


@dataclass
class UploadSlots:
    """Counts the uploads that are arriving; used on the event loop only.

    Attributes
    ----------
    most : int
    most_per_account : int
    """

    most: int
    most_per_account: int
    _arriving: Counter[str] = field(default_factory=Counter, repr=False)

    @contextmanager
    def taken(self, account: str) -> Iterator[None]:
        """Hold a place for as long as an upload arrives.

        Raises
        ------
        TooManyUploadsError, UploadsFullError
            If the account, or all of them together, have no place left.
        """
        if self._arriving[account] >= self.most_per_account:
            raise TooManyUploadsError(limit=self.most_per_account)
        if self._arriving.total() >= self.most:
            raise UploadsFullError(limit=self.most)
        self._arriving[account] += 1
        try:
            yield
        finally:
            self._arriving[account] -= 1
            if not self._arriving[account]:
                del self._arriving[account]
