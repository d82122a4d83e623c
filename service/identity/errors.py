"""What is refused about accounts."""

from typing import ClassVar

from service.errors import ServiceError


class UsernameTakenError(ServiceError):
    """An account with this name exists already."""

    code: ClassVar[str] = "username_taken"

    def __init__(self) -> None:
        super().__init__("expected a user name that is still free, found one that an account has already")


class UsernameError(ServiceError):
    """A user name that cannot be one."""

    code: ClassVar[str] = "username_not_valid"

    def __init__(self) -> None:
        super().__init__(
            "expected 1 to 64 letters, digits or . _ @ - beginning with a letter or digit, found another"
        )


class AccountNotFoundError(ServiceError):
    """No account has this name."""

    code: ClassVar[str] = "account_not_found"

    def __init__(self) -> None:
        super().__init__("expected the name of an account, found none that has it")


class PasswordUnchangedError(ServiceError):
    """A new password that is the old one."""

    code: ClassVar[str] = "password_unchanged"

    def __init__(self) -> None:
        super().__init__("expected another password than the one before, found the same")


class CredentialsError(ServiceError):
    """No account answers to this user name and password; which of the two was wrong is not said."""

    code: ClassVar[str] = "credentials_not_valid"

    def __init__(self) -> None:
        super().__init__("expected the user name and password of an account, found no match")


class FirstPasswordEndedError(ServiceError):
    """A password that somebody else had set, and that its owner did not change in time."""

    code: ClassVar[str] = "first_password_ended"

    def __init__(self) -> None:
        super().__init__("expected a first password that is still valid, found one that has ended")


class OwnAccountError(ServiceError):
    """Somebody would shut out or demote themselves, or reset their own second factor."""

    code: ClassVar[str] = "own_account"

    def __init__(self) -> None:
        super().__init__("expected another account, found one's own: ask another administrator")


class LastAdministratorError(ServiceError):
    """An organisation would be left without an administrator who may log in."""

    code: ClassVar[str] = "last_administrator"

    def __init__(self) -> None:
        super().__init__("expected an administrator to be left in the organisation, found none besides this")


class AdministratorNoMoreError(ServiceError):
    """Whoever acts was shut out or given another role after the request had been let in."""

    code: ClassVar[str] = "administrator_no_more"

    def __init__(self) -> None:
        super().__init__(
            "expected an account that still administers, found one that was shut out or given another role "
            "meanwhile"
        )
