"""The scans that a model version answered of late, with what people said of the answers."""

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from service.db.rows import PredictionRow, ResultRow, ReviewRow, ScanMeasurementRow, ScanRow
from service.drift.outcomes import Outcome
from service.drift.scans import OTHER_SITES, SeenScan, week_of
from service.drift.variables import CATEGORIES, NOT_GIVEN, OF_THE_SCAN, site_name
from service.reviews.words import Verdict

# Sites are typed: what is beyond the commonest ones counts among all scans only.
MOST_SITES = 20
# What is shown is for the administrators of one organisation, and the scans are of all: a name that was
# typed once or twice may be anything.
FEWEST_OF_A_SITE = 5
_ROWS_AT_ONCE = 500
_Asked = Select[*tuple[Any, ...]]
_KEPT = (*OF_THE_SCAN, *CATEGORIES)


@dataclass(frozen=True)
class Seen:
    """What there is to judge.

    Attributes
    ----------
    scans : list of SeenScan
        Of each person and week one, the newest: the tests take each scan for another person's. Where no
        pseudonym was given each file counts.
    outcomes : list of Outcome
        Of each file one, those from before anything was measured too.
    sites : list of str
        In the order of how many scans they have.
    """

    scans: list[SeenScan]
    outcomes: list[Outcome]
    sites: list[str]


def read_seen(session: Session, model_version_id: str, *, since: datetime) -> Seen:
    """Read what a version answered since a moment."""
    sites = _sites(session, model_version_id, since=since)
    verdicts, diagnoses = _reviews(session, model_version_id, since=since)
    scans: dict[tuple[str, ...], SeenScan] = {}
    outcomes: list[Outcome] = []
    known: set[bytes] = set()
    # Row by row: those of twelve weeks at once are too much for a worker of one gigabyte.
    for row in session.execute(
        _answers(model_version_id, since), execution_options={"yield_per": _ROWS_AT_ONCE}
    ):
        digest = bytes.fromhex(row.sha256)
        if digest in known:
            continue
        known.add(digest)
        week, site = week_of(row.created_at), site_name(row.site)
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
            person = (row.organisation_id, row.subject_id, week) if row.subject_id else (row.prediction_id,)
            scans[person] = _seen_scan(row, week=week, site=site)
    beyond = any(outcome.site == OTHER_SITES for outcome in outcomes)
    return Seen(list(scans.values()), outcomes, [*sites, OTHER_SITES] if beyond else sites)


def _seen_scan(row: Any, *, week: str, site: str) -> SeenScan:
    figures: Mapping[str, Any] = row.figures
    embedding: Sequence[float] | None = row.embedding
    return SeenScan(
        week=week,
        site=site,
        figures={name: figures[name] for name in _KEPT if name in figures},
        embedding=array("f", embedding) if embedding else None,
        probability=row.adhd_probability,
        decision=row.decision,
    )


def _answers(model_version_id: str, since: datetime) -> _Asked:
    return (
        _of_version(
            select(
                ResultRow.prediction_id,
                ResultRow.adhd_probability,
                ResultRow.decision,
                ResultRow.created_at,
                ScanRow.organisation_id,
                ScanRow.sha256,
                ScanRow.site,
                ScanRow.subject_id,
                ScanMeasurementRow.figures,
                ScanMeasurementRow.embedding,
            ),
            model_version_id,
            since,
        )
        .outerjoin(ScanMeasurementRow, ScanMeasurementRow.prediction_id == ResultRow.prediction_id)
        .order_by(ResultRow.created_at, ResultRow.prediction_id)
    )


def _of_version(asked: _Asked, model_version_id: str, since: datetime) -> _Asked:
    return (
        asked.select_from(ResultRow)
        .join(PredictionRow, PredictionRow.id == ResultRow.prediction_id)
        .join(ScanRow, ScanRow.id == PredictionRow.scan_id)
        .where(
            ResultRow.model_version_id == model_version_id,
            ResultRow.created_at >= since,
            ScanRow.deleted_at.is_(None),
        )
    )


def _sites(session: Session, model_version_id: str, *, since: datetime) -> list[str]:
    """Return the sites that get a group of their own, the commonest first."""
    typed = _of_version(
        select(ScanRow.site, func.count(func.distinct(ScanRow.sha256))), model_version_id, since
    ).group_by(ScanRow.site)
    counted: Counter[str] = Counter()
    for site, n in session.execute(typed):
        counted[site_name(site)] += n
    ordered = sorted(counted, key=lambda site: (-counted[site], site))
    return [site for site in ordered if counted[site] >= FEWEST_OF_A_SITE or site == NOT_GIVEN][:MOST_SITES]


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
