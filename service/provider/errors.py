"""Why a login through the identity provider came to nothing."""

from typing import ClassVar

from service.errors import ServiceError


class ProviderUnavailableError(ServiceError):
    """The identity provider does not answer, or answers what no provider says."""

    code: ClassVar[str] = "provider_unavailable"

    def __init__(self) -> None:
        super().__init__("expected the identity provider to answer, found it out of reach")


class ProviderAnswerError(ServiceError):
    """What came back belongs to no login of this browser, or does not prove who is there."""

    code: ClassVar[str] = "provider_answer_not_valid"

    def __init__(self) -> None:
        super().__init__(
            "expected the identity provider's answer to the login that this browser began, found another, "
            "an old one, or one that proves nothing: begin again"
        )


class ProviderRefusedError(ServiceError):
    """The identity provider did not let somebody in, or they changed their mind there."""

    code: ClassVar[str] = "provider_refused"

    def __init__(self) -> None:
        super().__init__("expected the identity provider to let this person in, found that it did not")


class ProviderAccountError(ServiceError):
    """Somebody whom the provider knows and this service does not let in."""

    code: ClassVar[str] = "provider_account_not_allowed"

    def __init__(self) -> None:
        super().__init__(
            "expected a person who has a role here by the identity provider's word and whose account is not "
            "disabled, found another"
        )
