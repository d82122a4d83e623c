import json
import os

import nibabel as nib
import numpy as np
import pytest

from imaging import check_scan
from model import demonstration_checkpoint
from model.prediction import predict_scan
from model.predictor import Predictor

PREDICTION_KEYS = [
    "scan",
    "space",
    "normalisation",
    "model",
    "adhd_probability",
    "interval",
    "decision",
    "decision_rule",
    "threshold",
    "windows",
    "quality",
    "warnings",
    "computed_with",
    "timing_ms",
]


def test_check_prints_the_published_object(restnet_json, simulated_scan):
    status, answer = restnet_json("check", simulated_scan)
    assert status == 0
    assert list(answer) == ["scan", "accepted", "space", "quality", "warnings"]
    assert list(answer["scan"]) == ["name", "sha256", "shape", "zooms_mm", "tr_s", "n_frames"]
    assert answer["accepted"] is True
    assert answer["scan"]["name"] == simulated_scan.name
    assert answer == check_scan(simulated_scan).to_json()


def test_check_tells_a_person_the_same(restnet, simulated_scan):
    status, out, _ = restnet("check", simulated_scan)
    assert status == 0
    assert simulated_scan.name in out
    assert "accepted, in template space" in out
    assert "nobody was measured" in out


def test_a_refusal_names_code_expectation_and_finding(restnet, restnet_json, tmp_path):
    text = tmp_path / "notes.nii"
    text.write_text("this is no scan at all, " * 40)
    status, answer = restnet_json("check", text)
    assert status == 2
    assert answer["error"]["code"] == "not_nifti"
    assert "expected" in answer["error"]["message"]
    status, out, err = restnet("check", text)
    assert (status, out) == (2, "")
    assert "[not_nifti]" in err
    assert "Traceback" not in err


def test_a_missing_file_is_a_refusal(restnet_json, tmp_path):
    status, answer = restnet_json("check", tmp_path / "nowhere.nii.gz")
    assert status == 2
    assert answer["error"]["code"] == "file_not_readable"
    assert str(tmp_path) not in answer["error"]["message"]


def test_a_pipe_is_a_refusal_and_nothing_to_wait_for(restnet, tmp_path):
    os.mkfifo(tmp_path / "scan.nii")
    status, out, err = restnet("check", tmp_path / "scan.nii")
    assert (status, out) == (2, "")
    assert err.startswith("expected a file that can be read, found a pipe: ")


def test_predict_answers_for_each_scan_in_order(restnet_json, simulated_scan, tmp_path):
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(simulated_scan.read_bytes()[:5000])
    status, answers = restnet_json("predict", broken, simulated_scan, tmp_path / "nowhere.nii")
    assert status == 2
    refused, scored, missing = answers
    assert list(refused) == ["scan", "error"]
    assert refused["scan"] == {"name": "broken.nii.gz"}
    assert refused["error"]["code"] == "data_incomplete"
    assert missing["error"]["code"] == "file_not_readable"
    assert list(scored) == PREDICTION_KEYS
    directly = predict_scan(simulated_scan, Predictor.load(demonstration_checkpoint(), device="cpu"))
    assert scored["adhd_probability"] == pytest.approx(directly.classification.adhd_probability, abs=1e-6)
    assert scored["interval"]["low"] <= scored["adhd_probability"] <= scored["interval"]["high"]
    assert np.isclose(scored["timing_ms"]["total"], sum(list(scored["timing_ms"].values())[:3]), rtol=0.05)


def test_predict_tells_a_person_what_it_is_not(restnet, simulated_scan):
    status, out, _ = restnet("predict", simulated_scan)
    assert status == 0
    assert "probability of ADHD 0." in out
    assert "not a diagnosis" in out
    assert "[demonstration_model]" in out


def test_predict_computes_with_what_the_settings_say(restnet_json, simulated_scan, monkeypatch):
    monkeypatch.setenv("RESTNET_BACKEND", "torch")
    (answer,) = restnet_json("predict", simulated_scan)[1]
    assert answer["computed_with"]["backend"] == "torch"
    monkeypatch.setenv("RESTNET_BACKEND", "abacus")
    status, told = restnet_json("predict", simulated_scan)
    assert (status, told["error"]["code"]) == (2, "settings_not_valid")
    assert "RESTNET_BACKEND" in told["error"]["message"]


def test_a_foreign_checkpoint_is_refused(restnet_json, simulated_scan, tmp_path):
    foreign = tmp_path / "model.safetensors"
    foreign.write_bytes(b"\x10\0\0\0\0\0\0\0{}              ")
    status, answer = restnet_json("predict", simulated_scan, "--checkpoint", foreign)
    assert status == 2
    assert answer["error"]["code"] == "checkpoint_corrupt"


def test_a_scan_in_the_scanners_space_is_answered_and_said_to_be_one(
    restnet, restnet_json, native_scan, tmp_path
):
    status, [answer] = restnet_json("predict", native_scan)
    assert status == 0
    assert (answer["space"], answer["scan"]["shape"]) == ("native", [64, 64, 36, 30])
    assert answer["normalisation"]["dropped_frames"] == 4
    assert 0 < answer["adhd_probability"] < 1
    # By hand, one command after the other, it comes to the same.
    assert restnet("preprocess", native_scan, "--out", tmp_path / "kept.nii.gz")[0] == 0
    _, [by_hand] = restnet_json("predict", tmp_path / "kept.nii.gz")
    assert by_hand["adhd_probability"] == answer["adhd_probability"]
    assert (by_hand["space"], by_hand["normalisation"]) == ("template", None)
    _, said, _ = restnet("predict", native_scan)
    assert "brought into template space here: 4 frames dropped" in said


def test_a_sidecar_says_when_slices_were_taken(restnet, restnet_json, native_scan, simulated_scan, tmp_path):
    sidecar = tmp_path / "run.json"
    sidecar.write_text(json.dumps({"RepetitionTime": 2.5, "SliceTiming": [i / 15 for i in range(36)]}))
    _, [answer] = restnet_json("predict", native_scan, "--sidecar", sidecar)
    assert answer["normalisation"]["slice_timing"] is True
    sidecar.write_text(json.dumps({"RepetitionTime": 2.0}))
    status, [answer] = restnet_json("predict", native_scan, "--sidecar", sidecar)
    assert (status, answer["error"]["code"]) == (2, "repetition_times_differ")
    status, _, told = restnet("predict", native_scan, simulated_scan, "--sidecar", sidecar)
    assert status == 2
    assert "of one scan" in told


def test_half_a_brain_is_refused(restnet_json, native_scan, tmp_path):
    half = nib.load(native_scan).slicer[:, :30]
    half.to_filename(tmp_path / "half.nii.gz")
    status, [answer] = restnet_json("predict", tmp_path / "half.nii.gz")
    assert (status, answer["error"]["code"]) == (2, "brain_cut_off")
