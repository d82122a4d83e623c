"""Figures about drift, from what the housekeeping found: open alarms, and how far scans differ."""

from prometheus_client import CollectorRegistry, Gauge
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.db.rows import DriftAlarmRow, DriftEvaluationRow, ModelVersionRow


class DriftFigures:
    """The gauges of one web process about the model that answers."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._alarm = Gauge(
            "restnet_drift_alarm",
            "Drift alarms of the model that answers which nobody has acknowledged",
            registry=registry,
        )
        self._statistic = Gauge(
            "restnet_drift_statistic",
            "How far the newest judged week of all sites differs from the reference, 0 to 1",
            ["variable"],
            registry=registry,
        )
        self._evaluated = Gauge(
            "restnet_drift_evaluated_timestamp_seconds",
            "When the scans of the model that answers were last compared; 0: never",
            registry=registry,
        )

    def refresh(self, session: Session, model: ModelVersionRow | None) -> None:
        """Bring every figure up to date."""
        self._alarm.set(0)
        self._evaluated.set(0)
        self._statistic.clear()
        if model is None:
            return
        waiting = select(func.count()).where(
            DriftAlarmRow.model_version_id == model.id, DriftAlarmRow.acknowledged_at.is_(None)
        )
        self._alarm.set(session.scalar(waiting) or 0)
        evaluation = session.get(DriftEvaluationRow, model.id)
        if evaluation is None or evaluation.found is None or evaluation.evaluated_at is None:
            return
        self._evaluated.set(evaluation.evaluated_at.timestamp())
        # By week: the newest comes last and stays.
        for finding in evaluation.found["findings"]:
            if not finding["site"]:
                self._statistic.labels(finding["variable"]).set(finding["statistic"])
