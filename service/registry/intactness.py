"""Whether a registered file is still there, byte for byte, and its weights are numbers."""

import hashlib

from service.db.rows import ModelVersionRow
from service.registry.errors import CheckpointDamagedError, CheckpointMissingError
from service.registry.finite import CheckpointHeaderError, find_non_finite
from service.storage import Storage, StoredFileDamagedError, StoredFileMissingError

NOT_FINITE = "NaN or infinite values"
_CHUNK_BYTES = 1 << 20


def require_intact(storage: Storage, version: ModelVersionRow) -> None:
    """Read the stored file through; the bytes that were registered held a whole checkpoint.

    Whether its weights are finite is asked again: earlier versions registered a file without looking.

    Raises
    ------
    CheckpointMissingError
        If it is gone.
    CheckpointDamagedError
        If its bytes are others than those that were registered, or hold NaN or infinite values.
    """
    digest = hashlib.sha256()
    try:
        with storage.open_local(version.storage_key, compare=False) as path, path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
            found = digest.hexdigest()
            # Only of the bytes that were registered: of others nobody knows whether they are tensors.
            tensor = find_non_finite(path) if found == version.sha256 else None
    except StoredFileMissingError as error:
        raise CheckpointMissingError(sha256=version.sha256) from error
    except (StoredFileDamagedError, CheckpointHeaderError) as error:
        raise CheckpointDamagedError(expected=version.sha256, found="bytes that do not read") from error
    if found != version.sha256:
        raise CheckpointDamagedError(expected=version.sha256, found=found)
    if tensor is not None:
        raise CheckpointDamagedError(expected=version.sha256, found=NOT_FINITE)
