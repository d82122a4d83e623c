"""A table of text as cells: its separator and encoding are read from its content, not from its name."""

import codecs
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from training.errors import CohortError

MAX_BYTES = 64 * 2**20  # hundreds of times the whole ADHD-200 table

_TEXT_CONTROLS = {"\t", "\n", "\r", "\x0b", "\x0c"}
_MOST_SHOWN = 60  # characters of a header
_SEPARATORS = "\t,;"
# The longer marks first: that of UTF-32 begins with that of UTF-16.
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    codecs.BOM_UTF8: "utf-8-sig",
}


class TableUnreadableError(CohortError):
    """A file that is not there, or holds no table of text."""

    code: ClassVar[str] = "phenotype_table_unreadable"

    def __init__(self, *, name: str, expected: str, found: str) -> None:
        self.name = name
        self.expected = expected
        self.found = found
        super().__init__(f"{name!r}: expected {expected}, found {found}")


class TableRowError(CohortError):
    """A line whose cells cannot be told apart, so that a value could land under another column's name."""

    code: ClassVar[str] = "phenotype_row_invalid"

    def __init__(self, *, name: str, line: int, expected: str, found: str) -> None:
        self.name = name
        self.line = line
        self.expected = expected
        self.found = found
        super().__init__(f"{name!r} line {line}: expected {expected}, found {found}")


@dataclass(frozen=True)
class TableRow:
    """One row as found: the line it ends in, from 1, and its stripped cells, as many as the header has.

    ``n_found`` is how many cells the line really had; the missing ones at its end are empty here.
    """

    line: int
    cells: tuple[str, ...]
    n_found: int


@dataclass(frozen=True)
class DelimitedTable:
    """A table's header and rows, every cell stripped; rows without any content are left out.

    ``exact_text`` is False where the bytes were not UTF-8 and were read as Windows-1252.
    """

    name: str
    header: tuple[str, ...]
    rows: tuple[TableRow, ...]
    exact_text: bool


def read_delimited(path: Path) -> DelimitedTable:
    """Read a table whose cells are separated by tabs, commas or semicolons.

    Parameters
    ----------
    path : Path
        UTF-8 with or without a byte order mark, UTF-16 or UTF-32 with one, or Windows-1252; any line ends.

    Returns
    -------
    DelimitedTable

    Raises
    ------
    TableUnreadableError
        If there is no such file, or it is empty, too large, not text, or of one column.
    TableRowError
        If a row has more cells than the header, or a quote is never closed.
    """
    text, exact_text = read_text(path, expected="a table of text, separated by tabs, commas or semicolons")
    lines = list(_lines(path.name, text))
    if not lines:
        raise TableUnreadableError(
            name=path.name, expected="a header and a row a subject", found="an empty file"
        )
    header = lines[0][1]
    if len(header) == 1:
        raise TableUnreadableError(
            name=path.name,
            expected="a header of several columns, separated by tabs, commas or semicolons",
            found=f"one column, {_shown(header[0])}",
        )
    rows = []
    for line, cells in lines[1:]:
        if any(cells[len(header) :]):
            expected, found = f"{len(header)} cells as in the header", f"{len(cells)}"
            raise TableRowError(name=path.name, line=line, expected=expected, found=found)
        full = (*cells[: len(header)], *[""] * (len(header) - len(cells)))
        rows.append(TableRow(line, full, len(cells)))
    if not rows:
        raise TableUnreadableError(name=path.name, expected="a row a subject", found="a header alone")
    return DelimitedTable(path.name, header, tuple(rows), exact_text)


def read_text(path: Path, *, expected: str) -> tuple[str, bool]:
    """Read a small file of text.

    Parameters
    ----------
    path : Path
    expected : str
        What it should hold, for the message of a refusal.

    Returns
    -------
    text : str
    exact : bool
        False where the bytes are not UTF-8 and were read as Windows-1252.

    Raises
    ------
    TableUnreadableError
        If it cannot be read, is not text, or is larger than any table of people.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        found = (error.strerror or "no readable file").lower()
        raise TableUnreadableError(name=path.name, expected=expected, found=found) from error
    if len(content) > MAX_BYTES:
        found = f"more than {MAX_BYTES // 2**20} MiB"
        raise TableUnreadableError(name=path.name, expected=expected, found=found)
    text, exact = _decode(content, name=path.name, expected=expected)
    _require_text(text, name=path.name, expected=expected)
    return text, exact


def _decode(content: bytes, *, name: str, expected: str) -> tuple[str, bool]:
    marked = next((mark for mark in _BYTE_ORDER_MARKS if content.startswith(mark)), None)
    encoding = "utf-8" if marked is None else _BYTE_ORDER_MARKS[marked]
    try:
        return content.decode(encoding), True
    except UnicodeDecodeError as error:
        if marked is None or encoding == "utf-8-sig":
            return content.removeprefix(codecs.BOM_UTF8).decode("cp1252", errors="replace"), False
        found = f"damaged {encoding.upper()} (byte {error.start:,})"
        raise TableUnreadableError(name=name, expected=expected, found=found) from error


def _require_text(text: str, *, name: str, expected: str) -> None:
    """Refuse what is no text: NULs above all, which every spreadsheet, image and archive has."""
    if "\0" in text:
        # Latin letters as UTF-16 are every second byte zero; without its mark the order can only be guessed.
        pairs = text[: len(text) // 2 * 2]
        halves = pairs[::2], pairs[1::2]
        is_utf16 = any("\0" not in half for half in halves) and any(set(half) == {"\0"} for half in halves)
        found = "UTF-16 without a byte order mark" if is_utf16 else "binary data"
        hint = "save it as UTF-8" if is_utf16 else "a spreadsheet: save it as text"
        raise TableUnreadableError(name=name, expected=expected, found=f"{found} ({hint})")
    odd = next((at for at, mark in enumerate(text) if mark < " " and mark not in _TEXT_CONTROLS), None)
    if odd is not None:
        line = len(text[: odd + 1].splitlines())
        found = f"the control character U+{ord(text[odd]):04X} in line {line}"
        raise TableUnreadableError(name=name, expected=expected, found=found)


def _lines(name: str, text: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    first = next((line for line in text.splitlines() if line.strip()), "")
    # strict: otherwise a quote that is never closed swallows the rest of the table without a word.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(first), strict=True)
    try:
        for cells in reader:
            stripped = tuple(cell.strip() for cell in cells)
            if any(stripped):
                yield reader.line_num, stripped
    except csv.Error as error:
        raise TableRowError(
            name=name,
            line=reader.line_num,
            expected="cells whose quotes are closed",
            found=f"others ({error})",
        ) from error


def _separator(header: str) -> str:
    """Tell a header's separator: a tab wherever there is one, else the first mark outside quotes."""
    unquoted = "".join(header.split('"')[::2])
    if "\t" in unquoted:
        return "\t"
    return next((mark for mark in unquoted if mark in _SEPARATORS), ",")


def _shown(text: str) -> str:
    return repr(text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}...")
