"""No method's weights know the people that they are reported or calibrated on.

Compared are bytes. Everything is changed at once, kept series of regions of the scans before lie in the
cohort's folder, and each change is seen to have reached what it may reach.
"""

from dataclasses import replace

import pytest

from model.methods.catalogue import METHODS
from tests.training.methods.tiny_methods import (
    FITTED_FILE,
    REPORTED,
    begun_again,
    reads_regions,
    train,
    with_other_scans,
)
from tests.training.validation.test_leaks import blind_results, reported
from training.cohort.store.views import REGIONS_FOLDER
from training.fitting.settings import TrainingSettings
from training.run_files import read_rows, write_rows
from training.runs import (
    INNER_PREDICTIONS_FILE,
    SUBJECTS_FILE,
    InnerPrediction,
    RunSubject,
    fold_folder,
    read_run,
)
from training.validation.fold import split_fold

every_method = pytest.mark.parametrize("method", METHODS)
reads_tissues = pytest.mark.parametrize(
    "method", [name for name, one in METHODS.items() if "tissues" in one.reads]
)


def subjects_of(run):
    return read_rows(run, SUBJECTS_FILE, RunSubject)


def inner_parts(run):
    settings = TrainingSettings.model_validate(read_run(run).settings)
    return split_fold(subjects_of(run), REPORTED, settings=settings)


def fitted(run):
    return (run / FITTED_FILE).read_bytes()


def calibrated_on(run):
    rows = read_rows(fold_folder(run, REPORTED), INNER_PREDICTIONS_FILE, InnerPrediction)
    return [row.logit for row in rows if row.part == "calibration"]


@every_method
def test_other_scans_maps_and_labels_of_the_reported_people_change_only_what_is_said_of_them(
    method, honest, people, tmp_path
):
    run = honest(method)
    unseen = {one.subject_id for one in subjects_of(run) if one.fold == REPORTED}
    other = with_other_scans(people, tmp_path / "cohort", of=unseen)
    assert (other.folder / REGIONS_FOLDER).exists() or not reads_regions(method), "kept series lie there"
    again = begun_again(run, tmp_path / "run", store=other)
    turned = [replace(one, label=1 - one.label) if one.fold == REPORTED else one for one in subjects_of(run)]
    write_rows(again / SUBJECTS_FILE, turned)
    train(again, other)
    assert blind_results(again) == blind_results(run)
    assert fitted(again) == fitted(run)
    assert reported(again) != reported(run), "the change did reach the model"


@reads_tissues
def test_other_tissues_of_the_reported_people_change_only_what_is_said_of_them(
    method, honest, people, tmp_path
):
    run = honest(method)
    unseen = {one.subject_id for one in subjects_of(run) if one.fold == REPORTED}
    other = with_other_scans(people, tmp_path / "cohort", of=unseen, tissues_alone=True)
    again = train(begun_again(run, tmp_path / "run", store=other), other)
    assert blind_results(again) == blind_results(run)
    assert fitted(again) == fitted(run)
    assert reported(again) != reported(run), "the change did reach the model"


@reads_tissues
def test_other_tissues_of_one_person_trained_on_do_change_the_weights(method, honest, people, tmp_path):
    run = honest(method)
    of_training = {inner_parts(run).training[0].subject_id}
    other = with_other_scans(people, tmp_path / "cohort", of=of_training, tissues_alone=True)
    again = train(begun_again(run, tmp_path / "run", store=other), other)
    assert fitted(again) != fitted(run)


@every_method
def test_other_scans_of_the_calibration_people_change_no_weight_before_it_is_calibrated(
    method, honest, people, tmp_path
):
    run = honest(method)
    kept = {one.subject_id for one in inner_parts(run).calibration}
    other = with_other_scans(people, tmp_path / "cohort", of=kept)
    again = train(begun_again(run, tmp_path / "run", store=other), other)
    assert fitted(again) == fitted(run)
    assert calibrated_on(again) != calibrated_on(run), "the change did reach the calibration"


@every_method
def test_other_scans_of_one_person_trained_on_do_change_the_weights(method, honest, people, tmp_path):
    """The tests above could not fail if scans were not read at all."""
    run = honest(method)
    of_training = {inner_parts(run).training[0].subject_id}
    other = with_other_scans(people, tmp_path / "cohort", of=of_training)
    again = train(begun_again(run, tmp_path / "run", store=other), other)
    assert fitted(again) != fitted(run)
