"""From a folder to an empty service: the files first, then the rows that name them."""

from pathlib import Path
from typing import ClassVar

from sqlalchemy import make_url

from service.backup.database import is_empty, load
from service.backup.folder import DATABASE, FILES, Manifest, read_manifest
from service.db.migrate import require_known, upgrade
from service.errors import ServiceError
from service.private import make_private_folder
from service.settings import Settings
from service.storage import MODELS, SCANS, Storage, open_as_kept

_CHUNK_BYTES = 1 << 20


class RestoreTargetError(ServiceError):
    """A place that is in use, or of another kind: nothing there is ever overwritten."""

    code: ClassVar[str] = "restore_target_not_empty"

    def __init__(self, *, found: str) -> None:
        self.found = found
        super().__init__(
            f"expected an empty database of the backup's kind and an empty storage, found {found}"
        )


def restore_backup(settings: Settings, folder: Path) -> Manifest:
    """Fill an empty database and storage from a backup, and bring the schema up to this version.

    A restoration that was cut short is taken up by the same call. No process of the service may run then.

    Raises
    ------
    BackupNotValidError
        If the folder is not a whole backup.
    RestoreTargetError
        If the database has tables, is of another kind, or the storage holds other files.
    SchemaNewerError
        If the backup is from a newer version of RestNet.
    DumpFailedError
        If PostgreSQL's own program fails.
    """
    manifest = read_manifest(folder)
    require_known(manifest.schema_revision)
    url = settings.database_url.get_secret_value()
    storage = open_as_kept(settings)
    make_private_folder(settings.data_dir)
    _require_room(url, storage, manifest)
    for key in manifest.files:
        _put_back(storage, key, folder / FILES / key)
    load(url, folder / DATABASE)
    upgrade(url)
    return manifest


def _require_room(url: str, storage: Storage, manifest: Manifest) -> None:
    kind = make_url(url).get_backend_name()
    if kind != manifest.database_kind:
        raise RestoreTargetError(found=f"a backup of {manifest.database_kind} for a database of {kind}")
    if not is_empty(url):
        raise RestoreTargetError(found="a database with tables")
    foreign = sum(
        stored.key not in manifest.files for prefix in (MODELS, SCANS) for stored in storage.stored(prefix)
    )
    if foreign:
        raise RestoreTargetError(found=f"{foreign} files in the storage that are not of this backup")


def _put_back(storage: Storage, key: str, path: Path) -> None:
    with storage.receive(max_bytes=path.stat().st_size) as upload, path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            upload.write(chunk)
        storage.promote(upload, key)
