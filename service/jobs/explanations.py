"""What only explanations have: one a prediction, that begins when its answer is there."""

from collections.abc import Mapping
from typing import Any, ClassVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.audit import record
from service.db.job import JobState
from service.db.rows import ExplanationRow, ModelVersionRow, PredictionRow, PredictionState
from service.errors import ServiceError
from service.identity.actor import Actor
from service.jobs.lease import succeed
from service.jobs.predictions import PredictionNotFinishedError
from service.jobs.requests import queue_again
from service.methods import is_explainable, method_of


class ExplanationNotAvailableError(ServiceError):
    """The model that answered is of a method that is not explained by a map of voxels."""

    code: ClassVar[str] = "explanation_not_available"

    def __init__(self, *, method: str) -> None:
        self.method = method
        super().__init__(
            "expected an answer of a residual network, which can be shared out among voxels, found one of "
            f"the method {method!r}"
        )


def enqueue_explanation(session: Session, prediction: PredictionRow) -> ExplanationRow:
    """Add a queued explanation of a prediction that has none.

    Raises
    ------
    sqlalchemy.exc.IntegrityError
        If somebody else adds it at this moment.
    """
    row = ExplanationRow(
        organisation_id=prediction.organisation_id,
        prediction_id=prediction.id,
        max_attempts=prediction.max_attempts,
    )
    session.add(row)
    session.flush()
    return row


def explanation_of(session: Session, prediction_id: str) -> ExplanationRow | None:
    """Read the explanation of a prediction as it is now; None where nobody asked for one."""
    return session.scalars(
        select(ExplanationRow).where(ExplanationRow.prediction_id == prediction_id),
        execution_options={"populate_existing": True},
    ).one_or_none()


def request_explanation(
    session: Session, prediction: PredictionRow, *, actor: Actor, lost: bool = False
) -> ExplanationRow:
    """Queue the explanation of a prediction, for the first time or after it failed.

    One that waits, runs or is there is left as it is.

    Parameters
    ----------
    lost : bool
        Whether the file of one that is there is not: it is made again.

    Raises
    ------
    PredictionNotFinishedError
        If there is no answer to explain.
    ExplanationNotAvailableError
        If no map can be made of it.
    sqlalchemy.exc.IntegrityError
        If somebody else asks for the same at this moment: asking again finds theirs.
    """
    if prediction.state != PredictionState.SUCCEEDED:
        raise PredictionNotFinishedError(prediction.state.value)
    if prediction.model_version_id is not None:
        card = session.get_one(ModelVersionRow, prediction.model_version_id).card
        if not is_explainable(card):
            raise ExplanationNotAvailableError(method=method_of(card))
    row = explanation_of(session, prediction.id)
    if row is None:
        row = enqueue_explanation(session, prediction)
    else:
        again = queue_again(session, ExplanationRow, row.id, also=JobState.SUCCEEDED if lost else None)
        if again is None:
            return row
        row = again
    record(
        session,
        actor=actor,
        action="explanation.request",
        subject_kind="prediction",
        subject_id=prediction.id,
        organisation_id=prediction.organisation_id,
    )
    return row


def finish_explanation(
    session: Session, explanation_id: str, *, owner: str, facts: Mapping[str, Any]
) -> bool:
    """Store what stands in the explanation's file, if the lease is held and the scan there; False otherwise.

    Parameters
    ----------
    facts : mapping
        Plain JSON values.
    """
    return succeed(session, ExplanationRow, explanation_id, owner=owner, values={"facts": dict(facts)})
