"""The root of every refusal that the service itself makes."""

import math
from typing import Any, ClassVar


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


def as_json(value: Any) -> Any:
    """Return what JSON and every database accept: NaN and infinity as text, no foreign types.

    A refusal's attributes hold what was found, and what was found may be the very number that JSON lacks.
    """
    if isinstance(value, dict):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | bool | None) else str(value)
