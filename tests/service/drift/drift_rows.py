"""What the housekeeping leaves about drift, for the tests that read it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import numpy as np
from sqlalchemy.orm import Session

from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import (
    DriftAlarmRow,
    DriftReferenceRow,
    PredictionRow,
    PredictionState,
    ReferenceState,
    ResultRow,
    ScanMeasurementRow,
    ScanRow,
)
from service.drift.asking import reference_in_use
from service.drift.reference import build_reference
from service.drift.scans import Scan
from service.drift.variables import NOT_GIVEN
from tests.service.drift.people import draw


def add_reference(
    session: Session, model_version_id: str, *, seed: int = 1, site: str = NOT_GIVEN
) -> DriftReferenceRow:
    scans = [replace(scan, site=site) for scan in draw(np.random.default_rng(seed), 60)]
    row = DriftReferenceRow(
        model_version_id=model_version_id,
        cohort_name="tiny",
        requested_by="command-line",
        state=ReferenceState.SUCCEEDED,
        in_use=True,
        sample=build_reference(scans, fitted=False).to_json(),
    )
    session.add(row)
    session.flush()
    return row


def add_answers(
    session: Session,
    model_version_id: str,
    scans: list[Scan],
    *,
    site: str | None = "NYU",
    ago: timedelta = timedelta(),
    of_one_person: bool = False,
    anonymous: bool = False,
    organisation_id: str = DEFAULT_ORGANISATION_ID,
) -> list[str]:
    """Store answers to some scans, as workers do; returns the ids of their scans."""
    one = f"P-1 {uuid4().int}"
    ids = []
    for scan in scans:
        row = ScanRow(
            organisation_id=organisation_id,
            sha256=uuid4().hex * 2,
            size_bytes=1,
            display_name="child scan",
            storage_key=f"scans/{uuid4()}",
            site=site,
            subject_id=None if anonymous else one if of_one_person else f"P-1 {uuid4().int}",
        )
        session.add(row)
        session.flush()
        prediction = PredictionRow(
            organisation_id=organisation_id,
            scan_id=row.id,
            model_version_id=model_version_id,
            state=PredictionState.SUCCEEDED,
        )
        session.add(prediction)
        session.flush()
        common = {
            "organisation_id": organisation_id,
            "prediction_id": prediction.id,
            "model_version_id": model_version_id,
            "created_at": datetime.now(UTC) - ago,
        }
        session.add(
            ResultRow(
                **common,
                adhd_probability=scan.probability,
                interval_low=0.1,
                interval_high=0.9,
                decision=scan.decision,
                result={},
            )
        )
        session.add(
            ScanMeasurementRow(**common, figures=dict(scan.figures), embedding=list(scan.embedding or []))
        )
        ids.append(row.id)
    session.flush()
    return ids


def add_alarm(session: Session, model_version_id: str, *, week: str = "2026-W48", site: str = "") -> str:
    finding = {
        "week": week,
        "site": site,
        "variable": "tr_s",
        "n": 30,
        "statistic": 0.8,
        "p_value": 1e-9,
        "corrected_p": 1e-6,
    }
    reference = reference_in_use(session, model_version_id) or add_reference(session, model_version_id)
    row = DriftAlarmRow(
        model_version_id=model_version_id,
        reference_id=reference.id,
        week=week,
        site=site,
        findings=[finding],
    )
    session.add(row)
    session.flush()
    return row.id
