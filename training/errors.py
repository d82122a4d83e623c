"""The root of every refusal of a cohort; each concrete class lives beside the code that raises it."""

from typing import ClassVar


class CohortError(ValueError):
    """A cohort cannot be made or read as asked.

    Attributes
    ----------
    code : str
        Stable name of the failure; listed in docs/errors.md.
    """

    code: ClassVar[str]

    def details(self) -> dict[str, object]:
        """Give the typed facts behind the message, as JSON values."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}
