"""``restnet organisations``: whose people and scans there are; each sees its own only."""

from typing import Annotated

import typer

from service.cli.database import DataDir, load_settings, migrated_session
from service.cli.output import ACTOR, in_utc, print_json, print_table, say
from service.cli.usage import AsJson

app = typer.Typer(no_args_is_help=True)


@app.command("add")
def add_organisation(
    name: Annotated[str, typer.Argument(help="As its people know it; 1 to 100 characters.")],
    *,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Add an organisation. Its first administrator is added with `users add --organisation NAME`."""
    from service.audit import record
    from service.identity.organisations import create_organisation

    with migrated_session(load_settings(data_dir), make=True) as session:
        organisation = create_organisation(session, name=name)
        record(
            session,
            actor=ACTOR,
            action="organisation.create",
            subject_kind="organisation",
            subject_id=organisation.id,
            organisation_id=organisation.id,
        )
        added = {"id": organisation.id, "name": organisation.name}
    if as_json:
        print_json(added)
    else:
        say(f"{added['name']} may have people now: restnet users add NAME --organisation '{added['name']}'")


@app.command("list")
def list_organisations(*, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the organisations with the number of their accounts, the oldest first."""
    from sqlalchemy import func, select

    from service.db.organisations import OrganisationRow
    from service.db.rows import UserRow

    counted = (
        select(OrganisationRow, func.count(UserRow.id))
        .outerjoin(UserRow, UserRow.organisation_id == OrganisationRow.id)
        .group_by(OrganisationRow.id)
        .order_by(OrganisationRow.created_at, OrganisationRow.name)
    )
    with migrated_session(load_settings(data_dir)) as session:
        rows = [
            {
                "id": organisation.id,
                "name": organisation.name,
                "created_at": in_utc(organisation.created_at),
                "users": n_users,
            }
            for organisation, n_users in session.execute(counted)
        ]
    if as_json:
        print_json(rows)
    else:
        print_table(rows, ("name", "users", "created_at"))
