"""The bytes of a scan file in order, decompressed where its content says gzip, never more than asked for."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Protocol, cast, runtime_checkable

from isal import igzip
from isal.igzip_lib import IsalError

from imaging.errors import ScanError

GZIP_SIGNATURE = b"\x1f\x8b"

# Small enough to stay in a core's cache between the decoder and the caller's buffer (measured: 256 KiB is the
# fastest of 64 KiB to 8 MiB).
_PIECE_BYTES = 256 * 1024


# isal's stubs call its exception class an instance. It raises OverflowError where a name in the
# gzip header is longer than its buffer.
_DAMAGED = (cast("type[Exception]", IsalError), gzip.BadGzipFile, OverflowError)


# Where a stream is cut, the decoder keeps the last piece to itself: all samples may be there, or not.
_AND_END = " and the end of their gzip stream"


class EmptyFileError(ScanError):
    """The file has no bytes at all."""

    code: ClassVar[str] = "empty_file"

    def __init__(self) -> None:
        super().__init__("expected a NIfTI file, found an empty file")


class GzipCorruptError(ScanError):
    """The compressed stream contradicts itself, so no sample in it can be trusted."""

    code: ClassVar[str] = "gzip_corrupt"

    def __init__(self, *, reason: str) -> None:
        super().__init__(f"expected an intact gzip stream, found one that is damaged ({reason})")
        self.reason = reason


class DataIncompleteError(ScanError):
    """The file ends before everything that its header promises."""

    code: ClassVar[str] = "data_incomplete"

    def __init__(self, *, part: str, expected_bytes: int, found_bytes: int) -> None:
        # Where a compressed stream is cut, more of them may be in the file than come out of it.
        ends = f"where {found_bytes:,} of them" if found_bytes else "before the first of them"
        super().__init__(
            f"expected {expected_bytes:,} bytes of {part}, found a file that ends {ends} can be read"
        )
        self.part = part
        self.expected_bytes = expected_bytes
        self.found_bytes = found_bytes


class DataTooLongError(ScanError):
    """The file goes on after everything that its header promises."""

    code: ClassVar[str] = "data_too_long"

    def __init__(self, *, expected_bytes: int) -> None:
        super().__init__(f"expected {expected_bytes:,} bytes of samples as the header says, found more")
        self.expected_bytes = expected_bytes


@runtime_checkable
class _Decompressed(Protocol):
    def readinto1(self, buffer: memoryview, /) -> int: ...

    def read(self, size: int, /) -> bytes: ...


class ScanBytes:
    """An open scan file, read from front to back.

    Parameters
    ----------
    file : binary file
        The decompressed bytes.
    compressed : bool
        Whether they come out of a gzip stream, so that the file's size does not tell their number.
    """

    def __init__(self, file: _Decompressed, *, compressed: bool) -> None:
        self._file = file
        self.compressed = compressed
        self.cut = False
        """Whether the gzip stream ended before its own end."""

    def fill(self, buffer: memoryview) -> int:
        """Fill a writable buffer as far as the file goes.

        Returns
        -------
        int
            Bytes written; fewer than the buffer holds only where the file, or its gzip stream, ends.

        Raises
        ------
        GzipCorruptError
            If a checksum or the compressed stream is wrong.
        """
        filled = 0
        try:
            while filled < len(buffer):
                count = self._file.readinto1(buffer[filled : filled + _PIECE_BYTES])
                if not count:
                    break
                filled += count
        except EOFError:
            self.cut = True
            return filled
        except _DAMAGED as error:
            raise GzipCorruptError(reason=str(error).lower()) from error
        return filled

    def require(self, buffer: memoryview, *, part: str, already: int = 0, total: int | None = None) -> None:
        """Fill a buffer completely.

        Parameters
        ----------
        buffer : memoryview
            Writable.
        part : str
            What the bytes are, for the message.
        already, total : int
            Where this buffer stands in the part: bytes before it, and bytes of the whole part.

        Raises
        ------
        DataIncompleteError
            If the file ends first.
        GzipCorruptError
            If the compressed stream is wrong.
        """
        found = self.fill(buffer)
        if found < len(buffer):
            expected = len(buffer) if total is None else total
            if self.cut:
                part += _AND_END
            raise DataIncompleteError(part=part, expected_bytes=expected, found_bytes=already + found)

    def require_end(self, *, expected_bytes: int) -> None:
        """Read the one byte that must not be there, which also makes gzip verify its checksum.

        Raises
        ------
        DataTooLongError
            If the file goes on.
        DataIncompleteError
            If the gzip stream lacks its end.
        GzipCorruptError
            If the checksum is wrong.
        """
        try:
            beyond = self._file.read(1)
        except EOFError as error:
            raise DataIncompleteError(
                part="samples" + _AND_END, expected_bytes=expected_bytes, found_bytes=expected_bytes
            ) from error
        except _DAMAGED as error:
            raise GzipCorruptError(reason=str(error).lower()) from error
        if beyond:
            raise DataTooLongError(expected_bytes=expected_bytes)


@contextmanager
def open_scan_bytes(path: Path) -> Iterator[ScanBytes]:
    """Open a file for reading from front to back; whether it is compressed is told by its content.

    Yields
    ------
    ScanBytes

    Raises
    ------
    EmptyFileError
        If it has no bytes.
    OSError
        If the operating system cannot read it.
    """
    with path.open("rb") as file:
        signature = file.read(2)
        file.seek(0)
        if not signature:
            raise EmptyFileError
        if signature != GZIP_SIGNATURE:
            yield ScanBytes(cast("_Decompressed", file), compressed=False)
            return
        with igzip.IGzipFile(fileobj=file, mode="rb") as decompressed:  # type: ignore[no-untyped-call]
            yield ScanBytes(cast("_Decompressed", decompressed), compressed=True)
