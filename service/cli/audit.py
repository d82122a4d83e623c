"""``restnet audit``: whether the audit is still what was recorded, and a copy of it for elsewhere."""

import sys
from typing import Annotated

import typer

from service.cli.database import DataDir, load_settings, migrated_session, migrated_sessions
from service.cli.output import ACTOR, print_json, say
from service.cli.usage import AsJson

audit = typer.Typer(no_args_is_help=True)


@audit.command("verify")
def verify_audit(
    *,
    anchor: Annotated[
        list[str] | None,
        typer.Option(
            help="SEQUENCE:HASH that an earlier verification printed, or a worker logged as audit_head; "
            "without one, events that were cut off at the end with their head are not missed.",
            metavar="SEQUENCE:HASH",
        ),
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Check every event of the audit and the chain that binds them; name the first that is wrong."""
    from service.audit.verification import parse_anchor, verify

    anchors = [parse_anchor(text) for text in anchor or ()]
    with migrated_session(load_settings(data_dir)) as session:
        head = verify(session, anchors=anchors)
    if as_json:
        print_json({"events": head.sequence, "anchors": len(anchors), "head": str(head)})
        return
    say(f"{head.sequence} events are as they were recorded. Keep the head elsewhere, to verify against:")
    say(str(head))


@audit.command("export")
def export_audit(
    *,
    after: Annotated[
        int, typer.Option(help="Leave out the events up to this sequence, as exported before.", min=0)
    ] = 0,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Print the audit as JSON lines, the oldest first. The export itself is in it."""
    from service.audit import record
    from service.audit.export import export_lines
    from service.audit.verification import read_head

    # Lines of JSON they are in any case; with --json a refusal is JSON too.
    del as_json
    with migrated_sessions(load_settings(data_dir)) as sessions:
        with sessions.begin() as session:
            record(
                session,
                actor=ACTOR,
                action="audit.export",
                subject_kind="audit",
                subject_id="list",
                details={"after": after},
            )
        with sessions() as session:
            for line in export_lines(session, after=after, up_to=read_head(session).sequence):
                sys.stdout.write(line + "\n")
