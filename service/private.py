"""Keeps what the service writes from everybody else on the machine: scans are patients' data."""

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
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ours = not any(folder.iterdir()) or any((folder / name).exists() for name in _OURS)
    if ours and folder.stat().st_uid == os.geteuid():
        folder.chmod(0o700)
