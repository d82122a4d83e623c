"""The command tree of ``restnet`` and the one place where a failure becomes an exit status."""

import sys
from typing import Annotated

import typer
from typer.main import get_command

from service.cli import (
    accounts,
    audit,
    backup,
    cohort,
    comparing,
    database,
    drift,
    evaluating,
    explaining,
    health,
    keys,
    models,
    normalising,
    organisations,
    registered_cohorts,
    reports,
    rescoring,
    retention,
    scans,
    servers,
    shadow,
    simulation,
    storage,
    training,
    training_runs,
)
from service.cli.failures import fault_of_ours
from service.cli.output import (
    CLOSED_OUTPUT,
    OUR_FAULT,
    REFUSED,
    PathNotUsableError,
    give_up_output,
    in_words,
    output_fault,
    refusal_of,
    show_refusal,
)
from service.cli.usage import asks_for_help, show_usage, usage_error

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
app.command("explain")(explaining.explain)
app.command("preprocess")(normalising.preprocess)
app.command("simulate")(simulation.simulate)
app.command("train")(training.train)
app.command("report")(reports.report)
app.command("compare")(comparing.compare)
app.command("serve")(servers.serve)
app.command("worker")(servers.worker)
app.command("web")(servers.web)
app.command("prepare")(servers.prepare)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.add_typer(health.app, name="health", help="Whether a process of this machine is at work.")
cohort.app.command("register")(registered_cohorts.register)
cohort.app.command("list")(registered_cohorts.list_cohorts)
app.add_typer(cohort.app, name="cohort", help="Scans and phenotypes, made ready for training.")
app.add_typer(training_runs.app, name="training", help="Training by the service's workers.")
app.add_typer(database.app, name="db", help="The database's schema.")
app.add_typer(organisations.app, name="organisations", help="Whose people and scans there are.")
app.add_typer(accounts.users, name="users", help="The people who may log in.")
app.add_typer(storage.app, name="storage", help="Where scans are kept.")
app.add_typer(keys.keys, name="keys", help="API keys for programs.")
models.models.add_typer(shadow.shadow, name="shadow", help="One that scores what another answers.")
app.add_typer(models.models, name="models", help="The checkpoints that the service knows.")
app.add_typer(evaluating.app, name="evaluation", help="Challengers beside the model that answers.")
app.add_typer(rescoring.app, name="rescore", help="A model over earlier scans.")
app.add_typer(drift.drift, name="drift", help="Whether scans of late are like those of a reference.")
app.add_typer(audit.audit, name="audit", help="Who did and saw what.")
app.add_typer(retention.retention, name="retention", help="What has been kept long enough.")


@app.callback()
def every_command(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an internal error.")] = False,
) -> None:
    """Options that every command takes."""
    # What fails before the options are read shall be shown too: `_tell` looks for it on the command line.
    del debug


def run() -> int:
    """Run the command line, and tell what came of it.

    Returns
    -------
    int
        The exit status: 0 when done, 2 when the input was refused, 1 when the fault is ours, 3 when the
        answer is no, 141 when nobody reads what is printed.

    Raises
    ------
    KeyboardInterrupt
        If Ctrl-C ended a command that has nothing of its own to say about it.
    """
    try:
        status = _invoke()
        # When the interpreter does it at its own end, nobody can be told any more that there is no room.
        sys.stdout.flush()
    except Exception as error:  # noqa: BLE001 - told, or raised again
        status = _tell(error, as_json="--json" in sys.argv)
    return status


def _invoke() -> int:
    try:
        with get_command(app).make_context("restnet", sys.argv[1:]) as context:
            context.command.invoke(context)
    except typer.Exit as end:
        return end.exit_code
    except typer.Abort as error:  # Ctrl-C, or no more input, where a password was asked for
        raise KeyboardInterrupt from error
    return 0


def _tell(error: Exception, *, as_json: bool) -> int:
    """Tell what went wrong, for a machine on stdout or for a person on stderr; returns the exit status."""
    if isinstance(error, OSError):
        fault = output_fault()
        if isinstance(fault, BrokenPipeError):
            give_up_output()
            return CLOSED_OUTPUT
        if fault is not None:
            error = PathNotUsableError(path="standard output", found=in_words(fault))
    if isinstance(error, typer.TyperException):
        if not as_json:
            show_usage(error)
        if asks_for_help(error) and not as_json:
            return REFUSED
        error = usage_error(error)
    refusal = refusal_of(error)
    if refusal is not None:
        show_refusal(refusal, as_json=as_json)
        return REFUSED
    if "--debug" in sys.argv:
        raise error
    show_refusal(fault_of_ours(error), as_json=as_json)
    return OUR_FAULT
