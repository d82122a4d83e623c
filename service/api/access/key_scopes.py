"""Which scope an API key needs for a request: the one place where scopes and routes meet."""

from collections.abc import Collection

from fastapi import Request

from service.api.problems.refusals import PermissionDeniedError, ScopeMissingError
from service.identity.accounts import Role
from service.identity.scopes import SCOPES_OF_ROLE, Scope

READING = frozenset({"GET", "HEAD", "OPTIONS"})


def require_scope(request: Request, *, role: Role, held: Collection[Scope]) -> None:
    """Hold an API key to what it is for, within what its account's role is for.

    Raises
    ------
    PermissionDeniedError
        If no key of this role could have the scope that the request needs.
    ScopeMissingError
        If this key does not have it.
    """
    needed = scope_of(request.method, request.url.path)
    if needed not in SCOPES_OF_ROLE[role]:
        allowed = tuple(each.value for each, scopes in SCOPES_OF_ROLE.items() if needed in scopes)
        raise PermissionDeniedError(role=role.value, allowed=allowed)
    if needed not in held:
        raise ScopeMissingError(needed=needed.value, found=sorted(held))


def scope_of(method: str, path: str) -> Scope:
    """Return the scope for a method on a path: that of its resource, to read or to change.

    What is not named here is administration: a new route is closed to keys until somebody decides.
    """
    reads = method in READING
    match path.removeprefix("/api/v1/").split("/"):
        case ["scans", *_]:
            return Scope.SCANS_READ if reads else Scope.SCANS_WRITE
        case ["predictions", *_]:
            return Scope.PREDICTIONS_READ if reads else Scope.PREDICTIONS_WRITE
        case ["admin", "models"] if reads:
            return Scope.MODELS_READ
        case _:
            return Scope.ADMIN
