"""A folder for what is unpacked of a person's images: gone when the work on it ends, in whichever way."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from imaging.waiting_signals import signals_wait


@contextmanager
def private_folder() -> Iterator[Path]:
    """Make a folder that nobody else may read, and remove it with all that is in it.

    A second Ctrl-C, or a terminal that is closed meanwhile, does not stop the removal: it counts afterwards.
    """
    made = Path(mkdtemp(prefix="restnet-"))
    try:
        yield made
    finally:
        with signals_wait():
            shutil.rmtree(made)
