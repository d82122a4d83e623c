"""What a method cannot be trained on is refused when the run is planned, and nothing is written."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from imaging.label_file import AtlasSingleRegionError
from imaging.regions import AtlasOutsideBrainError
from model.errors import MethodsNotInstalledError, TooFewTimePointsError
from model.methods.catalogue import METHODS
from tests.training.methods.tiny_methods import CUBE, settings_of, with_other_scans, write_people
from training.classical.inner import TooFewToSplitError
from training.cohort.store.cohort_store import CohortStore, MapsNotStoredError, TissuesNotStoredError
from training.errors import CohortError
from training.fitting.settings import TrainingSettingsError
from training.methods import possible
from training.methods.possible import require_possible
from training.validation.added import Addition
from training.validation.cross_validation import plan_run
from training.validation.fold import train_fold
from training.validation.grid import leave_out_impossible
from training.validation.run_folder import RunDiffersError

READ_MAPS = [name for name, method in METHODS.items() if "maps" in method.reads]
READ_TISSUES = [name for name, method in METHODS.items() if "tissues" in method.reads]


@pytest.fixture(scope="module")
def short(tmp_path_factory) -> CohortStore:
    """Give scans without maps of 19 frames: one fewer than BolT can read."""
    return write_people(tmp_path_factory.mktemp("short") / "cohort", with_maps=False, n_frames=19)


@pytest.fixture(scope="module")
def without_tissues(tmp_path_factory) -> CohortStore:
    return write_people(tmp_path_factory.mktemp("without") / "cohort", with_tissues=False)


def refused(store, out, *, method, code, error=CohortError, **options):
    with pytest.raises(error) as caught:
        plan_run(
            store, store.subjects, settings=settings_of(method), out=out / "run", device="cpu", **options
        )
    assert caught.value.code == code
    assert list(out.iterdir()) == []
    return str(caught.value)


def test_some_methods_read_maps():
    assert set(READ_MAPS) == {"svm-reho", "svm-falff", "mkl", "mkl-t1w", "zou-3d-cnn", "zou-3d-cnn-t1w"}
    assert set(READ_TISSUES) == {"mkl-t1w", "zou-3d-cnn-t1w"}


@pytest.mark.parametrize("method", READ_TISSUES)
def test_a_cohort_without_tissues_is_refused_to_who_reads_them(method, without_tissues, tmp_path):
    said = refused(
        without_tissues,
        tmp_path,
        method=method,
        code="cohort_without_tissues",
        error=TissuesNotStoredError,
        regions="cubes",
    )
    assert "series/" in said
    require_possible(settings_of(method), without_tissues, [])


def test_people_who_are_added_need_tissues_too(people, without_tissues, tmp_path):
    added = Addition(without_tissues, without_tissues.subjects[:2], {})
    refused(people, tmp_path, method="mkl-t1w", code="cohort_without_tissues", added=added)


def test_without_tissues_only_those_who_read_them_are_left_out(without_tissues):
    left, out = leave_out_impossible(
        {method: settings_of(method) for method in METHODS},
        require=lambda settings: require_possible(settings, without_tissues, without_tissues.subjects),
    )
    assert {name: why.code for name, why in out.items()} == dict.fromkeys(
        READ_TISSUES, "cohort_without_tissues"
    )
    assert len(left) == len(METHODS) - 2


@pytest.mark.parametrize("method", READ_MAPS)
def test_a_cohort_without_maps_is_refused_to_who_reads_them(method, short, tmp_path):
    said = refused(
        short, tmp_path, method=method, code="cohort_without_maps", error=MapsNotStoredError, regions="cubes"
    )
    assert "ingested again" in said


def test_only_those_who_take_part_are_asked_for_maps(people, short):
    """A scan without maps of somebody who is left out is nobody's hindrance."""
    require_possible(settings_of("svm-reho"), people, people.subjects)
    require_possible(settings_of("svm-reho"), short, [])
    with pytest.raises(MapsNotStoredError):
        require_possible(settings_of("svm-reho"), short, short.subjects[:1])


def test_people_who_are_added_need_maps_too(people, short, tmp_path):
    added = Addition(short, short.subjects[:2], {})
    refused(people, tmp_path, method="svm-reho", code="cohort_without_maps", added=added)


