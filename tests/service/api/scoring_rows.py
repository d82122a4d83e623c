"""Scores as workers store them: of a version in shadow, and of a batch."""

from datetime import UTC, datetime
from typing import Any

from service import scoring
from service.db.rows import ModelVersionRow, PredictionRow, RescoreRow, ScoreRow, ScoreState, ShadowRow
from service.identity.actor import program
from service.registry import begin_shadow
from service.scoring import Extent
from tests.service.api.serving import Serving

ACTOR = program("command-line")


def put_in_shadow(served: Serving, model_id: str, reason: str = "to see") -> ShadowRow:
    with served.sessions.begin() as session:
        version = session.get_one(ModelVersionRow, model_id)
        return begin_shadow(session, served.resources.storage, version, actor=ACTOR, reason=reason)


def begin_batch(served: Serving, model_id: str, reason: str = "why") -> RescoreRow:
    with served.sessions.begin() as session:
        version = session.get_one(ModelVersionRow, model_id)
        return scoring.begin_rescore(
            session, served.resources.storage, version, Extent(), actor=ACTOR, reason=reason
        )


def score(
    served: Serving,
    prediction_id: str,
    cause: ShadowRow | RescoreRow,
    *,
    probability: float = 0.9,
    decision: str = "adhd",
    **values: Any,
) -> str:
    """Store a score beside a prediction, and return its id."""
    of_shadow = isinstance(cause, ShadowRow)
    with served.sessions.begin() as session:
        prediction = session.get_one(PredictionRow, prediction_id)
        row = ScoreRow(
            organisation_id=prediction.organisation_id,
            prediction_id=prediction_id,
            scan_id=prediction.scan_id,
            model_version_id=cause.model_version_id,
            purpose="shadow" if of_shadow else "rescore",
            shadow_id=cause.id if of_shadow else None,
            rescore_id=None if of_shadow else cause.id,
            **{
                "state": ScoreState.SUCCEEDED,
                "finished_at": datetime.now(UTC),
                "adhd_probability": probability,
                "interval_low": probability - 0.05,
                "interval_high": probability + 0.05,
                "decision": decision,
                "result": {},
            }
            | values,
        )
        session.add(row)
        session.flush()
        return row.id
