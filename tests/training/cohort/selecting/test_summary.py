import json
from dataclasses import dataclass
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.cohort.phenotypes.table import read_phenotypes, read_test_ids
from training.cohort.selecting.selection import select
from training.cohort.selecting.summary import format_summary, summarise
from training.cohort.subjects import Subject


@dataclass(frozen=True)
class Scan:
    subject_id: str
    tr_s: float
    n_frames: int


def person(subject_id, site, label, **known):
    return Subject(subject_id=subject_id, site=site, label=label, diagnosis="", **known)


PEOPLE = [
    person("1", "NYU", 1, age_years=8.0, sex="male", handedness="right", iq=100.0, release="train"),
    person("2", "NYU", 1, age_years=10.0, sex="female", handedness="left", quality_passed={"QC_NIAK": True}),
    person("3", "NYU", 0, age_years=None, sex="male", quality_passed={"QC_NIAK": None}),
    person("4", "KKI", 0, age_years=12.0, sex=None, handedness="ambidextrous"),
    person("5", "Brown", None, age_years=30.0, sex="female"),
]
SCANS = [
    Scan("1", 2.0, 172),
    Scan("1", 2.0, 170),
    Scan("2", 1.96, 100),
    Scan("4", 2.5, 124),
    Scan("99", 9.0, 1),
]


def test_the_published_table_counts_people_by_site_and_class():
    rows = [
        (r.site, r.n_cases, r.n_controls, r.n_total, r.n_unlabelled, r.mean_age_years)
        for r in summarise(PEOPLE, SCANS).table
    ]
    assert rows == [
        ("Brown", 0, 0, 0, 1, None),
        ("KKI", 0, 1, 1, 0, 12.0),
        ("NYU", 2, 1, 3, 0, 9.0),
        # The person without a diagnosis takes no part, so 30 years do not count.
        (None, 2, 2, 4, 1, 10.0),
    ]


def test_the_groups_hold_what_a_model_could_take_for_the_condition():
    groups = {(g.site, g.label): g for g in summarise(PEOPLE, SCANS).groups}
    assert list(groups) == [
        ("Brown", None),
        ("KKI", 0),
        ("NYU", 1),
        ("NYU", 0),
        (None, 1),
        (None, 0),
        (None, None),
    ]
    cases = groups["NYU", 1]
    assert (cases.n_subjects, cases.n_scans) == (2, 3)
    # Sample SD of 8 and 10.
    assert (cases.age_years.n, cases.age_years.mean, cases.age_years.sd) == (2, 9.0, pytest.approx(2**0.5))
    assert (cases.age_years.low, cases.age_years.high) == (8.0, 10.0)
    assert cases.sexes == {"male": 1, "female": 1}
    assert cases.handedness == {"right": 1, "left": 1}
    assert list(cases.tr_s.items()) == [("1.96", 1), ("2", 2)]
    assert (cases.n_frames.low, cases.n_frames.high) == (100, 172)
    alone = groups["KKI", 0]
    assert (alone.age_years.sd, alone.sexes, alone.tr_s) == (None, {"missing": 1}, {"2.5": 1})
    unscanned = groups["NYU", 0]
    assert (unscanned.age_years.n, unscanned.age_years.mean, unscanned.n_scans, unscanned.tr_s) == (
        0,
        None,
        0,
        {},
    )


def test_what_is_missing_is_counted():
    summary = summarise(PEOPLE, SCANS)
    assert summary.missing == {
        "age_years": 1,
        "sex": 1,
        "handedness": 2,
        "iq": 4,
        "label": 1,
        "release": 4,
        "QC_NIAK": 4,
    }
    assert summary.without_scans == 2


def test_the_summary_is_json():
    payload = summarise(PEOPLE, SCANS, condition="autism").to_json()
    assert json.loads(json.dumps(payload, allow_nan=False))["condition"] == "autism"
    assert payload["table"][2]["mean_age_years"] == 9.0
    assert payload["groups"][2]["tr_s"] == {"1.96": 1, "2": 2}


def test_people_read_the_table_first_and_the_shortcuts_beneath_it():
    lines = format_summary(summarise(PEOPLE, SCANS, condition="autism")).splitlines()
    assert lines[0].split() == ["site", "autism", "control", "total", "mean", "age", "no", "diagnosis"]
    assert lines[3].split() == ["NYU", "2", "1", "3", "9.00", "0"]
    assert lines[4].split() == ["all", "sites", "2", "2", "4", "10.00", "1"]
    nyu = next(line for line in lines[6:] if line.startswith("NYU") and "autism" in line)
    assert nyu.split() == [
        "NYU",
        "autism",
        "2",
        "9.0",
        "±",
        "1.4",
        "1/1",
        "1/1/0",
        "3",
        "1.96,",
        "2",
        "100-172",
    ]
    kki = next(line for line in lines[6:] if line.startswith("KKI"))
    assert kki.split() == ["KKI", "control", "1", "12.0", "±", "-", "0/0", "+1", "0/0/1", "1", "2.5", "124"]
    assert lines[-2].endswith("age_years 1, sex 1, handedness 2, iq 4, label 1, release 4, QC_NIAK 4.")
    assert lines[-1] == "Without a scan: 2."
    # A column starts at one place in every line of its table.
    assert len({line.index(word) for line, word in zip(lines[:2], ("mean age", "-"), strict=True)}) == 1


