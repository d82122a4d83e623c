from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.cohort.subjects import Subject
from training.validation.folds import (
    FoldCountError,
    FoldWithoutClassError,
    InnerPartWithoutClassError,
    OneClassError,
    TooFewSitesError,
    institution_of,
    leave_site_out,
    split_folds,
    split_inner,
)

SITES = ("KKI", "NYU", "Peking", "WashU")


def subject(number: int, site: str, label: int | None) -> Subject:
    return Subject(subject_id=str(number), site=site, label=label, diagnosis=str(label))


def people(cells: dict[tuple[str, int], int]) -> list[Subject]:
    drawn = [cell for cell, count in cells.items() for _ in range(count)]
    return [subject(number, site, label) for number, (site, label) in enumerate(drawn)]


@st.composite
def cohorts(draw, *, least: int = 8):
    """Any number of subjects a site and class, at least `least` of each class."""
    cells = {(site, label): draw(st.integers(0, 12)) for site in SITES for label in (0, 1)}
    for label in (0, 1):
        cells[SITES[label], label] += least
    return people(cells)


def sizes(fold_of, subjects, n_folds):
    counted = Counter(fold_of[one.subject_id] for one in subjects)
    return [counted[fold] for fold in range(n_folds)]


@given(subjects=cohorts(), n_folds=st.integers(2, 8), seed=st.integers(0, 99))
def test_folds_are_a_partition_whose_cells_classes_and_sizes_differ_by_one_at_most(subjects, n_folds, seed):
    folds = split_folds(subjects, n_folds=n_folds, seed=seed)
    assert folds.names == tuple(str(fold) for fold in range(n_folds))
    assert set(folds.fold_of) == {one.subject_id for one in subjects}
    assert set(folds.fold_of.values()) == set(range(n_folds))
    groups = [subjects]
    groups += [[one for one in subjects if one.label == label] for label in (0, 1)]
    cells = {(one.site, one.label) for one in subjects}
    groups += [[one for one in subjects if (one.site, one.label) == cell] for cell in cells]
    for group in groups:
        found = sizes(folds.fold_of, group, n_folds)
        assert max(found) - min(found) <= 1


@given(subjects=cohorts(), seed=st.integers(0, 99), random=st.randoms(use_true_random=False))
def test_the_order_of_the_subjects_does_not_matter(subjects, seed, random):
    shuffled = random.sample(subjects, len(subjects))
    assert split_folds(subjects, n_folds=5, seed=seed) == split_folds(shuffled, n_folds=5, seed=seed)
    one = split_inner(subjects, stopping=0.15, calibration=0.15, seed=seed)
    assert one == split_inner(shuffled, stopping=0.15, calibration=0.15, seed=seed)


def test_another_seed_makes_other_folds():
    subjects = people({("NYU", 0): 20, ("NYU", 1): 20})
    made = [split_folds(subjects, n_folds=5, seed=seed).fold_of for seed in (1, 1, 2)]
    assert made[0] == made[1] != made[2]


def test_who_shares_a_fold_is_left_to_chance():
    """A table sorted by age must not put neighbours into neighbouring folds every time."""
    subjects = people({("NYU", 0): 10, ("NYU", 1): 10})
    together = sum(
        folds["0"] == folds["1"]
        for folds in (split_folds(subjects, n_folds=2, seed=seed).fold_of for seed in range(200))
    )
    assert 60 < together < 120  # 4 in 9 of 200, four standard deviations either way


SHARE = st.sampled_from([0.1, 0.15, 0.3])


@given(subjects=cohorts(), seed=st.integers(0, 99), stopping=SHARE, calibration=SHARE)
def test_inner_parts_are_a_partition_with_their_share_of_each_class_and_site(
    subjects, seed, stopping, calibration
):
    split = split_inner(subjects, stopping=stopping, calibration=calibration, seed=seed)
    parts = (split.training, split.stopping, split.calibration)
    assert Counter(s.subject_id for part in parts for s in part) == Counter(s.subject_id for s in subjects)
    for part, share in zip(parts, (1 - stopping - calibration, stopping, calibration), strict=True):
        for label in (0, 1):
            of_class = Counter(one.site for one in subjects if one.label == label)
            in_part = Counter(one.site for one in part if one.label == label)
            assert in_part
            assert abs(in_part.total() - share * of_class.total()) <= 1.001
            for site, everybody in of_class.items():
                assert abs(in_part[site] - everybody * in_part.total() / of_class.total()) < 2


