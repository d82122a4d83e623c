"""What is refused about batches of scores."""

from typing import ClassVar

from service.errors import ServiceError


class RescoreNotFoundError(ServiceError):
    """No batch has this id."""

    code: ClassVar[str] = "rescore_not_found"

    def __init__(self) -> None:
        super().__init__("expected the identifier of a batch, found none with this one")


class RescoreRunningError(ServiceError):
    """The version has a batch that runs."""

    code: ClassVar[str] = "rescore_running"

    def __init__(self, *, found: str) -> None:
        self.found = found
        super().__init__(f"expected no batch of this model to run, found {found}: wait for it or cancel it")


class RescoreOverError(ServiceError):
    """Too late to cancel."""

    code: ClassVar[str] = "rescore_over"

    def __init__(self, *, state: str) -> None:
        self.state = state
        super().__init__(f"expected a batch that runs, found one that is {state}")


class NothingToRescoreError(ServiceError):
    """No stored scan with an answer lies in what was asked for."""

    code: ClassVar[str] = "nothing_to_rescore"

    def __init__(self) -> None:
        super().__init__("expected answered scans that are still stored in this time, found none")
