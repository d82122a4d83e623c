"""Where a person and a scan lie among made-up training subjects, by figures that are worked out by hand."""

from typing import Any

import pytest

from service.population import Comparison, Place, compare, compare_figure

# A hundred and one people whose figure is their number: every quantile is its own percent.
HUNDRED = {
    "n_known": 101,
    "minimum": 0.0,
    "p1": 1.0,
    "p5": 5.0,
    "p25": 25.0,
    "p50": 50.0,
    "p75": 75.0,
    "p95": 95.0,
    "p99": 99.0,
    "maximum": 100.0,
}
POPULATION: dict[str, Any] = {
    "subjects": 101,
    "cases": 40,
    "controls": 61,
    "sex": {"female": 1, "male": 99},
    "sites": {"NYU": 60, "Peking": 41},
    "subjects_at_unnamed_sites": 0,
    "repetition_times": [{"tr_s": 1.5, "subjects": 20}, {"tr_s": 2.0, "subjects": 81}],
    "figures": {
        "age_years": HUNDRED,
        "n_frames": HUNDRED,
        "tsnr": {"n_known": 0},
        "dvars_mean": {"n_known": 9, "p25": 0.9, "p50": 1.0, "p75": 1.1},
    },
}
NOBODY: dict[str, Any] = {"age_years": None, "sex": None, "site": None, "quality": {}}


def one(name: str, population: dict[str, Any] = POPULATION, **said: Any) -> Comparison:
    [found] = [found for found in compare(population, **NOBODY | said) if found.name == name]
    return found


@pytest.mark.parametrize(
    ("age", "place", "percentile"),
    [
        (50, Place.INSIDE, 50),
        (15, Place.INSIDE, 15),
        (1, Place.INSIDE, 1),
        (0.9, Place.OUTSIDE, 0.9),
        (99, Place.INSIDE, 99),
        (99.04, Place.INSIDE, 99),
        (99.1, Place.OUTSIDE, 99.1),
        (120, Place.OUTSIDE, 100),
    ],
)
def test_outside_is_what_lies_beyond_the_central_98_percent(
    age: float, place: Place, percentile: float
) -> None:
    found = one("age_years", age_years=age)
    assert (found.value, found.place, found.percentile) == (age, place, percentile)
    assert found.middle_90 == (5, 95)


def test_people_who_are_all_the_same_are_met_by_nobody_else() -> None:
    covered = {"template_coverage": dict.fromkeys(HUNDRED, 1.0) | {"n_known": 400}}
    found = [compare_figure(covered, "template_coverage", value) for value in (1.0, 0.996, 0.99)]
    # Shown as whole percents: what reads as 100 % is not outside of 100 %.
    assert [one.place for one in found] == [Place.INSIDE, Place.INSIDE, Place.OUTSIDE]
    assert [one.percentile for one in found] == [50, 0, 0]


def test_what_was_not_said_or_measured_is_unknown() -> None:
    found = {one.name: one for one in compare(POPULATION, **NOBODY)}
    assert {one.place for one in found.values()} == {Place.UNKNOWN}
    assert {one.value for one in found.values()} == {None}
    assert list(found)[:4] == ["age_years", "sex", "site", "tr_s"]
    assert found["age_years"].middle_90 == (5, 95)


@pytest.mark.parametrize("name", ["tsnr", "dvars_mean", "dvars_max"])
def test_what_is_known_of_too_few_training_people_is_compared_with_nothing(name: str) -> None:
    found = one(name, quality={name: 1.0})
    assert (found.value, found.place, found.middle_90, found.percentile) == (1.0, Place.UNKNOWN, None, None)


@pytest.mark.parametrize(
    ("site", "unnamed", "place", "subjects"),
    [
        ("NYU", 0, Place.INSIDE, 60),
        ("nyu", 0, Place.INSIDE, 60),
        ("Ulm", 0, Place.OUTSIDE, 0),
        ("Ulm", 7, Place.UNKNOWN, None),
        ("NYU", 7, Place.INSIDE, 60),
    ],
)
def test_a_site_is_one_of_the_named_or_may_be_among_the_others(
    site: str, unnamed: int, place: Place, subjects: int | None
) -> None:
    found = one("site", POPULATION | {"subjects_at_unnamed_sites": unnamed}, site=site)
    assert (found.place, found.subjects) == (place, subjects)


@pytest.mark.parametrize(
    ("sex", "counts", "place"),
    [
        ("male", {"female": 1, "male": 99}, Place.INSIDE),
        ("female", {"female": 1, "male": 99}, Place.INSIDE),
        ("female", {"female": 1, "male": 100}, Place.OUTSIDE),
        ("female", {"female": 0, "male": 99}, Place.OUTSIDE),
        ("other", {"female": 50, "male": 50}, Place.OUTSIDE),
        ("female", {"female": 0, "male": 0}, Place.UNKNOWN),
    ],
)
def test_a_sex_that_hardly_any_of_them_had_is_outside(sex: str, counts: dict[str, int], place: Place) -> None:
    assert one("sex", POPULATION | {"sex": counts}, sex=sex).place == place


@pytest.mark.parametrize(
    ("tr_s", "place", "subjects"),
    [
        (2.0, Place.INSIDE, 81),
        (2.1, Place.INSIDE, 81),
        (2.11, Place.OUTSIDE, 0),
        (1.75, Place.OUTSIDE, 0),
        (1.43, Place.INSIDE, 20),
        (0.72, Place.OUTSIDE, 0),
    ],
)
def test_a_repetition_time_is_inside_near_any_that_was_seen(tr_s: float, place: Place, subjects: int) -> None:
    # Between two of them is outside, however central it is.
    found = one("tr_s", quality={"tr_s": tr_s})
    assert (found.place, found.subjects) == (place, subjects)


def test_frames_that_stand_out_are_counted_for_the_length_of_the_scan() -> None:
    assert one("spike_share", quality={"spikes": 5, "n_frames": 101}).value == 0.05
    assert one("n_frames", quality={"spikes": 5, "n_frames": 101}).place == Place.OUTSIDE
