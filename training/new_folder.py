"""A folder that is new or empty when it is begun, and holds all of it or nothing in the end."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from training.errors import CohortError


class OutputFolderNotEmptyError(CohortError):
    """The folder for a new cohort already holds something."""

    code: ClassVar[str] = "output_folder_not_empty"

    def __init__(self, *, name: str) -> None:
        self.name = name
        super().__init__(f"expected a new or empty folder, found files in {name!r}")


def require_empty(folder: Path) -> None:
    """Refuse a folder with anything in it.

    Raises
    ------
    OutputFolderNotEmptyError
    """
    if any(folder.iterdir()):
        raise OutputFolderNotEmptyError(name=folder.name)


@contextmanager
def whole_folder(folder: Path) -> Iterator[None]:
    """Fill a new or empty folder, or leave it as it was: missing or empty.

    Raises
    ------
    OutputFolderNotEmptyError
    """
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    require_empty(folder)
    try:
        yield
    except BaseException:
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        if is_new:
            folder.rmdir()
        raise
