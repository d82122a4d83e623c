"""BIDS subjects: the resting run with its inherited sidecars, and never a guess among several."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from imaging import ScanError, open_scan
from imaging.native.sources import Asked, take_in
from tests.imaging.native.sources.series import write_series, zipped

N_SLICES = 4


@pytest.fixture
def work(tmp_path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def bold(path: Path, *, n_frames: int = 20, tr_s: float = 2.0, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(seed).integers(0, 900, (5, 4, N_SLICES, n_frames)).astype(np.int16)
    image = nib.Nifti1Image(samples, np.diag([4.0, 4, 4, 1]))
    image.header.set_xyzt_units("mm", "sec")
    image.header["pixdim"][4] = tr_s
    image.header["descrip"] = b"Zaphod"
    image.to_filename(path)
    return path


def t1w(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(np.ones((6, 6, 6), dtype=np.int16), np.eye(4))
    image.header["descrip"] = b"Zaphod"
    image.to_filename(path)
    return path


def says(path: Path, **fields: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(fields))


@pytest.fixture
def dataset(tmp_path) -> Path:
    root = tmp_path / "dataset"
    says(root / "dataset_description.json", Name="Study")
    (root / "participants.tsv").write_text("participant_id\nsub-01\n")
    bold(root / "sub-01" / "func" / "sub-01_task-rest_bold.nii.gz", n_frames=22)
    bold(root / "sub-01" / "func" / "sub-01_task-nback_bold.nii.gz", n_frames=30)
    t1w(root / "sub-01" / "anat" / "sub-01_T1w.nii.gz")
    return root


def refused(path: Path, work: Path, *, run: str | None = None) -> ScanError:
    with pytest.raises(ScanError) as refusal:
        take_in(path, work, asked=Asked(run=run))
    return refusal.value


@pytest.mark.parametrize("packed", [True, False])
def test_the_resting_run_is_taken_with_what_its_subject_has(tmp_path, work, dataset, packed):
    says(dataset / "task-rest_bold.json", RepetitionTime=2.0, SliceTiming=[0, 0.5, 1.0, 1.5])

    run = take_in(zipped(dataset, tmp_path / "z") if packed else dataset, work)

    assert (run.origin, run.tr_from, run.slice_times_from) == ("bids", "sidecar", "sidecar")
    assert run.facts.slice_times_s == (0, 0.5, 1.0, 1.5)
    assert open_scan(run.path).n_frames == 22
    assert nib.load(run.t1w).shape == (6, 6, 6)
    assert sorted(work.iterdir()) == [run.path, run.t1w]
    assert not any(b"Zaphod" in path.read_bytes() for path in work.iterdir())
    assert run.to_json()["t1w_available"] is True


def test_a_t1w_that_is_damaged_does_not_refuse_the_run(work, dataset):
    path = dataset / "sub-01" / "anat" / "sub-01_T1w.nii.gz"
    path.write_bytes(path.read_bytes()[:-9])

    run = take_in(dataset, work)

    assert open_scan(run.path).n_frames == 22
    assert sorted(work.iterdir()) == sorted([run.path, run.t1w])


def test_the_nearest_sidecar_counts_field_by_field(work, dataset):
    times = [0, 0.5, 1.0, 1.5]
    says(dataset / "bold.json", RepetitionTime=9.0, SliceTiming=times)
    says(dataset / "task-rest_bold.json", RepetitionTime=8.0)
    says(dataset / "sub-01" / "func" / "sub-01_task-rest_bold.json", RepetitionTime=2.0)
    # About others.
    says(dataset / "task-nback_bold.json", RepetitionTime=7.0)
    says(dataset / "task-rest_acq-fast_bold.json", RepetitionTime=6.0)
    says(dataset / "sub-01" / "anat" / "task-rest_bold.json", RepetitionTime=5.0)

    run = take_in(dataset, work)

    assert (run.facts.tr_s, run.facts.slice_times_s) == (2.0, tuple(times))


def test_a_subjects_folder_alone_hears_what_lies_beside_it(work, dataset):
    says(dataset / "task-rest_bold.json", SliceTiming=[0, 1.5, 1.0, 0.5])

    run = take_in(dataset / "sub-01", work)

    assert (run.origin, run.facts.slice_times_s) == ("bids", (0, 1.5, 1.0, 0.5))


def test_slices_that_are_numbered_from_the_other_end(work, dataset):
    says(dataset / "task-rest_bold.json", SliceTiming=[0, 0.5, 1.0, 1.5], SliceEncodingDirection="k-")

    assert take_in(dataset, work).facts.slice_times_s == (1.5, 1.0, 0.5, 0)


@pytest.mark.parametrize(
    "fields", [{"SliceTiming": [0], "SliceEncodingDirection": "i"}, {"VolumeTiming": [0, 2, 7]}]
)
def test_a_sidecar_that_this_software_cannot_follow_is_refused(work, dataset, fields):
    says(dataset / "task-rest_bold.json", **fields)

    assert refused(dataset, work).code == "bad_sidecar"


def test_another_repetition_time_than_the_headers_is_refused(work, dataset):
    says(dataset / "task-rest_bold.json", RepetitionTime=2.5)

    assert refused(dataset, work).code == "repetition_times_differ"


def test_several_runs_are_never_chosen_from(work, dataset):
    func = dataset / "sub-01" / "func"
    bold(func / "sub-01_task-rest_run-2_bold.nii.gz", n_frames=25)
    (func / "sub-01_task-rest_bold.nii.gz").rename(func / "sub-01_task-rest_run-1_bold.nii.gz")

    refusal = refused(dataset, work)

    assert (refusal.code, refusal.n_runs, refusal.differ_in) == ("several_runs", 2, ["run"])
    assert "Name one (run-...): --run of a command, the field run of an upload" in str(refusal)
    run = take_in(dataset, work, asked=Asked(run="run-2"))
    assert open_scan(run.path).n_frames == 25


@pytest.mark.parametrize("named", ["task-rest_run-1", "sub-01_task-rest_run-1_bold", "run-1"])
def test_a_run_is_named_by_what_tells_it_apart(tmp_path, work, named):
    func = tmp_path / "d" / "sub-01" / "func"
    bold(func / "sub-01_task-rest_run-1_bold.nii", n_frames=21)
    bold(func / "sub-01_task-rest_run-2_bold.nii", n_frames=25)

    assert open_scan(take_in(tmp_path / "d", work, asked=Asked(run=named)).path).n_frames == 21


def test_sessions_are_told_apart_without_their_names(tmp_path, work):
    for day in ("20140101", "20150202"):
        folder = tmp_path / "d" / "sub-01" / f"ses-{day}" / "func"
        bold(folder / f"sub-01_ses-{day}_task-rest_bold.nii.gz")

    refusal = refused(tmp_path / "d", work)

    assert refusal.differ_in == ["ses"]
    assert "2014" not in str(refusal) + str(refusal.details())


def test_another_task_is_taken_where_nothing_rests_and_said(work, dataset):
    (dataset / "sub-01" / "func" / "sub-01_task-rest_bold.nii.gz").unlink()

    run = take_in(dataset, work)

    assert open_scan(run.path).n_frames == 30
    assert "task_not_rest" in {warning.code for warning in run.warnings}


def test_a_task_is_taken_when_it_is_named(work, dataset):
    assert open_scan(take_in(dataset, work, asked=Asked(run="task-nback")).path).n_frames == 30


def test_a_run_that_is_not_there(work, dataset):
    refusal = refused(dataset, work, run="run-7")

    assert (refusal.code, refusal.found) == ("run_not_found", 2)


def test_several_subjects_are_a_cohort(work, dataset):
    bold(dataset / "sub-02" / "func" / "sub-02_task-rest_bold.nii.gz")

    refusal = refused(dataset, work)

    assert (refusal.code, refusal.n_subjects) == ("several_subjects", 2)


def test_what_others_made_of_it_is_not_the_run(work, dataset):
    name = "sub-01_task-rest_bold.nii.gz"
    bold(dataset / "derivatives" / "sub-01" / "func" / name, n_frames=40)
    bold(dataset / "__MACOSX" / "sub-01" / "func" / f"._{name}", n_frames=41)
    bold(dataset / "sub-01" / "anat" / name, n_frames=42)

    assert open_scan(take_in(dataset, work).path).n_frames == 22


def test_dicom_beside_it_does_not_matter(work, dataset):
    write_series(dataset / "sourcedata" / "sub-01")

    assert take_in(dataset, work).origin == "bids"


def test_data_sets_of_links_are_followed(tmp_path, work, dataset):
    # As DataLad keeps them.
    path = dataset / "sub-01" / "func" / "sub-01_task-rest_bold.nii.gz"
    path.rename(tmp_path / "annexed")
    path.symlink_to(tmp_path / "annexed")

    assert open_scan(take_in(dataset, work).path).n_frames == 22


def test_a_run_that_was_not_fetched_is_not_passed_over(work, dataset):
    for path in ("func/sub-01_task-rest_bold.nii.gz", "anat/sub-01_T1w.nii.gz"):
        (dataset / "sub-01" / path).unlink()
        (dataset / "sub-01" / path).symlink_to("../../.git/annex/objects/none")

    with pytest.raises(FileNotFoundError):
        take_in(dataset, work)
    run = take_in(dataset, work, asked=Asked(run="task-nback"))
    assert run.t1w is None


def test_a_folder_with_neither(tmp_path, work):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.txt").write_text("words")

    refusal = refused(tmp_path / "d", work)

    assert (refusal.code, refusal.found) == ("no_run_found", "neither among 1 file")


def test_a_run_without_a_bids_name_is_to_be_handed_over_by_itself(tmp_path, work):
    bold(tmp_path / "d" / "Doe.nii.gz")

    refusal = refused(tmp_path / "d", work)

    assert refusal.code == "no_run_found"
    assert refusal.found.endswith("hand that over by itself")
    assert "Doe" not in str(refusal)


def test_a_damaged_run_is_refused(work, dataset):
    path = dataset / "sub-01" / "func" / "sub-01_task-rest_bold.nii.gz"
    path.write_bytes(path.read_bytes()[:-60])

    assert refused(dataset, work).code == "data_incomplete"
