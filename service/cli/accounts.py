"""``restnet users`` and ``restnet keys``: who may use the service."""

import sys
from datetime import timedelta
from typing import Annotated

import typer

from service.cli.database import DataDir, load_settings, migrated_session
from service.cli.output import print_json
from service.cli.scans import AsJson

users = typer.Typer(no_args_is_help=True)
keys = typer.Typer(no_args_is_help=True)


@users.callback()
def _users() -> None:
    """Keep `add` a subcommand although it is the only one."""


@keys.callback()
def _keys() -> None:
    """Keep `create` a subcommand although it is the only one."""


@users.command("add")
def add_user(
    username: Annotated[str, typer.Argument(help="Letters, digits and . _ @ -")],
    *,
    role: Annotated[
        str, typer.Option(help="clinician, integrator, researcher or administrator.")
    ] = "clinician",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Add a person. The password is asked for, or read from standard input when that is not a terminal."""
    from service.accounts import create_user, parse_role

    chosen = parse_role(role)
    if sys.stdin.isatty():
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    with migrated_session(load_settings(data_dir)) as session:
        user = create_user(session, username=username, password=password, role=chosen)
        added = {"id": user.id, "username": user.username, "role": user.role}
    if as_json:
        print_json(added)
    else:
        typer.echo(f"{added['username']} may log in as {added['role']}")


@keys.command("create")
def create_key(
    username: Annotated[str, typer.Argument(help="The account in whose name the key acts.")],
    *,
    name: Annotated[str, typer.Option(help="What the key is for.")] = "command line",
    days: Annotated[
        int | None, typer.Option(help="Valid this long; without it, until revoked.", min=1, max=3650)
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make an API key and print it, this once."""
    from service.accounts import create_api_key, require_user

    lifetime = None if days is None else timedelta(days=days)
    with migrated_session(load_settings(data_dir)) as session:
        user = require_user(session, username=username)
        key = create_api_key(session, user=user, name=name, lifetime=lifetime)
    if as_json:
        print_json({"username": username, "name": name, "api_key": key})
    else:
        typer.echo(key)
        typer.echo("Keep it now: only a hash of it is stored.", err=True)
