"""The registry: which checkpoints the service knows, which one answers, and which ones did before.

A checkpoint is added (:mod:`service.registry.registering`, which alone reads its card with `model` and is for
the worker and the command line), judged by the gate (:mod:`service.registry.gate`), and put in the place of
the one that answers, or back (:mod:`service.registry.promoting`, :mod:`service.registry.rolling_back`). One
table says which one answers and which did when (:mod:`service.registry.history`). One may be in shadow and
score what another answers (:mod:`service.registry.shadowing`). Nothing here knows of HTTP,
and nothing loads the network.
"""

from service.registry.comparison import judge_comparison, rules_of
from service.registry.errors import (
    CheckpointDamagedError,
    CheckpointMissingError,
    GateNotPassedError,
    ModelAlreadyActiveError,
    ModelAmbiguousError,
    ModelNotFoundError,
    ModelNotInShadowError,
    NoActiveModelError,
    NothingToRollBackToError,
    PromotionConflictError,
    ReasonNotValidError,
    ShadowTakenError,
)
from service.registry.gate import Rule, evaluate_gate, judge_card
from service.registry.history import active_model, deployments, open_deployment
from service.registry.promoting import let_answer, promote
from service.registry.reasons import OVERRIDE_REASON_MIN_LENGTH, REASON_MAX_LENGTH
from service.registry.rolling_back import RolledBack, Skipped, earlier_versions, roll_back
from service.registry.shadowing import begin_shadow, end_shadow, newest_shadow, open_shadow
from service.registry.succession import NO_MODEL, Kind
from service.registry.versions import find_version, origins_of, require_version

__all__ = [
    "NO_MODEL",
    "OVERRIDE_REASON_MIN_LENGTH",
    "REASON_MAX_LENGTH",
    "CheckpointDamagedError",
    "CheckpointMissingError",
    "GateNotPassedError",
    "Kind",
    "ModelAlreadyActiveError",
    "ModelAmbiguousError",
    "ModelNotFoundError",
    "ModelNotInShadowError",
    "NoActiveModelError",
    "NothingToRollBackToError",
    "PromotionConflictError",
    "ReasonNotValidError",
    "RolledBack",
    "Rule",
    "ShadowTakenError",
    "Skipped",
    "active_model",
    "begin_shadow",
    "deployments",
    "earlier_versions",
    "end_shadow",
    "evaluate_gate",
    "find_version",
    "judge_card",
    "judge_comparison",
    "let_answer",
    "newest_shadow",
    "open_deployment",
    "open_shadow",
    "origins_of",
    "promote",
    "require_version",
    "roll_back",
    "rules_of",
]
