"""What kinds of account there are."""

from enum import StrEnum
from typing import ClassVar

from service.errors import ServiceError


class Role(StrEnum):
    """What an account is for."""

    CLINICIAN = "clinician"
    INTEGRATOR = "integrator"
    RESEARCHER = "researcher"
    ADMINISTRATOR = "administrator"


class RoleError(ServiceError):
    """A role that no account can have."""

    code: ClassVar[str] = "role_not_valid"

    def __init__(self, *, found: str) -> None:
        self.expected = [role.value for role in Role]
        self.found = found
        super().__init__(f"expected one of the roles {', '.join(self.expected)}, found {found!r}")


def parse_role(text: str) -> Role:
    """Read a role as people type it.

    Raises
    ------
    RoleError
        If it is none of :class:`Role`.
    """
    try:
        return Role(text.strip().casefold())
    except ValueError as error:
        raise RoleError(found=text) from error
