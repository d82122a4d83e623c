"""How a call in an enclosure ends without an answer."""

from typing import ClassVar

from imaging.errors import ScanError
from service.errors import ServiceError


class ReaderDiedError(ServiceError):
    """The child ended without a word: a crash, or the system killed it, as it does where memory runs out.

    Attributes
    ----------
    found : str
        The signal's name, or the exit status.
    """

    code: ClassVar[str] = "scan_reader_died"

    def __init__(self, *, found: str) -> None:
        self.found = found
        super().__init__(
            f"expected the process that reads the file to come to its end, found it ended before ({found}): "
            "the machine ran out of memory, or the file brought it down. Try it again, then export it "
            "again, or report it"
        )


class ReaderMemoryError(ServiceError):
    """The child asked for more memory than it may have."""

    code: ClassVar[str] = "scan_reader_memory"

    def __init__(self, *, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        super().__init__(
            f"expected a file that can be read within {limit_bytes:,} bytes of memory, "
            "found one that needs more"
        )


class ReaderTimeLimitError(ServiceError):
    """The child took more time than it may: of a processor, or by the clock."""

    code: ClassVar[str] = "scan_reader_time_limit"

    def __init__(self, *, limit_s: float) -> None:
        self.limit_s = limit_s
        super().__init__(
            f"expected a file that can be read within {limit_s:g} s, found one that takes longer"
        )


class EnclosureUnavailableError(ServiceError):
    """No child could be started; the file is not to blame, and later it may work."""

    code: ClassVar[str] = "scan_reader_unavailable"

    def __init__(self) -> None:
        super().__init__(
            "expected a process to read the file in, found the system refusing one: try again later"
        )


class EnclosedFaultError(Exception):
    """A fault of ours in the child; the message holds its traceback, for the log only."""


class _CarriedError(ScanError):
    """A scan's refusal, told by the child; its class stays there, with what its module loads."""

    def __init__(self, message: str, details: dict[str, object]) -> None:
        super().__init__(message)
        self._details = details

    def details(self) -> dict[str, object]:
        return self._details


def carried_refusal(*, code: str, message: str, details: dict[str, object]) -> ScanError:
    """Return a refusal with the code, message and details that it had in the child."""
    kind = type("CarriedRefusal", (_CarriedError,), {"code": code})
    refusal: ScanError = kind(message, details)
    return refusal
