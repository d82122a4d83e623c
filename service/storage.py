"""Where uploads and checkpoints are kept: received in quarantine, promoted whole, opened as local files."""

import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from service.errors import ServiceError
from service.logs import get_logger

_KEY = re.compile(r"[a-z0-9][a-z0-9_-]*(?:\.[a-z0-9]+)*(?:/[a-z0-9][a-z0-9_-]*(?:\.[a-z0-9]+)*)*")
SCAN_SUFFIXES = (".nii.gz", ".nii")
SCANS = "scans"
MODELS = "models"

log = get_logger(__name__)


class UploadTooLargeError(ServiceError):
    """More bytes arrived than an upload may have."""

    code: ClassVar[str] = "upload_too_large"

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        super().__init__(f"expected at most {max_bytes} bytes, found more")


class StoredFileMissingError(ServiceError):
    """A row names a file that storage does not have."""

    code: ClassVar[str] = "stored_file_missing"

    def __init__(self, key: str) -> None:
        self._key = key
        super().__init__("expected the uploaded file in storage, found nothing under its key")


class StorageKeyError(ServiceError):
    """A key that could leave the storage folder, or that another storage could not hold."""

    code: ClassVar[str] = "storage_key_invalid"

    def __init__(self, key: str) -> None:
        self._key = key
        super().__init__("expected lower-case letters, digits, '-', '_', '.' and '/', found another key")


class StorageUrlError(ServiceError):
    """A storage address of a kind that is not built."""

    code: ClassVar[str] = "storage_url_unsupported"

    def __init__(self, scheme: str) -> None:
        self.scheme = scheme
        super().__init__(f"expected a storage address file://FOLDER, found the scheme {scheme!r}")


class Upload(Protocol):
    """A file on its way in: counted and hashed while it is written."""

    @property
    def path(self) -> Path:
        """The quarantined file; complete after :meth:`seal`."""

    @property
    def size_bytes(self) -> int:
        """Bytes written so far."""

    @property
    def sha256(self) -> str:
        """Hexadecimal digest of the bytes written so far."""

    def write(self, chunk: bytes) -> None:
        """Append bytes; raises UploadTooLargeError over the cap."""

    def seal(self) -> None:
        """Bring every byte to the disk; nothing can be written afterwards."""


@dataclass(frozen=True)
class StoredFile:
    """A key and how long ago its bytes were written, in seconds."""

    key: str
    age_s: float


class Storage(Protocol):
    """What the service needs from a store; keys are ``a/b.c`` in lower case."""

    def receive(self, *, max_bytes: int) -> AbstractContextManager[Upload]:
        """Open a place in quarantine, emptied on leaving unless it was promoted."""

    def promote(self, upload: Upload, key: str) -> None:
        """Make a sealed upload visible under ``key``, whole or not at all."""

    def open_local(self, key: str) -> AbstractContextManager[Path]:
        """Give a local path to the bytes under ``key``; raises StoredFileMissingError."""

    def delete(self, key: str) -> None:
        """Remove ``key``; nothing happens when it is not there."""

    def stored(self, prefix: str) -> Iterator[StoredFile]:
        """List what lies below ``prefix/``, in no order; what comes or goes meanwhile may be missed."""

    def purge_quarantine(self, *, older_than_s: float) -> int:
        """Remove what a killed process left in quarantine; returns how many files."""


def open_storage(url: str) -> Storage:
    """Return the storage at an address.

    Raises
    ------
    StorageUrlError
        If the address is not a folder; object stores have their place behind the same protocol.
    """
    if "://" not in url:
        return FolderStorage(Path(url))
    parts = urlsplit(url)
    if parts.scheme == "file":
        return FolderStorage(Path(unquote(parts.path)))
    raise StorageUrlError(parts.scheme)


