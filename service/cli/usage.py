"""A command line that cannot be understood, told in our own words instead of a library's."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer

from service.errors import ServiceError

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


class UsageError(ServiceError):
    """A command, option or argument that there is not, or a value that it cannot have."""

    code: ClassVar[str] = "usage"

    def __init__(self, message: str) -> None:
        super().__init__(message)


def named_path(text: str) -> Path:
    """Read a path that is written to: an empty one would silently be the current folder.

    Raises
    ------
    ValueError
        If nothing is named.
    """
    if not text.strip():
        raise ValueError(f"expected a path (the current folder is '.'), found {text!r}")
    return Path(text)


def asks_for_help(error: typer.TyperException) -> bool:
    """Say whether a command was named without what it needs to do anything, which is answered by its help."""
    context = getattr(error, "ctx", None)
    return context is not None and error.message == context.get_help()


def show_usage(error: typer.TyperException) -> None:
    """Print how the command that was meant is used, on stderr."""
    context = getattr(error, "ctx", None)
    if asks_for_help(error):
        typer.echo(error.message, err=True)
    elif context is not None:
        typer.echo(f"{context.get_usage()}\nTry '{context.command_path} --help' for help.\n", err=True)


def usage_error(error: typer.TyperException) -> UsageError:
    """Make a refusal like any other of what typer complains of."""
    from pydantic import ValidationError

    if isinstance(error, typer.BadParameter) and isinstance(error.__cause__, ValidationError):
        # typer has pydantic read the values.
        error.message = _in_words(error.__cause__.errors()[0])
    return UsageError(error.format_message())


def _in_words(problem: Mapping[str, Any]) -> str:
    given, limits = repr(problem["input"]), problem.get("ctx", {})
    match problem["type"]:
        case "int_parsing" | "int_parsing_size":
            return f"expected a whole number, found {given}"
        case "float_parsing":
            return f"expected a number, found {given}"
        case "greater_than_equal":
            return f"expected at least {limits['ge']}, found {given}"
        case "less_than_equal":
            return f"expected at most {limits['le']}, found {given}"
        case "value_error":
            return str(limits["error"])
        case _:
            return f"{problem['msg']}, found {given}"
