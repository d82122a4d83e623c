from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from imaging.regions import Regions
from tests.training.methods.tiny_methods import N_VOXELS, SPEC, octants, series_of
from tests.training.validation.tiny_cohorts import tiny_subjects
from training.fitting.prepared import TrainingSubject
from training.methods.learning_regions import hold_region_series, learn_regions


@pytest.fixture(scope="module")
def people():
    return [
        TrainingSubject(
            subject_id=one.subject_id,
            site=one.site,
            label=one.label,
            series=(series_of(one, n_frames=60).astype(np.float16),),
            spec=SPEC,
        )
        for one in tiny_subjects(6)
        if not one.label  # in a case two of the eighths move as one
    ]


@pytest.fixture(scope="module")
def learned(people):
    return learn_regions(people, n_regions=8)


def test_voxels_that_move_together_are_found_to_be_one_region(learned):
    found = learned.labels(N_VOXELS)
    assert set(found) == set(range(1, 9))
    assert adjusted_rand_score(octants(), found) > 0.95


def test_every_voxel_is_in_a_region_and_no_label_has_a_say(people, learned):
    assert len(learned.voxels) == N_VOXELS
    relabelled = [replace(one, label=1) for one in people]
    assert np.array_equal(learn_regions(relabelled, n_regions=8).labels(N_VOXELS), learned.labels(N_VOXELS))


def test_a_person_with_two_scans_counts_as_one(people, learned):
    twice = [replace(people[0], series=people[0].series * 2), *people[1:]]
    assert np.array_equal(learn_regions(twice, n_regions=8).labels(N_VOXELS), learned.labels(N_VOXELS))


def test_voxels_without_signal_disturb_nobody(people):
    silent = octants() == 3
    muted = []
    for one in people:
        series = one.series[0].copy()
        series[:, silent] = 0
        muted.append(replace(one, series=(series,)))
    found = learn_regions(muted, n_regions=8).labels(N_VOXELS)
    # What is silent goes with nothing, and so with itself; the others stay apart.
    assert len(set(found[silent])) == 1
    assert adjusted_rand_score(octants(), found) > 0.95


def test_progress_is_told_after_each_person(people):
    told = []
    learn_regions(people, n_regions=4, progress=told.append)
    assert told == [1, 2, 3]


def test_series_are_held_for_the_regions_that_are_asked_about_and_for_no_others(people, learned):
    held = hold_region_series(people[:1])[0].scans[0]
    other = Regions.from_labels(octants().astype(np.int16))
    series = people[0].series[0]
    for regions in (learned, other):
        np.testing.assert_array_equal(held.region_series(regions), regions.means(series))
        assert held.region_series(regions) is held.region_series(regions)
