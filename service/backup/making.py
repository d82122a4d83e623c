"""From a running service to a folder: the rows first, then the files that they name."""

import shutil
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from sqlalchemy import make_url

from service.backup.database import dump
from service.backup.folder import DATABASE, FILES, MANIFEST, BackupFolderError, KeptFile, Manifest, describe
from service.db.migrate import revision_of
from service.private import make_private_folder
from service.settings import Settings
from service.storage import PREFIXES, Storage, StoredFileMissingError, open_as_kept


def make_backup(settings: Settings, folder: Path) -> Manifest:
    """Copy the database and every stored file; the service may go on working.

    Parameters
    ----------
    folder : Path
        New or empty. What is written there is for this account only, and holds patients' data.

    Raises
    ------
    BackupFolderError
        If something is in the folder.
    DumpFailedError
        If PostgreSQL's own program fails.
    """
    make_private_folder(folder)
    if any(folder.iterdir()):
        raise BackupFolderError(name=folder.name)
    url = settings.database_url.get_secret_value()
    dump(url, folder / DATABASE)
    manifest = Manifest(
        made_at=datetime.now(UTC),
        restnet_version=version("restnet"),
        database_kind="sqlite" if make_url(url).get_backend_name() == "sqlite" else "postgresql",
        schema_revision=revision_of(url) or "none",
        database=describe(folder / DATABASE),
        files=_copy_files(open_as_kept(settings), folder / FILES),
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=1))
    return manifest


def _copy_files(storage: Storage, folder: Path) -> dict[str, KeptFile]:
    copied = {}
    for prefix in PREFIXES:
        for stored in storage.stored(prefix):
            target = folder / stored.key
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with storage.open_local(stored.key) as path:
                    shutil.copyfile(path, target)
            except (StoredFileMissingError, FileNotFoundError):
                # Deleted since the rows were copied: the restored row will say that its file is gone.
                target.unlink(missing_ok=True)
                continue
            copied[stored.key] = describe(target)
    return copied
