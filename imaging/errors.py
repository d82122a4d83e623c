"""The root of every refusal of a scan; each concrete class lives beside the code that raises it."""

from typing import ClassVar


def _rebuild(refusal: type["ScanError"], details: dict[str, object]) -> "ScanError":
    return refusal(**details)


class ScanError(ValueError):
    """A scan cannot be used, and why.

    A concrete class takes keyword-only arguments, keeps each as an attribute of the same name (plain JSON
    values, never a path or anything about the patient), and says in its message what was expected and what
    was found.

    Attributes
    ----------
    code : str
        Stable, snake_case; what programs and the documentation refer to.
    """

    code: ClassVar[str] = "scan_error"

    def details(self) -> dict[str, object]:
        """Return the typed attributes as JSON values, by name."""
        # A leading underscore is what other code hangs onto an exception in passing.
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def __reduce__(self) -> tuple[object, tuple[type["ScanError"], dict[str, object]]]:
        # Keyword-only constructors do not survive the default pickling of exceptions, and a check may run in
        # a child process.
        return _rebuild, (type(self), self.details())
