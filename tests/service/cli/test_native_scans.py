"""``check``, ``predict`` and ``explain`` of a run in the scanner's space, in each of its forms."""

import json
from pathlib import Path
from shutil import copyfile

import nibabel as nib
import numpy as np
import pytest

from tests.imaging.native.heads import short_run, write_run
from tests.imaging.native.sources.multiframe import write_head
from tests.imaging.native.sources.series import zipped


@pytest.fixture(scope="module")
def untimed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose header has no repetition time."""
    return write_run(tmp_path_factory.mktemp("untimed") / "run.nii.gz", short_run(), tr_s=0.0)


@pytest.fixture
def subject(native_scan: Path, tmp_path: Path) -> Path:
    """A BIDS subject with two resting runs."""
    folder = tmp_path / "sub-01"
    for number in (1, 2):
        run = folder / "func" / f"sub-01_task-rest_run-{number}_bold.nii.gz"
        run.parent.mkdir(parents=True, exist_ok=True)
        copyfile(native_scan, run)
    times_s = [round(2.5 * number / 36, 4) for number in range(36)]
    (folder / "func" / "sub-01_task-rest_run-2_bold.json").write_text(json.dumps({"SliceTiming": times_s}))
    return folder


def test_check_says_what_would_happen_to_a_run_and_what_there_is_to_give(restnet, restnet_json, native_scan):
    status, answer = restnet_json("check", native_scan)

    assert status == 0
    assert list(answer) == [
        "scan",
        "accepted",
        "space",
        "input",
        "slice_timing",
        "dropped_frames",
        "warnings",
    ]
    assert (answer["accepted"], answer["space"], answer["slice_timing"]) == (True, "native", False)
    assert (answer["scan"]["shape"], answer["dropped_frames"]["dropped"]) == ([64, 64, 36, 30], 4)
    assert {"origin": "nifti", "tr_s": 2.5, "tr_from": "header"}.items() <= answer["input"].items()
    assert [warning["code"] for warning in answer["warnings"]] == ["run_short", "slice_times_unknown"]

    status, said, _ = restnet("check", native_scan)
    assert status == 0
    assert "accepted so far, in the scanner's space" in said
    assert "repetition time 2.5 s by the file's header" in said
    assert "4 of 30 frames at the start would be left out" in said
    assert "--slice-order ORDER, or --sidecar FILE with SliceTiming" in said


def test_an_order_of_slices_that_is_given_is_not_asked_for(restnet, native_scan):
    _, said, _ = restnet("check", native_scan, "--slice-order", "ascending")

    assert "slices would be brought to one time, as given" in said
    assert "--slice-order ORDER" not in said


@pytest.mark.parametrize("command", ["check", "predict", "explain"])
def test_a_run_without_a_repetition_time_is_refused_with_what_to_give(
    restnet, restnet_json, untimed, tmp_path, command
):
    options = ("--out", tmp_path / "map.nii") if command == "explain" else ()
    status, answer = restnet_json(command, untimed, *options)
    [told] = answer if command == "predict" else [answer]

    assert (status, told["error"]["code"]) == (2, "missing_repetition_time")
    assert "--tr" in restnet(command, untimed, *options)[2]
    assert not (tmp_path / "map.nii").exists()


@pytest.mark.parametrize("tr_s", ["0", "60"])
def test_a_time_that_cannot_be_is_the_options_fault_and_not_the_headers(restnet_json, untimed, tr_s):
    status, answer = restnet_json("check", untimed, "--tr", tr_s)

    assert (status, answer["error"]["code"]) == (2, "usage")
    assert "--tr" in answer["error"]["message"]
    assert "pixdim" not in answer["error"]["message"]


def test_the_time_that_is_given_is_taken_as_if_the_header_said_it(
    restnet_json, untimed, native_scan, tmp_path
):
    sidecar = tmp_path / "bold.json"
    sidecar.write_text(json.dumps({"RepetitionTime": 2.5}))
    _, by_option = restnet_json("check", untimed, "--tr", "2.5")
    _, by_sidecar = restnet_json("check", untimed, "--sidecar", sidecar)
    assert (by_option["input"]["tr_from"], by_sidecar["input"]["tr_from"]) == ("asked", "sidecar")

    status, [answer] = restnet_json("predict", untimed, "--tr", "2.5")
    assert status == 0
    _, [stated] = restnet_json("predict", native_scan)
    # The interval is drawn by the file's digest, and the two files differ.
    assert answer["adhd_probability"] == stated["adhd_probability"]
    assert answer["normalisation"]["input"]["tr_from"] == "asked"
    assert stated["normalisation"]["input"]["tr_from"] == "header"
    assert "run_short" in {warning["code"] for warning in stated["warnings"]}
    assert answer["scan"]["tr_s"] == 2.5


def test_a_scan_in_template_space_without_a_time_is_taken_too(restnet_json, simulated_scan, tmp_path):
    image = nib.load(simulated_scan)
    tr_s = float(image.header["pixdim"][4])
    image.header["pixdim"][4] = 0
    path = tmp_path / "untimed.nii.gz"
    image.to_filename(path)
    assert restnet_json("check", path)[1]["error"]["code"] == "missing_repetition_time"

    _, answer = restnet_json("check", path, "--tr", tr_s)
    _, stated = restnet_json("check", simulated_scan)
    assert (answer["space"], answer["quality"]) == ("template", stated["quality"])
    assert answer["scan"]["sha256"] != stated["scan"]["sha256"]
    _, other = restnet_json("check", simulated_scan, "--tr", tr_s + 0.5)
    assert "repetition_time_overridden" in {warning["code"] for warning in other["warnings"]}
    assert other["scan"]["sha256"] == stated["scan"]["sha256"]


def test_a_run_of_a_subject_is_named(restnet, restnet_json, subject, tmp_path):
    archive = zipped(subject, tmp_path / "subject.zip")
    for handed_over in (subject, archive):
        status, answer = restnet_json("check", handed_over)
        assert (status, answer["error"]["code"]) == (2, "several_runs")
        assert "Name one (run-...): --run" in restnet("check", handed_over)[2]

        status, answer = restnet_json("check", handed_over, "--run", "run-2")
        assert status == 0
        expected = {"origin": "bids", "slice_times_from": "sidecar", "tr_from": "header"}
        assert expected.items() <= answer["input"].items()

    status, [answer] = restnet_json("predict", archive, "--run", "run-2")
    assert status == 0
    assert (answer["space"], answer["scan"]["name"]) == ("native", "subject.zip")
    assert answer["normalisation"]["slice_timing"] is True
    assert answer["normalisation"]["input"]["origin"] == "bids"


def test_a_dicom_series_is_looked_at_as_a_folder_and_as_a_zip(restnet_json, native_scan, tmp_path):
    folder = tmp_path / "series"
    write_head(folder / "image", np.asarray(nib.load(native_scan).dataobj))
    for handed_over in (folder, zipped(folder, tmp_path / "series.zip")):
        status, answer = restnet_json("check", handed_over)
        assert status == 0
        assert (answer["space"], answer["scan"]["shape"]) == ("native", [64, 64, 36, 30])
        assert {"origin": "dicom", "tr_s": 2.5, "tr_from": "dicom"}.items() <= answer["input"].items()
    assert restnet_json("check", folder, "--run", "99")[1]["error"]["code"] == "run_not_found"


def test_samples_that_are_no_raw_run_are_seen_without_registration(restnet_json, native_scan, tmp_path):
    image = nib.load(native_scan)
    samples = np.asarray(image.dataobj, dtype=np.float32)
    samples -= samples.mean(axis=-1, keepdims=True)
    nib.Nifti1Image(samples, image.affine, image.header).to_filename(tmp_path / "filtered.nii")

    status, answer = restnet_json("check", tmp_path / "filtered.nii")

    assert (status, answer["error"]["code"]) == (2, "signal_filtered")


def test_a_map_of_a_run_lies_over_the_template(restnet, restnet_json, native_scan, tmp_path):
    grad_cam = ("--method", "grad-cam")
    status, answer = restnet_json("explain", native_scan, "--out", tmp_path / "map.nii.gz", *grad_cam)
    assert status == 0
    assert (answer["space"], answer["normalisation"]["dropped_frames"]) == ("native", 4)
    # By hand, one command after the other, it comes to the same.
    assert restnet("preprocess", native_scan, "--out", tmp_path / "there.nii.gz")[0] == 0
    out = ("--out", tmp_path / "hand.nii.gz")
    _, by_hand = restnet_json("explain", tmp_path / "there.nii.gz", *out, *grad_cam)
    assert (by_hand["space"], by_hand["normalisation"]) == ("template", None)
    assert by_hand["logit"] == answer["logit"]
    drawn, expected = (nib.load(tmp_path / f"{name}.nii.gz") for name in ("map", "hand"))
    assert np.array_equal(drawn.affine, expected.affine)
    assert np.array_equal(np.asarray(drawn.dataobj), np.asarray(expected.dataobj))
    _, said, _ = restnet("explain", native_scan, "--out", tmp_path / "said.nii.gz", *grad_cam)
    assert "brought into template space here: 4 frames dropped" in said


def test_what_is_of_one_scan_is_not_said_of_two(restnet_json, native_scan, simulated_scan):
    status, told = restnet_json("predict", native_scan, simulated_scan, "--run", "run-1")
    assert (status, told["error"]["code"]) == (2, "usage")
    status, told = restnet_json("check", native_scan, "--slice-order", "upwards")
    assert (status, told["error"]["code"]) == (2, "usage")
