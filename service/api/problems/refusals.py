"""What the REST side itself refuses, before or around the domain: each with its code, none with HTTP."""

import re
from typing import ClassVar

from service.errors import ServiceError

# RFC 6838, section 4.2; shorter than it allows.
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,62}")


class AuthenticationRequiredError(ServiceError):
    """Neither an API key nor a login came with the request."""

    code: ClassVar[str] = "authentication_required"

    def __init__(self) -> None:
        super().__init__("expected an API key (Authorization: Bearer rnk_...) or a login, found neither")


class ApiKeyNotValidError(ServiceError):
    """The API key is unknown, expired or revoked; which of these is not said."""

    code: ClassVar[str] = "api_key_not_valid"

    def __init__(self) -> None:
        super().__init__("expected a valid API key, found one that is unknown, expired or revoked")


class PermissionDeniedError(ServiceError):
    """The account's role does not allow this."""

    code: ClassVar[str] = "permission_denied"

    def __init__(self, *, role: str, allowed: tuple[str, ...]) -> None:
        self.role = role
        self.allowed = allowed
        super().__init__(f"expected an account that is {' or '.join(allowed)}, found {role}")


class InstallationOnlyError(ServiceError):
    """Something that changes the whole installation, asked for by another organisation than its own."""

    code: ClassVar[str] = "installation_only"

    def __init__(self) -> None:
        super().__init__(
            "expected an account of the organisation that runs this installation, found one of another: "
            "this would change what all organisations get"
        )


class ScopeMissingError(ServiceError):
    """The API key is for other things."""

    code: ClassVar[str] = "scope_missing"

    def __init__(self, *, needed: str, found: list[str]) -> None:
        self.needed = needed
        self.found = found
        super().__init__(f"expected an API key with the scope {needed}, found one with {', '.join(found)}")


class LoginRequiredError(ServiceError):
    """Something about a person's own account, asked for with an API key."""

    code: ClassVar[str] = "login_required"

    def __init__(self) -> None:
        super().__init__("expected a login on the pages, found an API key: it may not see or change logins")


class PasswordChangeRequiredError(ServiceError):
    """A login with a first password, which opens the account's own page and nothing else."""

    code: ClassVar[str] = "password_change_required"

    def __init__(self) -> None:
        super().__init__("expected a password that the account's owner has chosen, found a first one")


class SecondFactorRequiredError(ServiceError):
    """A login with a password alone, where the settings ask for more."""

    code: ClassVar[str] = "second_factor_required"

    def __init__(self) -> None:
        super().__init__("expected an account with a second factor, found one without")


class CrossSiteRequestError(ServiceError):
    """A changing request under a login that our own pages did not send."""

    code: ClassVar[str] = "cross_site_request"

    def __init__(self) -> None:
        super().__init__("expected a request from this service's own pages with their token, found another")


class NotFoundError(ServiceError):
    """Nothing under this identifier, or nothing that this account may see."""

    code: ClassVar[str] = "not_found"
    kind: ClassVar[str] = "resource"

    def __init__(self) -> None:
        super().__init__(f"expected the identifier of a {self.kind}, found none that this account can see")


class ScanNotFoundError(NotFoundError):
    """No such scan."""

    code: ClassVar[str] = "scan_not_found"
    kind: ClassVar[str] = "scan"


class ExplanationNotFoundError(ServiceError):
    """A prediction that nobody asked to explain."""

    code: ClassVar[str] = "explanation_not_found"

    def __init__(self) -> None:
        super().__init__("expected a prediction with an explanation, found one that nobody asked for")


class ExplanationNotReadyError(ServiceError):
    """An explanation without files, yet or for good."""

    code: ClassVar[str] = "explanation_not_ready"

    def __init__(self, state: str) -> None:
        self.state = state
        super().__init__(f"expected an explanation that is done, found one that is {state}")


class ExplanationFileNotFoundError(NotFoundError):
    """A file that this explanation has not."""

    code: ClassVar[str] = "explanation_file_not_found"

    def __init__(self) -> None:
        ServiceError.__init__(self, "expected a file that the explanation names, found none of this name")


class NotNormalisedError(ServiceError):
    """A scan that was not brought into template space, yet or at all."""

    code: ClassVar[str] = "not_normalised"

    def __init__(self) -> None:
        super().__init__(
            "expected a prediction whose scan RestNet has brought into template space, found one that lies "
            "there as it was given, or is not there yet"
        )


class MediaTypeError(ServiceError):
    """A body of a kind that the route does not read.

    Parameters
    ----------
    expected : str
        What it reads, in words.
    sent : str
        The Content-Type header.
    """

    code: ClassVar[str] = "media_type_not_supported"

    def __init__(
        self,
        expected: str = "multipart/form-data, or a raw file with X-Filename and application/octet-stream, "
        "application/gzip or application/zip",
        *,
        sent: str,
    ) -> None:
        self.expected = expected
        self.found = _named_type(sent)
        super().__init__(f"expected {expected}, found {self.found}")


