"""The figures of made-up people, against numpy and by hand."""

from dataclasses import replace

import numpy as np
import pytest

from model.population import RepetitionTime, Spread
from tests.training.cohort.store.made_up_store import write_store
from tests.training.validation.tiny_cohorts import SPEC, series_of, tiny_store, tiny_subjects
from training.cohort.population import describe_population


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Sixteen people of 8 to 23 years; the first has two scans."""
    made = tiny_store(tmp_path_factory.mktemp("cohorts") / "cohort")
    scans = [
        replace(
            scan,
            tr_s=2.5 if number == 1 else 2.0,
            n_frames=100 + number,
            dvars_mean=1.0 + number / 100,
            spikes=number,
            quality={"dvars_max": 2.0 + number, "template_coverage": 0.9, "tsnr": None},
        )
        for number, scan in enumerate(made.scans)
    ]
    return replace(made, scans=tuple(scans))


def test_people_are_counted(store):
    found = describe_population(store, store.subjects)
    assert (found.subjects, found.cases, found.controls) == (16, 8, 8)
    assert found.sites == {"KKI": 8, "NYU": 8}
    assert found.sex == {"female": 0, "male": 0}
    assert found.repetition_times == (
        RepetitionTime(tr_s=2.0, subjects=16),
        RepetitionTime(tr_s=2.5, subjects=1),
    )


def test_quantiles_are_those_of_numpy_over_people(store):
    found = describe_population(store, store.subjects).figures
    percents = [0, 1, 5, 25, 50, 75, 95, 99, 100]
    ages = np.percentile(np.arange(8.0, 24.0), percents).round(4)
    assert list(found["age_years"].model_dump(exclude={"n_known"}).values()) == pytest.approx(ages)
    # The first person's two scans count once, with their mean.
    dvars = np.percentile([1.005, *(1 + np.arange(2, 17) / 100)], percents).round(4)
    assert list(found["dvars_mean"].model_dump(exclude={"n_known"}).values()) == pytest.approx(dvars)
    assert found["dvars_max"].n_known == 16
    assert found["spike_share"].maximum == pytest.approx(16 / 115, abs=1e-4)
    assert found["duration_s"].maximum == 232.0
    assert found["tsnr"] == found["in_band_power"] == Spread(n_known=0)


def test_only_those_who_are_trained_on_are_described(store):
    older = [subject for subject in store.subjects if subject.age_years >= 12]
    found = describe_population(store, older)
    assert (found.subjects, found.figures["age_years"].minimum) == (12, 12.0)
    assert found.repetition_times == (RepetitionTime(tr_s=2.0, subjects=12),)


def test_of_fewer_than_ten_the_middle_alone_is_told(store):
    found = describe_population(store, store.subjects[:9]).figures["age_years"]
    assert found == Spread(n_known=9, p25=10.0, p50=12.0, p75=14.0)


@pytest.mark.parametrize(
    ("simulated", "told", "unnamed"), [(True, {"Own": 8, "NYU": 8}, 0), (False, {"NYU": 8}, 8)]
)
def test_a_hospital_is_named_only_where_nobody_exists(tmp_path, simulated, told, unnamed):
    subjects = [
        replace(subject, site="Own" if subject.site == "KKI" else "NYU") for subject in tiny_subjects()
    ]
    series = {subject.subject_id: [series_of(subject)] for subject in subjects}
    own = write_store(tmp_path / "cohort", subjects=subjects, series=series, spec=SPEC, simulated=simulated)
    found = describe_population(own, own.subjects)
    assert (found.sites, found.subjects_at_unnamed_sites) == (told, unnamed)


def test_where_only_some_are_simulated_a_hospital_is_not_named(store):
    first, *others = store.scans
    mixed = replace(store, scans=(replace(first, warnings=("simulated_scan",)), *others))
    subjects = [replace(subject, site="Own") for subject in mixed.subjects]
    found = describe_population(mixed, subjects)
    assert (found.sites, found.subjects_at_unnamed_sites) == ({}, 16)
