import hashlib
import json

import pytest

from imaging import ScanError, check_scan, open_scan, scan_identity


def test_an_accepted_scan_is_reported(grids, athena_bold, write_nifti):
    path = write_nifti(athena_bold, affine=grids["athena"][1], name="stored-0f3a.nii.gz")
    report = check_scan(path, display_name="/home/someone/rest 1.nii.gz").to_json()
    assert json.loads(json.dumps(report)) == report
    assert set(report) == {"scan", "accepted", "space", "quality", "warnings"}
    assert report["scan"] == {
        "name": "rest 1.nii.gz",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "shape": [49, 58, 47, 40],
        "zooms_mm": [4.0, 4.0, 4.0],
        "tr_s": 2.0,
        "n_frames": 40,
    }
    assert (report["accepted"], report["space"]) == (True, "template")
    assert report["quality"]["n_frames"] == 40
    assert all(set(warning) == {"code", "message"} for warning in report["warnings"])


def test_without_a_display_name_the_files_own_is_given(write_nifti, small_bold):
    path = write_nifti(small_bold)
    assert scan_identity(open_scan(path), name=str(path), sha256="0" * 64)["name"] == "scan.nii"


def test_a_refused_scan_raises(write_nifti, small_bold):
    with pytest.raises(ScanError) as caught:
        check_scan(write_nifti(small_bold, sform_code=0))
    assert caught.value.code == "no_orientation"


def test_progress_is_passed_on(grids, athena_bold, write_nifti):
    seen: list[tuple[str, float]] = []
    path = write_nifti(athena_bold, affine=grids["athena"][1])
    check_scan(path, progress=lambda *call: seen.append(call))
    assert {stage for stage, _ in seen} == {"reading", "space", "filtering", "scaling"}
