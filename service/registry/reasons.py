"""The reasons that people give for what they do to the model that answers."""

from service.registry.errors import ReasonNotValidError

REASON_MAX_LENGTH = 1000
"""Characters."""
OVERRIDE_REASON_MIN_LENGTH = 10
"""Characters: somebody who overrules the gate says more than "ok"."""


def checked_reason(text: str, *, least: int = 1) -> str:
    """Return a reason without the blanks around it.

    Raises
    ------
    ReasonNotValidError
        If it is shorter than ``least`` or longer than `REASON_MAX_LENGTH`.
    """
    reason = text.strip()
    if not least <= len(reason) <= REASON_MAX_LENGTH:
        raise ReasonNotValidError(least=least, most=REASON_MAX_LENGTH, found=len(reason))
    return reason
