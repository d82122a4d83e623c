"""Uploads that come in several requests: what has come waits in files that outlive who receives them.

A folder an account, two files an upload: ``ID.part`` holds the bytes, and its size is how far the upload has
come; ``ID.json`` says what is to come. Whoever writes holds a lock that the system takes from a dead process.
"""

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict, ValidationError

from service.storage.errors import (
    TooManyUnfinishedUploadsError,
    UploadBusyError,
    UploadIncompleteError,
    UploadNotFoundError,
    UploadOffsetError,
    UploadTooLargeError,
    local_outages,
)
from service.storage.quarantine import QUARANTINE_S

# An upload that nobody has sent for this long gives way to a new one of an account that has too many.
_GIVES_WAY_S = 600


class _Announced(BaseModel):
    """What was said of an upload when it began; nothing about the person in the scan."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    length_bytes: int
    organisation_id: str


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
        """Append bytes; beyond the length that was announced nothing is written."""
        if self._size_bytes + len(chunk) > self._length_bytes:
            raise UploadTooLargeError(self._length_bytes)
        rest = memoryview(chunk)
        with local_outages():
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
            descriptor = self._lock(opened)
            size_bytes = os.fstat(descriptor).st_size
            if size_bytes != offset_bytes:
                raise UploadOffsetError(expected=size_bytes, found=offset_bytes)
            # From here on it is the one who appends who closes it.
            opened.pop_all()
        return Appending(descriptor, size_bytes=size_bytes, length_bytes=self.length_bytes)

    @contextmanager
    def whole(self) -> Iterator[WholeUpload]:
        """Give the finished file, which nobody else can write or finish meanwhile.

        Raises
        ------
        UploadIncompleteError
            If bytes are missing.
        UploadBusyError, UploadNotFoundError
            As :meth:`append`.
        """
        with ExitStack() as opened:
            descriptor = self._lock(opened)
            with local_outages():
                found = os.fstat(descriptor).st_size
                if found != self.length_bytes:
                    raise UploadIncompleteError(expected=self.length_bytes, found=found)
                # It is in use: nobody is to tidy it away.
                os.utime(descriptor)
                with self.path.open("rb") as file:
                    sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            yield WholeUpload(self.path, found, sha256)

    def remove(self) -> None:
        """Forget it; nothing happens when it is not there."""
        with local_outages():
            self.path.unlink(missing_ok=True)
            self.path.with_suffix(".json").unlink(missing_ok=True)

    def _stat(self) -> os.stat_result:
        with local_outages():
            try:
                return self.path.stat()
            except FileNotFoundError:
                raise UploadNotFoundError from None

    def _lock(self, opened: ExitStack) -> int:
        with local_outages():
            try:
                descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND)
                opened.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except FileNotFoundError:
                raise UploadNotFoundError from None
            except BlockingIOError:
                raise UploadBusyError from None
            if os.fstat(descriptor).st_nlink == 0:
                # Whoever held the lock before has finished it, or ended it.
                raise UploadNotFoundError
        return descriptor


class PartialUploads:
    """Every upload that has begun, where this process can reach it.

    Parameters
    ----------
    root : Path
        Made when it is needed.
    most_per_account : int
    """

    def __init__(self, root: Path, *, most_per_account: int) -> None:
        self._root = root
        self._most_per_account = most_per_account

    def begin(self, *, account: str, organisation_id: str, name: str, length_bytes: int) -> PartialUpload:
        """Make room for an upload.

        Raises
        ------
        TooManyUnfinishedUploadsError
            If the account has as many as it may, and has just sent each of them.
        """
        self.purge(older_than_s=QUARANTINE_S)
        self._make_room(account)
        announced = _Announced(name=name, length_bytes=length_bytes, organisation_id=organisation_id)
        upload_id = str(uuid4())
        path = self._folder(account) / f"{upload_id}.part"
        with local_outages():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.with_suffix(".json").write_text(announced.model_dump_json())
            # Last: what has no bytes' file has not begun.
            path.open("xb").close()
        return PartialUpload(upload_id, name, length_bytes, path)

    def find(self, upload_id: str, *, account: str, organisation_id: str) -> PartialUpload:
        """Return an account's upload.

        Raises
        ------
        UploadNotFoundError
            If there is none, or it is another account's, or too old, or lies on another machine.
        """
        path = self._folder(account) / f"{_checked_id(upload_id)}.part"
        with local_outages():
            try:
                announced = _Announced.model_validate_json(path.with_suffix(".json").read_bytes())
            except (FileNotFoundError, ValidationError):
                raise UploadNotFoundError from None
        found = PartialUpload(upload_id, announced.name, announced.length_bytes, path)
        if announced.organisation_id != organisation_id or found.expires_at < time.time():
            raise UploadNotFoundError
        return found

    def purge(self, *, older_than_s: float) -> int:
        """Remove what nobody has sent for long; returns how many uploads."""
        removed = 0
        with local_outages():
            for path in self._root.glob("*/*.json"):
                if _still_for_s(path.with_suffix(".part"), or_else=path) > older_than_s:
                    path.with_suffix(".part").unlink(missing_ok=True)
                    path.unlink(missing_ok=True)
                    removed += 1
        return removed

    def _make_room(self, account: str) -> None:
        with local_outages():
            begun = list(self._folder(account).glob("*.part"))
            if len(begun) < self._most_per_account:
                return
            # A person who has lost a page cannot end what it had begun.
            oldest = max(begun, key=_still_for_s)
            if _still_for_s(oldest) < _GIVES_WAY_S:
                raise TooManyUnfinishedUploadsError(limit=self._most_per_account)
            oldest.unlink(missing_ok=True)
            oldest.with_suffix(".json").unlink(missing_ok=True)

    def _folder(self, account: str) -> Path:
        return self._root / account


def _checked_id(upload_id: str) -> str:
    """Return an identifier that leads to no other folder."""
    with suppress(ValueError):
        if str(UUID(upload_id)) == upload_id:
            return upload_id
    raise UploadNotFoundError


def _still_for_s(path: Path, *, or_else: Path | None = None) -> float:
    """Return how long nothing has come, in seconds; of what is gone that is no time."""
    for looked_at in (path, or_else):
        if looked_at is not None:
            with suppress(FileNotFoundError):
                return time.time() - looked_at.stat().st_mtime
    return 0.0
