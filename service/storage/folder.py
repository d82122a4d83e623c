"""Storage in a folder: nothing but a file system is needed."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from service.storage.errors import StoredFileMissingError, local_outages
from service.storage.keys import KEY, checked
from service.storage.protocol import StoredFile, Upload, local_file
from service.storage.quarantine import LocalUpload

_PROBE = b"ready?"


class FolderStorage:
    """Files in one folder of one file system, so that a rename is atomic."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._quarantine = root / "quarantine"

    @contextmanager
    def receive(self, *, max_bytes: int) -> Iterator[LocalUpload]:
        """Open a place in quarantine, emptied on leaving unless it was promoted."""
        with local_outages():
            self._quarantine.mkdir(parents=True, exist_ok=True)
        upload = LocalUpload(self._quarantine / f"{uuid4()}.part", max_bytes=max_bytes)
        try:
            yield upload
        finally:
            upload.discard()

    def promote(self, source: Upload | Path, key: str) -> None:
        """Sync and rename: readers see the whole file or none; the folder entry is synced as well."""
        target = self._path(key)
        path = local_file(source)
        with local_outages():
            _sync(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
            for folder in (target.parent, target.parent.parent):
                _sync(folder)

    @contextmanager
    def open_local(self, key: str, *, compare: bool = True) -> Iterator[Path]:  # noqa: ARG002
        """Give the file's own path; no copy is made, and nothing compared."""
        path = self._path(key)
        with local_outages():
            there = path.is_file()
        if not there:
            # Without its root it is the file system that is away, not one file of it.
            with local_outages():
                self._root.stat()
            raise StoredFileMissingError(key)
        yield path

    def delete(self, key: str) -> None:
        """Remove ``key``; nothing happens when it is not there."""
        with local_outages():
            self._path(key).unlink(missing_ok=True)

    def stored(self, prefix: str) -> Iterator[StoredFile]:
        """List the files below ``prefix/``; a file whose name is no key was put there by somebody else."""
        now = time.time()
        for folder, _folders, names in os.walk(self._path(prefix)):
            for path in (Path(folder) / name for name in names):
                key = path.relative_to(self._root).as_posix()
                if KEY.fullmatch(key):
                    with local_outages(), suppress(FileNotFoundError):
                        yield StoredFile(key, now - path.stat().st_mtime)

    def purge_quarantine(self, *, older_than_s: float) -> int:
        """Remove what a killed process left in quarantine; returns how many files."""
        horizon = time.time() - older_than_s
        removed = 0
        with local_outages():
            for path in self._quarantine.glob("*"):
                # Several machines may share the folder and tidy it at the same time.
                with suppress(FileNotFoundError):
                    if path.stat().st_mtime < horizon:
                        path.unlink()
                        removed += 1
        return removed

    def probe(self) -> None:
        """Write a few bytes to the disk and remove them."""
        with self.receive(max_bytes=len(_PROBE)) as upload:
            upload.write(_PROBE)
            upload.seal()
            with local_outages():
                _sync(upload.path)

    def _path(self, key: str) -> Path:
        return self._root / checked(key)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
