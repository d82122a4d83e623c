"""Files of a run's folder, written whole or not at all, and read only where each value is one of its kind."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from types import MappingProxyType, NoneType
from typing import Any, ClassVar, TypeVar, get_args, get_type_hints

from pydantic import BaseModel, TypeAdapter, ValidationError

from model.files import replace_file
from training.errors import CohortError

Row = TypeVar("Row")
Record = TypeVar("Record", bound=BaseModel)

_SHOWN = 40  # characters of a value in a message


class RunFolderError(CohortError):
    """A folder that is not a run's, or a file in it that cannot be read as one."""

    code: ClassVar[str] = "run_folder_invalid"

    def __init__(self, *, name: str, expected: str, found: str) -> None:
        self.name = name
        self.expected = expected
        self.found = found
        super().__init__(f"run {name!r}: expected {expected}, found {found}")


def write_json(path: Path, record: BaseModel) -> None:
    """Write a record whole or not at all."""
    replace_file(path, (record.model_dump_json(indent=2) + "\n").encode())


def write_rows(path: Path, rows: Sequence[Any], *, row_class: type[Any] | None = None) -> None:
    """Write dataclass rows as a table, header first, whole or not at all; None is an empty cell.

    Parameters
    ----------
    path : Path
        ``.tsv`` is separated by tabs, anything else by commas.
    rows : sequence of dataclass instances
        All of one class.
    row_class : type, optional
        Needed where there may be no rows: the table is then its header alone.
    """
    text = io.StringIO()
    names = [field.name for field in fields(row_class or rows[0])]
    writer = csv.DictWriter(text, fieldnames=names, delimiter=_delimiter(path), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    replace_file(path, text.getvalue().encode())


def read_rows(run: Path, name: str, row_class: type[Row]) -> list[Row]:
    """Read the rows of one of a run's tables.

    Parameters
    ----------
    run : Path
    name : str
        For example ``SUBJECTS_FILE``.
    row_class : type
        ``RunSubject`` for that file.

    Raises
    ------
    RunFolderError
        If the table is not there, or a cell is none that its column can hold.
    """
    hints = get_type_hints(row_class)
    # csv decides where a line ends: a name may hold what str.splitlines takes for an end.
    text = io.StringIO(_text(run, name), newline="")
    reader = csv.DictReader(text, delimiter=_delimiter(Path(name)))
    try:
        if sorted(reader.fieldnames or []) != sorted(hints):
            raise RunFolderError(
                name=run.name,
                expected=f"{name} with the columns {', '.join(hints)}",
                found=", ".join(reader.fieldnames or ["no header"]),
            )
        row_of = TypeAdapter(row_class)
        return [row_of.validate_python(_values(cells, hints)) for cells in reader]
    except ValidationError as error:
        raise RunFolderError(
            name=run.name,
            expected=f"{_where(error)} in {name} to be {_asked(error)}",
            found=f"{_kind_of_cell(error)} in line {reader.line_num}",
        ) from error
    except csv.Error as error:
        raise RunFolderError(name=run.name, expected=f"a readable {name}", found=str(error)) from error
    except _RaggedRowError as error:
        raise RunFolderError(
            name=run.name,
            expected=f"a row of {name} to have a cell for each of its {len(hints)} columns",
            found=f"another number of them in line {reader.line_num}",
        ) from error


def read_json(run: Path, name: str, record_class: type[Record]) -> Record:
    """Read one of a run's records.

    Parameters
    ----------
    run : Path
    name : str
        Of the file inside the folder.
    record_class : type

    Raises
    ------
    RunFolderError
        If the file is not there, or does not hold such a record.
    """
    text = _text(run, name)
    try:
        return record_class.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors()[0]["type"]
        expected, found = f"{_where(error)} in {name} to be {_asked(error)}", _shown(error)
        if problem == "json_invalid":
            expected, found = f"a readable {name}", "one that is not JSON"
        elif problem == "missing":
            expected, found = f"{_where(error)} in {name}", "none"
        elif problem == "extra_forbidden":
            expected, found = f"only what this version knows in {name}", _where(error)
        raise RunFolderError(name=run.name, expected=expected, found=found) from error


def _text(run: Path, name: str) -> str:
    try:
        return (run / name).read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise RunFolderError(
            name=run.name, expected=f"a readable {name}", found=_what_is_there(error)
        ) from error


def _what_is_there(error: OSError | UnicodeDecodeError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "one that is not UTF-8 text"
    return "none" if isinstance(error, FileNotFoundError) else error.strerror or type(error).__name__


class _RaggedRowError(ValueError):
    """A row with more or fewer cells than the table has columns."""


def _values(cells: Mapping[Any, Any], hints: Mapping[str, Any]) -> dict[str, str | None]:
    """Take an empty cell for none where its column may have none."""
    if cells.keys() != hints.keys() or None in cells.values():
        raise _RaggedRowError
    return {
        column: None if cell == "" and NoneType in get_args(hints[column]) else cell
        for column, cell in cells.items()
    }


def _where(error: ValidationError) -> str:
    return ".".join(map(str, error.errors()[0]["loc"])) or "all"


def _asked(error: ValidationError) -> str:
    """Say what pydantic asks for, as the end of a sentence."""
    asked = error.errors()[0]["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return re.sub(r", (?:unable|got) .*", "", asked)


# A cell speaks of a person: a message says what kind of thing was found, never the cell itself.
_KINDS: Mapping[str, str] = MappingProxyType(
    {
        "finite_number": "a number that is not finite",
        "float_parsing": "no number",
        "greater_than": "a number that is not",
        "greater_than_equal": "a smaller number",
        "int_parsing": "no whole number",
        "less_than_equal": "a larger number",
        "literal_error": "another word",
    }
)


def _kind_of_cell(error: ValidationError) -> str:
    problem = error.errors()[0]
    return "an empty cell" if problem["input"] == "" else _KINDS.get(problem["type"], "another")


def _shown(error: ValidationError) -> str:
    text = repr(error.errors()[0]["input"])
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _delimiter(path: Path) -> str:
    return "\t" if path.suffix == ".tsv" else ","
