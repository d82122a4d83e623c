"""What the registry refuses, and what a worker waits for until somebody has seen to it."""

from collections.abc import Sequence
from typing import ClassVar

from service.errors import ServiceError


class NoActiveModelError(ServiceError):
    """No model has been registered and promoted; until then scans wait."""

    code: ClassVar[str] = "no_active_model"

    def __init__(self) -> None:
        super().__init__("expected an active model version, found none: import one first")


class CheckpointMissingError(ServiceError):
    """A registered file is gone from storage; scans wait for that of the model that answers."""

    code: ClassVar[str] = "checkpoint_missing"

    def __init__(self, *, sha256: str) -> None:
        self.sha256 = sha256
        super().__init__("expected the model's checkpoint in storage, found none: register it again")


class CheckpointDamagedError(ServiceError):
    """A registered file is not what was registered, or was registered with weights that are no numbers."""

    code: ClassVar[str] = "checkpoint_damaged"

    def __init__(self, *, expected: str, found: str) -> None:
        self.expected = expected
        self.found = found
        super().__init__(
            f"expected a checkpoint with sha256 {expected} in storage, found {found}: register an intact file"
        )


class ModelNotFoundError(ServiceError):
    """No registered model version has this name."""

    code: ClassVar[str] = "model_not_found"

    def __init__(self) -> None:
        super().__init__("expected the identifier or the version of a registered model, found no such one")


class ModelAmbiguousError(ServiceError):
    """Several registered models have this version."""

    code: ClassVar[str] = "model_ambiguous"

    def __init__(self, *, found: int) -> None:
        self.found = found
        super().__init__(f"expected what names one model, found {found} of this version: give the identifier")


class ModelAlreadyActiveError(ServiceError):
    """The model that is to be promoted answers already."""

    code: ClassVar[str] = "model_already_active"

    def __init__(self) -> None:
        super().__init__("expected a model that does not answer yet, found the one that does")


class ShadowTakenError(ServiceError):
    """A model is in shadow already, and one is enough.

    Attributes
    ----------
    found : str
        Identifier of the version that is.
    """

    code: ClassVar[str] = "shadow_taken"

    def __init__(self, *, found: str) -> None:
        self.found = found
        super().__init__(f"expected no model in shadow, found {found}: end that first")


class ModelNotInShadowError(ServiceError):
    """The model whose shadow mode is to be ended is not in shadow."""

    code: ClassVar[str] = "model_not_in_shadow"

    def __init__(self) -> None:
        super().__init__("expected a model that is in shadow, found one that is not")


class PromotionConflictError(ServiceError):
    """Another model answers than whoever decided had seen.

    Attributes
    ----------
    expected, found : str
        Identifiers of model versions, or ``none``.
    """

    code: ClassVar[str] = "promotion_conflict"

    def __init__(self, *, expected: str, found: str) -> None:
        self.expected = expected
        self.found = found
        super().__init__(f"expected the model {expected} to answer, found {found}: look again, then decide")


class NothingToRollBackToError(ServiceError):
    """No earlier model can answer again.

    Attributes
    ----------
    skipped : list of dict
        Earlier versions whose files cannot be used: ``model_version_id``, ``name``, ``version``, ``code``.
    """

    code: ClassVar[str] = "nothing_to_roll_back_to"

    def __init__(self, *, skipped: Sequence[dict[str, str]] = ()) -> None:
        self.skipped = list(skipped)
        found = f"none whose file is intact, of {len(self.skipped)}" if self.skipped else "none"
        super().__init__(f"expected a model that answered before the one that does, found {found}")


class GateNotPassedError(ServiceError):
    """Rules of the promotion gate failed.

    Attributes
    ----------
    rules : list of dict
        Those that failed: ``name``, ``expected``, ``found``, ``overridable``.
    """

    code: ClassVar[str] = "gate_not_passed"

    def __init__(self, *, rules: Sequence[dict[str, object]]) -> None:
        self.rules = list(rules)
        failed = "; ".join(
            f"{rule['name']}: expected {rule['expected']}, found {rule['found']}" for rule in rules
        )
        super().__init__(
            f"expected every rule of the gate to hold, found {len(rules)} that failed ({failed})"
        )


class ReasonNotValidError(ServiceError):
    """A reason that says nothing, or more than is kept."""

    code: ClassVar[str] = "reason_not_valid"

    def __init__(self, *, least: int, most: int, found: int) -> None:
        self.least = least
        self.most = most
        self.found = found
        super().__init__(f"expected a reason of {least} to {most} characters, found {found}")
