"""Counting an organisation's reviews, on both databases."""

from typing import Any

from sqlalchemy.orm import Session, sessionmaker

from service import jobs
from service.db.base import utc_now
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.restricted import OrganisationSessions
from service.db.rows import PredictionRow, ResultRow, ReviewRow, ScanRow
from service.identity.organisations import create_organisation
from service.reviews import count_reviews
from tests.service.conftest import BOTH_DATABASES

pytestmark = BOTH_DATABASES

ACCEPTED = {"verdict": "accepted"}
OVERRIDDEN = {"verdict": "overridden", "decision": "control", "reason": "x"}


def add(
    session: Session, scan_id: str, model_version_id: str, decision: str, *reviews: dict[str, Any]
) -> PredictionRow:
    """Add a prediction with its result and its reviews, the oldest first."""
    prediction = jobs.enqueue(session, scan_id=scan_id)
    own = {"organisation_id": prediction.organisation_id, "prediction_id": prediction.id}
    session.add(
        ResultRow(
            **own,
            model_version_id=model_version_id,
            adhd_probability=0.5,
            interval_low=0.4,
            interval_high=0.6,
            decision=decision,
            result={},
        )
    )
    for age, review in enumerate(reviews[::-1]):
        session.add(ReviewRow(**own, **review, created_at=utc_now(-60 * age)))
    return prediction


def test_the_newest_review_and_the_newest_diagnosis_of_a_prediction_stand(
    sessions: sessionmaker[Session], scan_id: str, model_version_id: str
) -> None:
    with sessions.begin() as session:
        add(session, scan_id, model_version_id, "adhd", ACCEPTED | {"diagnosis": "adhd"}, OVERRIDDEN)
        add(session, scan_id, model_version_id, "adhd", OVERRIDDEN, ACCEPTED | {"diagnosis": "control"})
        add(session, scan_id, model_version_id, "uncertain", ACCEPTED | {"diagnosis": "other"})
        add(session, scan_id, model_version_id, "control")
    with sessions() as session:
        counts = count_reviews(session)
    assert (counts.accepted, counts.overridden, counts.with_diagnosis) == (2, 1, 3)
    assert (counts.agreeing, counts.decided) == (1, 2)
    assert counts.table == {
        "adhd": {"adhd": 1, "control": 0, "uncertain": 0},
        "control": {"adhd": 1, "control": 0, "uncertain": 0},
        "other": {"adhd": 0, "control": 0, "uncertain": 1},
    }


def test_an_organisations_session_counts_its_own(
    sessions: sessionmaker[Session], scan_id: str, model_version_id: str
) -> None:
    with sessions.begin() as session:
        elsewhere = create_organisation(session, name="Elsewhere").id
        scan = ScanRow(
            organisation_id=elsewhere, sha256="2" * 64, size_bytes=1, display_name="b", storage_key="b"
        )
        session.add(scan)
        session.flush()
        add(session, scan.id, model_version_id, "adhd", OVERRIDDEN | {"diagnosis": "adhd"})
        add(session, scan_id, model_version_id, "adhd", ACCEPTED | {"diagnosis": "adhd"})
        engine = session.get_bind()
    found = {}
    for organisation_id in (DEFAULT_ORGANISATION_ID, elsewhere):
        with OrganisationSessions(engine, organisation_id).open() as session:  # type: ignore[arg-type]
            counts = count_reviews(session)
        found[organisation_id] = (counts.accepted, counts.overridden, counts.with_diagnosis)
    assert found == {DEFAULT_ORGANISATION_ID: (1, 0, 1), elsewhere: (0, 1, 1)}
