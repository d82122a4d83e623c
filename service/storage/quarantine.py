"""A file on its way in, on this machine's disk."""

import hashlib
from pathlib import Path

from service.storage.errors import UploadTooLargeError, local_outages

QUARANTINE_S = 24 * 3600
"""An upload that takes longer than this was given up, in seconds."""


class LocalUpload:
    """An upload into a local file: capped, counted and hashed while it is written."""

    def __init__(self, path: Path, *, max_bytes: int) -> None:
        self.path = path
        self.size_bytes = 0
        self._max_bytes = max_bytes
        self._digest = hashlib.sha256()
        with local_outages():
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
        with local_outages():
            self._file.write(chunk)
        self._digest.update(chunk)
        self.size_bytes += len(chunk)

    def seal(self) -> None:
        """Write out and close the file."""
        with local_outages():
            self._file.close()

    def discard(self) -> None:
        """Close and remove; nothing happens after a promotion."""
        with local_outages():
            try:
                self._file.close()
            finally:
                self.path.unlink(missing_ok=True)
