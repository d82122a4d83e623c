"""A folder in which files of a zip lie while one run is made of them; nothing of it is left."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.storage import PrivateFolders

# A child that was just told to end may still write, in seconds.
_LONGEST_END_S = 5.0
_LOOK_S = 0.05


@contextmanager
def work_folder(root: Path) -> Iterator[Path]:
    """Give an empty folder that only its owner may enter, removed with all it holds on leaving.

    That of a process that was killed is removed with the copies of scans that it left there.

    Parameters
    ----------
    root : Path
        Where such folders lie.
    """
    with PrivateFolders(root).make() as folder:
        try:
            yield folder
        finally:
            _remove(folder)


def _remove(folder: Path) -> None:
    ends_at = time.monotonic() + _LONGEST_END_S
    while True:
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists() or time.monotonic() > ends_at:
            return
        time.sleep(_LOOK_S)
