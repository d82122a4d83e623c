"""What a reader of a result should know about a scan that was accepted all the same."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ScanWarning:
    """One remark on an accepted scan.

    Attributes
    ----------
    code : str
        Stable, snake_case.
    message : str
        A sentence for people: what was expected, what was found, what was done about it.
    """

    code: str
    message: str
