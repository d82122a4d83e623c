"""Where uploads and checkpoints are kept: received in quarantine, promoted whole, opened as local files.

``protocol`` says what a store does, ``folder`` and ``s3`` do it, ``encryption`` lies around either, and
``opening`` chooses by the settings. What may go wrong is in ``errors``.
"""

from service.storage.encryption import EncryptedStorage
from service.storage.errors import (
    EncryptionKeyFileError,
    EncryptionKeyMissingError,
    StorageKeyError,
    StorageUnavailableError,
    StorageUrlError,
    StoredFileDamagedError,
    StoredFileMissingError,
    UploadTooLargeError,
    local_outages,
)
from service.storage.folder import FolderStorage
from service.storage.keys import (
    EXPLANATIONS,
    MODELS,
    PREFIXES,
    SCAN_SUFFIXES,
    SCANS,
    checkpoint_key,
    explanation_key,
    scan_key,
)
from service.storage.opening import open_as_kept, open_storage
from service.storage.protocol import Storage, StoredFile, Upload, discard

__all__ = [
    "EXPLANATIONS",
    "MODELS",
    "PREFIXES",
    "SCANS",
    "SCAN_SUFFIXES",
    "EncryptedStorage",
    "EncryptionKeyFileError",
    "EncryptionKeyMissingError",
    "FolderStorage",
    "Storage",
    "StorageKeyError",
    "StorageUnavailableError",
    "StorageUrlError",
    "StoredFile",
    "StoredFileDamagedError",
    "StoredFileMissingError",
    "Upload",
    "UploadTooLargeError",
    "checkpoint_key",
    "discard",
    "explanation_key",
    "local_outages",
    "open_as_kept",
    "open_storage",
    "scan_key",
]
