"""Scans that are files, or members of a tar archive, read without unpacking more than one at a time."""

import hashlib
import os
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, ClassVar

from imaging import open_scan
from imaging.words import encodable
from training.cohort.paths import real_path
from training.cohort.sources.source import BoldEntry, OpenedScan, file_sha256, file_stamp
from training.cohort.store.index import Variant
from training.errors import CohortError

_PIECE_BYTES = 2**20
_BLOCK_BYTES = 512  # of a tar archive


class ArchiveDamagedError(CohortError):
    """An archive that cannot be read to its end: which scans are missing cannot be told."""

    code: ClassVar[str] = "archive_damaged"

    def __init__(self, *, name: str, expected: str, found: str) -> None:
        self.name = name
        self.expected = expected
        self.found = found
        super().__init__(f"archive {name!r}: expected {expected}, found {found}")


@dataclass(frozen=True, kw_only=True)
class FileEntry(BoldEntry):
    """A scan in a file of its own."""

    path: Path

    def stamp(self) -> str:
        """Tell the file from a changed one."""
        return file_stamp(self.path)

    @contextmanager
    def open_source(self, workspace: Path) -> Iterator[OpenedScan]:  # noqa: ARG002
        """Open the file where it lies."""
        yield OpenedScan(open_scan(self.path), file_sha256(self.path))


@dataclass(frozen=True, kw_only=True)
class MemberEntry(BoldEntry):
    """A scan inside an uncompressed tar archive.

    Attributes
    ----------
    archive : Path
    offset, size : int
        Where its bytes stand.
    mtime : int
        Of the member.
    """

    archive: Path
    offset: int
    size: int
    mtime: int

    def stamp(self) -> str:
        """Tell the member from a changed one, in whichever archive of this name it stands."""
        if self.archive.stat().st_size < self.offset + self.size:
            raise FileNotFoundError(2, "the archive ends before this member")
        archive = encodable(self.archive.name)
        return f"{self.size} bytes of {self.mtime} at {self.offset} in {archive}"

    @contextmanager
    def open_source(self, workspace: Path) -> Iterator[OpenedScan]:
        """Copy the member's bytes out, for as long as they are needed."""
        digest = hashlib.sha256()
        with tempfile.NamedTemporaryFile(dir=workspace, suffix=".nii.gz") as unpacked:
            with self.archive.open("rb") as archive:
                archive.seek(self.offset)
                left = self.size
                while left and (piece := archive.read(min(left, _PIECE_BYTES))):
                    digest.update(piece)
                    unpacked.write(piece)
                    left -= len(piece)
            unpacked.flush()
            yield OpenedScan(open_scan(Path(unpacked.name)), digest.hexdigest())


@dataclass(frozen=True)
class FoundFile:
    """A file of a source, in a folder or in an archive.

    Attributes
    ----------
    path : PurePosixPath
        Inside the source; an archive's members stand below the archive's name.
    file : Path
        The file itself, or its archive.
    offset : int or None
        Where a member's bytes stand; None for a file of its own.
    size, mtime : int
        Of a member; 0 for a file of its own.
    """

    path: PurePosixPath
    file: Path
    offset: int | None = None
    size: int = 0
    mtime: int = 0


def find_files(root: Path, *, ignored: Iterable[Path] = ()) -> Iterator[FoundFile]:
    """List every file below a folder, and every member of the tar archives among them, by name.

    Parameters
    ----------
    root : Path
        A folder, or one archive.
    ignored : iterable of Path
        Files and folders that are known to be something else.

    Raises
    ------
    ArchiveDamagedError
        If an archive is compressed, or cannot be read to its end.
    OSError
        If a folder cannot be read.
    """
    if root.is_file():
        yield from _members(root, PurePosixPath(root.name))
        return
    known = {real_path(path) for path in ignored}
    for folder, folders, names in os.walk(root, onerror=_raise):
        folders[:] = sorted(name for name in folders if real_path(Path(folder) / name) not in known)
        # Linked folders are not followed, they may lead round in circles; the caller hears of them.
        linked = [name for name in folders if (Path(folder) / name).is_symlink()]
        for name in sorted([*names, *linked]):
            file = Path(folder) / name
            if real_path(file) in known:
                continue
            inside = PurePosixPath(file.relative_to(root).as_posix())
            if _is_archive(name):
                yield from _members(file, inside)
            else:
                yield FoundFile(inside, file)


def entry_of(found: FoundFile, *, subject_id: str, session: str, run: str, variant: Variant) -> BoldEntry:
    """Make the entry of a file that was found to be a scan."""
    name = found.path.name
    if found.offset is None:
        return FileEntry(
            subject_id=subject_id,
            session=session,
            run=run,
            variant=variant,
            source_name=name,
            place=str(found.path),
            path=found.file,
        )
    return MemberEntry(
        subject_id=subject_id,
        session=session,
        run=run,
        variant=variant,
        source_name=name,
        place=str(found.path),
        archive=found.file,
        offset=found.offset,
        size=found.size,
        mtime=found.mtime,
    )


def _is_archive(name: str) -> bool:
    return name.endswith((".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"))


def _members(archive: Path, inside: PurePosixPath) -> Iterator[FoundFile]:
    if not archive.name.endswith(".tar"):
        # The members of a compressed one cannot be reached one by one, and scans are compressed already.
        expected = "an uncompressed .tar (decompress it, or unpack it into a folder)"
        found = "a compressed one" if _is_archive(archive.name) else "another kind of file"
        raise ArchiveDamagedError(name=archive.name, expected=expected, found=found)
    expected = "a whole tar archive"
    with archive.open("rb") as file:
        try:
            with tarfile.open(fileobj=file, mode="r:") as opened:
                members = opened.getmembers()
                end = opened.offset
        except (tarfile.TarError, EOFError, ValueError) as error:
            found = f"one that is damaged ({str(error).lower()})"
            raise ArchiveDamagedError(name=archive.name, expected=expected, found=found) from error
        _require_end(archive.name, file, end)
    size = archive.stat().st_size
    for member in sorted(members, key=lambda member: member.name):
        if member.offset_data + member.size > size:
            found = f"one that ends inside {PurePosixPath(member.name).name}"
            raise ArchiveDamagedError(name=archive.name, expected=expected, found=found)
        if not member.isdir():
            yield FoundFile(
                path=inside / member.name.removeprefix("./").lstrip("/"),
                file=archive,
                offset=member.offset_data,
                # A link has no bytes of its own, and is found to be no scan.
                size=member.size if member.isreg() else 0,
                mtime=int(member.mtime),
            )


def _require_end(name: str, file: BinaryIO, end: int) -> None:
    """See that the list of members ended where the archive says so: tarfile takes damage for the end."""
    file.seek(end)
    block = file.read(_BLOCK_BYTES)
    if any(block):
        found = f"a damaged header at byte {end:,}"
        raise ArchiveDamagedError(name=name, expected="a whole tar archive", found=found)


def _raise(error: OSError) -> None:
    raise error
