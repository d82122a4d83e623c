"""Where uploads and checkpoints are kept: received in quarantine, promoted whole, opened as local files.

``protocol`` says what a store does, ``folder`` and ``s3`` do it, ``encryption`` lies around either, and
``opening`` chooses by the settings. ``partial`` keeps what comes in several requests. What may go wrong is in
``errors``.
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
    TooManyUnfinishedUploadsError,
    UploadBusyError,
    UploadIncompleteError,
    UploadNotFoundError,
    UploadOffsetError,
    UploadTooLargeError,
    local_outages,
)
from service.storage.folder import FolderStorage
from service.storage.keys import (
    EXPLANATIONS,
    MODELS,
    NORMALISED,
    NORMALISED_FIGURES,
    PREFIXES,
    SCAN_SUFFIXES,
    SCANS,
    checkpoint_key,
    drawn_of,
    explanation_key,
    normalised_figure_key,
    normalised_key,
    run_key,
    scan_key,
)
from service.storage.opening import open_as_kept, open_partial_uploads, open_storage
from service.storage.partial import Appending, PartialUpload
from service.storage.partial_uploads import PartialUploads
from service.storage.private_folders import PrivateFolders
from service.storage.protocol import ReceivedFile, Storage, StoredFile, Upload, discard
from service.storage.quarantine import QUARANTINE_S

__all__ = [
    "EXPLANATIONS",
    "MODELS",
    "NORMALISED",
    "NORMALISED_FIGURES",
    "PREFIXES",
    "QUARANTINE_S",
    "SCANS",
    "SCAN_SUFFIXES",
    "Appending",
    "EncryptedStorage",
    "EncryptionKeyFileError",
    "EncryptionKeyMissingError",
    "FolderStorage",
    "PartialUpload",
    "PartialUploads",
    "PrivateFolders",
    "ReceivedFile",
    "Storage",
    "StorageKeyError",
    "StorageUnavailableError",
    "StorageUrlError",
    "StoredFile",
    "StoredFileDamagedError",
    "StoredFileMissingError",
    "TooManyUnfinishedUploadsError",
    "Upload",
    "UploadBusyError",
    "UploadIncompleteError",
    "UploadNotFoundError",
    "UploadOffsetError",
    "UploadTooLargeError",
    "checkpoint_key",
    "discard",
    "drawn_of",
    "explanation_key",
    "local_outages",
    "normalised_figure_key",
    "normalised_key",
    "open_as_kept",
    "open_partial_uploads",
    "open_storage",
    "run_key",
    "scan_key",
]
