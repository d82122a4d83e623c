"""Adding an evaluation set, removing it, and choosing the one that models are compared on."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import delete, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from imaging.conditions import ConditionError, read_condition
from service.audit import record
from service.cohorts import CohortNotUsableError, require_release
from service.db.rows import CohortRow, CohortState, EvaluationRow, EvaluationSetRow, EvaluationState
from service.evaluations.errors import (
    EvaluationCohortTooSmallError,
    EvaluationFilterError,
    EvaluationSetComparedError,
    EvaluationSetNameTakenError,
    EvaluationSetNotFoundError,
)
from service.evaluations.reading import sets_with_cohorts
from service.identity.actor import Actor
from service.registry.comparison import set_in_use

FEWEST_OF_A_CLASS: Final = 10
"""As `training.challenge.people` has it, which the web side does not load; a test holds the two together."""
LIVE: Final = (EvaluationState.QUEUED, EvaluationState.EVALUATING)


def add_set(
    session: Session,
    cohort: CohortRow,
    *,
    name: str,
    selection: str,
    where: Sequence[str],
    actor: Actor,
) -> EvaluationSetRow:
    """Add a set of people of a cohort as it is registered now; flushed, not committed.

    It is not used by that, and never changed: other people are another set.

    Parameters
    ----------
    cohort : CohortRow
    name : str
    selection : "all" or "test"
        Everybody with a diagnosis, or the official test release.
    where : sequence of str
        Filters, as training takes them.
    actor : Actor

    Raises
    ------
    CohortNotUsableError
        If the cohort is not what was registered.
    EvaluationCohortTooSmallError
        If it has too few cases or controls. A selection may still leave fewer.
    EvaluationSetNameTakenError
        If another set is called so.
    CohortReleaseUnknownError
        If it is by official release, and nobody's is known.
    EvaluationFilterError
        If a filter cannot be understood, or names a site that the cohort does not have.
    """
    if cohort.state != CohortState.PRESENT:
        raise CohortNotUsableError(name=cohort.name, found=cohort.state.value)
    if min(cohort.n_cases, cohort.n_controls) < FEWEST_OF_A_CLASS:
        raise EvaluationCohortTooSmallError(
            expected=FEWEST_OF_A_CLASS, n_cases=cohort.n_cases, n_controls=cohort.n_controls
        )
    if session.scalar(select(EvaluationSetRow.id).where(EvaluationSetRow.name == name)) is not None:
        raise EvaluationSetNameTakenError(name=name)
    require_release(cohort, selection)
    for condition in where:
        _require_sense(condition, cohort)
    added = EvaluationSetRow(
        name=name,
        cohort_id=cohort.id,
        cohort_fingerprint=cohort.fingerprint,
        simulated=cohort.simulated,
        selection=selection,
        where=list(where),
        added_by=actor.name,
    )
    session.add(added)
    session.flush()
    _record(session, added, actor, action="evaluation_set.add", details={"cohort_id": cohort.id})
    return added


def find_set(session: Session, named: str) -> EvaluationSetRow:
    """Return the set of an id or a name, with its cohort.

    Raises
    ------
    EvaluationSetNotFoundError
        If there is none.
    """
    # A set may be named like another one's id: the id goes first.
    meant = or_(EvaluationSetRow.id == named, EvaluationSetRow.name == named)
    found: Sequence[EvaluationSetRow] = session.scalars(sets_with_cohorts().where(meant)).all()
    if not found:
        raise EvaluationSetNotFoundError
    return next((one for one in found if one.id == named), found[0])


def use_set(session: Session, chosen: EvaluationSetRow, *, actor: Actor) -> EvaluationSetRow:
    """Compare models on this set from now on; choosing it again changes nothing.

    What was compared on another set no longer counts for a promotion, until that set is chosen again.
    """
    before = set_in_use(session)
    if before is not None and before.id == chosen.id:
        return chosen
    # Every row and not the one in use alone: of two who choose at once, the second waits here.
    session.execute(update(EvaluationSetRow).values(in_use=False))
    session.execute(update(EvaluationSetRow).where(EvaluationSetRow.id == chosen.id).values(in_use=True))
    session.refresh(chosen, ["in_use"])
    replaced = {"replaced": None if before is None else before.id}
    _record(session, chosen, actor, action="evaluation_set.use", details=replaced)
    return chosen


def compared_sets(session: Session) -> set[str]:
    """List the sets that models were compared on, or are just now: of the others nothing is known or kept."""
    kept = EvaluationRow.outcome.is_not(None) | EvaluationRow.state.in_(LIVE)
    return set(session.scalars(select(EvaluationRow.evaluation_set_id).where(kept)))


def remove_set(session: Session, chosen: EvaluationSetRow, *, actor: Actor) -> None:
    """Remove a set that no model was compared on, also the one in use; flushed, not committed.

    Comparisons that failed before they measured anything, or were stopped, go with it.

    Raises
    ------
    EvaluationSetComparedError
        If models were compared on it, or are just now.
    """
    if chosen.id in compared_sets(session):
        raise EvaluationSetComparedError
    details = {"name": chosen.name, "cohort_id": chosen.cohort_id, "in_use": chosen.in_use}
    _record(session, chosen, actor, action="evaluation_set.remove", details=details)
    unmeasured = (
        EvaluationRow.evaluation_set_id == chosen.id,
        EvaluationRow.outcome.is_(None),
        EvaluationRow.state.not_in(LIVE),
    )
    try:
        with session.begin_nested():
            session.execute(delete(EvaluationRow).where(*unmeasured))
            session.execute(delete(EvaluationSetRow).where(EvaluationSetRow.id == chosen.id))
    except IntegrityError as error:
        # Somebody else has asked for a comparison on it at this moment.
        raise EvaluationSetComparedError from error


def lock_people(session: Session, set_id: str, people: Mapping[str, Any]) -> bool:
    """Write down who the people of a set are, if nobody has.

    Parameters
    ----------
    people : mapping
        `EvaluationSet.to_json`.

    Returns
    -------
    bool
        False where it is locked as others.
    """
    found = str(people["fingerprint"])
    same = or_(EvaluationSetRow.fingerprint.is_(None), EvaluationSetRow.fingerprint == found)
    locked = (
        update(EvaluationSetRow)
        .where(EvaluationSetRow.id == set_id, same)
        .values(
            fingerprint=found,
            n_cases=people["cases"],
            n_controls=people["controls"],
            sites=people["sites"],
        )
        .returning(EvaluationSetRow.id)
    )
    options = {"synchronize_session": False}
    return session.scalars(locked, execution_options=options).one_or_none() is not None


def _require_sense(condition: str, cohort: CohortRow) -> None:
    """Refuse what no cohort could be filtered by, and sites that this one does not have.

    What else it holds only a worker sees, which refuses then.
    """
    try:
        read = read_condition(condition, quality=None)
    except ConditionError as error:
        raise EvaluationFilterError(
            condition=condition, expected=error.expected, found=error.found
        ) from error
    if read.field != "site":
        return
    known = {site.casefold() for site in cohort.sites}
    other = next((value for value in read.values if str(value).casefold() not in known), None)
    if other is not None:
        expected = f"site to be one of {', '.join(sorted(cohort.sites))}"
        raise EvaluationFilterError(condition=condition, expected=expected, found=repr(other))


def _record(
    session: Session, row: EvaluationSetRow, actor: Actor, *, action: str, details: dict[str, Any]
) -> None:
    record(
        session,
        actor=actor,
        action=action,
        subject_kind="evaluation_set",
        subject_id=row.id,
        details=details,
    )
