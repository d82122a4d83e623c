"""When a scan is called good enough, and what is said against it."""

from typing import Any

import pytest

from service.api.population_payloads import ComparisonResponse, MiddleRange, PopulationResponse
from service.population import Place
from service.web.prediction.verdict import quality_verdict


def compared(
    name: str, value: Any, percentile: float | None, place: Place = Place.OUTSIDE
) -> PopulationResponse:
    one = ComparisonResponse(
        name=name,
        value=value,
        place=place,
        middle_90=MiddleRange(low=0.5, high=1.5),
        percentile=percentile,
        subjects=None,
    )
    return PopulationResponse(subjects=400, cases=146, controls=254, comparisons=[one])


def warned(code: str) -> list[dict[str, str]]:
    return [{"code": code, "message": "expected x, found y"}]


@pytest.mark.parametrize(
    ("name", "percentile", "reason"),
    [
        ("dvars_max", 100, "largest change"),
        ("dvars_mean", 100, "changes more"),
        ("spike_share", 99.5, "frames stand out"),
        ("duration_s", 0, "shorter"),
        ("tsnr", 0, "less steady"),
        ("template_coverage", 0.5, "less of the brain"),
        ("in_band_power", 0, "less of its signal"),
        ("in_band_power", 100, "more of its signal"),
        ("tr_s", 60, "repetition time near 2 s"),
    ],
)
def test_what_is_worse_than_in_the_training_scans_asks_for_care(
    name: str, percentile: float, reason: str
) -> None:
    verdict = quality_verdict([], compared(name, 2.0, percentile))
    assert (verdict.grade, verdict.headline) == ("care", "Read it with care")
    [said] = verdict.reasons
    assert reason in said
    inside = quality_verdict([], compared(name, 2.0, percentile, Place.INSIDE))
    assert (inside.grade, inside.reasons) == ("good", ())


@pytest.mark.parametrize(
    ("name", "percentile"),
    [
        ("dvars_max", 0),
        ("dvars_mean", 0),
        ("spike_share", 0),
        ("duration_s", 100),
        ("tsnr", 100),
        ("n_frames", 0),
        ("age_years", 100),
        ("sex", None),
        ("site", None),
    ],
)
def test_what_is_better_or_not_of_the_scan_does_not(name: str, percentile: float | None) -> None:
    assert quality_verdict([], compared(name, 2.0, percentile)).grade == "good"


@pytest.mark.parametrize(
    ("code", "grade"),
    [
        ("simulated_scan", "good"),
        ("demonstration_model", "good"),
        ("left_right_unverified", "good"),
        ("nonfinite_background", "good"),
        ("template_fit_poor", "care"),
        ("left_right_suspect", "care"),
        ("orientation_conflict", "care"),
        ("time_unit_missing", "care"),
        ("head_moved", "care"),
        ("signal_unsteady", "care"),
        ("frames_stand_out", "care"),
        ("few_degrees_of_freedom", "care"),
        ("brain_partly_in_view", "care"),
        ("registration_uncertain", "care"),
        ("of_a_later_version", "care"),
    ],
)
def test_a_warning_of_the_scan_asks_for_care(code: str, grade: str) -> None:
    verdict = quality_verdict(warned(code), compared("dvars_max", 1.0, 50, Place.INSIDE))
    assert (verdict.grade, len(verdict.reasons)) == (grade, int(grade == "care"))


def test_without_a_training_group_nothing_is_called_good() -> None:
    verdict = quality_verdict([], None)
    assert (verdict.grade, verdict.headline) == ("alone", "No warning about its quality")
    assert quality_verdict(warned("template_fit_poor"), None).grade == "care"