def discard(storage: Storage, key: str) -> None:
    """Delete what no row names any more; what cannot be deleted now is left to the maintenance sweep."""
    try:
        storage.delete(key)
    except OSError as error:
        log.warning("delete_failed", key=key, reason=type(error).__name__)


def scan_key(scan_id: str, display_name: str) -> str:
    """Return where an uploaded scan is kept; only a known suffix is taken from the file's name."""
    suffix = next((known for known in SCAN_SUFFIXES if display_name.lower().endswith(known)), "")
    return f"{SCANS}/{scan_id[:2]}/{scan_id}{suffix}"


def checkpoint_key(sha256: str) -> str:
    """Return where a checkpoint is kept: under its own hash, so equal bytes are kept once."""
    return f"{MODELS}/{sha256}.safetensors"


class FolderUpload:
    """An upload into a folder's quarantine."""

    def __init__(self, path: Path, *, max_bytes: int) -> None:
        self.path = path
        self.size_bytes = 0
        self._max_bytes = max_bytes
        self._digest = hashlib.sha256()
        # Closed by seal() or by the context that made this object.
        self._file = path.open("xb")

    @property
    def sha256(self) -> str:
        """Hexadecimal digest of the bytes written so far."""
        return self._digest.hexdigest()

    def write(self, chunk: bytes) -> None:
        """Append bytes; over the cap nothing more is written."""
        if self.size_bytes + len(chunk) > self._max_bytes:
            raise UploadTooLargeError(self._max_bytes)
        self._file.write(chunk)
        self._digest.update(chunk)
        self.size_bytes += len(chunk)

    def seal(self) -> None:
        """Bring every byte to the disk and close the file."""
        if not self._file.closed:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    def discard(self) -> None:
        """Close and remove; nothing happens after a promotion."""
        self._file.close()
        self.path.unlink(missing_ok=True)


class FolderStorage:
    """Files in one folder of one file system, so that a rename is atomic."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._quarantine = root / "quarantine"

    @contextmanager
    def receive(self, *, max_bytes: int) -> Iterator[FolderUpload]:
        """Open a place in quarantine, emptied on leaving unless it was promoted."""
        self._quarantine.mkdir(parents=True, exist_ok=True)
        upload = FolderUpload(self._quarantine / f"{uuid4()}.part", max_bytes=max_bytes)
        try:
            yield upload
        finally:
            upload.discard()

    def promote(self, upload: Upload, key: str) -> None:
        """Seal and rename: readers see the whole file or none; the folder entry is synced as well."""
        upload.seal()
        target = self._path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        upload.path.rename(target)
        for folder in (target.parent, target.parent.parent):
            _sync_folder(folder)

    @contextmanager
    def open_local(self, key: str) -> Iterator[Path]:
        """Give the file's own path; no copy is made."""
        path = self._path(key)
        if not path.is_file():
            raise StoredFileMissingError(key)
        yield path

    def delete(self, key: str) -> None:
        """Remove ``key``; nothing happens when it is not there."""
        self._path(key).unlink(missing_ok=True)

    def stored(self, prefix: str) -> Iterator[StoredFile]:
        """List the files below ``prefix/``; a file whose name is no key was put there by somebody else."""
        now = time.time()
        for folder, _folders, names in os.walk(self._path(prefix)):
            for path in (Path(folder) / name for name in names):
                key = path.relative_to(self._root).as_posix()
                with suppress(FileNotFoundError):
                    if _KEY.fullmatch(key):
                        yield StoredFile(key, now - path.stat().st_mtime)

    def purge_quarantine(self, *, older_than_s: float) -> int:
        """Remove what a killed process left in quarantine; returns how many files."""
        if not self._quarantine.is_dir():
            return 0
        horizon = time.time() - older_than_s
        stale = [path for path in self._quarantine.iterdir() if path.stat().st_mtime < horizon]
        for path in stale:
            path.unlink(missing_ok=True)
        return len(stale)

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise StorageKeyError(key)
        return self._root / key


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
