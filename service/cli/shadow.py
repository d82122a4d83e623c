"""``restnet models shadow``: one version scores what another answers, and its scores are kept apart."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.database import DataDir, load_settings, migrated_session
from service.cli.output import ACTOR, in_utc, print_json, say
from service.cli.score_display import figures_of, say_figures, say_standing, standing_of
from service.cli.usage import AsJson

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from service.db.rows import ModelVersionRow, ShadowRow

shadow = typer.Typer(no_args_is_help=True)

Named = Annotated[
    str, typer.Argument(metavar="ID|VERSION", help="What `models list` shows; a sha256 in full does too.")
]


@shadow.command("begin")
def begin(
    named: Named,
    *,
    reason: Annotated[str, typer.Option(help="Why; kept with it and in the audit.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Put a registered model in shadow: from now on it scores every scan that is answered."""
    from service import registry
    from service.storage import open_storage

    settings = load_settings(data_dir)
    with migrated_session(settings) as session:
        version = registry.find_version(session, named)
        row = registry.begin_shadow(session, open_storage(settings), version, actor=ACTOR, reason=reason)
        told = _described(session, version, row)
    _say(told, as_json=as_json)


@shadow.command("end")
def end(named: Named, *, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Take a model out of shadow; what it has scored stays, what waits is cancelled."""
    from service import registry

    with migrated_session(load_settings(data_dir)) as session:
        version = registry.find_version(session, named)
        told = _described(session, version, registry.end_shadow(session, version, actor=ACTOR))
    _say(told, as_json=as_json)


@shadow.command("show")
def show(named: Named, *, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Say whether a model is in shadow, and what would have changed the last time that it was."""
    from service import registry

    with migrated_session(load_settings(data_dir)) as session:
        version = registry.find_version(session, named)
        row = registry.newest_shadow(session, version)
        if row is None:
            raise registry.ModelNotInShadowError
        told = _described(session, version, row) | {"comparison": figures_of(session, row)}
    _say(told, as_json=as_json)


def _described(session: "Session", version: "ModelVersionRow", row: "ShadowRow") -> dict[str, Any]:
    from service import scoring

    return {
        "id": row.id,
        "model_version_id": version.id,
        "name": version.name,
        "version": version.version,
        "started_at": in_utc(row.started_at),
        "ended_at": in_utc(row.ended_at),
        "ended_because": row.ended_because,
        "by": row.actor,
        "reason": row.reason,
        "scores": standing_of(scoring.shadow_standing(session, row.id)),
    }


def _say(told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(told)
        return
    called = f"{told['name']} {told['version']}"
    if told["ended_at"] is None:
        say(f"{called} is in shadow since {told['started_at']} ({told['by']}: {told['reason']})")
    else:
        say(f"{called} was in shadow from {told['started_at']} to {told['ended_at']}")
    say_standing(told["scores"])
    if "comparison" in told:
        say_figures(told["comparison"])
