"""``restnet preprocess``: a head that lies askew in the scanner, brought where `predict` takes it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from imaging.simulation_mark import SIMULATION_MARK
from tests.imaging.native.heads import GRID, GRID_SHAPE, distance_mm, head
from tests.imaging.native.people import write_subject
from tests.imaging.native.sources.multiframe import write_multiframe
from tests.imaging.native.sources.series import write_series, zipped

N_FRAMES, TR_S = 26, 2.5


@pytest.fixture(scope="module")
def scan(tmp_path_factory) -> Path:
    generator = np.random.default_rng(4)
    still = head()
    bold = np.stack([still + generator.normal(0, 8, still.shape) for _ in range(N_FRAMES)], axis=-1)
    image = nib.Nifti1Image(bold.astype(np.float32), GRID)
    image.header.set_xyzt_units("mm", "sec")
    image.header["pixdim"][4] = TR_S
    path = tmp_path_factory.mktemp("scanner") / "run.nii.gz"
    image.to_filename(path)
    return path


def test_writes_a_scan_that_is_accepted_and_how_it_was_made(restnet_json, scan: Path, tmp_path: Path):
    sidecar, out = tmp_path / "bold.json", tmp_path / "there.nii.gz"
    slice_times = [round(TR_S * number / 36, 4) for number in range(36)]
    sidecar.write_text(json.dumps({"RepetitionTime": TR_S, "SliceTiming": slice_times}))

    status, answer = restnet_json(
        "preprocess", scan, "--out", out, "--sidecar", sidecar, "--figures", tmp_path / "figures"
    )

    assert status == 0
    for name in ("registration", "carpet"):
        path = Path(answer["figures"][name])
        assert path == tmp_path / "figures" / f"{name}.png"
        with Image.open(path) as image:
            assert image.format == "PNG"
    assert answer["quality"]["n_frames"] == N_FRAMES - 4
    assert answer["slice_timing"] is True
    assert answer["quality"]["mean_displacement_mm"] < 0.2
    assert [warning["code"] for warning in answer["warnings"]] == ["run_short", "few_degrees_of_freedom"]
    # 22 frames of 2.5 s have eight cosines in the band, of which trend and movement take a part.
    assert 0 < answer["quality"]["degrees_of_freedom"] < 8
    written = nib.load(out)
    assert written.shape == (49, 58, 47, N_FRAMES - 4)
    assert written.header.get_zooms()[3] == pytest.approx(TR_S)
    told = json.loads((tmp_path / "there.json").read_text())
    assert told["source"]["sha256"] == answer["scan"]["sha256"]
    assert told["slice_times_s"] == slice_times
    assert told["quality"] == answer["quality"]
    assert str(tmp_path) not in json.dumps(told)
    assert restnet_json("check", out)[1]["accepted"] is True


def test_a_simulated_scan_stays_one(restnet_json, scan: Path, tmp_path: Path):
    image = nib.load(scan)
    image.header["descrip"] = SIMULATION_MARK
    image.to_filename(tmp_path / "made.nii")

    status, answer = restnet_json("preprocess", tmp_path / "made.nii", "--out", tmp_path / "there.nii")

    assert status == 0
    assert "simulated_scan" in {warning["code"] for warning in answer["warnings"]}
    assert SIMULATION_MARK in bytes(nib.load(tmp_path / "there.nii").header["descrip"])


def test_another_repetition_time_in_the_sidecar_is_refused(restnet_json, scan: Path, tmp_path: Path):
    sidecar, out = tmp_path / "bold.json", tmp_path / "there.nii.gz"
    sidecar.write_text(json.dumps({"RepetitionTime": 2.0}))

    status, told = restnet_json("preprocess", scan, "--out", out, "--sidecar", sidecar)

    assert (status, told["error"]["code"]) == (2, "repetition_times_differ")
    assert not out.exists()


def test_noise_is_refused_and_nothing_is_left(restnet_json, tmp_path: Path):
    noise = np.random.default_rng(0).normal(100, 10, (20, 20, 20, 24)).astype(np.float32)
    image = nib.Nifti1Image(noise, np.diag([4.0, 4.0, 4.0, 1.0]))
    image.header.set_xyzt_units("mm", "sec")
    image.header["pixdim"][4] = 2.0
    image.to_filename(tmp_path / "noise.nii")

    status, told = restnet_json("preprocess", tmp_path / "noise.nii", "--out", tmp_path / "there.nii")

    assert (status, told["error"]["code"]) == (2, "registration_failed")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["noise.nii"]


def test_figures_are_not_written_over(restnet_json, scan: Path, tmp_path: Path):
    (tmp_path / "carpet.png").touch()

    status, told = restnet_json("preprocess", scan, "--out", tmp_path / "there.nii", "--figures", tmp_path)

    assert (status, told["error"]["code"]) == (2, "usage")
    assert not (tmp_path / "there.nii").exists()


@pytest.mark.parametrize("out", ["there.txt", "run.nii.gz"])
def test_a_wrong_name_for_what_is_written_is_said_at_once(restnet_json, scan: Path, out: str):
    status, told = restnet_json("preprocess", scan, "--out", scan.with_name(out))

    assert (status, told["error"]["code"]) == (2, "usage")


@pytest.fixture(scope="module")
def dicom(tmp_path_factory) -> Path:
    """The same head as a scanner exports it, of a person whose name is everywhere."""
    generator = np.random.default_rng(4)
    still = head()
    bold = np.stack([still + generator.normal(0, 8, still.shape) for _ in range(N_FRAMES)])
    # Rows run from the front to the back.
    samples = bold.transpose(0, 3, 2, 1)[:, :, ::-1].clip(0).astype(np.uint16)
    front_mm = GRID[1, 3] + GRID[1, 1] * (GRID_SHAPE[1] - 1)
    folder = tmp_path_factory.mktemp("dicom") / "ZAPHODSON_19521103"
    folder.mkdir()
    write_multiframe(
        folder / "ZAPHODSON",
        samples=np.ascontiguousarray(samples),
        tr_s=TR_S,
        corner_mm=(-GRID[0, 3], -front_mm, GRID[2, 3]),
        size_mm=(GRID[1, 1], GRID[2, 2]),
    )
    return zipped(folder, folder.parent / "ZAPHODSON.zip")


def test_dicom_becomes_the_same_scan_and_names_nobody(restnet_json, dicom, scan, tmp_path):
    out, from_nifti = tmp_path / "there.nii.gz", tmp_path / "plain.nii"

    status, answer = restnet_json("preprocess", dicom, "--out", out, "--slice-order", "descending")

    assert status == 0
    expected = {"origin": "dicom", "tr_s": TR_S, "tr_from": "dicom", "slice_times_from": "asked"}
    assert answer["input"] == {**expected, "t1w_available": False}
    assert answer["slice_timing"] is True
    assert [warning["code"] for warning in answer["warnings"]] == ["run_short", "few_degrees_of_freedom"]
    told = json.loads((tmp_path / "there.json").read_text())
    assert expected.items() <= told["source"].items()
    assert "name" not in told["source"]
    for path in tmp_path.iterdir():
        content = nib.load(path).header.binaryblock if path == out else path.read_bytes()
        assert not any(word in content.upper() for word in (b"ZAPHODSON", b"19521103", b"2014"))

    assert restnet_json("preprocess", scan, "--out", from_nifti, "--slice-order", "descending")[0] == 0
    # The head lies where it lay: its left on the left, its front at the front.
    plain = json.loads((tmp_path / "plain.json").read_text())
    assert distance_mm(*(np.array(one["registration"]["transform"]) for one in (told, plain))) < 1


def test_a_person_reads_where_it_came_from(restnet, dicom, tmp_path):
    status, out, _ = restnet("preprocess", dicom, "--out", tmp_path / "there.nii")

    assert status == 0
    assert "from a DICOM series, repetition time 2.5 s by the DICOM images" in out
    assert "(--sidecar, --slice-order)" in out
    assert "[run_short]" in out
    assert "degrees of freedom in the band" in out


def test_a_bids_subject_is_taken_by_its_run(restnet_json, scan, tmp_path):
    func = tmp_path / "study" / "sub-01" / "func"
    func.mkdir(parents=True)
    for number in (1, 2):
        os.link(scan, func / f"sub-01_task-rest_run-{number}_bold.nii.gz")
    (tmp_path / "study" / "task-rest_bold.json").write_text(json.dumps({"RepetitionTime": TR_S}))
    out = tmp_path / "there.nii"

    status, told = restnet_json("preprocess", tmp_path / "study", "--out", out)
    assert (status, told["error"]["code"]) == (2, "several_runs")
    assert not out.exists()

    status, answer = restnet_json("preprocess", tmp_path / "study", "--out", out, "--run", "run-2")
    assert status == 0
    assert (answer["input"]["origin"], answer["input"]["tr_from"]) == ("bids", "sidecar")


def test_a_t1_weighted_image_shows_the_way_given_by_hand_or_in_a_subject(restnet_json, scan, tmp_path):
    run, t1w = write_subject(tmp_path / "study" / "sub-01", mark=b"ZAPHODSON")
    told = {}
    for name, given in (
        ("by_hand", (run, "--t1w", t1w)),
        ("subject", (tmp_path / "study",)),
        ("alone", (run,)),
        ("of_another", (scan, "--t1w", t1w)),
    ):
        status, told[name] = restnet_json("preprocess", *given, "--out", tmp_path / f"{name}.nii")
        assert status == 0
        assert b"ZAPHODSON" not in (tmp_path / f"{name}.json").read_bytes()

    through = {name: answer["registered_through"] for name, answer in told.items()}
    assert through == {"by_hand": "t1w", "subject": "t1w", "alone": "template", "of_another": "template"}
    by_hand, subject = ((tmp_path / f"{name}.nii").read_bytes() for name in ("by_hand", "subject"))
    assert by_hand == subject
    codes = [warning["code"] for warning in told["of_another"]["warnings"]]
    assert codes == ["run_short", "t1w_not_used", "few_degrees_of_freedom"]


def test_a_t1_weighted_image_that_is_not_there_is_said_at_once(restnet_json, scan, tmp_path):
    status, told = restnet_json(
        "preprocess", scan, "--out", tmp_path / "there.nii", "--t1w", tmp_path / "none.nii"
    )

    assert (status, told["error"]["code"]) == (2, "file_not_readable")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "said"), [(("--slice-order", "sideways"), "--slice-order takes one of"), (("--tr", "-1"), "")]
)
def test_a_value_that_cannot_be_is_said_at_once(restnet_json, scan, tmp_path, option, said):
    status, told = restnet_json("preprocess", scan, "--out", tmp_path / "there.nii", *option)

    assert (status, told["error"]["code"]) == (2, "usage")
    assert said in told["error"]["message"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_stopped_leaves_nothing_behind(tmp_path, number):
    packed = zipped(write_series(tmp_path / "series", n_slices=20), tmp_path / "series.zip")
    temporary, out = tmp_path / "temporary", tmp_path / "there.nii"
    temporary.mkdir()
    # The tests themselves may have been started so that they outlive a terminal.
    by_default = ["env", "--default-signal"]
    command = [*by_default, Path(sys.executable).with_name("restnet"), "preprocess", packed, "--out", out]
    process = subprocess.Popen(command, env=os.environ | {"TMPDIR": str(temporary)}, stderr=subprocess.PIPE)
    try:
        ends_at = time.monotonic() + 60
        # Somewhere between the first unpacked image and the end of the conversion.
        while not list(temporary.glob("restnet-*/images/*")) and process.poll() is None:
            assert time.monotonic() < ends_at
            time.sleep(0.001)
        # Under its name there is a scan, or nothing.
        assert not out.exists()
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()

    assert process.returncode == 128 + number
    assert said.decode().splitlines()[-1] == "Stopped."
    assert list(temporary.iterdir()) == []
    assert sorted(tmp_path.iterdir()) == sorted([packed, temporary, tmp_path / "series"])


@pytest.mark.real_data
@pytest.mark.slow
def test_a_real_series_is_predicted_on(shared_data, restnet_json, tmp_path):
    out = tmp_path / "there.nii.gz"

    status, answer = restnet_json(
        "preprocess", shared_data / "dicom/philips_epi_24vols_dicom.zip", "--out", out
    )
    assert (status, answer["input"]["tr_from"], answer["quality"]["n_frames"]) == (0, "dicom", 20)
    assert {warning["code"] for warning in answer["warnings"]} == {
        "dicom_frames_missing",
        "run_short",
        "few_degrees_of_freedom",
    }
    content = out.read_bytes() + Path(answer["provenance"]).read_bytes()
    assert not any(word in content for word in (b"Jane", b"1966", b"oneback", b"studyforrest"))

    status, (predicted,) = restnet_json("predict", out)
    assert status == 0
    assert 0 < predicted["adhd_probability"] < 1
