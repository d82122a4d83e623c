"""Conditions on people as they are typed: ``site=NYU,Peking``, ``age<=18``, ``QC_Athena!=0``.

Read here without any cohort: what a condition asks for is known by its words alone. Whether somebody of a
cohort meets it, and whether a site or an id is there at all, only that cohort can say.
"""

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, cast

Comparison = Literal["=", "!=", "<", "<=", ">", ">="]

NUMBERS = ("age", "iq")
TEXTS = ("site", "sex", "handedness", "release", "diagnosis", "subject_id")
# What others said of a scan stands in columns that a cohort names itself; all known tables call them so.
QUALITY_PREFIX = "qc_"

_CONDITION = re.compile(r"\s*([^!=<>]+?)\s*(!=|<=|>=|=|<|>)\s*([^!=<>]*?)\s*")
_ORDERS = frozenset({"<", "<=", ">", ">="})
_VERDICTS: Mapping[str, bool] = MappingProxyType({"0": False, "1": True})


class ConditionError(ValueError):
    """A condition that cannot be understood.

    Attributes
    ----------
    condition, expected, found : str
    """

    def __init__(self, *, condition: str, expected: str, found: str) -> None:
        self.condition = condition
        self.expected = expected
        self.found = found
        super().__init__(f"filter {condition!r}: expected {expected}, found {found}")


@dataclass(frozen=True)
class Condition:
    """One condition, read.

    Attributes
    ----------
    field : str
        One of `NUMBERS` and `TEXTS`, or a quality column.
    comparison : str
    values : tuple
        Numbers or verdicts, or texts as they were typed; several only with ``=`` (any) and ``!=`` (none).
    """

    field: str
    comparison: Comparison
    values: tuple[float | bool | str, ...]


def read_condition(condition: str, *, quality: Collection[str] | None) -> Condition:
    """Read ``field op value`` or ``field op value,value`` with ``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=``.

    Parameters
    ----------
    condition : str
    quality : collection of str or None
        The quality columns of the cohort; None where nobody can say: then any name that such columns have.

    Raises
    ------
    ConditionError
        If it has another form, an unknown field, or a value that its field cannot have.
    """
    parts = _CONDITION.fullmatch(condition)
    if parts is None:
        raise ConditionError(
            condition=condition, expected="a field, one of = != < <= > >= and a value", found="another form"
        )
    typed, comparison, text = parts.groups()
    field = _field(typed, condition, quality)
    texts = [value.strip() for value in text.split(",")]
    if not all(texts):
        raise ConditionError(condition=condition, expected="a value", found="none")
    if comparison in _ORDERS:
        if field not in NUMBERS:
            raise ConditionError(condition=condition, expected=f"= or != with {field}", found=comparison)
        if len(texts) > 1:
            raise ConditionError(
                condition=condition, expected=f"one number after {comparison}", found=f"{len(texts)}"
            )
    values = tuple(_value(value, field, condition) for value in texts)
    return Condition(field, cast("Comparison", comparison), values)


def _field(typed: str, condition: str, quality: Collection[str] | None) -> str:
    fixed = {name: name for name in (*NUMBERS, *TEXTS)} | {"age_years": "age"}
    fields = {column.casefold(): column for column in quality or ()} | fixed
    field = fields.get(typed.casefold())
    if field is None and quality is None and typed.casefold().startswith(QUALITY_PREFIX):
        return typed
    if field is None:
        columns = ("a quality column such as QC_Athena",) if quality is None else sorted(quality)
        expected = f"one of the fields {', '.join((*NUMBERS, *TEXTS, *columns))}"
        raise ConditionError(condition=condition, expected=expected, found=repr(typed))
    return field


def _value(text: str, field: str, condition: str) -> float | bool | str:
    if field in NUMBERS:
        return _number(text, field, condition)
    if field in TEXTS:
        return text
    if text not in _VERDICTS:
        raise ConditionError(condition=condition, expected="1 (pass) or 0 (questionable)", found=repr(text))
    return _VERDICTS[text]


def _number(text: str, field: str, condition: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConditionError(condition=condition, expected=f"a number for {field}", found=repr(text))
    return value
