"""The affine that nibabel reads, or a refusal."""

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nibabel.quaternions import quat2mat

from imaging import open_scan

OBLIQUE = np.array([[-3.9, 0.3, 0.2, 90.0], [0.3, 3.9, 0.4, -120.0], [0.2, -0.4, 3.9, -60.0], [0, 0, 0, 1]])


def test_the_sform_comes_first(write_nifti, small_bold):
    path = write_nifti(small_bold, affine=OBLIQUE, qform_code=1, quatern_b=0.1)
    np.testing.assert_array_equal(open_scan(path).affine, nib.load(path).affine)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rotation=st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: np.linalg.norm(q) > 0.1),
    zooms=st.tuples(*[st.floats(0.5, 10)] * 3),
    handed=st.sampled_from([-1.0, 0.0, 1.0]),
)
def test_the_qform_is_read_as_nibabel_reads_it(rotation, zooms, handed, write_nifti, small_bold):
    quaternion = np.array(rotation) / np.linalg.norm(rotation) * (1 if rotation[0] >= 0 else -1)
    path = write_nifti(
        small_bold,
        sform_code=0,
        qform_code=1,
        pixdim=[handed, *zooms, 2.0, 0, 0, 0],
        **{f"quatern_{name}": value for name, value in zip("bcd", quaternion[1:], strict=True)},
        qoffset_x=1,
        qoffset_y=-2,
        qoffset_z=3,
    )
    affine = open_scan(path).affine
    expected = quat2mat(quaternion) * (np.array(zooms) * [1, 1, -1 if handed < 0 else 1])
    np.testing.assert_allclose(affine[:3, :3], expected, atol=2e-2)
    np.testing.assert_array_equal(affine[:3, 3], [1, -2, 3])


def test_the_qform_matches_nibabel_to_the_last_digit(write_nifti, small_bold):
    path = write_nifti(
        small_bold, sform_code=0, qform_code=1, pixdim=[-1, 3, 3, 4, 2, 0, 0, 0], quatern_b=0.1, quatern_c=0.3
    )
    np.testing.assert_allclose(open_scan(path).affine, nib.load(path).affine, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("unit", "mm"), [(0, 1.0), (1, 1000.0), (2, 1.0), (3, 0.001)])
def test_spatial_units_are_converted(unit, mm, write_nifti, small_bold):
    affine = np.diag([4.0 / mm, 4 / mm, 4 / mm, 1])
    scan = open_scan(write_nifti(small_bold, affine=affine, xyzt_units=unit + 8))
    np.testing.assert_allclose(scan.affine, np.diag([4.0, 4, 4, 1]), rtol=1e-6)


def test_a_conflict_of_the_two_forms_is_said(write_nifti, small_bold):
    fields = {"qform_code": 1, "pixdim": [1, 4, 4, 4, 2, 0, 0, 0]}
    same = open_scan(write_nifti(small_bold, **fields))
    assert same.warnings == ()
    shifted = open_scan(write_nifti(small_bold, qoffset_x=30, **fields))
    (warning,) = shifted.warnings
    assert warning.code == "orientation_conflict"
    assert "30.0 mm" in warning.message


@pytest.mark.parametrize(
    "junk",
    [
        {"quatern_b": 2.0},
        {"quatern_c": float("nan")},
        {"qoffset_y": float("inf")},
        {"qoffset_y": 1e30},
        {"pixdim": [1, 4, -4, 4, 2, 0, 0, 0]},
        {"pixdim": [1, 0, 0, 0, 2, 0, 0, 0]},
    ],
    ids=str,
)
def test_a_qform_without_meaning_beside_a_good_sform_is_only_said(junk, write_nifti, small_bold):
    scan = open_scan(write_nifti(small_bold, affine=OBLIQUE, qform_code=1, **junk))
    np.testing.assert_allclose(scan.affine, OBLIQUE, rtol=1e-6)
    (warning,) = scan.warnings
    assert warning.code == "orientation_conflict"
    assert "no meaning" in warning.message


def test_a_qform_that_nobody_set_is_not_looked_at(write_nifti, small_bold):
    assert open_scan(write_nifti(small_bold, qform_code=0, quatern_b=5)).warnings == ()
