"""``restnet backup`` and ``restnet restore``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.database import DatabaseNotFoundError, DataDir, load_settings
from service.cli.output import print_json, say
from service.cli.usage import AsJson, named_path

if TYPE_CHECKING:
    from service.backup import Manifest

Folder = Annotated[Path, typer.Argument(help="The backup's folder.", parser=named_path, metavar="<folder>")]


def backup(folder: Folder, *, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Copy the database and every stored file to a new folder; the service may go on working."""
    from service.backup import make_backup
    from service.db.engine import sqlite_file
    from service.private import write_privately

    settings = load_settings(data_dir)
    file = sqlite_file(settings.database_url.get_secret_value())
    if file is not None and not file.exists():
        raise DatabaseNotFoundError(path=file)
    write_privately()
    _tell(make_backup(settings, folder), "copied", as_json=as_json)


def restore(folder: Folder, *, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Fill an empty database and storage from a backup. Stop the service first; nothing is overwritten."""
    from service.backup import restore_backup
    from service.private import write_privately

    settings = load_settings(data_dir)
    write_privately()
    _tell(restore_backup(settings, folder), "restored", as_json=as_json)


def _tell(manifest: "Manifest", what: str, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "files": len(manifest.files),
                "schema_revision": manifest.schema_revision,
                "made_at": manifest.made_at.isoformat(),
            }
        )
    else:
        say(f"{what} the database (revision {manifest.schema_revision}) and {len(manifest.files)} files")
