"""``restnet retention``: what has been kept long enough goes, now instead of with the next round."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.database import DataDir, load_settings, migrated_sessions
from service.cli.output import ACTOR, OUR_FAULT, print_json, say
from service.cli.usage import AsJson

if TYPE_CHECKING:
    from sqlalchemy.orm import Session, sessionmaker

    from service.settings import Settings

retention = typer.Typer(no_args_is_help=True)


@retention.callback()
def about() -> None:
    """Keep `run` a command of its own: typer would merge it with its group."""


@retention.command("run")
def run_retention(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count what would go, and touch nothing.")
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Remove what RESTNET_SCAN_RETENTION_DAYS and RESTNET_IDEMPOTENCY_DAYS say, and what was deleted before.

    A worker on the queue `maintenance` does the same by itself, in small rounds.
    """
    from service import logs

    settings = load_settings(data_dir)
    logs.configure(log_format=settings.log_format, log_level=settings.log_level)
    with migrated_sessions(settings) as sessions:
        if dry_run:
            _tell_what_is_due(sessions, settings, as_json=as_json)
        else:
            _run(sessions, settings, as_json=as_json)


def _tell_what_is_due(sessions: "sessionmaker[Session]", settings: "Settings", *, as_json: bool) -> None:
    from service.retention import what_is_due

    with sessions() as session:
        due = what_is_due(
            session, scan_days=settings.scan_retention_days, idempotency_days=settings.idempotency_days
        )
    if as_json:
        print_json(asdict(due))
        return
    if settings.scan_retention_days == 0:
        say("RESTNET_SCAN_RETENTION_DAYS is 0: scans are kept")
    say(f"{due.scans} scans ({due.size_bytes} bytes) are to be removed")
    say(f"{due.marked} deleted scans still have their file")
    say(f"{due.idempotency_keys} idempotency keys are to be forgotten")


def _run(sessions: "sessionmaker[Session]", settings: "Settings", *, as_json: bool) -> None:
    from service.retention import forget_idempotency_keys, mark_expired, remove_files
    from service.storage import open_storage

    storage = open_storage(settings)
    marked = removed = failed = keys = 0
    while found := mark_expired(sessions, scan_days=settings.scan_retention_days, actor=ACTOR):
        marked += found
    while found := forget_idempotency_keys(sessions, idempotency_days=settings.idempotency_days, actor=ACTOR):
        keys += found
    last_id = ""
    while True:
        done = remove_files(sessions, storage, actor=ACTOR, after=last_id)
        removed, failed, last_id = removed + done.removed, failed + done.failed, done.last_id
        if done.gave_up or not last_id:
            break
    if as_json:
        print_json({"marked": marked, "removed": removed, "failed": failed, "idempotency_keys": keys})
    else:
        say(f"{marked} scans were marked, the files of {removed} were removed")
        say(f"{keys} idempotency keys were forgotten")
    if failed:
        # Nothing is lost, but it is not done: whoever schedules this must notice.
        if not as_json:
            say(f"{failed} files could not be removed now; the workers go on trying", err=True)
        raise typer.Exit(OUR_FAULT)
