"""What storage refuses, and the one error that every outage of it becomes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from service.errors import ServiceError


class UploadTooLargeError(ServiceError):
    """More bytes arrived than an upload may have."""

    code: ClassVar[str] = "upload_too_large"

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        super().__init__(f"expected at most {max_bytes} bytes, found more")


class UploadNotFoundError(ServiceError):
    """No unfinished upload of this account, or none that this machine holds."""

    code: ClassVar[str] = "upload_not_found"

    def __init__(self) -> None:
        super().__init__("expected an unfinished upload of this account, found none: begin it again")


class UploadOffsetError(ServiceError):
    """Bytes for another place than where the upload ends."""

    code: ClassVar[str] = "upload_offset_conflict"

    def __init__(self, *, expected: int, found: int) -> None:
        self.expected = expected
        self.found = found
        super().__init__(f"expected the bytes from {expected} on, found those from {found} on")


class UploadBusyError(ServiceError):
    """Two requests at once for one upload."""

    code: ClassVar[str] = "upload_busy"
    retry_after_s: ClassVar[int] = 2

    def __init__(self) -> None:
        super().__init__("expected an upload that no other request works on, found one that is worked on")


class UploadIncompleteError(ServiceError):
    """An upload is to be finished, and bytes are missing."""

    code: ClassVar[str] = "upload_incomplete"

    def __init__(self, *, expected: int, found: int) -> None:
        self.expected = expected
        self.found = found
        super().__init__(f"expected all {expected} bytes of the upload, found {found}: send the rest first")


class TooManyUnfinishedUploadsError(ServiceError):
    """One account has begun more uploads than it may."""

    code: ClassVar[str] = "too_many_unfinished_uploads"
    retry_after_s: ClassVar[int] = 600

    def __init__(self, *, limit: int) -> None:
        self.limit = limit
        super().__init__(f"expected at most {limit} unfinished uploads of one account, found more")


class StoredFileMissingError(ServiceError):
    """A row names a file that storage does not have."""

    code: ClassVar[str] = "stored_file_missing"

    def __init__(self, key: str) -> None:
        self._key = key
        super().__init__("expected the uploaded file in storage, found nothing under its key")


class StoredFileDamagedError(ServiceError):
    """The bytes under a key are not those that were put there."""

    code: ClassVar[str] = "stored_file_damaged"

    def __init__(self, key: str) -> None:
        self._key = key
        super().__init__("expected the file in storage as it was uploaded, found it changed")


class StorageUnavailableError(ServiceError):
    """Storage does not do its work at present; the same call may pass later.

    Attributes
    ----------
    _found : str
        What was met, for the log of those who run the service.
    """

    code: ClassVar[str] = "storage_unavailable"

    def __init__(self, found: str) -> None:
        self._found = found
        super().__init__("expected the service's own storage to answer, found it away")

    @property
    def found(self) -> str:
        """What was met: the name of an error, never an address or a key."""
        return self._found


class StorageKeyError(ServiceError):
    """A key that could leave the storage folder, or that another storage could not hold."""

    code: ClassVar[str] = "storage_key_invalid"

    def __init__(self, key: str) -> None:
        self._key = key
        super().__init__("expected lower-case letters, digits, '-', '_', '.' and '/', found another key")


class StorageUrlError(ServiceError):
    """A storage address that leads nowhere."""

    code: ClassVar[str] = "storage_url_unsupported"

    def __init__(self, found: str) -> None:
        self.found = found
        super().__init__(f"expected a storage address file://FOLDER or s3://BUCKET/PREFIX, found {found}")


class EncryptionKeyFileError(ServiceError):
    """A key file that cannot be used; the service does not start with it."""

    code: ClassVar[str] = "encryption_key_file_invalid"

    def __init__(self, *, path: Path, expected: str, found: str) -> None:
        self.path = str(path)
        self.expected = expected
        self.found = found
        super().__init__(f"expected {expected}, found {found}: {path}")


class EncryptionKeyMissingError(ServiceError):
    """A stored file is encrypted with a key that the key file does not hold."""

    code: ClassVar[str] = "encryption_key_missing"

    def __init__(self, *, n_keys: int) -> None:
        self.n_keys = n_keys
        super().__init__(
            f"expected the key that the stored file was encrypted with, found {n_keys} other keys: "
            "put it back into the file that RESTNET_ENCRYPTION_KEY_FILE names"
        )


@contextmanager
def local_outages() -> Iterator[None]:
    """Turn what the local file system refuses (full, away, read-only) into an outage of storage."""
    try:
        yield
    except OSError as error:
        found = type(error).__name__ if error.errno is None else os.strerror(error.errno)
        raise StorageUnavailableError(found) from error
