"""A zip that nobody trusts, as a list of files.

Nothing in it is ever written under its own name, so that no name can lead anywhere; an archive with a name
that would is refused all the same, for it was made to do harm or is damaged.
"""

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, ClassVar, cast

from imaging.errors import ScanError
from imaging.native.sources.tree import MOST_BYTES, MOST_FILES, Entry, TooMuchError

SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")

# 46 bytes and a name for each file.
_MOST_DIRECTORY_BYTES = 64 * 2**20
# Deflate cannot pack zeros more than 1,032 times. Images are packed two to ten times; small archives whatever
# they like.
_MOST_RATIO = 100
_FREE_OF_RATIO_BYTES = 256 * 2**20

_NONSENSE = "its directory makes no sense"
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

# APPNOTE 4.3.14 to 4.3.16: the end of the central directory, which may be followed by a comment.
_END, _END_BYTES, _MOST_COMMENT_BYTES = b"PK\x05\x06", 22, 65_535
_LOCATOR, _LOCATOR_BYTES = b"PK\x06\x07", 20
_END_64, _END_64_BYTES = b"PK\x06\x06", 56


class ZipDamagedError(ScanError):
    """A zip that cannot be read to its end."""

    code: ClassVar[str] = "zip_damaged"

    def __init__(self, *, reason: str) -> None:
        self.reason = reason
        super().__init__(f"expected an intact zip archive, found one that is damaged ({reason})")


class ZipRefusedError(ScanError):
    """A zip with something in it that this software does not open."""

    code: ClassVar[str] = "zip_refused"

    def __init__(self, *, expected: str, found: str) -> None:
        self.expected = expected
        self.found = found
        super().__init__(f"zip archive: expected {expected}, found {found}")


def is_zip(path: Path) -> bool:
    """Whether a file says of itself that it is a zip, by its first bytes alone."""
    with path.open("rb") as file:
        return file.read(4) in SIGNATURES


@contextmanager
def open_zip(path: Path) -> Iterator[tuple[Entry, ...]]:
    """List the files of a zip, all of it checked by what its directory says before any of it is unpacked.

    Yields
    ------
    tuple of Entry
        They can be read until the context ends.

    Raises
    ------
    ZipDamagedError, ZipRefusedError, TooMuchError
        Also of what is read inside the context.
    """
    with _damage_told():
        _require_small_directory(path)
        with _opened(path) as archive:
            members = [member for member in archive.infolist() if not member.filename.endswith("/")]
            _require_sound(members, archive_bytes=path.stat().st_size)
            yield tuple(_entry(archive, member) for member in members)


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (ValueError, OverflowError):
        # Names that are no text, and places before the archive's beginning.
        raise ZipDamagedError(reason=_NONSENSE) from None


@contextmanager
def _damage_told() -> Iterator[None]:
    try:
        yield
    except NotImplementedError:
        # Of a version, or with a patch or an encryption, that Python's reader does not know.
        raise ZipRefusedError(expected="one of version 4.5 or earlier", found="a later kind of zip") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, struct.error) as error:
        # Its own text may hold a file's name.
        raise ZipDamagedError(reason=_damage(error)) from None


def _damage(error: Exception) -> str:
    if isinstance(error, EOFError):
        return "it ends early"
    if "CRC" in str(error) or isinstance(error, zlib.error):
        return "a file in it is not what was packed"
    return _NONSENSE


def _require_small_directory(path: Path) -> None:
    """Refuse a directory that would fill the memory, by what the archive's last bytes say of it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - _END_BYTES - _MOST_COMMENT_BYTES - _LOCATOR_BYTES))
        tail = file.read()
        at = tail.rfind(_END)
        if at < 0 or len(tail) - at < _END_BYTES:
            raise ZipDamagedError(reason="its directory is not there")
        n_files, directory_bytes = struct.unpack_from("<HI", tail, at + 10)
        locator = tail[max(0, at - _LOCATOR_BYTES) : at]
        if locator.startswith(_LOCATOR):
            file.seek(struct.unpack_from("<Q", locator, 8)[0])
            end = file.read(_END_64_BYTES)
            if len(end) < _END_64_BYTES or not end.startswith(_END_64):
                raise ZipDamagedError(reason="its directory is not there")
            n_files, directory_bytes = struct.unpack_from("<QQ", end, 32)
    if n_files > MOST_FILES:
        raise TooMuchError(limit=MOST_FILES, unit="files", found=n_files)
    if directory_bytes > _MOST_DIRECTORY_BYTES:
        raise TooMuchError(limit=_MOST_DIRECTORY_BYTES, unit="bytes of directory", found=directory_bytes)


def _require_sound(members: list[zipfile.ZipInfo], *, archive_bytes: int) -> None:
    if len(members) > MOST_FILES:
        raise TooMuchError(limit=MOST_FILES, unit="files", found=len(members))
    total = sum(member.file_size for member in members)
    if total > MOST_BYTES:
        raise TooMuchError(limit=MOST_BYTES, unit="bytes", found=total)
    if total > max(_FREE_OF_RATIO_BYTES, _MOST_RATIO * archive_bytes):
        raise ZipRefusedError(
            expected=f"files packed at most {_MOST_RATIO} times",
            found=f"{total:,} bytes in {archive_bytes:,}",
        )
    for member in members:
        _require_plain(member)
        if not member.filename or not 0 <= member.header_offset < archive_bytes:
            raise ZipDamagedError(reason=_NONSENSE)
    if len({member.filename for member in members}) < len(members):
        raise ZipRefusedError(expected="a name for each file", found="one name twice")


def _require_plain(member: zipfile.ZipInfo) -> None:
    # What the archive says, before Python replaced and cut it.
    name = member.orig_filename
    kind = stat.S_IFMT(member.external_attr >> 16)
    if member.flag_bits & _ENCRYPTED:
        raise ZipRefusedError(expected="files without a password", found="an encrypted one")
    if kind not in {0, stat.S_IFREG}:
        found = "a link" if kind == stat.S_IFLNK else "a special file"
        raise ZipRefusedError(expected="files and folders", found=found)
    if _leads_out(name):
        raise ZipRefusedError(expected="names inside the archive", found="one that leads out of it")
    if member.compress_type not in _METHODS:
        found = f"method {member.compress_type}"
        raise ZipRefusedError(expected="files stored or packed by deflate", found=found)


def _leads_out(name: str) -> bool:
    # Windows writes its own slashes and letters of drives.
    slashed = name.replace("\\", "/")
    return "\0" in name or slashed.startswith("/") or slashed[1:2] == ":" or ".." in slashed.split("/")


def _entry(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Entry:
    parts = tuple(part for part in member.filename.replace("\\", "/").split("/") if part)
    return Entry(parts=parts, size=member.file_size, open=lambda: cast("BinaryIO", archive.open(member)))
