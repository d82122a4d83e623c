"""``restnet keys``: API keys for programs."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.database import DataDir, load_settings, migrated_session
from service.cli.output import ACTOR, in_utc, print_json, print_table, say
from service.cli.usage import AsJson

if TYPE_CHECKING:
    from service.db.rows import ApiKeyRow

keys = typer.Typer(no_args_is_help=True)


@keys.command("create")
def create_key(
    username: Annotated[str, typer.Argument(help="The account in whose name the key acts.")],
    *,
    name: Annotated[str, typer.Option(help="What the key is for.")] = "command line",
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="What it may do, such as scans:write; may be given several times. "
            "Without it, all that the account's role allows, except admin: with that a key manages accounts "
            "and keys and reads the audit; of the organisation default it also promotes, trains, evaluates "
            "and watches models, and has scans scored again."
        ),
    ] = None,
    days: Annotated[
        int | None,
        typer.Option(help="Valid this long; without it, RESTNET_API_KEY_LIFETIME_S.", min=1, max=3650),
    ] = None,
    no_expiry: Annotated[bool, typer.Option("--no-expiry", help="Valid until it is revoked.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make an API key and print it, this once."""
    from service.identity.accounts import require_user
    from service.identity.api_keys import API_KEY_PREFIX_LENGTH, create_api_key, require_api_key
    from service.identity.scopes import parse_scope

    if no_expiry and days is not None:
        raise typer.BadParameter("--days and --no-expiry exclude each other")
    settings = load_settings(data_dir)
    lifetime = timedelta(seconds=settings.api_key_lifetime_s) if days is None else timedelta(days=days)
    scopes = [parse_scope(text) for text in scope] if scope else None
    with migrated_session(settings) as session:
        user = require_user(session, username=username)
        key = create_api_key(
            session, user=user, name=name, lifetime=None if no_expiry else lifetime, scopes=scopes
        )
        _record(session, require_api_key(session, key[:API_KEY_PREFIX_LENGTH]), action="api_key.create")
    if as_json:
        print_json({"username": username, "name": name, "api_key": key})
    else:
        say(key)
        say("Keep it now: only a hash of it is stored.", err=True)


@keys.command("list")
def list_keys(*, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the keys, the oldest first; their text is never shown again."""
    from sqlalchemy import select

    from service.audit import record
    from service.db.rows import ApiKeyRow, UserRow

    query = select(ApiKeyRow, UserRow.username).join(UserRow, UserRow.id == ApiKeyRow.user_id)
    with migrated_session(load_settings(data_dir)) as session:
        found = session.execute(query.order_by(ApiKeyRow.created_at))
        rows = [_described(key, username) for key, username in found]
        record(
            session,
            actor=ACTOR,
            action="api_key.list",
            subject_kind="api_key",
            subject_id="list",
            details={"ids": [row["id"] for row in rows]},
        )
    if as_json:
        print_json(rows)
    else:
        print_table(
            rows, ("id", "prefix", "username", "name", "scopes", "created_at", "expires_at", "revoked_at")
        )


@keys.command("revoke")
def revoke_key(
    key: Annotated[str, typer.Argument(help="Its id or its prefix, as `keys list` shows them.")],
    *,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """End a key's validity at once; revoking it again changes nothing."""
    from service.db.rows import UserRow
    from service.identity.api_keys import require_api_key, revoke_api_key

    with migrated_session(load_settings(data_dir)) as session:
        row = require_api_key(session, key)
        if row.revoked_at is None:
            revoke_api_key(row)
            _record(session, row, action="api_key.revoke")
        answer = _described(row, session.get_one(UserRow, row.user_id).username)
    if as_json:
        print_json(answer)
    else:
        say(f"the key {answer['prefix']}... of {answer['username']} is no longer accepted")


def _described(key: "ApiKeyRow", username: str) -> dict[str, Any]:
    return {
        "id": key.id,
        "prefix": key.prefix,
        "username": username,
        "name": key.name,
        "scopes": key.scopes,
        "created_at": in_utc(key.created_at),
        "expires_at": in_utc(key.expires_at),
        "revoked_at": in_utc(key.revoked_at),
        "last_used_at": in_utc(key.last_used_at),
    }


def _record(session: Any, key: "ApiKeyRow", *, action: str) -> None:
    from service.audit import record

    record(
        session,
        actor=ACTOR,
        action=action,
        subject_kind="api_key",
        subject_id=key.id,
        details={"name": key.name, "user_id": key.user_id, "scopes": key.scopes},
        organisation_id=key.organisation_id,
    )
