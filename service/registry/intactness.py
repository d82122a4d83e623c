"""Whether a registered file is still there, byte for byte."""

import hashlib

from service.db.rows import ModelVersionRow
from service.registry.errors import CheckpointDamagedError, CheckpointMissingError
from service.storage import Storage, StoredFileDamagedError, StoredFileMissingError

_CHUNK_BYTES = 1 << 20


def require_intact(storage: Storage, version: ModelVersionRow) -> None:
    """Read the stored file through; the bytes that were registered held a whole checkpoint.

    Raises
    ------
    CheckpointMissingError
        If it is gone.
    CheckpointDamagedError
        If its bytes are others than those that were registered.
    """
    digest = hashlib.sha256()
    try:
        with storage.open_local(version.storage_key, compare=False) as path, path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    except StoredFileMissingError as error:
        raise CheckpointMissingError(sha256=version.sha256) from error
    except StoredFileDamagedError as error:
        raise CheckpointDamagedError(expected=version.sha256, found="bytes that do not read") from error
    if digest.hexdigest() != version.sha256:
        raise CheckpointDamagedError(expected=version.sha256, found=digest.hexdigest())
