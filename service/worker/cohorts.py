"""Cohorts into the database: registered by their folders, and looked after from then on."""

import hashlib
from collections.abc import Iterator
from os.path import normpath
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from service.audit import record
from service.db.base import utc_now
from service.db.rows import CohortRow, CohortState
from service.errors import ServiceError
from service.identity.actor import Actor
from service.logs import get_logger
from training.cohort.store.cohort_store import CohortStore
from training.cohort.store.index import COHORT_FILE
from training.errors import CohortError

NAME_LENGTH = 100

log = get_logger(__name__)


class CohortNameTakenError(ServiceError):
    """A name that another cohort has."""

    code: ClassVar[str] = "cohort_name_taken"

    def __init__(self, *, name: str) -> None:
        self.name = name
        super().__init__(f"expected a name that no other cohort has, found {name!r} (choose one by --name)")


def register_cohort(session: Session, folder: Path, *, actor: Actor, name: str | None = None) -> CohortRow:
    """Let training be asked for on a store, as it is now; a folder that is known is registered anew.

    Parameters
    ----------
    folder : Path
        Of a cohort; kept absolute, its links unfollowed: what people name is what their machines share.
    actor : Actor
        For the audit.
    name : str, optional
        By default what the cohort is called in its own record, or what it was registered by before.

    Raises
    ------
    CohortError
        If it is no cohort, not whole, or of another version.
    CohortNameTakenError
        If another folder's cohort is called so.
    """
    place = str(Path(normpath(folder.absolute())))
    store = CohortStore.open(folder)
    values = _described(store, folder)
    known = session.scalars(select(CohortRow).where(CohortRow.folder == place)).one_or_none()
    wanted = (name or (known.name if known else store.name))[:NAME_LENGTH]
    other = session.scalars(select(CohortRow).where(CohortRow.name == wanted)).one_or_none()
    if other is not None and other is not known:
        raise CohortNameTakenError(name=wanted)
    row = known or CohortRow(folder=place, name=wanted, registered_by=actor.name, **values)
    session.add(row)
    session.flush()
    now = {"state": CohortState.PRESENT, "registered_at": utc_now(), "checked_at": utc_now()}
    told = {**values, **now, "name": wanted, "registered_by": actor.name}
    session.execute(update(CohortRow).where(CohortRow.id == row.id).values(**told))
    session.refresh(row)
    record(
        session,
        actor=actor,
        action="cohort.register",
        subject_kind="cohort",
        subject_id=row.id,
        details={"fingerprint": row.fingerprint},
    )
    return row


def look_after_cohorts(sessions: sessionmaker[Session], folder: Path, *, actor: Actor) -> None:
    """Register the cohorts that lie in a folder, and mark those that have changed or gone.

    Any number of processes may do this at once. What cannot be read is left, with a line in the log: it may
    be a cohort that is being made.
    """
    with sessions() as session:
        known = session.scalars(select(CohortRow)).all()
    for row in known:
        _check(sessions, row)
    places = {row.folder for row in known}
    for store in _stores_in(folder):
        if normpath(store) not in places:
            _register_found(sessions, store, actor=actor)


def _stores_in(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from sorted(store.parent for store in folder.glob(f"*/{COHORT_FILE}"))


def _register_found(sessions: sessionmaker[Session], store: Path, *, actor: Actor) -> None:
    for number in range(1, 100):
        try:
            with sessions.begin() as session:
                name = None if number == 1 else f"{CohortStore.open(store).name[: NAME_LENGTH - 4]} {number}"
                row = register_cohort(session, store, actor=actor, name=name)
            log.info("cohort_registered", cohort_id=row.id)
        except CohortNameTakenError:
            continue
        except CohortError as error:
            log.warning("cohort_not_registered", code=error.code)
        except IntegrityError:
            # Somebody else has found it at this moment.
            log.info("cohort_registered_elsewhere")
        except (OSError, DBAPIError) as error:
            log.warning("cohort_not_registered", reason=type(error).__name__)
        return


def _check(sessions: sessionmaker[Session], row: CohortRow) -> None:
    try:
        state, digest = _found(row)
        # Of what was registered by then: who registers the cohort anew at this moment knows better.
        same = (CohortRow.id == row.id, CohortRow.fingerprint == row.fingerprint)
        now: dict[str, Any] = {"state": state, "index_sha256": digest, "checked_at": utc_now()}
        if state == CohortState.PRESENT and (row.releases is None or digest != row.index_sha256):
            now["releases"] = _releases(CohortStore.open(Path(row.folder)))
        with sessions.begin() as session:
            changed = update(CohortRow).where(*same).values(**now).returning(CohortRow.id)
            noted = session.scalars(changed).one_or_none()
    except (OSError, DBAPIError, CohortError) as error:
        # One that cannot be read must not keep the others from being looked after.
        log.warning("cohort_not_checked", cohort_id=row.id, reason=type(error).__name__)
        return
    if noted is not None and row.state != state:
        log.warning("cohort_changed", cohort_id=row.id, state=state.value)


def _found(row: CohortRow) -> tuple[CohortState, str]:
    index = Path(row.folder) / COHORT_FILE
    if not index.is_file():
        return CohortState.MISSING, row.index_sha256
    digest = _sha256(index)
    as_before = row.state == CohortState.PRESENT and digest == row.index_sha256
    return CohortState.PRESENT if as_before else _state_now(row), digest


def _state_now(row: CohortRow) -> CohortState:
    try:
        store = CohortStore.open(Path(row.folder))
    except CohortError:
        return CohortState.CHANGED
    same = store.fingerprint(store.subjects) == row.fingerprint
    return CohortState.PRESENT if same else CohortState.CHANGED


def _described(store: CohortStore, folder: Path) -> dict[str, Any]:
    labels = [subject.label for subject in store.subjects]
    sites: dict[str, dict[str, int]] = {}
    for subject in store.subjects:
        counts = sites.setdefault(subject.site, {"cases": 0, "controls": 0})
        if subject.label is not None:
            counts["cases" if subject.label else "controls"] += 1
    return {
        "fingerprint": store.fingerprint(store.subjects),
        "index_sha256": _sha256(folder / COHORT_FILE),
        "condition": store.condition,
        "simulated": store.simulated,
        "n_subjects": len(labels),
        "n_cases": labels.count(1),
        "n_controls": labels.count(0),
        "n_scans": len(store.scans),
        "sites": sites,
        "preprocessing": store.spec.to_json(),
        "releases": _releases(store),
    }


def _releases(store: CohortStore) -> list[str]:
    known = {subject.release for subject in store.subjects if subject.label is not None}
    return sorted(release for release in known if release is not None)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
