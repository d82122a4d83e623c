"""Evaluations as a worker leaves them, without any model being asked."""

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.db.rows import CohortRow, EvaluationRow, EvaluationSetRow, EvaluationState, ModelVersionRow
from service.registry import active_model
from service.registry.comparison import evaluation_of

FINGERPRINT = "e" * 64
RULES = (
    "no_leak",
    "evidence_finished",
    "claims_hold",
    "better_than_chance",
    "auc_not_worse",
    "sensitivity_not_worse",
    "calibrated",
    "coverage_kept",
    "decides_enough",
    "backends_agree",
    "fast_enough",
)
# As a comparison writes them, with its numbers.
EXPECTED = {
    "auc_not_worse": "the interval of its difference to the champion's above -0.05",
    "sensitivity_not_worse": "the interval of its difference to the champion's above -0.10",
    "calibrated": "a calibration error of at most 0.090, which exact probabilities stay below in 95 of 100 "
    "such samples",
    "coverage_kept": "sets that hold the diagnosis of 90% of people, less what chance allows",
    "decides_enough": "the interval of the difference of its share of uncertain answers to the champion's "
    "below +0.10",
    "backends_agree": "logits of the backend that serves within 0.001 of the networks' own",
    "fast_enough": "at most 2 times the champion's 0.500 s a scan",
}


def _estimate(value: float, half: float = 0.05) -> dict[str, float]:
    return {"value": value, "low": round(value - half, 4), "high": round(value + half, 4)}


def _measured(auc: float) -> dict[str, Any]:
    return {
        "auc": _estimate(auc),
        "balanced_accuracy": _estimate(0.78),
        "accuracy": _estimate(0.79),
        "sensitivity": _estimate(0.81),
        "specificity": _estimate(0.75),
        "average_precision": _estimate(0.8),
        "brier": _estimate(0.16, 0.02),
        "ece": 0.041,
        "confusion": {},
        "calibration_limit": 0.09,
        "coverage": {"level": 0.9, "overall": _estimate(0.91)},
        "uncertain_share": 0.22,
        "within_sites_auc": _estimate(0.8),
        "sites": {"NYU": _estimate(auc, 0.08)},
        "backend": "openvino",
        "backend_difference": 1e-6,
        "seconds_per_scan": 0.51,
    }


def outcome(*failed: str, overridable: bool = True) -> dict[str, Any]:
    """A `Challenge` as JSON, of which some rules failed."""
    return {
        "passed": not failed,
        "evaluation_set": {
            "cohort": "tiny",
            "fingerprint": FINGERPRINT,
            "simulated": True,
            "subjects": 300,
            "cases": 120,
            "controls": 180,
            "sites": {"KKI": 8, "NYU": 292},
        },
        "rules": [
            {
                "name": name,
                "passed": name not in failed,
                "expected": EXPECTED.get(name, f"what {name} expects"),
                "found": f"what {name} found",
                "overridable": overridable,
            }
            for name in RULES
        ],
        "together": {
            "champion": _measured(0.84),
            "challenger": _measured(0.86),
            "differences": {
                "auc": _estimate(0.02, 0.03),
                "sensitivity": _estimate(0.0),
                "specificity": _estimate(0.01),
                "brier": _estimate(-0.004, 0.01),
                "uncertain_share": _estimate(0.01, 0.02),
            },
            "called_otherwise": 17,
        },
    }


def add_set(session: Session, name: str = "held out", *, in_use: bool = True) -> EvaluationSetRow:
    """Add a set that a worker has locked, of a cohort of its own."""
    known = session.scalars(select(EvaluationSetRow).where(EvaluationSetRow.name == name)).one_or_none()
    if known is not None:
        return known
    cohort = CohortRow(
        name=f"{name} (test)",
        folder=f"/cohorts/{name}",
        fingerprint="b" * 64,
        index_sha256="c" * 64,
        condition="ADHD",
        simulated=True,
        n_subjects=300,
        n_cases=120,
        n_controls=180,
        n_scans=300,
        sites={},
        preprocessing={},
        registered_by="test",
    )
    session.add(cohort)
    session.flush()
    row = EvaluationSetRow(
        name=name,
        cohort_id=cohort.id,
        cohort_fingerprint=cohort.fingerprint,
        simulated=True,
        selection="all",
        where=[],
        fingerprint=FINGERPRINT,
        n_cases=120,
        n_controls=180,
        sites={"KKI": 8, "NYU": 292},
        in_use=in_use,
        added_by="test",
    )
    session.add(row)
    session.flush()
    return row


def evaluate(
    session: Session,
    *,
    champion: str,
    challenger: str,
    state: EvaluationState = EvaluationState.SUCCEEDED,
    found: dict[str, Any] | None = None,
    **values: Any,
) -> EvaluationRow:
    """Add the evaluation of two versions on the set in use, and the set where there is none."""
    people = session.scalars(select(EvaluationSetRow).where(EvaluationSetRow.in_use)).one_or_none()
    said = deepcopy(found) if found is not None else outcome()
    over = state == EvaluationState.SUCCEEDED
    row = EvaluationRow(
        champion_id=champion,
        challenger_id=challenger,
        evaluation_set_id=(people or add_set(session)).id,
        state=state,
        progress=1.0 if over else 0.3,
        outcome=said if over else None,
        passed=said["passed"] if over else None,
        finished_at=datetime.now(UTC) if over else None,
        requested_by="test",
        **values,
    )
    session.add(row)
    session.flush()
    return row


def let_pass(session: Session, challenger: str) -> None:
    """Have a version compared with the one that answers, and pass, where nobody has compared the two."""
    champion = active_model(session)
    version = session.get(ModelVersionRow, challenger)
    if champion is None or version is None or champion.id == challenger:
        return
    known = evaluation_of(session, version, champion=champion, people=add_set(session))
    if known is None:
        evaluate(session, champion=champion.id, challenger=challenger)
