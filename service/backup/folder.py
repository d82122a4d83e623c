"""The folder of a backup and the list of what is in it."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.errors import ServiceError

FORMAT = 1
MANIFEST = "manifest.json"
DATABASE = "database"
FILES = "files"
_CHUNK_BYTES = 1 << 20


class BackupFolderError(ServiceError):
    """A folder that holds something already: a backup is never mixed with another."""

    code: ClassVar[str] = "backup_folder_not_empty"

    def __init__(self, *, name: str) -> None:
        self.name = name
        super().__init__(f"expected an empty or new folder for the backup, found things in {name!r}")


class BackupNotValidError(ServiceError):
    """A folder that is no backup, is not finished, or was changed since."""

    code: ClassVar[str] = "backup_not_valid"

    def __init__(self, *, found: str) -> None:
        self.found = found
        super().__init__(f"expected a whole backup as `restnet backup` made it, found {found}")


class KeptFile(BaseModel):
    """A file of the backup."""

    model_config = ConfigDict(extra="forbid")

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    size_bytes: int = Field(ge=0)


class Manifest(BaseModel):
    """What a backup holds; written last, so that a backup without it was cut short.

    Attributes
    ----------
    schema_revision : str
        The newest migration that the database had.
    files : mapping
        By storage key.
    """

    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = 1
    made_at: datetime
    restnet_version: str
    database_kind: Literal["sqlite", "postgresql"]
    schema_revision: str
    database: KeptFile
    files: Mapping[str, KeptFile]


def describe(path: Path) -> KeptFile:
    """Return the size and the digest of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return KeptFile(sha256=digest.hexdigest(), size_bytes=path.stat().st_size)


def read_manifest(folder: Path) -> Manifest:
    """Read a backup's list and hold every file to it.

    Raises
    ------
    BackupNotValidError
        If the list is missing or of another format, or a file is missing or not the one that was copied.
    """
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except FileNotFoundError as error:
        raise BackupNotValidError(found=f"no {MANIFEST}") from error
    except ValidationError as error:
        raise BackupNotValidError(found=f"a {MANIFEST} of another form") from error
    kept = {DATABASE: manifest.database} | {f"{FILES}/{key}": file for key, file in manifest.files.items()}
    for name, file in kept.items():
        path = folder / name
        if not path.is_file():
            raise BackupNotValidError(found=f"{name} missing")
        if describe(path) != file:
            raise BackupNotValidError(found=f"{name} with other bytes than were copied")
    return manifest
