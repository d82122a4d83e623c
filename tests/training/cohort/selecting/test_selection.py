import operator
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.cohort.phenotypes.table import read_phenotypes, read_test_ids
from training.cohort.selecting.filters import FilterError
from training.cohort.selecting.selection import (
    SEED430_CASES,
    SEED430_CONTROLS,
    ReleaseUnknownError,
    SelectionEmptyError,
    SelectionMissingError,
    SelectionNameError,
    SelectionPoolError,
    _lot,
    default_selection,
    select,
)
from training.cohort.subjects import Subject


def person(number, **known):
    facts = {"site": "NYU", "label": 0, "diagnosis": "0", "release": "train"} | known
    return Subject(subject_id=str(number), **facts)


def ids(subjects):
    return [subject.subject_id for subject in subjects]


@pytest.fixture(scope="module")
def adhd200(shared_data):
    folder = shared_data / "adhd200"
    test_ids = read_test_ids(folder / "test_release_ids.txt")
    return read_phenotypes(folder / "adhd200_preprocessed_phenotypics.tsv", test_ids=test_ids).subjects


@pytest.fixture(scope="module")
def release():
    """People enough for seed430 and some more, with those beside whom it must pass by."""
    rated = {"QC_NIAK": True}
    cells = [("NYU", 1, 113), ("NeuroIMAGE", 1, 24), ("Peking", 1, 78)]
    cells += [("NYU", 0, 90), ("NeuroIMAGE", 0, 23), ("Peking", 0, 116), ("Pittsburgh", 0, 87)]
    people = [(site, label) for site, label, number in cells for _ in range(number)]
    pool = [
        person(1000 + index, site=site, label=label, quality_passed=rated)
        for index, (site, label) in enumerate(people)
    ]
    beside = [
        person(1, site="NYU", label=1, quality_passed={"QC_NIAK": False}),
        person(2, site="NYU", label=1, quality_passed=rated, release="test"),
        person(3, site="KKI", label=1, quality_passed=rated),
        person(4, site="Peking", label=None, quality_passed=rated),
    ]
    return [*beside, *pool]


# The official release


@pytest.mark.real_data
def test_the_named_selections_have_the_official_sizes(adhd200):
    # 26 of the 197 of the test release, all from Brown, have no diagnosis.
    assert len(select(adhd200)) == 973 - 26
    assert len(select(adhd200, "train")) == 776
    assert len(select(adhd200, "test")) == 197 - 26
    assert Counter(s.label for s in select(adhd200, "test")) == {1: 29 + 11 + 24 + 4 + 3 + 6, 0: 94}


@pytest.mark.real_data
def test_seed430_has_the_published_cells(adhd200):
    chosen = select(adhd200, "seed430")
    counts = Counter((s.site, s.label) for s in chosen)
    assert len(chosen) == 430
    assert {site: counts[site, 1] for site in SEED430_CASES} == {
        "NYU": 113,
        "NeuroIMAGE": 24,
        "Peking": 78,
        "Pittsburgh": 0,
    }
    assert counts["Peking", 0] == 88
    assert counts["Pittsburgh", 0] == 49
    assert counts["NYU", 0] + counts["NeuroIMAGE", 0] == 78
    assert {s.release for s in chosen} == {"train"}
    assert not any(s.quality_passed["QC_NIAK"] is False for s in chosen)
    # COHORT.md: 12.66 +- 0.06 over draws.
    assert sum(s.age_years for s in chosen) / 430 == pytest.approx(12.66, abs=0.25)


@pytest.mark.real_data
def test_another_seed_changes_controls_only(adhd200):
    first, again, other = (select(adhd200, "seed430", seed=seed) for seed in (0, 0, 1))
    assert first == again
    changed = set(ids(first)) ^ set(ids(other))
    assert len(changed) > 50
    assert {s.label for s in adhd200 if s.subject_id in changed} == {0}


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("where", "cells"),
    [
        # Rows of the table in COHORT.md: control/ADHD at NYU, NeuroIMAGE, Peking, Pittsburgh.
        (
            ["QC_NIAK!=0"],
            {"NYU": (90, 113), "NeuroIMAGE": (23, 24), "Peking": (116, 78), "Pittsburgh": (87, 0)},
        ),
        (
            ["QC_NIAK=1"],
            {"NYU": (89, 108), "NeuroIMAGE": (23, 24), "Peking": (116, 78), "Pittsburgh": (87, 0)},
        ),
        (
            ["qc_athena=1"],
            {"NYU": (87, 103), "NeuroIMAGE": (21, 20), "Peking": (114, 77), "Pittsburgh": (88, 0)},
        ),
        (
            ["QC_Athena!=0"],
            {"NYU": (88, 108), "NeuroIMAGE": (21, 20), "Peking": (114, 77), "Pittsburgh": (88, 0)},
        ),
        (
            ["age<=18", "sex=male,female"],
            {"NYU": (99, 122), "NeuroIMAGE": (12, 15), "Peking": (116, 78), "Pittsburgh": (68, 0)},
        ),
    ],
)
def test_filters_reach_the_counted_cells(adhd200, where, cells):
    sites = "site=NYU,NeuroIMAGE,Peking,Pittsburgh"
    counts = Counter((s.site, s.label) for s in select(adhd200, "train", where=[sites, *where]))
    assert {site: (counts[site, 0], counts[site, 1]) for site in cells} == cells
    assert sum(counts.values()) == sum(map(sum, cells.values()))


