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
from service.storage import PREFIXES, Storage, open_as_kept

# In the data directory while a restoration goes on: names the backup, so that its repetition may find files.
_UNFINISHED = "restoring"
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

    A restoration that was cut short is taken up by the same call, from the same data directory. No process of
    the service may run then.

    Raises
    ------
    BackupNotValidError
        If the folder is not a whole backup.
    RestoreTargetError
        If the database has tables, is of another kind, or the storage holds files: two databases over one
        storage would remove each other's scans.
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
    unfinished = settings.data_dir / _UNFINISHED
    of_this_backup = manifest.database.sha256
    resumed = unfinished.is_file() and unfinished.read_text() == of_this_backup
    _require_room(url, storage, manifest, resumed=resumed)
    unfinished.write_text(of_this_backup)
    for key in manifest.files:
        _put_back(storage, key, folder / FILES / key)
    load(url, folder / DATABASE)
    upgrade(url)
    unfinished.unlink()
    return manifest


def _require_room(url: str, storage: Storage, manifest: Manifest, *, resumed: bool) -> None:
    kind = make_url(url).get_backend_name()
    if kind != manifest.database_kind:
        raise RestoreTargetError(found=f"a backup of {manifest.database_kind} for a database of {kind}")
    if not is_empty(url):
        raise RestoreTargetError(found="a database with tables")
    expected = manifest.files if resumed else ()
    foreign = sum(stored.key not in expected for prefix in PREFIXES for stored in storage.stored(prefix))
    if foreign:
        raise RestoreTargetError(found=f"a storage with {foreign} files that no restoration began with")


def _put_back(storage: Storage, key: str, path: Path) -> None:
    with storage.receive(max_bytes=path.stat().st_size) as upload, path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            upload.write(chunk)
        storage.promote(upload, key)