def test_the_smallest_cohort_that_suffices_gives_each_part_one_of_each_class():
    split = split_inner(people({("NYU", 0): 3, ("KKI", 1): 3}), stopping=0.45, calibration=0.45, seed=0)
    for part in (split.training, split.stopping, split.calibration):
        assert sorted(one.label for one in part) == [0, 1]


def test_a_share_of_nothing_is_an_empty_part():
    split = split_inner(people({("NYU", 0): 2, ("NYU", 1): 2}), stopping=0.0, calibration=0.5, seed=0)
    assert split.stopping == ()
    assert sorted(one.label for one in split.calibration) == [0, 1]


def test_too_few_of_a_class_for_the_inner_parts_says_what_would_suffice():
    with pytest.raises(InnerPartWithoutClassError, match=r"at least 3 cases .* found 2") as refusal:
        split_inner(people({("NYU", 0): 9, ("NYU", 1): 2}), stopping=0.15, calibration=0.15, seed=0)
    assert refusal.value.details() == {"label": 1, "needed": 3, "found": 2}


@pytest.mark.parametrize("split", [split_folds, split_inner, leave_site_out])
def test_one_class_is_refused(split):
    arguments = {
        split_folds: {"n_folds": 2, "seed": 0},
        split_inner: {"stopping": 0.2, "calibration": 0.2, "seed": 0},
        leave_site_out: {},
    }[split]
    with pytest.raises(OneClassError, match="0 cases and 9 controls"):
        split(people({("NYU", 0): 5, ("KKI", 0): 4}), **arguments)


def test_a_fold_without_a_class_is_refused_by_name():
    with pytest.raises(FoldWithoutClassError, match="a case in each of 5 folds, found 4 cases in all"):
        split_folds(people({("NYU", 0): 9, ("NYU", 1): 4}), n_folds=5, seed=0)


def test_one_fold_is_no_cross_validation():
    with pytest.raises(FoldCountError, match="at least 2 folds, found 1"):
        split_folds(people({("NYU", 0): 9, ("NYU", 1): 4}), n_folds=1, seed=0)


@pytest.mark.parametrize(
    "subjects",
    [
        [subject(1, "NYU", 0), subject(1, "NYU", 1)],
        [subject(1, "NYU", 0), subject(2, "NYU", 1), subject(3, "NYU", None)],
    ],
)
def test_a_subject_twice_or_without_a_label_never_reaches_a_fold(subjects):
    with pytest.raises(ValueError, match="expected"):
        split_folds(subjects, n_folds=2, seed=0)


@pytest.mark.parametrize(
    ("site", "institution"),
    [
        ("UCLA_1", "UCLA"),
        ("LEUVEN_2", "LEUVEN"),
        ("NYU", "NYU"),
        ("MAX_MUN", "MAX_MUN"),
        ("Peking_3", "Peking"),
    ],
)
def test_scanners_of_one_institution_are_one(site, institution):
    assert institution_of(site) == institution


def test_a_site_is_left_out_with_its_whole_institution_even_if_it_has_one_class():
    several = {("UCLA_1", 0): 3, ("UCLA_2", 1): 2, ("NYU", 0): 2, ("NYU", 1): 2, ("Pittsburgh", 0): 4}
    subjects = people(several)
    folds = leave_site_out(subjects)
    assert leave_site_out(subjects[::-1]) == folds
    assert folds.names == ("NYU", "Pittsburgh", "UCLA")
    for one in subjects:
        assert folds.names[folds.fold_of[one.subject_id]] == institution_of(one.site)


def test_leaving_out_the_only_site_with_a_class_is_refused_by_name():
    subjects = people({("NYU", 0): 3, ("NYU", 1): 3, ("Pittsburgh", 0): 3})
    with pytest.raises(FoldWithoutClassError, match="fold NYU: expected cases at the other sites"):
        leave_site_out(subjects)


def test_a_single_institution_cannot_be_left_out():
    subjects = people({("UCLA_1", 0): 3, ("UCLA_2", 1): 3})
    with pytest.raises(TooFewSitesError, match=r"2 institutions .* found UCLA"):
        leave_site_out(subjects)
