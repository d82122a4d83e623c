"""What the commands print: JSON for machines on stdout, sentences for people, progress on stderr."""

import errno
import io
import json
import os
import re
import select
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import ClassVar

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from imaging.words import printable
from service.errors import ServiceError, as_json
from service.identity.actor import program

# Who acts here, in the audit: whoever may read the data directory.
ACTOR = program("command-line")

OUR_FAULT = 1
REFUSED = 2
# Of a command that has done what it was asked, and whose verdict is no.
NOT_PASSED = 3
# As shells have them: of a command that Ctrl-C has ended, and of one whose output nobody reads.
STOPPED = 130
CLOSED_OUTPUT = 141

ReportProgress = Callable[[str, float], None]

# The environment is the operator's: a refusal, not a fault of ours. REST has the same code.
DATABASE_UNAVAILABLE = (
    "expected the database that RESTNET_DATABASE_URL names (without it, the data directory's own) to answer, "
    "found it out of reach or refusing"
)
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
_NOT_ASCII = re.compile(r"[^\x00-\x7e]")
_REPOSITORY = Path(__file__).resolve().parents[2]


class PathNotUsableError(ServiceError):
    """A path that the user chose and the system refuses: missing, forbidden, of another kind, or full."""

    code: ClassVar[str] = "path_not_usable"

    def __init__(self, *, path: str | None, found: str) -> None:
        self.path = path
        self.found = found
        where = "" if path is None else f": {path}"
        super().__init__(f"expected files and folders that can be read and written, found {found}{where}")


class DatabaseDamagedError(ServiceError):
    """A database file that is none, or no whole one."""

    code: ClassVar[str] = "database_damaged"

    def __init__(self) -> None:
        super().__init__(
            "expected the database's file as RestNet left it, found one that SQLite cannot read: "
            "docs/operations.md says how a backup is restored"
        )


def refusal_of(error: Exception) -> dict[str, object] | None:
    """Describe an error that the user can mend.

    Parameters
    ----------
    error : Exception

    Returns
    -------
    dict or None
        ``{"code", "message", ...}`` with the error's typed attributes; None where the fault is ours.
    """
    from sqlalchemy.exc import DatabaseError, OperationalError

    from imaging.errors import ScanError
    from model.errors import ModelError
    from service.storage.errors import StorageUnavailableError
    from training.errors import CohortError

    if isinstance(error, OperationalError):
        # Never its own text, which may hold the address with the password.
        return {"code": "database_unavailable", "message": DATABASE_UNAVAILABLE}
    if type(error) is DatabaseError:
        # Its subclasses are our faults; this one itself is SQLite's word for a file it cannot make sense of.
        error = DatabaseDamagedError()
    if isinstance(error, StorageUnavailableError):
        # Whoever has the command line runs the service: there is no log to look into.
        return {"code": error.code, "message": f"{error} ({error.found})"}
    if isinstance(error, OSError) and _is_of_the_users_path(error):
        # Of a copy that found no room, the second is the one that was written.
        filename = error.filename2 if error.errno in _NO_ROOM and error.filename2 else error.filename
        path = None if filename is None else str(filename)
        error = PathNotUsableError(path=path, found=in_words(error))
    if not isinstance(error, ScanError | ModelError | CohortError | ServiceError):
        return None
    return {"code": error.code, "message": str(error), **as_json(error.details())}


def in_words(error: OSError) -> str:
    """Say what the system refused, as a part of a sentence."""
    return (error.strerror or "a fault of the disk").lower()


def _is_of_the_users_path(error: OSError) -> bool:
    """Whether the system refused a path that is not part of this program, or has no room left."""
    if not isinstance(error.filename, str):
        return error.errno in _NO_ROOM
    installed = (sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))
    packages = (str(_REPOSITORY / name) for name in ("imaging", "model", "training", "service", "migrations"))
    path = Path(error.filename).absolute()
    return not any(path.is_relative_to(ours) for ours in (*installed, *packages))


