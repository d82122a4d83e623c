"""The root of every refusal that the service itself makes."""

from typing import ClassVar


class ServiceError(Exception):
    """A refusal with a stable code; concrete classes live beside the code that raises them.

    Attributes
    ----------
    code : str
        Stable snake_case name for programs; listed in docs/errors.md.
    """

    code: ClassVar[str] = "service_error"

    def details(self) -> dict[str, object]:
        """Return the typed attributes as JSON values, for programs that react to them."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}
