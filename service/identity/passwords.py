"""Which passwords an account may get: long enough, and none that a guesser tries early.

No rule asks for capitals or digits. What a password is worth is estimated by zxcvbn, which knows the thirty
thousand most used ones, names, words, dates, repetitions and rows of keys, and how people put them together.
"""

from typing import ClassVar

from service.errors import ServiceError

PASSWORD_MIN_LENGTH = 12
PASSWORD_MAX_LENGTH = 256

# Of zxcvbn's 0 to 4: fewer than 10^8 guesses fall below it.
LEAST_SCORE = 3
# Known to everybody who sees the log-in page, as the user name is; words like these are worth nothing.
CONTEXT_WORDS = ("restnet", "rest net", "resting state", "adhd", "fmri", "clinician", "researcher")
# zxcvbn takes time that grows fast with the length, and reads no more than this.
_ESTIMATED_LENGTH = 72


class PasswordLengthError(ServiceError):
    """A password that is too short to be safe, or too long to hash."""

    code: ClassVar[str] = "password_length"

    def __init__(self, *, length: int) -> None:
        self.length = length
        allowed = f"{PASSWORD_MIN_LENGTH} to {PASSWORD_MAX_LENGTH}"
        super().__init__(f"expected a password of {allowed} characters, found {length}")


class PasswordGuessableError(ServiceError):
    """A password among those that are tried first."""

    code: ClassVar[str] = "password_guessable"

    def __init__(self) -> None:
        super().__init__(
            "expected a password that is hard to guess, such as four words that do not belong together, "
            "found one that is much used, or made of the user name or of a pattern"
        )


def require_good_password(password: str, *, username: str) -> None:
    """Refuse a password that an account must not get.

    Parameters
    ----------
    password : str
    username : str
        Whose it would be; a password made of it is guessed at once.

    Raises
    ------
    PasswordLengthError
        If it has fewer than 12 or more than 256 characters.
    PasswordGuessableError
        If fewer than a hundred million guesses would find it.
    """
    if not PASSWORD_MIN_LENGTH <= len(password) <= PASSWORD_MAX_LENGTH:
        raise PasswordLengthError(length=len(password))
    # Its lists take 0.1 s and 10 MB to load: only where a password is set, never in a worker.
    from zxcvbn import zxcvbn  # noqa: PLC0415

    verdict = zxcvbn(password[:_ESTIMATED_LENGTH], user_inputs=[username, *CONTEXT_WORDS])
    if verdict["score"] < LEAST_SCORE:
        raise PasswordGuessableError
