"""What was handed over, seen as files with names and sizes, whether it is a folder, a zip or one file."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar, cast

from imaging.errors import ScanError

# A run of 1,200 frames with 72 slices has 86,400 images.
MOST_FILES = 150_000
# Four times the longest run that a scanner writes as 16-bit samples.
MOST_BYTES = 16 * 2**30
_DEEPEST = 24
_PIECE_BYTES = 2**20

Check = Callable[[], None]


class TooMuchError(ScanError):
    """More files, or more bytes, than a run or a subject has."""

    code: ClassVar[str] = "source_too_large"

    def __init__(self, *, limit: int, unit: str, found: int | None) -> None:
        self.limit = limit
        self.unit = unit
        self.found = found
        number = "more" if found is None else f"{found:,}"
        super().__init__(f"expected at most {limit:,} {unit}, found {number}")


@dataclass(frozen=True)
class Entry:
    """One file.

    Attributes
    ----------
    parts : tuple of str
        Its folders and its name, below what was handed over. They may name a person: never to be told or used
        to write to.
    size : int
        Bytes.
    open : callable
        Opens it for reading.
    """

    parts: tuple[str, ...]
    size: int
    open: Callable[[], BinaryIO]

    def read(self, limit: int) -> bytes:
        """Return its first bytes."""
        with self.open() as file:
            return file.read(limit)

    def copy(self, target: Path, *, check: Check) -> None:
        """Copy it, asking between pieces whether that is still wanted."""
        with self.open() as file, target.open("xb") as copied:
            while piece := file.read(_PIECE_BYTES):
                copied.write(piece)
                check()


def files_below(folder: Path) -> tuple[Entry, ...]:
    """List the files of a folder, in the order of their names.

    Links to files are followed, for DataLad keeps data sets so; links to folders are not. A link whose file
    was not fetched is listed, and cannot be opened: passed over, another file would be taken for it.

    Raises
    ------
    TooMuchError
    """
    found: list[Entry] = []
    total = 0
    for path in _walk(folder, depth=0):
        size = 0 if _leads_nowhere(path) else path.stat().st_size
        total += size
        found.append(_of_file(path, path.relative_to(folder).parts, size))
        if len(found) > MOST_FILES:
            raise TooMuchError(limit=MOST_FILES, unit="files", found=None)
        if total > MOST_BYTES:
            raise TooMuchError(limit=MOST_BYTES, unit="bytes", found=None)
    return tuple(found)


def single_file(path: Path) -> tuple[Entry, ...]:
    """See one file as a folder with nothing else in it."""
    return (_of_file(path, (path.name,), path.stat().st_size),)


def require_room(folder: Path, n_bytes: int) -> None:
    """Refuse to begin what the disk cannot hold.

    Raises
    ------
    OSError
        ENOSPC.
    """
    if shutil.disk_usage(folder).free < n_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _walk(folder: Path, *, depth: int) -> Iterator[Path]:
    with os.scandir(folder) as listed:
        entries = sorted(listed, key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            if depth < _DEEPEST:
                yield from _walk(Path(entry.path), depth=depth + 1)
        elif entry.is_file() or _leads_nowhere(Path(entry.path)):
            yield Path(entry.path)


def _leads_nowhere(path: Path) -> bool:
    return path.is_symlink() and not path.exists()


def _of_file(path: Path, parts: tuple[str, ...], size: int) -> Entry:
    return Entry(parts=parts, size=size, open=lambda: cast("BinaryIO", path.open("rb")))
