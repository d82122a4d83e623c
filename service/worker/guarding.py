"""Doing what may fail without ending what does it."""

from collections.abc import Callable

from sqlalchemy.exc import DBAPIError

from service.logs import get_logger
from service.storage import StorageUnavailableError

log = get_logger(__name__)


def guarded(event: str, act: Callable[[], object], **about: str) -> None:
    """Do something; where it fails the log tells, under `event`, and the next round tries again.

    Parameters
    ----------
    event : str
    act : callable
    **about : str
        What the log says beside it.
    """
    try:
        act()
    except (DBAPIError, OSError, StorageUnavailableError) as error:
        log.warning(event, reason=type(error).__name__, **about)
    except Exception:
        # What was lost is found by a thread that goes on: a fault of ours must not end it.
        log.exception(event, **about)
