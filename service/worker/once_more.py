"""Work in an enclosed child that the system kills, as it does where memory runs out, is begun once more."""

from collections.abc import Callable
from typing import TypeVar

from service.enclosure import ReaderDiedError
from service.logs import get_logger

log = get_logger(__name__)

# A file brings its reader down in other ways: nothing that a child does by itself ends so.
_BY_THE_SYSTEM = "SIGKILL"

Made = TypeVar("Made")


def once_more(work: Callable[[], Made]) -> Made:
    """Do something in a child, and again where the child was killed from outside.

    Parameters
    ----------
    work : callable
        Writes over what it has written before.

    Raises
    ------
    ReaderDiedError
        If the child died by itself, or was killed twice.
    """
    try:
        return work()
    except ReaderDiedError as died:
        if died.found != _BY_THE_SYSTEM:
            raise
        log.warning("reader_killed", again=True)
    return work()
