"""Conditions on subjects as people type them: ``site=NYU,Peking``, ``age<=18``, ``QC_Athena!=0``."""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, get_args

from imaging.conditions import Comparison, ConditionError, read_condition
from training.cohort.subjects import Handedness, Release, Sex, Subject, plain_id
from training.errors import CohortError

_ORDER: Mapping[str, Callable[[float, float], bool]] = MappingProxyType(
    {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
)
_NUMBERS = MappingProxyType({"age": "age_years", "iq": "iq"})
_TEXTS = MappingProxyType(
    {
        "site": "site",
        "sex": "sex",
        "handedness": "handedness",
        "release": "release",
        "diagnosis": "diagnosis",
        "subject_id": "subject_id",
    }
)
_FIXED_VALUES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"sex": get_args(Sex), "handedness": get_args(Handedness), "release": get_args(Release)}
)


class FilterError(CohortError):
    """A condition on subjects that cannot be understood, or asks for what the cohort does not know."""

    code: ClassVar[str] = "selection_filter_invalid"

    def __init__(self, *, condition: str, expected: str, found: str) -> None:
        self.condition = condition
        self.expected = expected
        self.found = found
        super().__init__(f"filter {condition!r}: expected {expected}, found {found}")


@dataclass(frozen=True)
class Filter:
    """One condition, checked against the cohort it is for.

    Attributes
    ----------
    field : str
        "age", "iq", "site", "sex", "handedness", "release", "diagnosis", "subject_id" or a quality column.
    comparison : str
    values : tuple
        Numbers, verdicts or texts (as `_plain` writes them); several only with ``=`` (any) and ``!=`` (none).
    """

    field: str
    comparison: Comparison
    values: tuple[float | bool | str, ...]

    def holds(self, subject: Subject) -> bool:
        """Say whether a subject meets the condition; one whose value is missing only meets ``!=``."""
        value = self._value(subject)
        if value is None:
            return self.comparison == "!="
        if self.comparison == "=":
            return value in self.values
        if self.comparison == "!=":
            return value not in self.values
        compare, limit = _ORDER[self.comparison], self.values[0]
        return isinstance(value, float) and isinstance(limit, float) and compare(value, limit)

    def _value(self, subject: Subject) -> float | bool | str | None:
        if self.field in _NUMBERS:
            number: float | None = getattr(subject, _NUMBERS[self.field])
            return None if number is None else float(number)
        if self.field in _TEXTS:
            text: str | None = getattr(subject, _TEXTS[self.field])
            return None if text is None else _plain(text)
        return subject.quality_passed.get(self.field)


def parse_filters(conditions: Sequence[str], subjects: Sequence[Subject]) -> tuple[Filter, ...]:
    """Read conditions; all must hold together.

    Parameters
    ----------
    conditions : sequence of str
        ``field op value`` or ``field op value,value`` with ``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=``.
    subjects : sequence of Subject
        The whole cohort: a site or quality column that none of them has is a slip of the pen.

    Raises
    ------
    FilterError
        If a condition has another form, an unknown field, or a value that its field cannot have.
    """
    return tuple(_parse(condition, subjects) for condition in conditions)


def _parse(condition: str, subjects: Sequence[Subject]) -> Filter:
    quality = {column for subject in subjects for column in subject.quality_passed}
    try:
        read = read_condition(condition, quality=quality)
    except ConditionError as error:
        raise FilterError(condition=condition, expected=error.expected, found=error.found) from error
    values = tuple(
        _known(value, read.field, condition, subjects) if isinstance(value, str) else value
        for value in read.values
    )
    return Filter(read.field, read.comparison, values)


def _known(text: str, field: str, condition: str, subjects: Sequence[Subject]) -> str:
    if field == "subject_id":
        known = {_plain(subject.subject_id) for subject in subjects}
        if _plain(plain_id(text)) not in known:
            raise FilterError(condition=condition, expected="a subject of the cohort", found=repr(text))
        return _plain(plain_id(text))
    return _known_text(text, field, condition, subjects)


def _known_text(text: str, field: str, condition: str, subjects: Sequence[Subject]) -> str:
    known = _FIXED_VALUES.get(field) or sorted({getattr(subject, _TEXTS[field]) for subject in subjects})
    if _plain(text) not in {_plain(value) for value in known}:
        expected = f"{field} to be one of {', '.join(value or 'nothing' for value in known)}"
        raise FilterError(condition=condition, expected=expected, found=repr(text))
    return _plain(text)


def _plain(text: str) -> str:
    return text.strip().casefold()
