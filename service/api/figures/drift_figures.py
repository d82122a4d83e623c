"""Figures about drift, from what the housekeeping found: open alarms, and how far scans differ."""

from prometheus_client import CollectorRegistry, Gauge
from sqlalchemy.orm import Session

from service.db.rows import DriftEvaluationRow, ModelVersionRow
from service.drift.asking import reference_in_use
from service.drift.verdict import standing_of


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
        self._reference = Gauge(
            "restnet_drift_reference_in_use",
            "1 where the model that answers has a reference that its scans are compared with",
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
        self._reference.set(0)
        self._evaluated.set(0)
        self._statistic.clear()
        if model is None:
            return
        self._alarm.set(standing_of(session, model.id).open_alarms)
        self._reference.set(0 if reference_in_use(session, model.id) is None else 1)
        evaluation = session.get(DriftEvaluationRow, model.id)
        if evaluation is None or evaluation.found is None or evaluation.evaluated_at is None:
            return
        self._evaluated.set(evaluation.evaluated_at.timestamp())
        # By week: the newest comes last and stays.
        for finding in evaluation.found["findings"]:
            if not finding["site"]:
                self._statistic.labels(finding["variable"]).set(finding["statistic"])
