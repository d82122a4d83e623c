"""What is known of a run's times: agreed on, asked for, never guessed."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from imaging import ScanError, open_scan
from imaging.native.sidecar import Sidecar, parse_sidecar
from imaging.native.sources import ORDERS, Asked, take_in
from imaging.native.sources.repetition_time import RepetitionTimeDisputedError, require_agreement
from imaging.native.sources.slice_order import slice_times_s

N_SLICES = 5


@pytest.fixture
def work(tmp_path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def nifti(path: Path, *, tr_s: float = 2.0, unit: str = "sec", texts: bytes = b"") -> Path:
    samples = np.arange(4 * 3 * N_SLICES * 20, dtype=np.int16).reshape(4, 3, N_SLICES, 20)
    image = nib.Nifti1Image(samples, np.diag([4.0, 4, 4, 1]))
    image.header.set_xyzt_units("mm", unit)
    image.header["pixdim"][4] = tr_s
    image.header["descrip"] = texts
    image.to_filename(path)
    return path


def sidecar(**fields: object) -> Sidecar:
    return parse_sidecar(json.dumps(fields).encode())


def test_a_sound_file_is_used_as_it_lies(tmp_path, work):
    path = nifti(tmp_path / "a.nii.gz")

    run = take_in(path, work)

    assert (run.path, run.facts.tr_s, run.tr_from, run.origin) == (path, 2.0, "header", "nifti")
    assert list(work.iterdir()) == []


def test_a_name_means_nothing(tmp_path, work):
    path = nifti(tmp_path / "a.nii.gz").rename(tmp_path / "a.dcm.zip")

    assert take_in(path, work).origin == "nifti"


def test_a_sidecar_says_what_the_header_does_not(tmp_path, work):
    path = nifti(tmp_path / "a.nii.gz", tr_s=0, texts=b"Zaphod 1952")

    run = take_in(path, work, asked=Asked(sidecar=sidecar(RepetitionTime=1.5)))

    assert (run.facts.tr_s, run.tr_from) == (1.5, "sidecar")
    scan = open_scan(run.path)
    assert (scan.tr_s, run.path.parent) == (1.5, work)
    assert b"Zaphod" not in run.path.read_bytes()
    assert np.array_equal(nib.load(run.path).dataobj, nib.load(path).dataobj)


def test_a_file_alone_has_no_run_to_be_named(tmp_path, work):
    with pytest.raises(ScanError) as refusal:
        take_in(nifti(tmp_path / "a.nii"), work, asked=Asked(run="run-1"))

    assert refusal.value.code == "run_not_found"


def test_nobody_knows(tmp_path, work):
    with pytest.raises(ScanError) as refusal:
        take_in(nifti(tmp_path / "a.nii", tr_s=0), work)

    assert refusal.value.code == "missing_repetition_time"


def test_header_and_sidecar_that_differ_are_refused_until_somebody_says(tmp_path, work):
    path, beside = nifti(tmp_path / "a.nii"), sidecar(RepetitionTime=2.5)

    with pytest.raises(ScanError) as refusal:
        take_in(path, work, asked=Asked(sidecar=beside))
    assert refusal.value.code == "repetition_times_differ"

    run = take_in(path, work, asked=Asked(sidecar=beside, tr_s=2.5))
    assert (open_scan(run.path).tr_s, run.tr_from) == (2.5, "asked")
    (warning,) = [warning for warning in run.warnings if warning.code == "repetition_time_overridden"]
    assert "given, 2.5 s, found 2 s" in warning.message


def test_a_header_that_cannot_be_is_overruled(tmp_path, work):
    path = nifti(tmp_path / "a.nii", tr_s=2000, unit="sec")

    with pytest.raises(ScanError) as refusal:
        take_in(path, work)
    assert refusal.value.code == "implausible_repetition_time"
    run = take_in(path, work, asked=Asked(tr_s=2.0))
    assert open_scan(run.path).tr_s == 2.0
    (warning,) = [warning for warning in run.warnings if warning.code == "repetition_time_overridden"]
    assert "given, 2 s, found 2000 with the unit 's'" in warning.message


@pytest.mark.parametrize("tr_s", [0.001, 60.0])
def test_what_is_asked_must_be_possible(tmp_path, work, tr_s):
    with pytest.raises(ScanError) as refusal:
        take_in(nifti(tmp_path / "a.nii"), work, asked=Asked(tr_s=tr_s))

    assert refusal.value.code == "implausible_repetition_time"


# By hand: which of five slices is taken first, second, ...
TURNS = {
    "ascending": [0, 1, 2, 3, 4],
    "descending": [4, 3, 2, 1, 0],
    "interleaved-ascending": [0, 2, 4, 1, 3],
    "interleaved-ascending-second-first": [1, 3, 0, 2, 4],
    "interleaved-descending": [4, 2, 0, 3, 1],
    "interleaved-descending-second-first": [3, 1, 4, 2, 0],
}


@pytest.mark.parametrize("order", ORDERS)
def test_an_order_becomes_times(tmp_path, work, order):
    run = take_in(nifti(tmp_path / "a.nii"), work, asked=Asked(slice_order=order))

    assert run.slice_times_from == "asked"
    assert sorted(range(N_SLICES), key=run.facts.slice_times_s.__getitem__) == TURNS[order]
    assert sorted(run.facts.slice_times_s) == pytest.approx([0, 0.4, 0.8, 1.2, 1.6])


def test_siemens_begins_with_the_second_of_an_even_number():
    times = slice_times_s("interleaved-ascending-second-first", n_slices=4, tr_s=2.0)

    assert times == (1.0, 0.0, 1.5, 0.5)


def test_times_of_the_sidecar_are_checked_before_anything_is_computed(tmp_path, work):
    path, beside = nifti(tmp_path / "a.nii"), sidecar(SliceTiming=[0, 1])

    with pytest.raises(ScanError) as refusal:
        take_in(path, work, asked=Asked(sidecar=beside))
    assert refusal.value.code == "bad_slice_times"

    run = take_in(path, work, asked=Asked(sidecar=beside, slice_order="descending"))
    assert "slice_order_overridden" in {warning.code for warning in run.warnings}


def test_a_damaged_file_in_need_of_a_time_is_refused(tmp_path, work):
    path = nifti(tmp_path / "a.nii.gz", tr_s=0)
    path.write_bytes(path.read_bytes()[:-40])

    with pytest.raises(ScanError) as refusal:
        take_in(path, work, asked=Asked(tr_s=2.0))

    assert refusal.value.code == "data_incomplete"


@pytest.mark.parametrize(
    ("dicom_s", "frames_s", "converted_s", "said"),
    [
        (2.0, None, 2.5, "2 s in the DICOM series, 2.5 s in what was converted"),
        (2.0, 2.3, 2.0, "2 s in the DICOM series, 2.3 s between its frames, 2 s"),
        (None, 2.3, 2.0, "2.3 s between its frames, 2 s in what"),
    ],
)
def test_whoever_differs_is_named(dicom_s, frames_s, converted_s, said):
    with pytest.raises(RepetitionTimeDisputedError, match=said):
        require_agreement(dicom_s=dicom_s, frames_s=frames_s, converted_s=converted_s)


@pytest.mark.parametrize(
    ("dicom_s", "frames_s", "converted_s"),
    [(2.0, None, 2.0004), (2.0, 2.01, 2.0), (None, None, 2.0), (2.0, None, None), (None, None, None)],
)
def test_rounding_is_no_dispute(dicom_s, frames_s, converted_s):
    require_agreement(dicom_s=dicom_s, frames_s=frames_s, converted_s=converted_s)
