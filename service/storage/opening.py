"""Chooses the store that the settings name."""

from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from service.settings import Settings
from service.storage.encryption import EncryptedStorage
from service.storage.errors import StorageUrlError
from service.storage.folder import FolderStorage
from service.storage.key_file import read_keys
from service.storage.keys import KEY
from service.storage.partial_uploads import PartialUploads
from service.storage.private_folders import PrivateFolders
from service.storage.protocol import Storage


def open_storage(settings: Settings) -> Storage:
    """Return the storage that the settings name; neither folder nor bucket is touched yet.

    Raises
    ------
    StorageUrlError
        If its address is neither a folder nor a bucket.
    EncryptionKeyFileError
        If a key file is named that cannot be used.
    """
    keys = () if settings.encryption_key_file is None else read_keys(settings.encryption_key_file)
    copies = PrivateFolders(settings.scratch_dir)
    return EncryptedStorage(_open_bare(settings, copies), keys=keys, copies=copies)


def open_as_kept(settings: Settings) -> Storage:
    """Return the same store without its encryption: what is encrypted stays so on its way in and out.

    Raises
    ------
    StorageUrlError
        As :func:`open_storage`.
    """
    return _open_bare(settings, PrivateFolders(settings.scratch_dir))


def open_partial_uploads(settings: Settings) -> PartialUploads:
    """Return where unfinished uploads wait: beside the folder's files, which several machines may share.

    A bucket is no place for them: there they lie in this machine's data directory.
    """
    root = _folder_of(settings) or settings.data_dir
    return PartialUploads(root / "resumable", most_per_account=settings.unfinished_uploads_per_account)


def _open_bare(settings: Settings, copies: PrivateFolders) -> Storage:
    folder = _folder_of(settings)
    if folder is not None:
        return FolderStorage(folder)
    parts = urlsplit(settings.storage_url)
    if parts.scheme == "s3":
        return _open_bucket(parts, settings, copies)
    raise StorageUrlError(f"the scheme {parts.scheme!r}")


def _folder_of(settings: Settings) -> Path | None:
    if "://" not in settings.storage_url:
        return Path(settings.storage_url)
    parts = urlsplit(settings.storage_url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def _open_bucket(parts: SplitResult, settings: Settings, copies: PrivateFolders) -> Storage:
    # A quarter of a second and 25 MB that an installation with a folder need not pay.
    from service.storage.s3 import S3Storage  # noqa: PLC0415
    from service.storage.s3_client import make_client, make_prober  # noqa: PLC0415

    if not parts.netloc or "@" in parts.netloc or parts.query or parts.fragment:
        raise StorageUrlError("no bucket and prefix alone")
    prefix = parts.path.strip("/")
    if prefix and not KEY.fullmatch(prefix):
        raise StorageUrlError("a prefix with other than lower-case letters, digits, '-', '_', '.' and '/'")
    return S3Storage(
        make_client(settings),
        prober=make_prober(settings),
        bucket=parts.netloc,
        prefix=f"{prefix}/" if prefix else "",
        attempts=settings.storage_attempts,
        quarantine=PrivateFolders(settings.data_dir / "quarantine"),
        copies=copies,
    )
