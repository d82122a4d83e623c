"""A table of text as cells: its separator and encoding are read from its content, not from its name."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from training.errors import CohortError

MAX_BYTES = 64 * 2**20  # hundreds of times the whole ADHD-200 table

_TEXT_CONTROLS = {"\t", "\n", "\r", "\x0b", "\x0c"}


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
    """Read a tab- or comma-separated table.

    Parameters
    ----------
    path : Path
        With or without a byte order mark; any line ends.

    Returns
    -------
    DelimitedTable

    Raises
    ------
    TableUnreadableError
        If there is no such file, or it is empty, too large or not text.
    TableRowError
        If a row has more cells than the header, or a quote is never closed.
    """
    text, exact_text = read_text(path, expected="a table of tab- or comma-separated text")
    lines = list(_lines(path.name, text))
    if not lines:
        raise TableUnreadableError(
            name=path.name, expected="a header and a row a subject", found="an empty file"
        )
    header = lines[0][1]
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
    try:
        text, exact = content.decode("utf-8-sig"), True
    except UnicodeDecodeError:
        text, exact = content.decode("cp1252", errors="replace"), False
    if any(character < " " and character not in _TEXT_CONTROLS for character in set(text)):
        found = "binary data (a spreadsheet: save it as text)"
        raise TableUnreadableError(name=path.name, expected=expected, found=found)
    return text, exact


def _lines(name: str, text: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    first = next((line for line in text.splitlines() if line.strip()), "")
    # strict: otherwise a quote that is never closed swallows the rest of the table without a word.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t" if "\t" in first else ",", strict=True)
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
