"""What the service needs from a store, whichever it is."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from service.logs import get_logger
from service.storage.errors import StorageUnavailableError

log = get_logger(__name__)


class ReceivedFile(Protocol):
    """A file that has come in, counted and hashed."""

    @property
    def path(self) -> Path:
        """The quarantined file; complete after :meth:`seal`."""

    @property
    def size_bytes(self) -> int:
        """Bytes written so far."""

    @property
    def sha256(self) -> str:
        """Hexadecimal digest of the bytes written so far."""

    def seal(self) -> None:
        """Write out and close; nothing can be written afterwards."""


class Upload(ReceivedFile, Protocol):
    """A file on its way in, in one request: counted and hashed while it is written."""

    def write(self, chunk: bytes) -> None:
        """Append bytes; raises UploadTooLargeError over the cap."""


@dataclass(frozen=True)
class StoredFile:
    """A key and how long ago its bytes were written, in seconds."""

    key: str
    age_s: float


class Storage(Protocol):
    """A store of whole files; keys are ``a/b.c`` in lower case.

    Every method may raise StorageUnavailableError, and then nothing has changed that a second call would not
    set right.
    """

    def receive(self, *, max_bytes: int) -> AbstractContextManager[Upload]:
        """Open a place in quarantine, on this machine, emptied on leaving unless it was promoted."""

    def promote(self, source: Upload | Path, key: str) -> None:
        """Make a file visible under ``key``, whole or not at all, and durable.

        Parameters
        ----------
        source : Upload or Path
            An upload, or a file that was made of it in the folder of its :attr:`Upload.path`. It is used up.
        key : str
        """

    def open_local(self, key: str, *, compare: bool = True) -> AbstractContextManager[Path]:
        """Give a local path to the bytes under ``key``, for as long as the context lasts.

        Parameters
        ----------
        key : str
        compare : bool
            Whether a store that has to copy the bytes compares them with the digest that it keeps beside
            them; a caller who compares them with the database's need not pay twice.

        Raises
        ------
        StoredFileMissingError
            If there is nothing.
        StoredFileDamagedError
            If the bytes are provably not those that were promoted.
        EncryptionKeyMissingError
            If they are encrypted and no key opens them.
        """

    def delete(self, key: str) -> None:
        """Remove ``key``; nothing happens when it is not there."""

    def stored(self, prefix: str) -> Iterator[StoredFile]:
        """List what lies below ``prefix/``, in no order; what comes or goes meanwhile may be missed."""

    def purge_quarantine(self, *, older_than_s: float) -> int:
        """Remove what a killed process left half done; returns how many pieces."""

    def probe(self) -> None:
        """Write a few bytes where scans would go; raises StorageUnavailableError if it cannot be done now."""


def local_file(source: Upload | Path) -> Path:
    """Return the path of what is to be promoted; an upload is sealed first."""
    if isinstance(source, Path):
        return source
    source.seal()
    return source.path


def discard(storage: Storage, key: str) -> None:
    """Delete what no row names any more; what cannot be deleted now is left to the maintenance sweep."""
    try:
        storage.delete(key)
    except StorageUnavailableError as error:
        log.warning("delete_failed", key=key, reason=error.found)
