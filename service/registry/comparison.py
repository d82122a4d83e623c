"""What the gate asks of a version beside the one that answers: that both were measured on the set in use."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.db.rows import EvaluationRow, EvaluationSetRow, EvaluationState, ModelVersionRow
from service.registry.gate import AS_EXPECTED, NO_OTHER_MODEL, Rule

COMPARED = "compared_with_champion"
# What holds of a model and a set, and not of the model alone.
SAME_PREPROCESSING = "same_preprocessing"
NO_SET = "no evaluation set is in use: choose one, then compare"
NOT_COMPARED = "not compared: start the evaluation"
OUTDATED = "compared with another model or on another set: start the evaluation"
UNDER_WAY = "being compared: wait for the evaluation"
STOPPED = "the evaluation was cancelled: start it again"
FAILED = "the evaluation failed"
_EXPECTED = "both measured on the evaluation set in use, the model that answers and this one"


def set_in_use(session: Session) -> EvaluationSetRow | None:
    """Return the set that models are compared on; None where nobody has chosen one."""
    query = select(EvaluationSetRow).where(EvaluationSetRow.in_use)
    return session.scalars(query.execution_options(populate_existing=True)).one_or_none()


def evaluation_of(
    session: Session, challenger: ModelVersionRow, *, champion: ModelVersionRow, people: EvaluationSetRow
) -> EvaluationRow | None:
    """Return the evaluation of two versions on a set as it is now; None where nobody has asked for it."""
    query = select(EvaluationRow).where(
        EvaluationRow.challenger_id == challenger.id,
        EvaluationRow.champion_id == champion.id,
        EvaluationRow.evaluation_set_id == people.id,
    )
    return session.scalars(query.execution_options(populate_existing=True)).one_or_none()


def judge_comparison(
    session: Session, version: ModelVersionRow, *, champion: ModelVersionRow | None
) -> tuple[Rule, ...]:
    """Judge whether a version was compared with the one that answers, and give the rules of that comparison.

    Parameters
    ----------
    session : Session
    version : ModelVersionRow
    champion : ModelVersionRow or None
        The one that answers; with none, or with the version itself, there is nothing to compare.

    Returns
    -------
    tuple of Rule
        Also those that nobody may overrule and that it failed in another comparison, unless a later one
        measured it: neither another set nor another champion makes up for them.
    """
    if champion is not None and champion.id == version.id:
        return (_compared(NO_OTHER_MODEL, passed=None),)
    people = set_in_use(session)
    rules = _of_the_two(session, version, champion=champion, people=people)
    # By name: what was found of the model since takes the place of what this comparison found.
    standing = {rule.name: rule for rule in _standing(session, version, people)}
    return tuple(({rule.name: rule for rule in rules} | standing).values())


def _of_the_two(
    session: Session,
    version: ModelVersionRow,
    *,
    champion: ModelVersionRow | None,
    people: EvaluationSetRow | None,
) -> tuple[Rule, ...]:
    if champion is None:
        return (_compared(NO_OTHER_MODEL, passed=None),)
    if people is None:
        return (_compared(NO_SET, passed=False),)
    row = evaluation_of(session, version, champion=champion, people=people)
    if row is None or row.state != EvaluationState.SUCCEEDED:
        return (_compared(_lacking(session, version, row), passed=False),)
    return rules_of(row)


def _standing(session: Session, version: ModelVersionRow, people: EvaluationSetRow | None) -> list[Rule]:
    """Give the failed rules that nobody may overrule, as far as no later measurement disproves them.

    A comparison that is made again keeps what it found until it has found something else. The one of another
    preprocessing counts for the set in use alone: on people prepared as the model wants them it holds.
    """
    query = select(EvaluationRow).where(
        EvaluationRow.challenger_id == version.id, EvaluationRow.outcome.is_not(None)
    )
    rows = session.scalars(query.execution_options(populate_existing=True)).all()
    found: dict[str, Rule] = {}
    measured = False
    for row in sorted(rows, key=_found_at, reverse=True):
        on_the_set = people is not None and row.evaluation_set_id == people.id
        for rule in rules_of(row):
            holds = on_the_set if rule.name == SAME_PREPROCESSING else not measured
            if rule.passed is False and not rule.overridable and holds:
                found.setdefault(rule.name, rule)
        measured = measured or _has_measured(row)
    return list(found.values())


def _has_measured(row: EvaluationRow) -> bool:
    """Whether an evaluation has come to figures of both models, and was not asked for again since."""
    return (
        row.state == EvaluationState.SUCCEEDED
        and row.outcome is not None
        and row.outcome["together"] is not None
    )


def _found_at(row: EvaluationRow) -> datetime:
    """Say how new an outcome is; of one that is asked for again, at most as new as the asking."""
    succeeded = row.state == EvaluationState.SUCCEEDED
    return row.finished_at if succeeded and row.finished_at is not None else row.queued_at


def rules_of(row: EvaluationRow) -> tuple[Rule, ...]:
    """Give the rules of an evaluation that has an outcome."""
    rules = row.outcome["rules"] if row.outcome else []
    return (_compared(AS_EXPECTED, passed=True), *(Rule(**rule) for rule in rules))


def _lacking(session: Session, version: ModelVersionRow, row: EvaluationRow | None) -> str:
    """Say what has to be done before there is a comparison to go by."""
    if row is None:
        succeeded = EvaluationRow.state == EvaluationState.SUCCEEDED
        ever = select(EvaluationRow.id).where(EvaluationRow.challenger_id == version.id, succeeded)
        return NOT_COMPARED if session.scalar(ever.limit(1)) is None else OUTDATED
    if row.state == EvaluationState.FAILED:
        return f"{FAILED}: {row.error_code}"
    return STOPPED if row.state == EvaluationState.CANCELLED else UNDER_WAY


def _compared(found: str, *, passed: bool | None) -> Rule:
    return Rule(COMPARED, passed, _EXPECTED, found, overridable=True)
