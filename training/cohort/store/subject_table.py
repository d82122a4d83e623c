"""Subjects as a table of text and back: one line each, an empty cell where nothing is known."""

import csv
import io
from collections.abc import Sequence
from typing import cast

from training.cohort.subjects import Handedness, Release, Sex, Subject

_COLUMNS = (
    "subject_id",
    "site",
    "label",
    "diagnosis",
    "age_years",
    "sex",
    "handedness",
    "iq",
    "release",
)


def format_subjects(subjects: Sequence[Subject]) -> str:
    """Write subjects as tab-separated text, header first.

    The columns of ``quality_passed`` follow the fixed ones, 1 for a pass and 0 for a questionable scan.
    """
    quality = sorted({column for subject in subjects for column in subject.quality_passed})
    text = io.StringIO()
    # Texts in quotes: a diagnosis may hold whatever its table's cell held.
    writer = csv.writer(text, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow([*_COLUMNS, *quality])
    for subject in subjects:
        fixed = [getattr(subject, column) for column in _COLUMNS]
        passed = [subject.quality_passed.get(column) for column in quality]
        writer.writerow([*fixed, *("" if value is None else int(value) for value in passed)])
    return text.getvalue()


def parse_subjects(text: str) -> list[Subject]:
    """Read what :func:`format_subjects` wrote.

    Raises
    ------
    KeyError, TypeError, ValueError
        If it did not write this.
    """
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t", strict=True)
    quality = (reader.fieldnames or ())[len(_COLUMNS) :]
    return [
        Subject(
            subject_id=row["subject_id"],
            site=row["site"],
            label=int(row["label"]) if row["label"] else None,
            diagnosis=row["diagnosis"],
            age_years=_number(row["age_years"]),
            sex=cast("Sex | None", row["sex"] or None),
            handedness=cast("Handedness | None", row["handedness"] or None),
            iq=_number(row["iq"]),
            quality_passed={column: _passed(row[column]) for column in quality},
            release=cast("Release | None", row["release"] or None),
        )
        for row in reader
    ]


def _number(cell: str) -> float | None:
    return float(cell) if cell else None


def _passed(cell: str) -> bool | None:
    return bool(int(cell)) if cell else None
