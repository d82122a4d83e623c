"""What the commands print: JSON for machines on stdout, sentences for people, progress on stderr."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

ReportProgress = Callable[[str, float], None]

# The environment is the operator's: a refusal, not a fault of ours. REST has the same code.
DATABASE_UNAVAILABLE = (
    "expected the database that RESTNET_DATABASE_URL names (without it, the data directory's own) to answer, "
    "found it out of reach or refusing"
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
    from imaging.errors import ScanError
    from model.errors import ModelError
    from service.errors import ServiceError
    from training.errors import CohortError

    if _is_database(error):
        return {"code": "database_unavailable", "message": DATABASE_UNAVAILABLE}
    if not isinstance(error, ScanError | ModelError | CohortError | ServiceError):
        return None
    return {"code": error.code, "message": str(error), **error.details()}


def _is_database(error: Exception) -> bool:
    # Never its own text, which may hold the address with the password.
    from sqlalchemy.exc import OperationalError

    return isinstance(error, OperationalError)


def show_refusal(refusal: Mapping[str, object], *, as_json: bool) -> None:
    """Print why something was refused, for a machine on stdout or for a person on stderr."""
    if as_json:
        print_json({"error": refusal})
    else:
        typer.secho(f"{refusal['message']}  [{refusal['code']}]", fg="red", err=True)


def print_json(value: object) -> None:
    """Print one JSON value, keys in the order of the interface."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


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
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not (shown and console.is_terminal),
    ) as bar:
        task = bar.add_task(title, total=1.0)

        def report(stage: str, fraction: float) -> None:
            bar.update(task, description=f"{title}: {stage}", completed=fraction)

        yield report