# The draw


def test_the_draw_passes_by_everyone_outside_the_pool(release):
    chosen = select(release, "seed430")
    assert len(chosen) == 430
    assert not {"1", "2", "3", "4"} & set(ids(chosen))
    assert {s.subject_id for s in release[4:] if s.label == 1} <= set(ids(chosen))


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(0, 2**40))
def test_the_draw_does_not_depend_on_the_order_of_the_table(release, shuffler, seed):
    mixed = list(release)
    shuffler.shuffle(mixed)
    chosen = select(mixed, "seed430", seed=seed)
    assert set(ids(chosen)) == set(ids(select(release, "seed430", seed=seed)))
    assert chosen == [s for s in mixed if s.subject_id in set(ids(chosen))]


def test_every_control_can_be_drawn_and_none_always_is(release):
    draws = 60
    drawn = Counter(i for seed in range(draws) for i in ids(select(release, "seed430", seed=seed)))
    controls = {s.subject_id: s.site for s in release[4:] if s.label == 0}
    assert all(0 < drawn[subject_id] < draws for subject_id in controls)
    # 49 of 87 people: the mean of a share of .563 over 60 draws of 87 people lies exactly there.
    pittsburgh = [drawn[i] for i, site in controls.items() if site == "Pittsburgh"]
    assert sum(pittsburgh) == 49 * draws
    # Binomial SD of one person's count is 3.8.
    assert max(pittsburgh) - min(pittsburgh) < 8 * 3.8


def test_the_draw_of_a_seed_never_changes():
    # printf "seed430 0 $id" | sha256sum gives 7d5f... for 3, abb3... for 2, ba89... for 1 and d2a4... for 4.
    assert sorted("1234", key=lambda subject_id: _lot(0, subject_id)) == ["3", "2", "1", "4"]


def test_a_partial_cohort_cannot_give_seed430_and_says_which_cells(release):
    partial = [s for s in release if s.site != "Peking" or s.label != 0 or int(s.subject_id) % 2]
    n_left = sum(s.site == "Peking" and s.label == 0 for s in partial)
    with pytest.raises(SelectionPoolError) as caught:
        select(partial, "seed430")
    assert caught.value.code == "selection_pool_too_small"
    assert caught.value.cells == [{"cell": "controls at Peking", "expected": 88, "found": n_left}]
    assert str(caught.value) == f"selection 'seed430': expected 88 controls at Peking, found {n_left}"


def test_without_the_quality_column_the_refusal_says_so(release):
    bare = [replace(s, quality_passed={}) for s in release]
    with pytest.raises(SelectionPoolError, match="QC_NIAK is unknown for all 532 of its pool") as caught:
        select(bare, "seed430")
    assert caught.value.cells == [{"cell": "with ADHD at NYU", "expected": 113, "found": 114}]


def test_the_cells_of_seed430_are_two_equal_halves():
    assert sum(SEED430_CASES.values()) == sum(SEED430_CONTROLS.values()) == 215


# Names


def test_all_leaves_out_only_people_without_a_diagnosis():
    people = [person(1), person(2, label=None), person(3, label=1, release=None)]
    assert ids(select(people)) == ["1", "3"]


def test_releases_are_apart_and_people_of_unknown_release_are_in_neither():
    people = [person(1), person(2, release="test"), person(3, release=None), person(4, label=None)]
    assert ids(select(people, "train")) == ["1"]
    assert ids(select(people, "test")) == ["2"]


@pytest.mark.parametrize("name", ["train", "test", "seed430"])
def test_a_selection_by_release_needs_to_know_it(name):
    with pytest.raises(ReleaseUnknownError, match="--test-ids") as caught:
        select([person(1, release=None), person(2, release=None)], name)
    assert (caught.value.code, caught.value.n_subjects) == ("selection_needs_release", 2)


def test_what_is_trained_on_without_a_word_is_never_the_test_release():
    nobody = [person(number, release=None) for number in range(3)]
    some = [*nobody, person(9, release="test")]
    assert default_selection(some, cohort="c", release_unknown=False) == "train"
    assert default_selection(nobody, cohort="c", release_unknown=False) == "all"
    with pytest.raises(SelectionMissingError, match=r"found it for none of 3: .*--test-ids.*--select all"):
        default_selection(nobody, cohort="c", release_unknown=True)


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(
        SelectionNameError, match="out of all, train, test, seed430, found 'seed431'"
    ) as caught:
        select([person(1)], "seed431")
    assert caught.value.code == "selection_unknown"


