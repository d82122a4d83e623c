"""From a phenotype table to subjects: what every source writes in its own codes, and everything odd in it.

Nothing is dropped without a word: a cell that cannot be read becomes None and a finding, a diagnosis that the
label rule does not know becomes label None and a finding, and what would make the whole table doubtful (a
column that is missing, a subject with two different rows) is refused.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, TypeVar

from imaging.words import counted
from training.cohort.phenotypes.adhd200 import PENDING, UNVERIFIED_SITES, handedness, site_name
from training.cohort.phenotypes.cells import is_missing, number, plain_code, quality_verdict, sex
from training.cohort.phenotypes.columns import SYNONYMS, Columns, find_columns, nearest_name
from training.cohort.phenotypes.delimited import DelimitedTable, TableRow, read_delimited, read_text
from training.cohort.phenotypes.labels import ADHD_RULE, LabelRule
from training.cohort.subjects import Subject, plain_id
from training.errors import CohortError

UNKNOWN_SITE = "unknown"

Value = TypeVar("Value")

_OLDEST_YEARS = 120.0
_HIGHEST_IQ = 250.0
_SHOWN = 24  # characters of a cell in a message; longer ones are free text


class DuplicateSubjectError(CohortError):
    """Two rows that say different things of one subject."""

    code: ClassVar[str] = "duplicate_subject"

    def __init__(self, *, name: str, subject_id: str, first_line: int, second_line: int) -> None:
        self.name = name
        self.subject_id = subject_id
        self.first_line = first_line
        self.second_line = second_line
        super().__init__(
            f"{name!r}: expected one row for subject {subject_id}, "
            f"found different ones in lines {first_line} and {second_line}"
        )


class ReleaseListError(CohortError):
    """A list of test subjects that is not one id a line."""

    code: ClassVar[str] = "test_ids_invalid"

    def __init__(self, *, name: str, line: int, expected: str, found: str) -> None:
        self.name = name
        self.line = line
        self.expected = expected
        self.found = found
        super().__init__(f"{name!r} line {line}: expected {expected}, found {found}")


@dataclass(frozen=True)
class TableFinding:
    """Something odd in a table that does not forbid its use.

    ``code`` is one of ``label_pending``, ``label_missing``, ``label_unknown``, ``label_unverified``,
    ``site_missing``, ``site_unknown``, ``sex_unknown``, ``handedness_unknown``, ``age_unknown``,
    ``iq_unknown``, ``quality_unknown``, ``column_absent``, ``row_duplicate``, ``row_short``,
    ``row_without_id``, ``text_not_utf8``, ``test_id_without_row``. ``subject_id`` is None where it is about
    the whole table.
    """

    code: str
    subject_id: str | None
    message: str


@dataclass(frozen=True)
class PhenotypeTable:
    """The subjects of a table, in its order, and everything odd that was found on the way.

    ``release_unknown`` is whether they are of ADHD-200, and nobody knows who is in its official test release.
    """

    name: str
    subjects: tuple[Subject, ...]
    findings: tuple[TableFinding, ...]
    release_unknown: bool = False


def read_phenotypes(
    path: Path, *, label_rule: LabelRule = ADHD_RULE, test_ids: frozenset[str] | None = None
) -> PhenotypeTable:
    """Read who the subjects of a cohort are.

    Parameters
    ----------
    path : Path
        Separated by tabs, commas or semicolons: either version of the ADHD-200 table, ABIDE's, or BIDS'
        participants.tsv.
    label_rule : LabelRule, optional
    test_ids : frozenset of str, optional
        Who is in the official test release; everybody else is then in the training release. Without it the
        release of everybody is None.

    Returns
    -------
    PhenotypeTable

    Raises
    ------
    TableUnreadableError, TableRowError
        If the file is not a whole table of text.
    ColumnMissingError, ColumnRepeatedError
        If it has no column for the id, the label or the site, or has it twice.
    DuplicateSubjectError
        If two rows say different things of one subject; an exact repetition is a finding.
    """
    table = read_delimited(path)
    columns = find_columns(table.name, table.header, label_column=label_rule.column)
    findings = list(_about_the_table(table, columns))
    rows = _one_row_a_subject(table, columns, findings)
    reader = _RowReader(columns, label_rule, zero_is_female=_zero_is_female(table, columns))
    subjects = tuple(reader.subject(subject_id, row, findings) for subject_id, row in rows.items())
    known = PhenotypeTable(table.name, subjects, tuple(findings), release_unknown=columns.is_adhd200)
    return known if test_ids is None else with_releases(known, test_ids)


def with_releases(table: PhenotypeTable, test_ids: frozenset[str]) -> PhenotypeTable:
    """Say of everybody in a table whether they are in the official test release or the training release."""
    subjects = tuple(
        replace(subject, release="test" if subject.subject_id in test_ids else "train")
        for subject in table.subjects
    )
    absent = sorted(test_ids - {subject.subject_id for subject in subjects})
    findings = tuple(
        TableFinding("test_id_without_row", name, f"test subject {name} has no row") for name in absent
    )
    return PhenotypeTable(table.name, subjects, table.findings + findings)


def read_test_ids(path: Path) -> frozenset[str]:
    """Read a list of subjects, one id a line, zero-padded or not; empty lines do not count.

    Raises
    ------
    TableUnreadableError
        If there is no such file, or it is not text.
    ReleaseListError
        If a line holds more than an id, or no line holds one.
    """
    lines = read_text(path, expected="one id a line")[0].splitlines()
    ids = set()
    for line, text in enumerate(lines, start=1):
        if len(text.split()) > 1 or any(mark in text for mark in ',;"'):
            raise ReleaseListError(name=path.name, line=line, expected="one id", found="more than that")
        if text.strip():
            ids.add(plain_id(text))
    if not ids:
        raise ReleaseListError(name=path.name, line=1, expected="one id a line", found="none")
    return frozenset(ids)


def _about_the_table(table: DelimitedTable, columns: Columns) -> Iterator[TableFinding]:
    if not table.exact_text:
        yield TableFinding("text_not_utf8", None, f"{table.name!r} is not UTF-8; it was read as Windows-1252")
    for field in ("site", "age", "sex", "handedness"):
        if getattr(columns, field) is None:
            names = " or ".join(repr(name) for name in SYNONYMS[field])
            near = nearest_name(SYNONYMS[field], table.header)
            hint = f"; {near!r} looks like it" if near else ""
            yield TableFinding("column_absent", None, f"{table.name!r} has no column {names}{hint}")


def _one_row_a_subject(
    table: DelimitedTable, columns: Columns, findings: list[TableFinding]
) -> dict[str, TableRow]:
    rows: dict[str, TableRow] = {}
    for row in table.rows:
        subject_id = plain_id(row.cells[columns.id])
        if is_missing(subject_id):
            findings.append(TableFinding("row_without_id", None, f"line {row.line} names no subject"))
            continue
        if row.n_found < len(table.header):
            cells = f"{counted(row.n_found, 'cell')} of {len(table.header)}"
            message = f"line {row.line} has {cells}; the rest is missing"
            findings.append(TableFinding("row_short", subject_id, message))
        first = rows.setdefault(subject_id, row)
        if first is row:
            continue
        if _without_id(first, columns) != _without_id(row, columns):
            raise DuplicateSubjectError(
                name=table.name, subject_id=subject_id, first_line=first.line, second_line=row.line
            )
        message = f"line {row.line} repeats line {first.line}"
        findings.append(TableFinding("row_duplicate", subject_id, message))
    return rows


def _without_id(row: TableRow, columns: Columns) -> tuple[str, ...]:
    # Its spelling may differ, padded in one row and not in the other.
    return row.cells[: columns.id] + row.cells[columns.id + 1 :]


def _zero_is_female(table: DelimitedTable, columns: Columns) -> bool:
    return columns.sex is not None and all(plain_code(row.cells[columns.sex]) != "2" for row in table.rows)


@dataclass(frozen=True)
class _RowReader:
    """Reads the rows of one table, all in the same codes."""

    columns: Columns
    rule: LabelRule
    zero_is_female: bool

    def subject(self, subject_id: str, row: TableRow, findings: list[TableFinding]) -> Subject:
        def odd(code: str, message: str) -> None:
            findings.append(TableFinding(code, subject_id, message))

        def read(field: str, position: int | None, reading: Callable[[str], Value | None]) -> Value | None:
            text = "" if position is None else row.cells[position]
            if is_missing(text) or plain_code(text) in PENDING:
                return None
            value = reading(text)
            if value is None:
                odd(f"{field}_unknown", f"{field}: no known value but {_shown(text)}")
            return value

        columns = self.columns
        diagnosis = row.cells[columns.label]
        site = self._site(row, odd)
        label = self._label(diagnosis, odd)
        if label is not None and columns.is_adhd200 and site in UNVERIFIED_SITES:
            label = None
            odd("label_unverified", f"{self.rule.column} at {site}: the official tables disagree on it")
        return Subject(
            subject_id=subject_id,
            site=site,
            label=label,
            diagnosis=diagnosis,
            age_years=read("age", columns.age, lambda text: number(text, largest=_OLDEST_YEARS)),
            sex=read("sex", columns.sex, lambda text: sex(text, zero_is_female=self.zero_is_female)),
            handedness=read("handedness", columns.handedness, handedness),
            # Sites gave the test with four subtests or the one with two; nobody has two different results.
            iq=read("iq", columns.full4, _iq) or read("iq", columns.full2, _iq),
            quality_passed={
                name: read("quality", position, quality_verdict) for name, position in columns.quality.items()
            },
        )

    def _label(self, diagnosis: str, odd: Callable[[str, str], None]) -> int | None:
        label = self.rule.label(diagnosis)
        if label is None:
            column = self.rule.column
            if is_missing(diagnosis):
                odd("label_missing", f"{column} is missing")
            elif plain_code(diagnosis) in PENDING:
                odd("label_pending", f"{column} is {_shown(diagnosis)}")
            else:
                known = ", ".join((*self.rule.cases, *self.rule.controls))
                odd("label_unknown", f"{column}: expected one of {known}, found {_shown(diagnosis)}")
        return label

    def _site(self, row: TableRow, odd: Callable[[str, str], None]) -> str:
        if self.columns.site is None:
            return UNKNOWN_SITE  # said once, of the table
        text = row.cells[self.columns.site]
        if is_missing(text):
            odd("site_missing", "no site")
            return UNKNOWN_SITE
        if not self.columns.is_adhd200:
            return text
        name = site_name(plain_code(text)) or site_name(text)
        if name is None:
            odd(
                "site_unknown",
                f"no site of ADHD-200 is called {_shown(text)}; it is kept as a site of its own",
            )
        return name or text


def _iq(text: str) -> float | None:
    return number(text, largest=_HIGHEST_IQ)


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
