"""``restnet explain``: the map that is written, what is said of it, and what is refused before any work."""

import nibabel as nib
import numpy as np
import pytest

from imaging import brain_cube

KEYS = [
    "scan",
    "space",
    "normalisation",
    "model",
    "method",
    "map",
    "logit",
    "baseline_logit",
    "completeness_error",
    "start_frames",
    "members",
    "steps",
    "peaks",
]


def test_integrated_gradients_are_written_and_add_up_as_said(restnet_json, simulated_scan, tmp_path):
    file = tmp_path / "map.nii.gz"
    status, answer = restnet_json("explain", simulated_scan, "--out", file)
    assert (status, list(answer)) == (0, KEYS)
    written = nib.load(file)
    values = np.asarray(written.dataobj)
    cube = brain_cube(34)
    np.testing.assert_allclose(written.affine, cube.affine, atol=1e-5)
    assert not values[~cube.mask].any()
    change = answer["logit"] - answer["baseline_logit"]
    assert values.sum(dtype=np.float64) == pytest.approx(change + answer["completeness_error"], abs=1e-4)
    strongest = answer["peaks"][0]
    assert abs(strongest["value"]) == pytest.approx(np.abs(values).max(), rel=1e-5)
    at = np.rint(np.linalg.inv(cube.affine)[:3] @ [*strongest["mni_mm"], 1]).astype(int)
    assert values[tuple(at)] == pytest.approx(strongest["value"], rel=1e-5)


def test_a_person_is_told_what_a_map_is_not(restnet, simulated_scan, tmp_path):
    status, out, _ = restnet("explain", simulated_scan, "--out", tmp_path / "map.nii", "--method", "grad-cam")
    assert status == 0
    assert "not that a region is altered" in out
    assert (tmp_path / "map.nii").stat().st_size > 34**3 * 4


def test_nothing_is_written_over_and_nothing_left_behind(restnet_json, simulated_scan, tmp_path):
    before = simulated_scan.read_bytes()
    status, told = restnet_json("explain", simulated_scan, "--out", simulated_scan)
    assert (status, told["error"]["code"]) == (2, "usage")
    assert simulated_scan.read_bytes() == before
    damaged = tmp_path / "damaged.nii.gz"
    damaged.write_bytes(b"no scan at all")
    status, told = restnet_json("explain", damaged, "--out", tmp_path / "map.nii.gz")
    assert status == 2
    assert [path.name for path in tmp_path.iterdir()] == ["damaged.nii.gz"]
    assert restnet_json("explain", damaged, "--out", tmp_path / "no" / "m.nii")[1]["error"]["code"] == (
        "path_not_usable"
    )
    assert restnet_json("explain", damaged, "--out", tmp_path / "map.png")[1]["error"]["code"] == "usage"
