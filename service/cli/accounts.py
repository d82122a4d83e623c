"""``restnet users``: who may log in, as what, with which password, and who no longer may."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.database import DataDir, load_settings, migrated_session
from service.cli.output import ACTOR, in_utc, print_json, print_table, say
from service.cli.usage import AsJson

if TYPE_CHECKING:
    from service.db.rows import UserRow

Username = Annotated[str, typer.Argument(help="Letters, digits and . _ @ -")]

users = typer.Typer(no_args_is_help=True)


@users.command("add")
def add_user(
    username: Username,
    *,
    role: Annotated[
        str, typer.Option(help="clinician, integrator, researcher or administrator.")
    ] = "clinician",
    organisation: Annotated[
        str, typer.Option(help="Whose scans the person sees: a name that `organisations add` has added.")
    ] = "default",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Add a person. The password is asked for, or read from standard input when that is not a terminal.

    It is a first one: the person chooses another when they log in, and it ends after a week.
    """
    from service.audit import record
    from service.identity.accounts import create_user
    from service.identity.organisations import require_organisation
    from service.identity.roles import parse_role

    chosen = parse_role(role)
    settings = load_settings(data_dir)
    with migrated_session(settings, make=True) as session:
        # Before anybody types a password twice for nothing.
        home = require_organisation(session, name=organisation)
    password = _ask_password()
    with migrated_session(settings) as session:
        user = create_user(
            session, username=username, password=password, role=chosen, organisation_id=home.id
        )
        record(
            session,
            actor=ACTOR,
            action="user.create",
            subject_kind="user",
            subject_id=user.id,
            details={"role": user.role},
            organisation_id=home.id,
        )
        added = {"id": user.id, "username": user.username, "role": user.role, "organisation": home.name}
    if as_json:
        print_json(added)
    else:
        who, what = added["username"], f"{added['role']} of {added['organisation']}"
        say(f"{who} may log in as {what}, and chooses another password then")


@users.command("list")
def list_users(*, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the accounts, the oldest first."""
    from sqlalchemy import select

    from service.audit import record
    from service.db.organisations import OrganisationRow
    from service.db.rows import UserRow

    named = select(UserRow, OrganisationRow.name).join(
        OrganisationRow, OrganisationRow.id == UserRow.organisation_id
    )
    with migrated_session(load_settings(data_dir)) as session:
        found = session.execute(named.order_by(UserRow.created_at))
        rows = [_described(user) | {"organisation": organisation} for user, organisation in found]
        record(
            session,
            actor=ACTOR,
            action="user.list",
            subject_kind="user",
            subject_id="list",
            details={"ids": [row["id"] for row in rows]},
        )
    if as_json:
        print_json(rows)
    else:
        print_table(rows, ("username", "role", "organisation", "created_at", "disabled_at"))


@users.command("disable")
def disable(username: Username, *, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Shut an account out at once: its logins end, its password and its keys are refused. Scans stay.

    Links of its invitations that nobody has used yet are withdrawn.
    """
    from service.db.rows import InvitationRow
    from service.identity.accounts import disable_user
    from service.identity.invitations import withdraw

    with migrated_session(load_settings(data_dir)) as session:
        user = disable_user(session, username=username)
        _record(session, user, action="user.disable")
        withdraw(session, InvitationRow.invited_by == user.id, actor=ACTOR)
        answer = _described(user)
    _tell(answer, f"{answer['username']} is shut out", as_json=as_json)


@users.command("enable")
def enable(username: Username, *, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Let a disabled account in again."""
    from service.identity.accounts import enable_user

    with migrated_session(load_settings(data_dir)) as session:
        user = enable_user(session, username=username)
        _record(session, user, action="user.enable")
        answer = _described(user)
    _tell(answer, f"{answer['username']} may log in as {answer['role']}", as_json=as_json)


@users.command("end-logins")
def end_all_logins(username: Username, *, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """End an account's logins at once. It may log in again, and its keys stay."""
    from service.identity.accounts import require_user
    from service.identity.logins import end_logins

    with migrated_session(load_settings(data_dir)) as session:
        user = require_user(session, username=username)
        ended = end_logins(session, user_id=user.id)
        _record(session, user, action="login.revoke", details={"ids": ended})
        answer = {"id": user.id, "username": user.username, "ended": len(ended)}
    _tell(
        answer, f"{answer['username']} had {answer['ended']} logins, and has none any more", as_json=as_json
    )


@users.command("reset-second-factor")
def reset_factor(username: Username, *, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Let the password alone open an account whose owner has lost the authenticator. Its logins end."""
    from service.identity.accounts import require_user
    from service.identity.second_factor import reset_second_factor

    with migrated_session(load_settings(data_dir)) as session:
        user = require_user(session, username=username)
        reset_second_factor(session, user)
        _record(session, user, action="second_factor.reset")
        answer = _described(user)
    _tell(answer, f"{answer['username']} logs in with the password alone", as_json=as_json)


@users.command("set-password")
def change_password(
    username: Username,
    *,
    generate: Annotated[
        bool, typer.Option("--generate", help="Make a password and print it, this once.")
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Give an account another first password and end its logins. It is asked for as by `users add`."""
    import secrets

    from service.identity.accounts import require_user, set_password

    settings = load_settings(data_dir)
    with migrated_session(settings) as session:
        # Before anybody types a password twice for nothing.
        require_user(session, username=username)
    password = secrets.token_urlsafe(15) if generate else _ask_password()
    with migrated_session(settings) as session:
        user = set_password(session, username=username, password=password)
        _record(session, user, action="user.set_password")
        answer = _described(user) | ({"password": password} if generate else {})
    made = f": {password}" if generate else ""
    _tell(answer, f"{answer['username']} has a new password{made}", as_json=as_json)


def _ask_password() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    return sys.stdin.readline().rstrip("\r\n")


def _described(user: "UserRow") -> dict[str, Any]:
    return {
        "id": user.id,
        "username": user.username,
        "role": user.role,
        "created_at": in_utc(user.created_at),
        "disabled_at": in_utc(user.disabled_at),
        "must_change_password": user.first_password_at is not None,
        "second_factor": user.totp_since is not None,
    }


def _record(session: Any, user: "UserRow", *, action: str, details: dict[str, Any] | None = None) -> None:
    from service.audit import record

    record(
        session,
        actor=ACTOR,
        action=action,
        subject_kind="user",
        subject_id=user.id,
        details=details,
        organisation_id=user.organisation_id,
    )


def _tell(answer: dict[str, Any], sentence: str, *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        say(sentence)
