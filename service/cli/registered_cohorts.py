"""``restnet cohort register`` and ``restnet cohort list``: what training may be asked for on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.database import DataDir, load_settings, migrated_session
from service.cli.output import ACTOR, in_utc, print_json, print_table, say
from service.cli.usage import AsJson

if TYPE_CHECKING:
    from service.db.rows import CohortRow


def register(
    cohort: Annotated[Path, typer.Argument(help="A folder that `restnet cohort ingest` wrote.")],
    *,
    name: Annotated[
        str | None, typer.Option(help="What training asks for it by.", show_default="the cohort's own")
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Let the service's administrators ask for training on a cohort.

    What lies in RESTNET_COHORTS_DIR is registered by itself.
    """
    from service.worker.cohorts import register_cohort

    with migrated_session(load_settings(data_dir), make=True) as session:
        row = register_cohort(session, cohort, actor=ACTOR, name=name)
        answer = _registered(row)
    if as_json:
        print_json(answer)
    else:
        say(f"{answer['name']}: {answer['n_subjects']} subjects, {answer['n_scans']} scans, registered")


def list_cohorts(*, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the registered cohorts by name, with the state of their folders and indices.

    present: as registered; changed: the index names other people or series; missing: no folder. The stored
    series are not read: `restnet cohort verify` does that.
    """
    from sqlalchemy import select

    from service.cohorts import CohortLook
    from service.db.engine import sqlite_file
    from service.db.rows import CohortRow

    settings = load_settings(data_dir)
    in_a_file = sqlite_file(settings.database_url.get_secret_value()) is not None
    with migrated_session(settings) as session:
        look = CohortLook(session, one_machine=in_a_file)
        found = session.scalars(select(CohortRow).order_by(CohortRow.name)).all()
        rows = [_registered(row) | {"state": look.state_of(row).value} for row in found]
    if as_json:
        print_json(rows)
    else:
        print_table(rows, ("name", "state", "n_subjects", "n_cases", "n_controls", "n_scans", "folder"))


def _registered(row: "CohortRow") -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "state": row.state.value,
        "folder": row.folder,
        "fingerprint": row.fingerprint,
        "condition": row.condition,
        "simulated": row.simulated,
        "n_subjects": row.n_subjects,
        "n_cases": row.n_cases,
        "n_controls": row.n_controls,
        "n_scans": row.n_scans,
        "registered_by": row.registered_by,
        "registered_at": in_utc(row.registered_at),
    }
