"""Every real type, byte order and scale gives the values that an independent reader (nibabel) gives."""

import nibabel as nib
import numpy as np
import pytest

from imaging import BoldScan, open_scan
from imaging.sample_type import ComplexDataError, UnknownDataTypeError
from imaging.samples import frames_in_a_block

REAL_TYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"]


def values(scan: BoldScan, frames_per_block: int | None = None) -> np.ndarray:
    return np.concatenate(list(scan.blocks(frames_per_block=frames_per_block)), axis=3)


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("stored", REAL_TYPES)
def test_values_agree_with_nibabel(stored, byte_order, name, write_nifti):
    rng = np.random.default_rng(3)
    dtype = np.dtype(stored)
    low, high = (-1000, 1000) if dtype.kind == "f" else (max(np.iinfo(dtype).min, -1000), 100)
    bold = rng.uniform(low, high, (4, 5, 6, 21)).astype(dtype)
    path = write_nifti(bold, byte_order=byte_order, name=name, scl_slope=0.25, scl_inter=-3)
    np.testing.assert_array_equal(values(open_scan(path)), nib.load(path).get_fdata(dtype=np.float32))


@pytest.mark.parametrize(("slope", "intercept"), [(0, 7), (1, 0), (-2.5, 100), (1e-3, 0)])
def test_slope_and_intercept(slope, intercept, write_nifti, small_bold):
    scan = open_scan(write_nifti(small_bold, scl_slope=slope, scl_inter=intercept))
    scale = np.float32(slope)
    expected = small_bold if slope == 0 else small_bold * float(scale) + float(np.float32(intercept))
    np.testing.assert_allclose(values(scan), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("frames_per_block", [1, 7, 29, 30, 64, None])
def test_blocks_cover_the_scan_once_whatever_their_size(frames_per_block, write_nifti, small_bold):
    from_file = open_scan(write_nifti(small_bold))
    from_array = BoldScan.from_array(small_bold, affine=np.diag([4.0, 4, 4, 1]), tr_s=2.0)
    np.testing.assert_array_equal(values(from_file, frames_per_block), small_bold)
    np.testing.assert_array_equal(values(from_array, frames_per_block), small_bold)


def test_a_block_is_the_callers_to_keep(write_nifti, small_bold):
    blocks = list(open_scan(write_nifti(small_bold)).blocks(frames_per_block=5))
    assert all(block.dtype == np.float32 for block in blocks)
    blocks[0][:] = 0
    np.testing.assert_array_equal(blocks[1], small_bold[..., 5:10])


def test_an_array_may_lie_in_any_order(small_bold):
    for order in "CF":
        scan = BoldScan.from_array(
            np.array(small_bold, order=order), affine=np.diag([4.0, 4, 4, 1]), tr_s=2.0
        )
        np.testing.assert_array_equal(values(scan, 4), small_bold)


@pytest.mark.parametrize(("dtype", "refusal"), [("c8", ComplexDataError), ("f2", UnknownDataTypeError)])
def test_an_array_of_a_type_that_no_file_has_is_refused(dtype, refusal, small_bold):
    with pytest.raises(refusal):
        BoldScan.from_array(small_bold.astype(dtype), affine=np.diag([4.0, 4, 4, 1]), tr_s=2.0)


def test_blocks_stay_small_whatever_the_scan():
    assert frames_in_a_block((49, 58, 47, 172), 4) == 15
    assert frames_in_a_block((91, 109, 91, 1200), 4) == 2
    assert frames_in_a_block((250, 200, 200, 1200), 4) == 1
    assert frames_in_a_block((5, 5, 5, 1200), 1) == 32
