"""Keeps what the service writes from everybody else on the machine: scans are patients' data."""

import errno
import os
from pathlib import Path

# A folder with other things in it is nobody's to lock, unless one of these says that it is ours.
_OURS = ("serve.lock", "restnet.db")


def write_privately() -> None:
    """Make every file and folder of this process and its children readable by its own account only."""
    os.umask(0o077)


def make_private_folder(folder: Path) -> None:
    """Make a folder that only its owner may enter; one that is there is closed when it is empty or ours.

    Parameters
    ----------
    folder : Path
        A data directory.

    Raises
    ------
    OSError
        If the folder cannot be made or written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = [folder / name for name in _OURS if (folder / name).exists()]
    if files or not any(folder.iterdir()):
        _close(folder, 0o700)
    for file in files:
        # One that was made without the umask of :func:`write_privately` may be open to everybody.
        _close(file, 0o600)
    # SQLite would only say that it cannot open its file.
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))


def _close(path: Path, mode: int) -> None:
    if path.stat().st_uid == os.geteuid():
        path.chmod(mode)
