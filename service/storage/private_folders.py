"""Folders that live as long as one use of them: for uploads on their way out, and copies that are read."""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

from service.storage.errors import local_outages

_PREFIX = "restnet-"
# A folder this young may not be locked by its maker yet, in seconds.
_YOUNG_S = 60


class PrivateFolders:
    """Makes folders that only their owner may enter, and removes those whose makers died.

    Each folder is locked while it is in use, and the system lets go of a dead process's locks: what a killed
    process left is told from what a slow one still reads, whatever their age.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._looked = False

    @contextmanager
    def make(self) -> Iterator[Path]:
        """Give an empty folder (mode 0700), removed with all it holds on leaving."""
        if not self._looked:
            # Each machine has its own, so each process looks after those who died before it.
            self._looked = True
            self.remove_abandoned()
        with local_outages():
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder = Path(mkdtemp(prefix=_PREFIX, dir=self._root))
            lock = os.open(folder, os.O_RDONLY)
        try:
            with local_outages():
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)

    def remove_abandoned(self) -> int:
        """Remove the folders that no living process uses; returns how many."""
        now = time.time()
        removed = 0
        for folder in self._root.glob(f"{_PREFIX}*"):
            with suppress(FileNotFoundError):
                if now - folder.stat().st_mtime > _YOUNG_S and _unused(folder):
                    shutil.rmtree(folder, ignore_errors=True)
                    removed += 1
        return removed


def _unused(folder: Path) -> bool:
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
