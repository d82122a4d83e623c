"""``restnet models``: the checkpoints that the service knows."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.database import DataDir, load_settings, migrated_session
from service.cli.output import ACTOR, in_utc, print_json, print_table, say
from service.cli.usage import AsJson

if TYPE_CHECKING:
    from service.db.rows import ModelVersionRow

models = typer.Typer(no_args_is_help=True)


@models.command("import")
def import_model(
    checkpoint: Annotated[
        Path | None, typer.Argument(help="A checkpoint file; the demonstration model if none is named.")
    ] = None,
    *,
    if_none: Annotated[
        bool, typer.Option("--if-none", help="Leave everything as it is where a model answers already.")
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Copy a checkpoint to storage and let it answer from now on; workers take it up by themselves."""
    from model import demonstration_checkpoint
    from service.storage import open_storage
    from service.worker.models import active_model, register_checkpoint

    settings = load_settings(data_dir)
    with migrated_session(settings, make=True) as session:
        row = active_model(session) if if_none else None
        if row is None:
            storage = open_storage(settings)
            chosen = checkpoint or demonstration_checkpoint()
            row = register_checkpoint(session, storage, chosen, actor=ACTOR)
        answer = _described(row)
    if as_json:
        print_json(answer)
    else:
        say(
            f"{answer['name']} {answer['version']} answers now ({answer['intended_use']}, {answer['sha256']})"
        )


@models.command("list")
def list_models(*, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List every known checkpoint, the oldest first, and say which one answers."""
    from sqlalchemy import select

    from service.db.rows import ModelVersionRow

    with migrated_session(load_settings(data_dir)) as session:
        found = session.scalars(select(ModelVersionRow).order_by(ModelVersionRow.created_at))
        rows = [_described(row) for row in found]
    if as_json:
        print_json(rows)
    else:
        print_table(rows, ("id", "name", "version", "active", "intended_use", "created_at", "sha256"))


def _described(row: "ModelVersionRow") -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "version": row.version,
        "active": row.active,
        "intended_use": row.card["intended_use"],
        "created_at": in_utc(row.created_at),
        "sha256": row.sha256,
    }
