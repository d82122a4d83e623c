"""``restnet models``: the checkpoints that the service knows, which one answers, and which ones did."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.database import DataDir, load_settings, migrated_session, migrated_sessions
from service.cli.output import ACTOR, in_utc, print_json, print_table, say
from service.cli.usage import AsJson

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from service.db.rows import ModelDeploymentRow, ModelVersionRow

FIRST_REASON = "imported where no model answered"
PROMOTED_AT_IMPORT = "promoted as it was imported"

models = typer.Typer(no_args_is_help=True)

OverrideReason = Annotated[
    str | None,
    typer.Option(help="Why rules of the gate that fail shall not matter; 10 characters or more."),
]


@models.command("import")
def import_model(
    checkpoint: Annotated[
        Path | None, typer.Argument(help="A checkpoint file; the demonstration model if none is named.")
    ] = None,
    *,
    if_none: Annotated[
        bool, typer.Option("--if-none", help="Leave everything as it is where a model answers already.")
    ] = False,
    promote: Annotated[bool, typer.Option("--promote", help="Let it answer from now on.")] = False,
    reason: Annotated[
        str, typer.Option(help="Why it is promoted; kept with the deployment.")
    ] = PROMOTED_AT_IMPORT,
    override_reason: OverrideReason = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Copy a checkpoint to storage. It answers at once only where no model does yet, or with --promote."""
    from model import demonstration_checkpoint
    from service import registry
    from service.registry.registering import register
    from service.storage import open_storage

    settings = load_settings(data_dir)
    if checkpoint is not None:
        _require_loading(checkpoint)
    with migrated_sessions(settings, make=True) as sessions, sessions() as session:
        active = registry.active_model(session)
        version = active
        if not (if_none and active is not None):
            storage = open_storage(settings)
            version = register(session, storage, checkpoint or demonstration_checkpoint(), actor=ACTOR)
            # To promote reads the file through: nobody has to wait for that to write.
            session.commit()
            if active is None:
                registry.let_answer(session, storage, version, actor=ACTOR, reason=FIRST_REASON)
            elif promote and version.id != active.id:
                registry.promote(
                    session, storage, version, actor=ACTOR, reason=reason, override_reason=override_reason
                )
            session.commit()
        current = registry.open_deployment(session)
        origins = {} if version is None else registry.origins_of(session, [version.id])
        answer = {} if version is None else _described(version, current, origins)
    if as_json:
        print_json(answer)
        return
    called = f"{answer['name']} {answer['version']}"
    if answer["active"]:
        say(f"{called} answers now ({answer['intended_use']}, {answer['sha256']})")
    else:
        say(f"{called} is registered ({answer['intended_use']}, {answer['sha256']}) and does not answer yet:")
        say(f"restnet models promote {answer['id']} --reason ...")


def _require_loading(checkpoint: Path) -> None:
    """Load a file as a worker would: what does not load is refused here, and not scan by scan."""
    from model.checkpoint import load_checkpoint

    load_checkpoint(checkpoint)


