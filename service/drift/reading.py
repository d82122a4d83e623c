"""The scans that a model version answered of late, with what people said of the answers."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.db.rows import PredictionRow, ResultRow, ReviewRow, ScanMeasurementRow, ScanRow
from service.drift.judging import SeenScan, week_of
from service.drift.outcomes import Outcome
from service.reviews.words import Verdict

NOT_GIVEN = "?"
# Sites are typed: what is beyond the commonest ones counts among all scans only.
MOST_SITES = 20
OTHER_SITES = "others"


@dataclass(frozen=True)
class Seen:
    """What there is to judge.

    Attributes
    ----------
    scans : list of SeenScan
        Of each file one: sent twice it would count twice.
    outcomes : list of Outcome
        Of the same answers, those from before anything was measured too.
    sites : list of str
        In the order of how many scans they have.
    """

    scans: list[SeenScan]
    outcomes: list[Outcome]
    sites: list[str]


def read_seen(session: Session, model_version_id: str, *, since: datetime) -> Seen:
    """Read what a version answered since a moment."""
    rows = session.execute(
        select(
            ResultRow.prediction_id,
            ResultRow.adhd_probability,
            ResultRow.decision,
            ResultRow.created_at,
            ScanRow.sha256,
            ScanRow.site,
            ScanMeasurementRow.figures,
            ScanMeasurementRow.embedding,
        )
        .join(PredictionRow, PredictionRow.id == ResultRow.prediction_id)
        .join(ScanRow, ScanRow.id == PredictionRow.scan_id)
        .outerjoin(ScanMeasurementRow, ScanMeasurementRow.prediction_id == ResultRow.prediction_id)
        .where(
            ResultRow.model_version_id == model_version_id,
            ResultRow.created_at >= since,
            ScanRow.deleted_at.is_(None),
        )
        .order_by(ResultRow.created_at, ResultRow.prediction_id)
    ).all()
    named = {row.prediction_id: _site(row.site) for row in rows}
    sites = [site for site, _ in Counter(named.values()).most_common(MOST_SITES)]
    verdicts, diagnoses = _reviews(session, model_version_id, since=since)
    scans, outcomes, known = [], [], set()
    for row in rows:
        if row.sha256 in known:
            continue
        known.add(row.sha256)
        week, site = week_of(row.created_at), named[row.prediction_id]
        site = site if site in sites else OTHER_SITES
        outcomes.append(
            Outcome(
                week=week,
                site=site,
                probability=row.adhd_probability,
                decision=row.decision,
                overridden=verdicts.get(row.prediction_id),
                diagnosis=diagnoses.get(row.prediction_id),
            )
        )
        if row.figures is not None:
            scans.append(
                SeenScan(
                    week=week,
                    site=site,
                    figures=row.figures,
                    embedding=row.embedding,
                    probability=row.adhd_probability,
                    decision=row.decision,
                )
            )
    found = [site for site in [*sites, OTHER_SITES] if any(outcome.site == site for outcome in outcomes)]
    return Seen(scans, outcomes, list(dict.fromkeys(found)))


def _site(typed: str | None) -> str:
    return " ".join((typed or "").split()).casefold() or NOT_GIVEN


def _reviews(
    session: Session, model_version_id: str, *, since: datetime
) -> tuple[dict[str, bool], dict[str, str]]:
    """Return by prediction whether its newest review overrides, and the newest diagnosis."""
    rows: Any = session.execute(
        select(ReviewRow.prediction_id, ReviewRow.verdict, ReviewRow.diagnosis)
        .join(ResultRow, ResultRow.prediction_id == ReviewRow.prediction_id)
        .where(ResultRow.model_version_id == model_version_id, ResultRow.created_at >= since)
        .order_by(ReviewRow.created_at, ReviewRow.id)
    )
    verdicts: dict[str, bool] = {}
    diagnoses: dict[str, str] = {}
    for prediction_id, verdict, diagnosis in rows:
        verdicts[prediction_id] = verdict == Verdict.OVERRIDDEN
        if diagnosis is not None:
            diagnoses[prediction_id] = diagnosis
    return verdicts, diagnoses
