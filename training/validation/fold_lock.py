"""Two processes never train one fold of one run at once."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import ClassVar

from training.errors import CohortError
from training.runs import fold_folder

LOCK_FILE = "lock"

# A process whose parent was killed ends at its next batch; its lock goes with it.
LOCK_PATIENCE_S = 30.0
_POLL_S = 0.2


class FoldInProgressError(CohortError):
    """A fold that another process is training."""

    code: ClassVar[str] = "fold_in_progress"

    def __init__(self, *, run: str, fold: int) -> None:
        self.run = run
        self.fold = fold
        super().__init__(f"run {run!r}: expected fold {fold} to be free, found another process training it")


@contextmanager
def fold_alone(run: Path, fold: int, *, patience_s: float) -> Iterator[None]:
    """Hold a fold's lock; the operating system lets go of it however this process ends.

    Parameters
    ----------
    run : Path
        Holds the fold's folder already.
    fold : int
    patience_s : float
        How long to wait for another process.

    Raises
    ------
    FoldInProgressError
        If another process still holds it.
    """
    deadline = time.monotonic() + patience_s
    with (fold_folder(run, fold) / LOCK_FILE).open("a") as file:
        while True:
            try:
                flock(file, LOCK_EX | LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= deadline:
                    raise FoldInProgressError(run=run.name, fold=fold) from error
                time.sleep(_POLL_S)
        yield