def test_nothing_missing_is_said_and_no_line_is_wasted():
    known = {"age_years": 9.0, "sex": "male", "handedness": "right", "iq": 99.0, "release": "test"}
    whole = [person("1", "NYU", 0, **known), person("2", "NYU", 1, **known)]
    text = format_summary(summarise(whole, [Scan("1", 2.0, 172), Scan("2", 2.0, 172)]))
    assert text.endswith("Not known (+n above): none.\n")


def test_nobody_is_a_summary_too():
    summary = summarise([])
    assert [row.n_total for row in summary.table] == [0]
    assert summary.groups == ()
    assert "all sites" in format_summary(summary)


labels = st.sampled_from([0, 1, None])
crowds = st.lists(st.tuples(st.sampled_from("ABC"), labels, st.none() | st.integers(7, 25)), max_size=25).map(
    lambda facts: [
        person(str(i), site, label, age_years=None if age is None else float(age))
        for i, (site, label, age) in enumerate(facts)
    ]
)


@settings(deadline=None)
@given(crowds)
def test_sites_and_classes_add_up_to_everyone(people):
    summary = summarise(people, [Scan(s.subject_id, 2.0, 100) for s in people])
    *sites, everyone = summary.table
    assert everyone.n_total + everyone.n_unlabelled == len(people)
    for count in ("n_cases", "n_controls", "n_total", "n_unlabelled"):
        assert sum(getattr(row, count) for row in sites) == getattr(everyone, count)
    by_site = [group for group in summary.groups if group.site is not None]
    assert sum(group.n_subjects for group in by_site) == len(people)
    assert sum(group.n_scans for group in by_site) == len(people)
    assert all(sum(group.sexes.values()) == group.n_subjects for group in summary.groups)


# The real table


@pytest.mark.real_data
def test_the_summary_of_the_release_is_the_counted_one(shared_data):
    folder = shared_data / "adhd200"
    test_ids = read_test_ids(folder / "test_release_ids.txt")
    people = read_phenotypes(folder / "adhd200_preprocessed_phenotypics.tsv", test_ids=test_ids).subjects
    table = {row.site: (row.n_cases, row.n_controls, row.n_unlabelled) for row in summarise(people).table}
    # COHORT.md, the line of all 973.
    assert table == {
        "Brown": (0, 0, 26),
        "KKI": (25, 69, 0),
        "NYU": (152, 111, 0),
        "NeuroIMAGE": (36, 37, 0),
        "OHSU": (43, 70, 0),
        "Peking": (102, 143, 0),
        "Pittsburgh": (4, 94, 0),
        "WashU": (0, 61, 0),
        None: (362, 585, 26),
    }
    four = "site=NYU,NeuroIMAGE,Peking,Pittsburgh"
    total = summarise(select(people, "train", where=[four])).table[-1]
    assert (total.n_cases, total.n_controls) == (226, 327)
    assert total.mean_age_years == pytest.approx(12.76, abs=0.005)


@pytest.mark.real_data
def test_the_published_cohorts_table_is_reached_but_for_its_draw(shared_data):
    folder = shared_data / "adhd200"
    test_ids = read_test_ids(folder / "test_release_ids.txt")
    people = read_phenotypes(folder / "adhd200_preprocessed_phenotypics.tsv", test_ids=test_ids).subjects
    chosen = [select(people, "seed430", seed=seed) for seed in range(20)]
    summaries = [summarise(subjects) for subjects in chosen]
    rows = {row.site: row for row in summaries[0].table}
    assert (rows["Pittsburgh"].n_cases, rows["Pittsburgh"].n_controls) == (0, 49)
    assert (rows["Peking"].n_cases, rows["Peking"].n_controls) == (78, 88)
    assert (rows[None].n_cases, rows[None].n_controls) == (215, 215)
    # COHORT.md: 12.66 with an SD of 0.06 over draws; the mean of 20 is known to 0.013.
    assert fmean(s.table[-1].mean_age_years for s in summaries) == pytest.approx(12.66, abs=0.05)
