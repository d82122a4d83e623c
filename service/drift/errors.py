"""What is refused about drift."""

from typing import ClassVar

from service.errors import ServiceError


class DriftAlarmNotFoundError(ServiceError):
    """No alarm has this id."""

    code: ClassVar[str] = "drift_alarm_not_found"

    def __init__(self) -> None:
        super().__init__("expected the id of a drift alarm, found none with this one")


class DriftReferenceWaitingError(ServiceError):
    """A reference for this model waits or is being made."""

    code: ClassVar[str] = "drift_reference_waiting"

    def __init__(self, *, found: str) -> None:
        self.found = found
        super().__init__(
            f"expected no reference of this model on its way, found {found}: wait until it is done, "
            "or cancel it"
        )


class DriftReferenceNotFoundError(ServiceError):
    """No reference has this id."""

    code: ClassVar[str] = "drift_reference_not_found"

    def __init__(self) -> None:
        super().__init__("expected the id of a drift reference, found none with this one")


class DriftReferenceOverError(ServiceError):
    """A reference that is over, so that there is nothing to stop."""

    code: ClassVar[str] = "drift_reference_over"

    def __init__(self, *, found: str) -> None:
        self.found = found
        super().__init__(f"expected a reference that waits or is being measured, found one that has {found}")


class DriftReferenceTooSmallError(ServiceError):
    """Too few people to compare anything with."""

    code: ClassVar[str] = "drift_reference_too_small"

    def __init__(self, *, expected: int, found: int) -> None:
        self.expected = expected
        self.found = found
        super().__init__(f"expected a reference of at least {expected} people, found {found}")
