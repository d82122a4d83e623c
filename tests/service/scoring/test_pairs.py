"""The pairs behind the figures: every organisation's, each with its newest diagnosis."""

from sqlalchemy.orm import Session

from service import registry, scoring
from service.db.restricted import OrganisationSession
from service.db.rows import PredictionRow, ScoreRow, ScoreState
from service.scoring import Extent
from service.scoring.figures import Pair
from tests.service.scoring.conftest import ACTOR, Place


def score(place: Place, session: Session, prediction_id: str, *, rescore_id: str, **said: object) -> None:
    prediction = session.get_one(PredictionRow, prediction_id)
    values = {"adhd_probability": 0.4, "decision": "control", "state": ScoreState.SUCCEEDED} | said
    session.add(
        ScoreRow(
            organisation_id=prediction.organisation_id,
            prediction_id=prediction_id,
            scan_id=prediction.scan_id,
            model_version_id=place.challenger,
            purpose="rescore",
            rescore_id=rescore_id,
            **values,
        )
    )


def test_pairs_are_what_was_answered_and_what_the_batch_says(place: Place) -> None:
    elsewhere = place.organisation("Elsewhere")
    first = place.answer(probability=0.7, diagnoses=("control", "adhd"))
    second = place.answer(
        probability=0.2, decision="control", organisation_id=elsewhere, diagnoses=("other",)
    )
    failed = place.answer()
    with place.sessions.begin() as session:
        version = place.version(session, place.challenger)
        batch = scoring.begin_rescore(session, place.storage, version, Extent(), actor=ACTOR, reason="why")
        score(place, session, first, rescore_id=batch.id)
        score(place, session, second, rescore_id=batch.id, adhd_probability=0.9, decision="adhd")
        score(place, session, failed, rescore_id=batch.id, state=ScoreState.FAILED)
    expected = {Pair(0.7, "adhd", 0.4, "control", "adhd"), Pair(0.2, "control", 0.9, "adhd", None)}
    with place.sessions() as session:
        batch = scoring.require_rescore(session, batch.id)
        assert set(scoring.pairs_of(session, batch)) == expected
        # So does somebody of one organisation, who is shown figures of all.
        engine = session.get_bind()
        other = OrganisationSession(engine, organisation_id=elsewhere)  # type: ignore[arg-type]
        with other:
            assert set(scoring.pairs_of(other, batch)) == expected


def test_shadow_and_batch_do_not_mix(place: Place) -> None:
    prediction_id = place.answer()
    with place.sessions.begin() as session:
        version = place.version(session, place.challenger)
        batch = scoring.begin_rescore(session, place.storage, version, Extent(), actor=ACTOR, reason="why")
        shadow = registry.begin_shadow(session, place.storage, version, actor=ACTOR, reason="to see")
        score(place, session, prediction_id, rescore_id=batch.id)
    with place.sessions() as session:
        assert len(scoring.pairs_of(session, batch)) == 1
        assert scoring.pairs_of(session, shadow) == []