def test_a_scan_shorter_than_a_method_can_read_is_refused(short, tmp_path):
    said = refused(short, tmp_path, method="bolt", code="too_few_time_points", error=TooFewTimePointsError)
    assert said == "expected at least 20 time points for BolT, found 19"


def test_a_window_shorter_than_a_method_can_read_is_refused(people):
    """Of frames a window is read, however long the scan is."""
    settings = settings_of("mao-4d-cnn-convolution")
    require_possible(settings, people, people.subjects)
    shorter = replace(people, spec=replace(people.spec, window_frames=2))
    with pytest.raises(TooFewTimePointsError, match=r"at least 3 .* found 2"):
        require_possible(settings, shorter, shorter.subjects)


@pytest.mark.parametrize("method", ["mean-mlp", "bolt"])
def test_a_package_that_is_missing_is_named(method, people, tmp_path, monkeypatch):
    monkeypatch.setattr(possible, "find_spec", lambda _name: None)
    said = refused(
        people, tmp_path, method=method, code="methods_not_installed", error=MethodsNotInstalledError
    )
    assert "'ml4fmri'" in said


def test_a_method_that_normalises_over_a_batch_needs_two_in_each(people, tmp_path):
    with pytest.raises(TrainingSettingsError, match="batch_size to be at least 2 for Zou, 3D-CNN"):
        plan_run(
            people,
            people.subjects,
            settings=settings_of("zou-3d-cnn", batch_size=1),
            out=tmp_path / "run",
            device="cpu",
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("labels", "error"),
    [("one", AtlasSingleRegionError), ("outside", AtlasOutsideBrainError)],
)
def test_an_atlas_that_is_none_leaves_nothing_behind(labels, error, people, tmp_path_factory, tmp_path):
    image = np.zeros(CUBE.mask.shape, dtype=np.int16)
    if labels == "one":
        image[CUBE.mask] = 1
    else:
        image[0, 0, 0], image[0, 0, 2] = 1, 2
    path = tmp_path_factory.mktemp("atlas") / "atlas.nii"
    nib.save(nib.Nifti1Image(image, CUBE.affine), path)
    refused(people, tmp_path, method="ridge-connectivity", code=error.code, error=error, regions=str(path))


def test_what_a_method_can_be_trained_on_is_left_alone(people):
    for method in METHODS:
        require_possible(settings_of(method), people, people.subjects)


def test_systems_that_are_impossible_are_named_and_the_others_stay(short):
    grid = {method: settings_of(method) for method in METHODS}
    left, out = leave_out_impossible(
        grid, require=lambda settings: require_possible(settings, short, short.subjects)
    )
    assert {name: why.code for name, why in out.items()} == {
        **dict.fromkeys(READ_MAPS, "cohort_without_maps"),
        "bolt": "too_few_time_points",
    }
    assert list(left) == [method for method in METHODS if method not in out]
    assert left["network"] is grid["network"]


def test_a_fold_with_one_case_to_train_on_is_refused_by_the_methods_own_name(tmp_path):
    store = write_people(tmp_path / "cohort")
    cases = [subject for subject in store.subjects if subject.label == 1]
    few = [subject for subject in store.subjects if subject not in cases[3:]]
    settings = settings_of("mkl", folds=3)
    with pytest.raises(TooFewToSplitError, match=r"method 'mkl': expected at least 2 cases .* found 1 and "):
        plan_run(store, few, settings=settings, out=tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("method", "reads_what_changed"), [("mkl-t1w", True), ("mkl", False)])
def test_a_run_does_not_go_on_over_other_maps(method, reads_what_changed, tmp_path):
    store = write_people(tmp_path / "cohort")
    arguments = {"settings": settings_of(method), "out": tmp_path / "run", "device": "cpu", "threads": 1}
    plan_run(store, store.subjects, **arguments)
    changed = with_other_scans(
        store, tmp_path / "changed", of={store.subjects[0].subject_id}, tissues_alone=True
    )
    if not reads_what_changed:
        plan_run(changed, changed.subjects, **arguments)
        return
    with pytest.raises(RunDiffersError, match="maps_fingerprint"):
        plan_run(changed, changed.subjects, **arguments)
    with pytest.raises(RunDiffersError, match="maps_fingerprint"):
        train_fold(tmp_path / "run", 0, cohort=changed.folder, device="cpu")
