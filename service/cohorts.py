"""Which registered cohort is meant, and whether it can be trained on as asked."""

import socket
from pathlib import Path
from typing import ClassVar

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from service.cohort_filters import require_filters
from service.db.rows import CohortRow, CohortState
from service.errors import ServiceError
from service.presence import workers_of
from service.training_request import TrainingRequest


class CohortNotKnownError(ServiceError):
    """No registered cohort has this id or name."""

    code: ClassVar[str] = "cohort_not_known"

    def __init__(self, *, found: str) -> None:
        self.found = found
        super().__init__(
            f"expected the id or the name of a registered cohort, found {found!r} (`restnet cohort register` "
            "adds one)"
        )


class CohortNotUsableError(ServiceError):
    """A cohort whose folder is gone, or holds other people than when it was registered."""

    code: ClassVar[str] = "cohort_not_usable"

    def __init__(self, *, name: str, found: str) -> None:
        self.name = name
        self.found = found
        super().__init__(f"expected the cohort {name!r} to be as it was registered, found it {found}")


class CohortTooSmallError(ServiceError):
    """More folds than one of the classes has people: a fold would be without it."""

    code: ClassVar[str] = "cohort_too_small"

    def __init__(self, *, folds: int, n_cases: int, n_controls: int) -> None:
        self.expected = folds
        self.n_cases = n_cases
        self.n_controls = n_controls
        super().__init__(
            f"expected at least {folds} cases and {folds} controls for {folds} folds, "
            f"found {n_cases} and {n_controls}"
        )


class CohortReleaseUnknownError(ServiceError):
    """A selection by official release in a cohort that does not know who is in which.

    What planning finds in the cohort itself has this code and these figures too
    (`training.cohort.selecting.selection.ReleaseUnknownError`, which the web side does not load).
    """

    code: ClassVar[str] = "selection_needs_release"

    def __init__(self, *, name: str, n_subjects: int) -> None:
        self.name = name
        self.n_subjects = n_subjects
        super().__init__(
            f"selection {name!r}: expected to know the official release of the subjects "
            f"(ingest the cohort with --test-ids), found it for none of {n_subjects}"
        )


def find_cohort(session: Session, named: str) -> CohortRow:
    """Return the cohort of an id or a name.

    Raises
    ------
    CohortNotKnownError
        If there is none.
    """
    # A cohort may be named like another one's id: the id goes first.
    meant = or_(CohortRow.id == named, CohortRow.name == named)
    found = session.scalars(select(CohortRow).where(meant)).all()
    if not found:
        raise CohortNotKnownError(found=named)
    return next((cohort for cohort in found if cohort.id == named), found[0])


class CohortLook:
    """Says how cohorts stand at the moment of a look; their rows say how the workers found them last.

    That a folder is not there is certain only where a worker on this machine, which plans runs, would not see
    it either: in a container of the web side no cohort is seen at all.

    Parameters
    ----------
    session : Session
    one_machine : bool
        Whether all of the service runs on this machine, as with a database in a file: it is certain then
        without a worker.
    """

    def __init__(self, session: Session, *, one_machine: bool = False) -> None:
        self._certain = one_machine or bool(workers_of(session, "planning", host=socket.gethostname()))

    def state_of(self, cohort: CohortRow) -> CohortState:
        """Return the state of a cohort; ``missing`` as soon as its folder is."""
        return CohortState.MISSING if self._certain and _is_gone(cohort) else cohort.state


def _is_gone(cohort: CohortRow) -> bool:
    try:
        return not Path(cohort.folder).is_dir()
    except OSError:
        # Out of reach for this account, which says nothing of others.
        return False


def require_trainable(session: Session, cohort: CohortRow, asked: TrainingRequest) -> None:
    """Refuse what planning could only refuse.

    Raises
    ------
    CohortNotUsableError
        If it is not what was registered.
    CohortFilterError
        If a filter cannot be read, or names a site that the cohort does not have.
    CohortTooSmallError
        If it has fewer cases or controls than there shall be folds. A selection may still leave fewer.
    CohortReleaseUnknownError
        If the selection is by official release, and nobody's is known.
    """
    state = CohortLook(session).state_of(cohort)
    if state != CohortState.PRESENT:
        raise CohortNotUsableError(name=cohort.name, found=state.value)
    require_filters(asked.where, sites=cohort.sites)
    if asked.split == "stratified" and min(cohort.n_cases, cohort.n_controls) < asked.folds:
        raise CohortTooSmallError(folds=asked.folds, n_cases=cohort.n_cases, n_controls=cohort.n_controls)
    require_release(cohort, asked.selection)


def require_release(cohort: CohortRow, selection: str | None) -> None:
    """Refuse a selection by official release in a cohort where nobody's is known.

    Of a cohort that no worker has looked at for its releases, whoever opens it decides.

    Parameters
    ----------
    cohort : CohortRow
    selection : str or None
        As asked for; None takes what the cohort has.

    Raises
    ------
    CohortReleaseUnknownError
    """
    if selection not in {None, "all"} and cohort.releases == []:
        raise CohortReleaseUnknownError(name=str(selection), n_subjects=cohort.n_cases + cohort.n_controls)