@pytest.mark.parametrize(
    ("people", "name", "where"),
    [
        ([person(1)], "test", []),
        ([person(1, age_years=9.0)], "all", ["age>12", "sex!=male"]),
        ([person(1, label=None)], "all", []),
        ([], "train", []),
    ],
)
def test_nobody_left_is_refused(people, name, where):
    with pytest.raises(SelectionEmptyError, match="found none among") as caught:
        select(people, name, where=where)
    assert caught.value.code == "selection_empty"
    assert all(condition in str(caught.value) for condition in where)


# Filters

PEOPLE = [
    person(1, site="NYU", age_years=9.0, sex="male", quality_passed={"QC_Athena": True}),
    person(2, site="KKI", age_years=18.0, sex="female", quality_passed={"QC_Athena": False}),
    person(3, site="Peking", age_years=None, sex=None, quality_passed={"QC_Athena": None}, iq=99.0),
    person(4, site="Peking", label=1, diagnosis="3", age_years=21.5, sex="female", handedness="left"),
]


@pytest.mark.parametrize(
    ("where", "left"),
    [
        (["site=NYU,KKI"], "12"),
        (["site = nyu , KKI"], "12"),
        (["site!=Peking"], "12"),
        (["age<=18"], "12"),
        (["age<18"], "1"),
        (["AGE_YEARS >= 18"], "24"),
        (["age>18"], "4"),
        (["age=9,21.5"], "14"),
        (["age!=9"], "234"),
        (["sex=female"], "24"),
        (["sex!=female"], "13"),
        (["QC_Athena=1"], "1"),
        (["QC_Athena!=0"], "134"),
        (["qc_athena=0,1"], "12"),
        (["handedness=left"], "4"),
        (["iq>90"], "3"),
        (["diagnosis=3"], "4"),
        (["subject_id!=0000002"], "134"),
        (["release=train", "site=Peking", "sex=female"], "4"),
    ],
)
def test_a_condition_keeps_whom_it_describes(where, left):
    assert ids(select(PEOPLE, where=where)) == list(left)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("size=3", "one of the fields age, iq, site, sex, .*QC_Athena, found 'size'"),
        ("site=NYU,Stanford", "site to be one of KKI, NYU, Peking, found 'Stanford'"),
        ("sex=1", "sex to be one of female, male, found '1'"),
        ("release=final", "one of train, test, found 'final'"),
        ("diagnosis=9", "diagnosis to be one of 0, 3"),
        ("subject_id=77", "a subject of the cohort, found '77'"),
        ("age<=old", "a number for age, found 'old'"),
        ("age<nan", "a number for age, found 'nan'"),
        ("age<9,10", "one number after <, found 2"),
        ("site<NYU", "= or != with site, found <"),
        ("QC_Athena>0", "= or != with QC_Athena, found >"),
        ("QC_Athena=2", r"1 \(pass\) or 0 \(questionable\), found '2'"),
        ("site=", "a value, found none"),
        ("site=NYU,,KKI", "a value, found none"),
        ("site", "another form"),
        ("=NYU", "another form"),
        ("age==9", "another form"),
        ("8<age<12", "another form"),
        ("", "another form"),
    ],
)
def test_a_condition_without_a_meaning_is_refused_with_the_known_ones(condition, message):
    with pytest.raises(FilterError, match=message) as caught:
        select(PEOPLE, where=[condition])
    assert (caught.value.code, caught.value.condition) == ("selection_filter_invalid", condition)


ages = st.one_of(st.none(), st.integers(5, 60).map(lambda half_years: half_years / 2))
crowds = st.lists(
    st.builds(
        lambda age, sex, site: (age, sex, site),
        ages,
        st.sampled_from(["male", "female", None]),
        st.sampled_from("AB"),
    ),
    min_size=1,
    max_size=20,
).map(
    lambda facts: [
        person(number, age_years=age, sex=sex, site=site)
        for number, (age, sex, site) in enumerate([*facts, (10.0, "male", "A"), (10.0, "female", "B")])
    ]
)


def left(people, *where):
    try:
        return set(ids(select(people, where=where)))
    except SelectionEmptyError:
        return set()


@settings(deadline=None)
@given(crowds, st.integers(4, 31))
def test_a_comparison_keeps_exactly_the_known_values_that_meet_it(people, limit):
    for sign, compare in {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}.items():
        expected = {s.subject_id for s in people if s.age_years is not None and compare(s.age_years, limit)}
        assert left(people, f"age{sign}{limit}") == expected


@settings(deadline=None)
@given(crowds, st.sampled_from(["sex=male", "site=A,B", "age=10", "age=10,12.5", "site=b"]))
def test_equal_and_unequal_divide_everyone(people, condition):
    same, others = left(people, condition), left(people, condition.replace("=", "!=", 1))
    assert same | others == set(ids(people))
    assert not same & others


@settings(deadline=None)
@given(crowds)
def test_conditions_together_are_their_intersection_in_any_order(people):
    first, second = "age>=10", "sex!=male"
    assert (
        left(people, first, second)
        == left(people, second, first)
        == left(people, first) & left(people, second)
    )


@settings(deadline=None)
@given(crowds)
def test_a_selection_keeps_the_order_and_invents_nobody(people):
    kept = select(people, where=["site=A"])
    assert kept == [s for s in people if s in kept]
