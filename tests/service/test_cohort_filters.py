"""Filters as the web side checks them, beside those that planning reads with the cohort at hand."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.cohort_filters import CohortFilterError, require_filters
from training.cohort.selecting.filters import FilterError, parse_filters
from training.cohort.subjects import Subject

PEOPLE = [
    Subject(
        subject_id="7", site=site, label=0, diagnosis="0", release="train", quality_passed={"QC_Athena": True}
    )
    for site in ("NYU", "Peking")
]
FIELDS = [
    "age",
    "age_years",
    "AGE",
    "iq",
    "site",
    "Sex",
    "handedness",
    "release",
    "qc_athena",
    "dx",
    "label",
    "",
]
COMPARISONS = ["=", "!=", "<", "<=", ">", ">=", "==", "<>", ""]
VALUES = [
    "9",
    "9.5",
    "nan",
    "old",
    "9,10",
    "nyu",
    "NYU,peking",
    "KKI",
    "0",
    "1",
    "male",
    "left",
    "train",
    "",
    "a=b",
]
conditions = st.tuples(
    st.sampled_from(["", " "]), st.sampled_from(FIELDS), st.sampled_from(COMPARISONS), st.sampled_from(VALUES)
).map("".join)


def is_refused_here(condition: str) -> bool:
    try:
        require_filters([condition], sites={"NYU", "Peking"})
    except CohortFilterError:
        return True
    return False


def is_refused_by_planning(condition: str) -> bool:
    try:
        parse_filters([condition], PEOPLE)
    except FilterError:
        return True
    return False


@given(conditions | st.text(max_size=12))
@example("foo==1")
@example("dx=1")
@example("age_years<=18")
def test_a_filter_is_refused_as_planning_refuses_it(condition: str) -> None:
    assert is_refused_here(condition) == is_refused_by_planning(condition)


@pytest.mark.parametrize("condition", ["subject_id=8", "diagnosis=4", "QC_NIAK=1"])
def test_what_the_cohort_alone_can_tell_is_left_to_planning(condition: str) -> None:
    assert not is_refused_here(condition)
    assert is_refused_by_planning(condition)


def test_a_refusal_says_what_was_expected_and_found() -> None:
    with pytest.raises(CohortFilterError, match="site to be one of NYU, Peking, found 'KKI'") as caught:
        require_filters(["age<9", "site=KKI"], sites={"Peking", "NYU"})
    assert caught.value.condition == "site=KKI"
