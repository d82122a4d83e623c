"""Conditions as they are typed, read without a cohort."""

import pytest

from imaging.conditions import Condition, ConditionError, read_condition


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("age<=18", Condition("age", "<=", (18.0,))),
        (" Age_Years > 7.5 ", Condition("age", ">", (7.5,))),
        ("site=NYU, Peking", Condition("site", "=", ("NYU", "Peking"))),
        ("QC_Athena!=0", Condition("QC_Athena", "!=", (False,))),
    ],
)
def test_it_is_read_by_its_words_alone(typed: str, expected: Condition) -> None:
    assert read_condition(typed, quality=None) == expected


def test_a_cohort_that_is_at_hand_names_its_quality_columns() -> None:
    assert read_condition("qc_athena=1", quality=["QC_Athena"]).field == "QC_Athena"
    with pytest.raises(ConditionError, match="subject_id, QC_Athena, found 'QC_NIAK'"):
        read_condition("QC_NIAK=1", quality=["QC_Athena"])


@pytest.mark.parametrize(
    ("typed", "expected", "found"),
    [
        ("foo>>1", "a field, one of = != < <= > >= and a value", "another form"),
        ("site=NYU,", "a value", "none"),
        ("site<NYU", "= or != with site", "<"),
        ("iq<80,90", "one number after <", "2"),
        ("age=inf", "a number for age", "'inf'"),
        ("QC_NIAK=2", "1 (pass) or 0 (questionable)", "'2'"),
    ],
)
def test_what_means_nothing_is_refused(typed: str, expected: str, found: str) -> None:
    with pytest.raises(ConditionError) as refused:
        read_condition(typed, quality=None)
    assert (refused.value.condition, refused.value.expected, refused.value.found) == (typed, expected, found)
