"""Backup and restore: a folder with the database, the stored files and a list of both with their digests.

The rows are copied first and the files after them. A stored file never changes, so every file that a copied
row names is still there, except of scans deleted in between; the other way round, a scan uploaded in between
would have its row and lack its file. Restoring goes the other way: files first, so that no row names what is
not there.
"""

from service.backup.folder import BackupFolderError, BackupNotValidError, Manifest
from service.backup.making import make_backup
from service.backup.restoring import RestoreTargetError, restore_backup

__all__ = [
    "BackupFolderError",
    "BackupNotValidError",
    "Manifest",
    "RestoreTargetError",
    "make_backup",
    "restore_backup",
]
