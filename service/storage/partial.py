"""One upload that comes in several requests: what has come waits in files that outlive who receives them.

``ID.part`` holds the bytes, and its size is how far the upload has come; ``ID.json`` says what is to come.
Locks are the system's, which takes them from a dead process. Who writes holds ``ID.part``. Who hands over or
stops holds ``ID.json``, so that a stop need not wait for who writes: they find the file gone.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from service.storage.errors import (
    UploadBusyError,
    UploadIncompleteError,
    UploadNotFoundError,
    UploadOffsetError,
    UploadTooLargeError,
    local_outages,
)
from service.storage.quarantine import QUARANTINE_S


@dataclass(frozen=True)
class WholeUpload:
    """An upload of which everything has come; a :class:`service.storage.ReceivedFile`.

    Attributes
    ----------
    path : Path
    size_bytes : int
    sha256 : str
        Of the whole file, read again: the state of a hash does not outlive its process.
    """

    path: Path
    size_bytes: int
    sha256: str

    def seal(self) -> None:
        """Do nothing: it is written out already."""


class Appending:
    """Takes an upload's next bytes, in its turn; made by :meth:`PartialUpload.append`."""

    def __init__(self, descriptor: int, *, size_bytes: int, length_bytes: int) -> None:
        self._descriptor = descriptor
        self._size_bytes = size_bytes
        self._length_bytes = length_bytes

    def write(self, chunk: bytes) -> None:
        """Append bytes.

        Raises
        ------
        UploadTooLargeError
            If more would come than was announced; nothing is written then.
        UploadNotFoundError
            If it was stopped meanwhile.
        """
        if self._size_bytes + len(chunk) > self._length_bytes:
            raise UploadTooLargeError(self._length_bytes)
        rest = memoryview(chunk)
        with local_outages():
            if _is_gone(self._descriptor):
                raise UploadNotFoundError
            while rest:
                count = os.write(self._descriptor, rest)
                self._size_bytes += count
                rest = rest[count:]

    def close(self) -> None:
        """Bring what has come to the disk, and let the next one write."""
        with local_outages():
            try:
                os.fsync(self._descriptor)
            finally:
                os.close(self._descriptor)


@dataclass(frozen=True)
class PartialUpload:
    """An upload that has begun and is not yet a scan.

    Attributes
    ----------
    upload_id : str
    name : str
        The file's display name.
    length_bytes : int
        Of the whole file, as announced.
    path : Path
        Where its bytes wait.
    """

    upload_id: str
    name: str
    length_bytes: int
    path: Path

    @property
    def offset_bytes(self) -> int:
        """How many bytes are there."""
        return self._stat().st_size

    @property
    def expires_at(self) -> float:
        """When it is removed if nothing more comes, in seconds since 1970."""
        return self._stat().st_mtime + QUARANTINE_S

    def append(self, *, offset_bytes: int) -> Appending:
        """Open it for its next bytes; to be closed.

        Raises
        ------
        UploadBusyError
            If somebody else writes.
        UploadOffsetError
            If it ends elsewhere.
        UploadNotFoundError
            If it was removed meanwhile.
        """
        with ExitStack() as opened:
            descriptor = _lock(self.path, os.O_RDWR | os.O_APPEND, opened)
            size_bytes = os.fstat(descriptor).st_size
            if size_bytes != offset_bytes:
                raise UploadOffsetError(expected=size_bytes, found=offset_bytes)
            # From here on it is the one who appends who closes it.
            opened.pop_all()
        return Appending(descriptor, size_bytes=size_bytes, length_bytes=self.length_bytes)

    @contextmanager
    def whole(self) -> Iterator[WholeUpload]:
        """Give the finished file, which nobody else can write, finish or stop meanwhile.

        Raises
        ------
        UploadIncompleteError
            If bytes are missing.
        UploadBusyError, UploadNotFoundError
            As :meth:`append`.
        """
        with ExitStack() as opened:
            _lock(self._said, os.O_RDONLY, opened)
            descriptor = _lock(self.path, os.O_RDWR, opened)
            with local_outages():
                found = os.fstat(descriptor).st_size
                if found != self.length_bytes:
                    raise UploadIncompleteError(expected=self.length_bytes, found=found)
                # It is in use: nobody is to tidy it away.
                os.utime(descriptor)
                with self.path.open("rb") as file:
                    sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            yield WholeUpload(self.path, found, sha256)

    def stop(self) -> None:
        """End it, whoever writes: they find it gone.

        Raises
        ------
        UploadBusyError
            If it is being handed over, which cannot be stopped any more.
        UploadNotFoundError
            If it has been handed over or stopped meanwhile.
        """
        stop_at(self.path)

    def remove(self) -> None:
        """Forget it, for who hands it over; nothing happens when it is not there."""
        _remove(self.path)

    @property
    def _said(self) -> Path:
        return _said_of(self.path)

    def _stat(self) -> os.stat_result:
        with local_outages():
            try:
                return self.path.stat()
            except FileNotFoundError:
                raise UploadNotFoundError from None


def stop_at(path: Path) -> None:
    """End the upload whose bytes wait at a path, as :meth:`PartialUpload.stop` does, with its refusals."""
    with ExitStack() as opened:
        _lock(_said_of(path), os.O_RDONLY, opened)
        _remove(path)


def _remove(path: Path) -> None:
    with local_outages():
        path.unlink(missing_ok=True)
        _said_of(path).unlink(missing_ok=True)


def _said_of(path: Path) -> Path:
    return path.with_suffix(".json")


def _lock(path: Path, flags: int, opened: ExitStack) -> int:
    """Open a file of an upload and lock it, until the stack is closed."""
    with local_outages():
        try:
            descriptor = os.open(path, flags)
            opened.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            raise UploadNotFoundError from None
        except BlockingIOError:
            raise UploadBusyError from None
        if _is_gone(descriptor):
            # Whoever held the lock before has finished it, or ended it.
            raise UploadNotFoundError
    return descriptor


def _is_gone(descriptor: int) -> bool:
    return os.fstat(descriptor).st_nlink == 0
