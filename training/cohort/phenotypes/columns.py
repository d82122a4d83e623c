"""Which column of a phenotype table says what: the names that ADHD-200, ABIDE and BIDS give to one thing."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from training.errors import CohortError

# The earlier name wins where a table has several.
SYNONYMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "id": ("ScanDir ID", "SUB_ID", "participant_id", "subject_id", "ID", "subject"),
        "site": ("Site", "SITE_ID", "site_name"),
        "age": ("Age", "AGE_AT_SCAN", "age_years"),
        "sex": ("Gender", "Sex"),
        "handedness": ("Handedness", "HANDEDNESS_CATEGORY"),
        "full4": ("Full4 IQ", "FIQ", "IQ"),
        "full2": ("Full2 IQ",),
    }
)
_MOST_NAMES_SHOWN = 30


class ColumnMissingError(CohortError):
    """A table without a column that a cohort cannot do without."""

    code: ClassVar[str] = "phenotype_column_missing"

    def __init__(self, *, name: str, column: str, also: Sequence[str], found: Sequence[str]) -> None:
        self.name = name
        self.column = column
        self.nearest = nearest_name((column, *also), found)
        self.found = list(found)
        or_one_of = f" (or {', '.join(also)})" if also else ""
        more = f" and {len(found) - _MOST_NAMES_SHOWN} more" if len(found) > _MOST_NAMES_SHOWN else ""
        hint = f"; did you mean {self.nearest!r}?" if self.nearest else ""
        super().__init__(
            f"{name!r}: expected a column {column!r}{or_one_of}, "
            f"found {', '.join(found[:_MOST_NAMES_SHOWN])}{more}{hint}"
        )


class ColumnRepeatedError(CohortError):
    """A column that is needed and has its name twice, so that nobody can say which one counts."""

    code: ClassVar[str] = "phenotype_column_repeated"

    def __init__(self, *, name: str, column: str) -> None:
        self.name = name
        self.column = column
        super().__init__(f"{name!r}: expected one column {column!r}, found two")


@dataclass(frozen=True)
class Columns:
    """Where a table keeps what: positions in a row, None where it has no such column.

    Attributes
    ----------
    id, label : int
    site, age, sex, handedness, full4, full2 : int or None
        ``full4`` and ``full2``: full-scale IQ by four and by two subtests.
    quality : mapping of str to int
        Columns of others' verdicts on the scan, by their name as found.
    is_adhd200 : bool
        By its names, the table codes sites as ADHD-200 does.
    """

    id: int
    label: int
    site: int | None
    age: int | None
    sex: int | None
    handedness: int | None
    full4: int | None
    full2: int | None
    quality: Mapping[str, int]
    is_adhd200: bool


def find_columns(name: str, header: Sequence[str], *, label_column: str) -> Columns:
    """Find the columns by their names; case, blanks and signs do not count.

    Parameters
    ----------
    name : str
        The table's, for messages.
    header : sequence of str
    label_column : str
        Holds the diagnosis.

    Raises
    ------
    ColumnMissingError
        If there is no column for the id or the label, or none for the site in a table other than BIDS', where
        a single site is common.
    ColumnRepeatedError
        If one of the columns that are used is there twice.
    """
    positions: dict[str, list[int]] = {}
    for position, column in enumerate(header):
        positions.setdefault(_plain(column), []).append(position)

    def find(*names: str) -> int | None:
        for candidate in names:
            at = positions.get(_plain(candidate), [])
            if len(at) > 1:
                raise ColumnRepeatedError(name=name, column=header[at[0]])
            if at:
                return at[0]
        return None

    def must(*names: str) -> int:
        position = find(*names)
        if position is None:
            raise ColumnMissingError(name=name, column=names[0], also=names[1:], found=header)
        return position

    id_position = must(*SYNONYMS["id"])
    is_bids = _plain(header[id_position]) == _plain("participant_id")
    return Columns(
        id=id_position,
        label=must(label_column),
        site=find(*SYNONYMS["site"]) if is_bids else must(*SYNONYMS["site"]),
        **{field: find(*SYNONYMS[field]) for field in ("age", "sex", "handedness", "full4", "full2")},
        quality={
            header[at[0]]: at[0]
            for plain, at in positions.items()
            if plain.startswith("qc") and header[at[0]].lower().startswith("qc_") and "notes" not in plain
        },
        is_adhd200=_plain(header[id_position]) in {"scandirid", "id"} and "dx" in positions,
    )


def nearest_name(wanted: Sequence[str], known: Sequence[str]) -> str | None:
    """Give the known name that looks most like one of those that were wanted, None if none comes near."""
    by_plain = {_plain(name): name for name in known}
    for name in wanted:
        near = difflib.get_close_matches(_plain(name), by_plain, n=1, cutoff=0.7)
        if near:
            return by_plain[near[0]]
    return None


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())
