"""Every account's uploads that come in several requests: a folder an account, two files an upload."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict, ValidationError

from service.storage.errors import (
    TooManyUnfinishedUploadsError,
    UploadBusyError,
    UploadNotFoundError,
    local_outages,
)
from service.storage.partial import PartialUpload, stop_at
from service.storage.quarantine import QUARANTINE_S

# An upload that nobody has sent for this long gives way to a new one of an account that has too many.
_GIVES_WAY_S = 600


class _Announced(BaseModel):
    """What was said of an upload when it began; nothing about the person in the scan."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    length_bytes: int
    organisation_id: str


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
        announced = _Announced(name=name, length_bytes=length_bytes, organisation_id=organisation_id)
        upload_id = str(uuid4())
        path = self._folder(account) / f"{upload_id}.part"
        with local_outages(), _turn(path.parent):
            self._make_room(account)
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
            for path in sorted(begun, key=_still_for_s, reverse=True):
                if _still_for_s(path) < _GIVES_WAY_S:
                    break
                # What is being handed over after a long time stays, and the next one gives way.
                with suppress(UploadBusyError):
                    # Whoever has handed it over or stopped it at this moment has made the room.
                    with suppress(UploadNotFoundError):
                        stop_at(path)
                    return
            raise TooManyUnfinishedUploadsError(limit=self._most_per_account)

    def _folder(self, account: str) -> Path:
        return self._root / account


@contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """Wait for one's turn at an account's folder, which is made when it is needed."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


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