def say(line: str, *, fg: str | None = None, bold: bool = False, err: bool = False) -> None:
    """Print one line for people; what in it does not print, a file's name for example, is shown escaped."""
    typer.secho(printable(line), fg=fg, bold=bold or None, err=err)


def show_refusal(refusal: Mapping[str, object], *, as_json: bool) -> None:
    """Print why something was refused, for a machine on stdout or for a person on stderr.

    A machine whose stdout takes no more, for example on a full disk, finds the sentence on stderr too.
    """
    told = False
    if as_json:
        with suppress(OSError):
            print_json({"error": refusal})
            sys.stdout.flush()
            told = True
    if output_fault() is not None:
        give_up_output()
    if not told:
        message = with_path_as_typed(refusal, sys.argv[1:])
        say(f"{message}  [{refusal['code']}]", fg="red", err=True)


def output_fault() -> OSError | None:
    """Say what keeps stdout from taking what was printed, if anything does."""
    try:
        sys.stdout.flush()
        if _nobody_reads(sys.stdout.fileno()):
            return BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
    except io.UnsupportedOperation:  # no file, as in tests
        return None
    except OSError as error:
        return error
    return None


def _nobody_reads(handle: int) -> bool:
    poll = select.poll()
    poll.register(handle, 0)  # errors are told unasked
    return any(event & select.POLLERR for _, event in poll.poll(0))


def give_up_output() -> None:
    """Let stdout lead nowhere: the interpreter would complain at its end of what it could not write."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def with_path_as_typed(refusal: Mapping[str, object], arguments: Sequence[str]) -> str:
    """Give a refusal's sentence with the path as the person typed it.

    Refusals name a file by its last part alone, because most of them are also stored or sent over REST.

    Parameters
    ----------
    refusal : mapping
        With ``message`` and, where it is about a file, its ``name``.
    arguments : sequence of str
        The command line.
    """
    message, name = str(refusal["message"]), refusal.get("name")
    values = {argument.partition("=")[2] if argument.startswith("-") else argument for argument in arguments}
    typed = [value for value in values if value and Path(value).name == name]
    # Two files of one name: nothing tells which was meant.
    if len(typed) != 1:
        return message
    # What is quoted is the file: a system may have the folder's name, or one that begins with it.
    quoted = repr(name)
    if quoted in message:
        return message.replace(quoted, repr(typed[0]), 1)
    places = list(re.finditer(rf"(?<![\w/-]){re.escape(str(name))}(?![\w/-]|\.\w)", message))
    if not places:
        return message
    return message[: places[-1].start()] + typed[0] + message[places[-1].end() :]


def print_table(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> None:
    """Print rows for people: one a line, columns as wide as they need, a dash where there is nothing."""
    cells = [[name.replace("_at", "").replace("_", " ") for name in columns]]
    cells += [["-" if row[name] is None else printable(str(row[name])) for name in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        say(text.rstrip())


def in_utc(moment: datetime | None) -> str | None:
    """Write a moment as REST does, to the second."""
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def print_json(value: object) -> None:
    """Print one JSON value, keys in the order of the interface; what does not print is escaped."""
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False)
    sys.stdout.write(_NOT_ASCII.sub(_printable_in_json, text) + "\n")


def _printable_in_json(found: re.Match[str]) -> str:
    character = found[0]
    return character if character.isprintable() else json.dumps(character)[1:-1]


@contextmanager
def progress_bar(title: str, *, shown: bool) -> Iterator[ReportProgress]:
    """Show a bar on a terminal, and nothing where stderr is a file or a pipe.

    Parameters
    ----------
    title : str
        What is being worked on.
    shown : bool
        False turns the bar off, as ``--json`` does.

    Yields
    ------
    callable (stage : str, fraction : float) -> None
        Fraction of the whole work in 0..1.
    """
    console = Console(stderr=True)
    title = printable(title)
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not (shown and console.is_terminal),
    ) as bar:
        task = bar.add_task(printable(title), total=1.0)

        def report(stage: str, fraction: float) -> None:
            bar.update(task, description=printable(f"{title}: {stage}"), completed=fraction)

        yield report