@models.command("promote")
def promote_model(
    named: Annotated[
        str, typer.Argument(metavar="ID|VERSION", help="What `models list` shows; a sha256 in full does too.")
    ],
    *,
    reason: Annotated[str, typer.Option(help="Why; kept with the deployment and in the audit.")],
    override_reason: OverrideReason = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Let a registered model answer from now on; workers take it up with their next scan."""
    from service import registry
    from service.storage import open_storage

    settings = load_settings(data_dir)
    with migrated_session(settings) as session:
        deployment = registry.promote(
            session,
            open_storage(settings),
            registry.find_version(session, named),
            actor=ACTOR,
            reason=reason,
            override_reason=override_reason,
        )
        told = _deployment(deployment) | {"warnings": _warnings(session, deployment)}
    _say_deployment(told, as_json=as_json)


@models.command("rollback")
def roll_back_model(
    *,
    reason: Annotated[str, typer.Option(help="Why; kept with the deployment and in the audit.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Let the model answer again that did before; one whose file is gone is passed over and named."""
    from dataclasses import asdict

    from service import registry
    from service.storage import open_storage

    settings = load_settings(data_dir)
    with migrated_session(settings) as session:
        done = registry.roll_back(session, open_storage(settings), actor=ACTOR, reason=reason)
        told = _deployment(done.deployment) | {
            "skipped": [asdict(one) for one in done.skipped],
            "warnings": _warnings(session, done.deployment),
        }
    if not as_json:
        for one in done.skipped:
            say(f"passed over {one.name} {one.version}: its file cannot be used  [{one.code}]", err=True)
    _say_deployment(told, as_json=as_json)


@models.command("list")
def list_models(*, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List every known checkpoint, the oldest first; say which one answers, and since when."""
    from sqlalchemy import select

    from service import registry
    from service.db.rows import ModelVersionRow

    with migrated_session(load_settings(data_dir)) as session:
        current = registry.open_deployment(session)
        found = session.scalars(select(ModelVersionRow).order_by(ModelVersionRow.created_at)).all()
        origins = registry.origins_of(session, [row.id for row in found])
        rows = [_described(row, current, origins) for row in found]
    if as_json:
        print_json(rows)
    else:
        columns = ("id", "name", "version", "model", "active", "answering_since", "intended_use")
        print_table([row | {"model": _in_words(row)} for row in rows], (*columns, "created_at", "sha256"))


@models.command("history")
def show_history(*, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List which model answered when, the newest first, and who put it there and why."""
    from service import registry

    with migrated_session(load_settings(data_dir)) as session:
        rows = [_deployment(row) for row in registry.deployments(session)]
    if as_json:
        print_json(rows)
    else:
        shown = ("number", "name", "version", "kind", "started_at", "ended_at", "by", "reason")
        print_table(rows, shown)


def _say_deployment(told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(told)
        return
    say(f"{told['name']} {told['version']} answers now ({told['kind']} {told['number']})")
    if told["overridden"]:
        names = ", ".join(rule["name"] for rule in told["overridden"]["rules"])
        say(f"overruled: {names}", err=True)
    for warning in told["warnings"]:
        say(f"{warning['message']}  [{warning['code']}]", err=True)


def _warnings(session: "Session", deployment: "ModelDeploymentRow") -> list[dict[str, str]]:
    from service.drift.renewing import REFERENCE_OF_ANOTHER_MODEL, reference_of_another_model, warning_of

    row = reference_of_another_model(session, deployment.model_version_id)
    return [] if row is None else [{"code": REFERENCE_OF_ANOTHER_MODEL, "message": warning_of(row)}]


def _described(
    row: "ModelVersionRow", current: "ModelDeploymentRow | None", origins: Mapping[str, str]
) -> dict[str, Any]:
    from service.methods import architecture_of

    since = current.started_at if current is not None and current.model_version_id == row.id else None
    return {
        "id": row.id,
        "name": row.name,
        "version": row.version,
        "active": since is not None,
        "answering_since": in_utc(since),
        **architecture_of(row.card),
        "intended_use": row.card["intended_use"],
        "created_at": in_utc(row.created_at),
        "added_by": row.added_by,
        "origin_run_id": origins.get(row.id),
        "sha256": row.sha256,
    }


def _in_words(row: Mapping[str, Any]) -> str:
    """Name a network with its recurrent layer, or another method by its title."""
    from service.methods import NETWORK
    from service.web.methods import RNNS, title_of

    if row["method"] != NETWORK:
        return title_of(row)
    return f"{row['network']} with {RNNS.get(row['rnn'], row['rnn'])}"


def _deployment(row: "ModelDeploymentRow") -> dict[str, Any]:
    return {
        "number": row.number,
        "model_version_id": row.model_version_id,
        "name": row.model_version.name,
        "version": row.model_version.version,
        "kind": row.kind,
        "started_at": in_utc(row.started_at),
        "ended_at": in_utc(row.ended_at),
        "by": row.actor,
        "reason": row.reason,
        "overridden": row.overridden,
    }
