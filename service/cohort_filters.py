"""Filters on a cohort's people, checked as far as the registered cohort tells: their form, fields and sites.

The web side does not load `training`, whose `training.cohort.selecting.filters` reads a filter beside the
cohort itself. What is refused here is refused there too; a test holds the two together.
"""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

from imaging.conditions import ConditionError, read_condition
from service.errors import ServiceError

_FIXED_VALUES: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "sex": ("female", "male"),
        "handedness": ("left", "right", "ambidextrous"),
        "release": ("train", "test"),
    }
)


class CohortFilterError(ServiceError):
    """A filter that no cohort like the one asked for can answer."""

    code: ClassVar[str] = "cohort_filter_invalid"

    def __init__(self, *, condition: str, expected: str, found: str) -> None:
        self.condition = condition
        self.expected = expected
        self.found = found
        super().__init__(f"filter {condition!r}: expected {expected}, found {found}")


def require_filters(conditions: Sequence[str], *, sites: Collection[str]) -> None:
    """Refuse filters that cannot be read, or ask for what no cohort of these sites has.

    Whether there is such a subject, diagnosis or column of quality is for whoever opens the cohort.

    Parameters
    ----------
    conditions : sequence of str
        Such as ``site=NYU,Peking``, ``age<=18`` or ``QC_Athena!=0``.
    sites : collection of str
        Of the registered cohort.

    Raises
    ------
    CohortFilterError
    """
    known = {**_FIXED_VALUES, "site": sorted(sites)}
    for condition in conditions:
        try:
            read = read_condition(condition, quality=None)
        except ConditionError as error:
            raise CohortFilterError(condition=condition, expected=error.expected, found=error.found) from None
        values = known.get(read.field)
        spelt = {value.strip().casefold() for value in values or ()}
        for value in read.values:
            if values is not None and str(value).casefold() not in spelt:
                raise CohortFilterError(
                    condition=condition,
                    expected=f"{read.field} to be one of {', '.join(values)}",
                    found=repr(value),
                )
