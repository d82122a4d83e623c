"""The command tree of ``restnet`` and the one place where a failure becomes an exit status."""

import sys
from typing import Annotated, ClassVar

import typer

from service.cli import accounts, cohort, database, keys, reports, scans, servers, simulation, training
from service.cli.output import refusal_of, show_refusal
from service.errors import ServiceError

app = typer.Typer(
    name="restnet",
    help="Calibrated probability of ADHD from a resting-state fMRI scan. Research use only; not a diagnosis.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("check")(scans.check)
app.command("predict")(scans.predict)
app.command("simulate")(simulation.simulate)
app.command("train")(training.train)
app.command("report")(reports.report)
app.command("serve")(servers.serve)
app.command("worker")(servers.worker)
app.add_typer(cohort.app, name="cohort", help="Scans and phenotypes, made ready for training.")
app.add_typer(database.app, name="db", help="The database's schema.")
app.add_typer(accounts.users, name="users", help="The people who may log in.")
app.add_typer(keys.keys, name="keys", help="API keys for programs.")


@app.callback()
def every_command(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an internal error.")] = False,
) -> None:
    """Options that every command takes."""
    if debug:
        sys.excepthook = sys.__excepthook__


class UsageError(ServiceError):
    """A command, option or argument that there is not, or a value that it cannot have."""

    code: ClassVar[str] = "usage"

    def __init__(self, message: str) -> None:
        super().__init__(message)


def main() -> None:
    """Run the command line: exit 0 when done, 2 when the input was refused, 1 when the fault is ours."""
    as_json = "--json" in sys.argv
    debug = "--debug" in sys.argv
    try:
        status = _run(as_json=as_json)
    except Exception as error:
        refusal = refusal_of(error)
        if refusal is not None:
            show_refusal(refusal, as_json=as_json)
            sys.exit(2)
        if debug:
            raise
        show_refusal(
            {
                "code": "internal_error",
                "message": f"RestNet failed ({type(error).__name__}). This is our fault, not your file's. "
                "Run the same command as `restnet --debug ...` to see where.",
            },
            as_json=as_json,
        )
        sys.exit(1)
    sys.exit(status)


def _run(*, as_json: bool) -> int:
    """Run the command; for a machine a wrong usage is a refusal like any other, for people typer tells it."""
    try:
        # Without its standalone mode typer gives the exit status back, None where a command has none.
        return int(app(prog_name="restnet", standalone_mode=not as_json) or 0)
    except typer.Abort:
        return 130
    except typer.TyperException as error:
        raise UsageError(error.format_message()) from error
