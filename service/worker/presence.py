"""Says from a thread that the worker is there, until it stops."""

import socket
import threading
from collections.abc import Sequence

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from service.logs import get_logger
from service.presence import SAY_S, say_farewell, say_present

# How long a worker that stops waits for the database, in seconds.
FAREWELL_S = 3.0

log = get_logger(__name__)


class Presence:
    """Notes a worker at once and then every few seconds; a database that is away is tried again.

    Parameters
    ----------
    sessions : sessionmaker
    worker : str
        The worker's own name.
    queues : sequence of str
    """

    def __init__(self, sessions: sessionmaker[Session], *, worker: str, queues: Sequence[str]) -> None:
        self._sessions = sessions
        self._worker = worker
        self._queues = tuple(queues)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and say farewell if the database hears it in time: one that hangs must not hold the worker."""
        self._stopped.set()
        self._thread.join(timeout=FAREWELL_S)

    def _run(self) -> None:
        while True:
            self._note(farewell=False)
            if self._stopped.wait(SAY_S):
                self._note(farewell=True)
                return

    def _note(self, *, farewell: bool) -> None:
        try:
            with self._sessions.begin() as session:
                if farewell:
                    say_farewell(session, worker=self._worker)
                else:
                    say_present(session, worker=self._worker, queues=self._queues, host=socket.gethostname())
        except SQLAlchemyError as error:
            log.warning("presence_not_noted", reason=type(error).__name__)
