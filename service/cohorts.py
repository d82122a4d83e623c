"""Which registered cohort is meant, and whether it can be trained on as asked."""

from typing import ClassVar

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from service.db.rows import CohortRow, CohortState
from service.errors import ServiceError
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


def require_trainable(cohort: CohortRow, asked: TrainingRequest) -> None:
    """Refuse what planning could only refuse.

    Raises
    ------
    CohortNotUsableError
        If it is not what was registered.
    CohortTooSmallError
        If it has fewer cases or controls than there shall be folds. A selection may still leave fewer.
    """
    if cohort.state != CohortState.PRESENT:
        raise CohortNotUsableError(name=cohort.name, found=cohort.state.value)
    if asked.split == "stratified" and min(cohort.n_cases, cohort.n_controls) < asked.folds:
        raise CohortTooSmallError(folds=asked.folds, n_cases=cohort.n_cases, n_controls=cohort.n_controls)
