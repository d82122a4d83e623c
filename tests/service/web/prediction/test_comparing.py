"""What is said of a person where the card knows little of its own training subjects."""

from typing import Any

import pytest

from service.api.actions.comparing import population_response
from service.db.rows import PredictionRow, ResultRow, ScanRow
from service.web.prediction.comparing import Line, person_lines, person_sentence, quality_lines
from tests.service.test_population import POPULATION

LITTLE_KNOWN: dict[str, Any] = POPULATION | {
    "sex": {"female": 0, "male": 0},
    "sites": {"NYU": 60},
    "subjects_at_unnamed_sites": 41,
    "repetition_times": [],
    "figures": {"age_years": {"n_known": 0}},
}


def said(population: dict[str, Any], quality: dict[str, Any], **person: Any) -> dict[str, Line]:
    row = PredictionRow(scan=ScanRow(**person), result=ResultRow(result={"quality": quality}))
    compared = population_response(row, {"population": population})
    lines = person_lines(compared, population) + quality_lines(quality, compared, population)
    return {line.name: line for line in lines}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("Age", "12 years", "the training subjects' ages are not known"),
        ("Sex", "female", "the training subjects' sex is not known"),
        ("Site", "Ulm", "trained at 1 named site, and 41 subjects at others"),
        ("Repetition time", "2.5 s", "not known of the training scans"),
        ("DVARS, largest", "1.50", "not known of the training scans"),
    ],
)
def test_what_the_card_does_not_know_is_neither_inside_nor_outside(
    name: str, value: str, expected: str
) -> None:
    quality = {"tr_s": 2.5, "dvars_max": 1.5}
    line = said(LITTLE_KNOWN, quality, age_years=12.0, sex="female", site="Ulm")[name]
    assert (line.value, line.place, line.said, line.strip) == (value, "", expected, None)


def test_what_the_training_group_is_like_is_told_to_whom_nothing_was_said() -> None:
    lines = said(POPULATION, {"n_frames": 40})
    assert lines["Age"].said == "nine in ten: 5 to 95 years"
    assert lines["Sex"].said == "1 female and 99 male"
    assert lines["Site"].said == "trained at 2 named sites: NYU, Peking"
    assert lines["Repetition time"].said == "training scans have 1.5, 2 s"
    assert lines["Age"].strip is not None
    assert lines["Age"].strip.at is None
    assert person_sentence(list(lines.values())[:4]) == (
        "Nothing that could be compared was given with the scan."
    )


@pytest.mark.parametrize(
    ("age", "placed"), [(0.0, "Outside, below"), (50.0, "Inside"), (200.0, "Outside, above")]
)
def test_the_side_is_said(age: float, placed: str) -> None:
    assert said(POPULATION, {}, age_years=age)["Age"].placed == placed
