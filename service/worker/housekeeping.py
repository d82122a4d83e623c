"""What is due now and then, in a thread of its own: a storage that hangs must not keep jobs from recovery."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from time import monotonic

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from service.audit.verification import Anchor, read_head
from service.db.rows import CohortRow
from service.drift.due import versions_due
from service.identity.actor import program
from service.logs import get_logger
from service.retention import (
    forget_idempotency_keys,
    give_up_unwanted,
    mark_expired,
    remove_files,
    remove_leftovers,
)
from service.settings import Settings
from service.storage import QUARANTINE_S, PrivateFolders, Storage, open_partial_uploads
from service.worker.guarding import guarded
from service.worker.orphans import remove_orphans

# Each chore is done at the start and then at its pace, in seconds. Tidying looks at every stored scan.
TIDY_S = 600.0
RETENTION_S = 600.0
REMOVAL_S = 30.0
HEAD_S = 600.0
COHORTS_S = 60.0
COPIES_S = 60.0
# A look that somebody asked for begins within this time; the others have a pace of their own.
DRIFT_S = 10.0
# A version whose look has failed is left for so long: what it failed of is likely still there.
DRIFT_AGAIN_S = 900.0
WEBHOOK_S = 10.0
# How often the thread looks whether a chore is due.
LOOK_S = 1.0

log = get_logger(__name__)


@dataclass
class _Chore:
    event: str
    act: Callable[[], None]
    every_s: float
    due_at: float = 0.0


class Housekeeping:
    """Retention, removal of files, zips and copies, tidy storage, the cohorts, drift, the audit's anchors.

    Any number of processes may do this at once: what one has done, the next finds done.
    """

    def __init__(self, settings: Settings, *, sessions: sessionmaker[Session], storage: Storage) -> None:
        self._settings = settings
        self._sessions = sessions
        self._storage = storage
        self._actor = program("sweeper")
        self._removed_up_to = ""
        self._logged: Anchor | None = None
        self._drift_not_before: dict[str, float] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, within the time of one chore."""
        self._stopped.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        chores = (
            _Chore("audit_head_not_read", self._log_head, HEAD_S),
            # Before the removal, which then finds what was marked.
            _Chore("retention_failed", self._expire, RETENTION_S),
            _Chore("removal_failed", self._remove, REMOVAL_S),
            _Chore("zips_not_removed", self._remove_zips, REMOVAL_S),
            _Chore("quarantine_not_purged", self._purge_quarantine, TIDY_S),
            _Chore("orphans_not_removed", self._remove_orphans, TIDY_S),
            _Chore("cohorts_not_looked_after", self._look_after_cohorts, COHORTS_S),
            _Chore("reviewed_copies_not_removed", self._remove_reviewed_copies, COPIES_S),
            _Chore("drift_not_evaluated", self._evaluate_drift, DRIFT_S),
            # Last: the receiver is somebody else's machine.
            _Chore("drift_alarm_not_told", self._tell_alarms, WEBHOOK_S),
        )
        while not self._stopped.wait(LOOK_S):
            for chore in chores:
                if monotonic() >= chore.due_at and not self._stopped.is_set():
                    guarded(chore.event, chore.act)
                    chore.due_at = monotonic() + chore.every_s

    def _log_head(self) -> None:
        with self._sessions() as session:
            head = read_head(session)
        if head != self._logged:
            # Logs are shipped elsewhere: there an anchor is out of reach of whoever owns the database.
            log.info("audit_head", anchor=str(head))
            self._logged = head

    def _expire(self) -> None:
        marked = mark_expired(self._sessions, scan_days=self._settings.scan_retention_days, actor=self._actor)
        keys = forget_idempotency_keys(
            self._sessions, idempotency_days=self._settings.idempotency_days, actor=self._actor
        )
        if marked or keys:
            log.info("retention", scans_marked=marked, idempotency_keys=keys)

    def _remove(self) -> None:
        done = remove_files(self._sessions, self._storage, actor=self._actor, after=self._removed_up_to)
        self._removed_up_to = done.last_id
        if done.removed or done.failed:
            log.info("scans_removed", removed=done.removed, failed=done.failed)

    def _remove_zips(self) -> None:
        given_up = give_up_unwanted(self._sessions)
        removed = remove_leftovers(self._sessions, self._storage)
        if given_up or removed:
            log.info("zips_removed", removed=removed, given_up=given_up)

    def _purge_quarantine(self) -> None:
        self._storage.purge_quarantine(older_than_s=QUARANTINE_S)
        open_partial_uploads(self._settings).purge(older_than_s=QUARANTINE_S)
        # Where images lie unpacked while a run is made of them: of a worker that was killed, here.
        PrivateFolders(self._settings.scratch_dir).remove_abandoned()

    def _look_after_cohorts(self) -> None:
        folder = self._settings.cohorts_dir
        with self._sessions() as session:
            known = session.scalars(select(CohortRow.id).limit(1)).first()
        if known is None and not folder.is_dir():
            return
        # Only now: it loads numpy, which a worker's parent does without where nobody trains.
        from service.worker.cohorts import look_after_cohorts  # noqa: PLC0415

        look_after_cohorts(self._sessions, folder, actor=self._actor)

    def _remove_reviewed_copies(self) -> None:
        if not self._settings.runs_dir.is_dir():
            return
        # As late as that of the cohorts, and for the same reason.
        from service.worker.reviewed_copies import remove_copies  # noqa: PLC0415

        remove_copies(self._sessions, self._settings.runs_dir)

    def _remove_orphans(self) -> None:
        remove_orphans(self._sessions, self._storage)

    def _evaluate_drift(self) -> None:
        with self._sessions() as session:
            due = versions_due(session, every_s=self._settings.drift_evaluation_s)
        if not due:
            return
        # As above.
        from service.drift.evaluating import evaluate_version  # noqa: PLC0415

        for model_version_id in due:
            if monotonic() < self._drift_not_before.get(model_version_id, 0.0):
                continue
            # Each on its own: one that cannot be looked at must not keep the others from it. What it leaves
            # here stands unless the look comes to its end.
            self._drift_not_before[model_version_id] = monotonic() + DRIFT_AGAIN_S
            guarded("drift_not_evaluated", partial(self._look_at, evaluate_version, model_version_id))

    def _look_at(self, evaluate: Callable[..., object], model_version_id: str) -> None:
        evaluate(self._sessions, model_version_id, actor=self._actor)
        del self._drift_not_before[model_version_id]

    def _tell_alarms(self) -> None:
        if self._settings.drift_webhook_url is None:
            return
        from service.drift.notifying import notify  # noqa: PLC0415  (an HTTP client, for those who have an address)

        notify(self._sessions, self._settings)
