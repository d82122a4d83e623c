"""Every table. Rows are private to the service: what leaves it is a payload or a domain object."""

from service.db.base import Base
from service.db.job import JobRow
from service.db.rows.accounts import ApiKeyRow, SessionRow, UserRow
from service.db.rows.audit import AuditEventRow, AuditHeadRow
from service.db.rows.cohorts import CohortRow, CohortState
from service.db.rows.drift import (
    DriftAlarmRow,
    DriftEvaluationRow,
    DriftReferenceRow,
    ReferenceState,
    ScanMeasurementRow,
)
from service.db.rows.evaluations import EvaluationRow, EvaluationSetRow, EvaluationState
from service.db.rows.explanations import EXPLAINING, ExplanationRow, ExplanationState
from service.db.rows.invitations import InvitationRow
from service.db.rows.logins import (
    KnownBrowserRow,
    LoginAttemptRow,
    ProviderIdentityRow,
    ProviderLoginRow,
    RecoveryCodeRow,
    SecondStepRow,
)
from service.db.rows.models import ModelDeploymentRow, ModelVersionRow
from service.db.rows.normalised import NormalisedScanRow
from service.db.rows.predictions import (
    RUNNING,
    IdempotencyRow,
    Lane,
    PredictionRow,
    PredictionState,
    ResultRow,
)
from service.db.rows.reviews import ReviewRow
from service.db.rows.scans import FILES_TO_REMOVE, KEPT, ScanRow
from service.db.rows.scores import (
    SCORING,
    Purpose,
    RescoreRow,
    RescoreState,
    ScoreRow,
    ScoreState,
    ShadowRow,
)
from service.db.rows.training import FoldState, RunState, TrainingFoldRow, TrainingLogRow, TrainingRunRow
from service.db.rows.workers import WorkerRow

__all__ = [
    "EXPLAINING",
    "FILES_TO_REMOVE",
    "JOB_KINDS",
    "KEPT",
    "RUNNING",
    "SCORING",
    "ApiKeyRow",
    "AuditEventRow",
    "AuditHeadRow",
    "Base",
    "CohortRow",
    "CohortState",
    "DriftAlarmRow",
    "DriftEvaluationRow",
    "DriftReferenceRow",
    "EvaluationRow",
    "EvaluationSetRow",
    "EvaluationState",
    "ExplanationRow",
    "ExplanationState",
    "FoldState",
    "IdempotencyRow",
    "InvitationRow",
    "KnownBrowserRow",
    "Lane",
    "LoginAttemptRow",
    "ModelDeploymentRow",
    "ModelVersionRow",
    "NormalisedScanRow",
    "PredictionRow",
    "PredictionState",
    "ProviderIdentityRow",
    "ProviderLoginRow",
    "Purpose",
    "RecoveryCodeRow",
    "ReferenceState",
    "RescoreRow",
    "RescoreState",
    "ResultRow",
    "ReviewRow",
    "RunState",
    "ScanMeasurementRow",
    "ScanRow",
    "ScoreRow",
    "ScoreState",
    "SecondStepRow",
    "SessionRow",
    "ShadowRow",
    "TrainingFoldRow",
    "TrainingLogRow",
    "TrainingRunRow",
    "UserRow",
    "WorkerRow",
]

# Every kind of job, in the order in which a sweep looks after them.
JOB_KINDS: tuple[type[JobRow], ...] = (
    PredictionRow,
    ExplanationRow,
    EvaluationRow,
    ScoreRow,
    TrainingRunRow,
    TrainingFoldRow,
    DriftReferenceRow,
)
