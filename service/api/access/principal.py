"""The account behind a request, and what it may do."""

from dataclasses import dataclass

from service.api.problems.refusals import (
    InstallationOnlyError,
    PasswordChangeRequiredError,
    PermissionDeniedError,
    ScopeMissingError,
    SecondFactorRequiredError,
)
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.identity.actor import Actor
from service.identity.permissions import INSTALLATION_WIDE, PERMISSIONS, Permission, roles_with
from service.identity.roles import Role
from service.identity.scopes import EVERY_SCOPE, SCOPE_OF, Scope


@dataclass(frozen=True)
class Principal:
    """The account behind a request.

    Attributes
    ----------
    organisation_id : str
        Whose rows it sees: ``Resources.sessions_for`` takes it from here.
    actor : Actor
        For the audit: ``user:<id>`` or ``key:<id>``, and the :func:`client_address`.
    csrf_token : str or None
        Of the login; None with an API key, which no browser sends by itself.
    login_id : str or None
        Of the login; None with an API key.
    must_change_password : bool
        Whether a login has to do that before anything else; an API key was issued by itself, and never has.
    must_set_second_factor : bool
        The same, where the settings ask for one and the login is by a password alone.
    scopes : frozenset of Scope
        What the API key is for; a login has all of them. The role's own limits hold beside them.
    """

    user_id: str
    organisation_id: str
    username: str
    role: Role
    actor: Actor
    csrf_token: str | None = None
    login_id: str | None = None
    must_change_password: bool = False
    must_set_second_factor: bool = False
    scopes: frozenset[Scope] = EVERY_SCOPE

    def may(self, permission: Permission) -> bool:
        """Whether the account's role and organisation allow this, and its key, if there is one, is for it."""
        return (
            permission in PERMISSIONS[self.role]
            and (permission not in INSTALLATION_WIDE or self.runs_the_installation)
            and SCOPE_OF[permission] in {None, *self.scopes}
        )

    @property
    def runs_the_installation(self) -> bool:
        """Whether the account is of the organisation that the installation belongs to."""
        return self.organisation_id == DEFAULT_ORGANISATION_ID


def require(principal: Principal, permission: Permission) -> None:
    """Refuse an account whose role lacks a permission, and an API key that is not for it.

    Raises
    ------
    PermissionDeniedError
        If no key and no login of this role could do it.
    InstallationOnlyError
        If it changes the whole installation, and the account is of another organisation than its own.
    ScopeMissingError
        If another key of the account could.
    """
    if permission not in PERMISSIONS[principal.role]:
        roles = tuple(role.value for role in roles_with(permission))
        raise PermissionDeniedError(role=principal.role.value, allowed=roles)
    if permission in INSTALLATION_WIDE and not principal.runs_the_installation:
        raise InstallationOnlyError
    needed = SCOPE_OF[permission]
    if needed is not None and not principal.may(permission):
        raise ScopeMissingError(needed=needed.value, found=sorted(principal.scopes))


def require_settled(principal: Principal) -> None:
    """Refuse a login whose owner has something to do at the account's own page before anything else.

    Raises
    ------
    PasswordChangeRequiredError, SecondFactorRequiredError
    """
    if principal.must_change_password:
        raise PasswordChangeRequiredError
    if principal.must_set_second_factor:
        raise SecondFactorRequiredError
