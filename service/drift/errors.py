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

    def __init__(self) -> None:
        super().__init__("expected no reference of this model on its way, found one: wait until it is done")


class DriftReferenceTooSmallError(ServiceError):
    """Too few people to compare anything with."""

    code: ClassVar[str] = "drift_reference_too_small"

    def __init__(self, *, expected: int, found: int) -> None:
        self.expected = expected
        self.found = found
        super().__init__(f"expected a reference of at least {expected} people, found {found}")