def _named_type(sent: str) -> str:
    """Name the type of a Content-Type header; what has not the form of one is not repeated."""
    kind = sent.partition(";")[0].strip().lower()
    if not kind:
        return "no Content-Type"
    return kind if _MEDIA_TYPE.fullmatch(kind) else "a Content-Type that is none"


class TusVersionError(ServiceError):
    """Another version of the protocol for resumable uploads than this service speaks."""

    code: ClassVar[str] = "tus_version_not_supported"

    def __init__(self, *, expected: str) -> None:
        self.expected = expected
        super().__init__(f"expected the header Tus-Resumable: {expected}, found another version")


class MultipartError(ServiceError):
    """A form body that breaks the rules of multipart/form-data, or our limits on its small parts."""

    code: ClassVar[str] = "multipart_not_valid"

    def __init__(self, problem: str) -> None:
        super().__init__(problem)


class ScanMissingError(ServiceError):
    """A form without a file in its field ``scan``."""

    code: ClassVar[str] = "scan_missing"

    def __init__(self) -> None:
        super().__init__("expected one file in the form field 'scan', found none")


class FieldsNotValidError(ServiceError):
    """A field, header or query parameter with a value that it cannot have.

    Attributes
    ----------
    errors : list of dict
        ``where``, ``problem`` for each; never the value itself, which may describe a person.
    """

    code: ClassVar[str] = "request_not_valid"

    def __init__(self, errors: list[dict[str, str]]) -> None:
        self.errors = errors
        first = f"{errors[0]['where']}: {errors[0]['problem']}"
        problems = "a problem with" if len(errors) == 1 else f"{len(errors)} problems, the first with"
        super().__init__(f"expected valid values, found {problems} {first}")


class IdempotencyKeyReusedError(ServiceError):
    """An idempotency key that already stands for another request."""

    code: ClassVar[str] = "idempotency_key_reused"

    def __init__(self) -> None:
        super().__init__("expected the same request as before under this Idempotency-Key, found another one")


class RouteNotFoundError(ServiceError):
    """A path that the service does not have."""

    code: ClassVar[str] = "route_not_found"

    def __init__(self) -> None:
        super().__init__("expected a path of this service, found another")


class MethodNotAllowedError(ServiceError):
    """A method that the path does not have."""

    code: ClassVar[str] = "method_not_allowed"

    def __init__(self, *, allowed: str) -> None:
        self.allowed = allowed
        super().__init__(f"expected {allowed} for this path, found another method")


class RequestTooLargeError(ServiceError):
    """A body that is too large for its route; an upload has a limit of its own."""

    code: ClassVar[str] = "request_too_large"

    def __init__(self) -> None:
        super().__init__("expected a small request, found one that is too large for this route")


class RequestTimeoutError(ServiceError):
    """A body that stopped coming, or came too slowly to be waited for."""

    code: ClassVar[str] = "request_timeout"

    def __init__(self) -> None:
        super().__init__(
            "expected the request to keep coming, found a client that is too slow: send it again"
        )


class MetricsNotAllowedError(ServiceError):
    """Figures asked for from elsewhere than the settings allow, or without their token."""

    code: ClassVar[str] = "metrics_not_allowed"

    def __init__(self) -> None:
        super().__init__(
            "expected an address, and a token if one is set, that may read the figures, found another"
        )


class BadRequestError(ServiceError):
    """A request that cannot be read."""

    code: ClassVar[str] = "bad_request"

    def __init__(self) -> None:
        super().__init__(
            "expected a request that can be read, found one that breaks the rules of HTTP or its format"
        )


class TooManyStreamsError(ServiceError):
    """As many event streams are open as one process keeps."""

    code: ClassVar[str] = "too_many_streams"
    retry_after_s: ClassVar[int] = 5

    def __init__(self, *, limit: int) -> None:
        self.limit = limit
        super().__init__(f"expected at most {limit} event streams, found more: ask for the prediction itself")


class InternalError(ServiceError):
    """A fault of the service itself.

    Attributes
    ----------
    reference : str
        Names the line in the log that holds the traceback.
    """

    code: ClassVar[str] = "internal_error"

    def __init__(self, *, reference: str) -> None:
        self.reference = reference
        super().__init__(
            "expected to answer, found a fault of the service: quote the reference to its operator"
        )


class DatabaseUnavailableError(ServiceError):
    """The database does not answer."""

    code: ClassVar[str] = "database_unavailable"

    def __init__(self) -> None:
        super().__init__("expected the database to answer, found it out of reach: try again shortly")
