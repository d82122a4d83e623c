"""Who looked at what: recorded once in a while, however often a page or a program asks again."""

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from service.audit.recording import record
from service.identity.actor import Actor

_Look = tuple[str, ...]


@dataclass
class ReadLog:
    """Records looks at what the service holds, and remembers in this process's memory which it has recorded.

    Attributes
    ----------
    window_s : float
        The same look, by the same actor from the same address, is recorded once in this time.
    capacity : int
        Looks remembered; the oldest is forgotten first, and would be recorded again.
    clock : callable
        Seconds, monotonic.
    """

    window_s: float = 300.0
    capacity: int = 10_000
    clock: Callable[[], float] = time.monotonic
    _recorded: OrderedDict[_Look, float] = field(default_factory=OrderedDict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def note(
        self,
        session: Session,
        actor: Actor,
        *,
        action: str,
        subject_kind: str,
        subject_id: str,
        details: dict[str, Any] | None = None,
    ) -> None:
        """Record a look at one thing and commit, before it is shown: what cannot be recorded is not shown.

        Parameters
        ----------
        session : Session
            Committed where something is recorded.
        """
        look = (actor.name, actor.address, action, subject_kind, subject_id, *_told(details))
        if self._is_known(look):
            return
        record(
            session,
            actor=actor,
            action=action,
            subject_kind=subject_kind,
            subject_id=subject_id,
            details=details,
        )
        session.commit()
        self._remember([look])

    def note_list(
        self, session: Session, actor: Actor, *, action: str, subject_kind: str, ids: Sequence[str]
    ) -> None:
        """Record a look at a list, naming what the actor has not been recorded as seeing in it; as `note`.

        Parameters
        ----------
        ids : sequence of str
            What the list shows.
        """
        looks = [(actor.name, actor.address, action, subject_kind, shown) for shown in (*ids, "")]
        unknown = [look for look in looks if not self._is_known(look)]
        if not unknown:
            return
        details = {"ids": [shown for *_, shown in unknown if shown]}
        record(
            session, actor=actor, action=action, subject_kind=subject_kind, subject_id="list", details=details
        )
        session.commit()
        self._remember(unknown)

    def _is_known(self, look: _Look) -> bool:
        with self._lock:
            recorded_at = self._recorded.get(look)
        return recorded_at is not None and self.clock() - recorded_at < self.window_s

    def _remember(self, looks: Sequence[_Look]) -> None:
        # After the commit, so that nobody is shown on the strength of a record that was never made.
        with self._lock:
            now = self.clock()
            for look in looks:
                self._recorded[look] = now
                self._recorded.move_to_end(look)
            while len(self._recorded) > self.capacity:
                self._recorded.popitem(last=False)


def _told(details: dict[str, Any] | None) -> tuple[str, ...]:
    # What tells more, or something else, is another event.
    return () if details is None else (json.dumps(details, sort_keys=True),)
