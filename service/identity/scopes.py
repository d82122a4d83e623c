"""What an API key is for: a scope is a part of what roles allow; no key has more than its account."""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import ClassVar

from service.errors import ServiceError
from service.identity.permissions import PERMISSIONS, Permission
from service.identity.roles import Role


class Scope(StrEnum):
    """A part of the REST interface that a key may be limited to."""

    SCANS_READ = "scans:read"
    SCANS_WRITE = "scans:write"
    PREDICTIONS_READ = "predictions:read"
    PREDICTIONS_WRITE = "predictions:write"
    MODELS_READ = "models:read"
    ADMIN = "admin"


EVERY_SCOPE = frozenset(Scope)

# The scope that a key needs for a permission; which role has which permission stands in `permissions`.
SCOPE_OF: Mapping[Permission, Scope | None] = {
    Permission.UPLOAD_SCANS: Scope.SCANS_WRITE,
    Permission.READ_SCANS: Scope.SCANS_READ,
    Permission.READ_PREDICTIONS: Scope.PREDICTIONS_READ,
    # How far the others reach, not anything by itself.
    Permission.READ_EVERYBODYS_SCANS: None,
    Permission.DELETE_SCANS: Scope.SCANS_WRITE,
    Permission.CHANGE_PREDICTIONS: Scope.PREDICTIONS_WRITE,
    Permission.REVIEW_PREDICTIONS: Scope.PREDICTIONS_WRITE,
    Permission.READ_MODELS: Scope.MODELS_READ,
    Permission.MANAGE_MODELS: Scope.ADMIN,
    Permission.TRAIN_MODELS: Scope.ADMIN,
    Permission.MANAGE_USERS: Scope.ADMIN,
    Permission.MANAGE_KEYS: Scope.ADMIN,
    Permission.READ_AUDIT: Scope.ADMIN,
    Permission.COUNT_REVIEWS: Scope.ADMIN,
}
SCOPES_OF_ROLE: Mapping[Role, frozenset[Scope]] = {
    role: frozenset(scope for each in held if (scope := SCOPE_OF[each]) is not None)
    for role, held in PERMISSIONS.items()
}


class ScopeError(ServiceError):
    """A scope that does not exist."""

    code: ClassVar[str] = "scope_not_valid"

    def __init__(self, *, found: str) -> None:
        self.expected = sorted(scope.value for scope in Scope)
        self.found = found
        super().__init__(f"expected one of the scopes {', '.join(self.expected)}, found {found!r}")


class ScopeNotAllowedError(ServiceError):
    """A key would be allowed more than the account that it acts for, or nothing at all."""

    code: ClassVar[str] = "scope_not_allowed"

    def __init__(self, *, role: str, allowed: Collection[Scope], found: Collection[Scope]) -> None:
        self.role = role
        self.allowed = sorted(allowed)
        self.found = sorted(found)
        said = ", ".join(self.found) or "none"
        super().__init__(f"expected scopes of the role {role} ({', '.join(self.allowed)}), found {said}")


def parse_scope(text: str) -> Scope:
    """Read a scope as people type it.

    Raises
    ------
    ScopeError
        If it is none of :class:`Scope`.
    """
    try:
        return Scope(text.strip().casefold())
    except ValueError as error:
        raise ScopeError(found=text) from error


def scopes_for_key(role: Role, asked: Collection[Scope] | None) -> frozenset[Scope]:
    """Decide what a new key may do: what was asked for, else all of the role except administration.

    Raises
    ------
    ScopeNotAllowedError
        If the role does not have what was asked for, or nothing was.
    """
    allowed = SCOPES_OF_ROLE[role]
    if asked is None:
        return allowed - {Scope.ADMIN}
    if not asked or not allowed.issuperset(asked):
        raise ScopeNotAllowedError(role=role.value, allowed=allowed, found=asked)
    return frozenset(asked)


def written(scopes: Collection[Scope]) -> str:
    """Write scopes as a key's row keeps them."""
    return " ".join(sorted(scopes))


def read_scopes(text: str) -> frozenset[Scope]:
    """Read the scopes of a key's row; one that this version does not know allows nothing."""
    return frozenset(scope for scope in Scope if scope.value in text.split())
