"""Every defect that a header can have, one at a time, and each is refused for what it is."""

import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imaging import ScanError, open_scan
from imaging.dimensions import ScanTooLargeError, TooFewFramesError
from imaging.header import HeaderTooLargeError, NonfiniteHeaderError


def refused(path: Path) -> ScanError:
    with pytest.raises(ScanError) as caught:
        open_scan(path)
    assert "expected" in str(caught.value)
    assert "found" in str(caught.value)
    assert str(path.parent) not in str(caught.value)
    return caught.value


def dims(*lengths: int) -> list[int]:
    return [len(lengths), *lengths, *[1] * (7 - len(lengths))]


NAN_ROW = [float("nan"), 0, 0, 0]

DEFECTS = [
    ("complex_data", {"datatype": 32}),
    ("complex_data", {"datatype": 1792}),
    ("complex_data", {"datatype": 2048}),
    ("colour_data", {"datatype": 128}),
    ("colour_data", {"datatype": 2304}),
    ("unknown_data_type", {"datatype": 0}),
    ("unknown_data_type", {"datatype": 1}),
    ("unknown_data_type", {"datatype": 1536}),
    ("unknown_data_type", {"datatype": -9510}),
    ("not_four_dimensional", {"dim": dims(1260)}),
    ("not_four_dimensional", {"dim": dims(60, 21)}),
    ("not_four_dimensional", {"dim": dims(5, 6, 42)}),
    ("not_four_dimensional", {"dim": dims(5, 6, 42, 1)}),
    ("not_four_dimensional", {"dim": dims(5, 6, 7, 1, 6)}),
    ("not_four_dimensional", {"dim": dims(5, 6, 7, 3, 2)}),
    ("not_four_dimensional", {"dim": dims(5, 6, 7, 3, 1, 2)}),
    ("not_four_dimensional", {"dim": dims(5, 6, 7, 3, 1, 1, 2)}),
    ("bad_dimensions", {"dim": [0, 5, 6, 7, 30, 1, 1, 1]}),
    ("bad_dimensions", {"dim": [8, 5, 6, 7, 30, 1, 1, 1]}),
    ("bad_dimensions", {"dim": [-4, 5, 6, 7, 30, 1, 1, 1]}),
    ("bad_dimensions", {"dim": dims(5, 0, 7, 30)}),
    ("bad_dimensions", {"dim": dims(5, 6, -7, 30)}),
    ("bad_dimensions", {"dim": dims(5, 6, 7, 0)}),
    ("too_few_frames", {"dim": dims(5, 6, 7, 19)}),
    ("missing_repetition_time", {"pixdim": [1, 4, 4, 4, 0, 0, 0, 0]}),
    ("implausible_repetition_time", {"pixdim": [1, 4, 4, 4, -2, 0, 0, 0]}),
    ("implausible_repetition_time", {"pixdim": [1, 4, 4, 4, 2000, 0, 0, 0]}),
    ("implausible_repetition_time", {"xyzt_units": 2 + 16}),
    ("implausible_repetition_time", {"xyzt_units": 2 + 32}),
    ("implausible_repetition_time", {"pixdim": [1, 4, 4, 4, 6.3, 0, 0, 0]}),
    ("no_orientation", {"sform_code": 0, "qform_code": 0}),
    ("singular_affine", {"srow_z": [0, 0, 0, 0]}),
    ("singular_affine", {"srow_y": [4, 0, 0, 0]}),
    ("implausible_affine", {"srow_x": [400, 0, 0, 0]}),
    ("implausible_affine", {"srow_x": [0.01, 0, 0, 0]}),
    ("implausible_affine", {"srow_x": [4, 8, 0, 0]}),
    ("implausible_affine", {"sform_code": 0, "qform_code": 1, "quatern_b": 2}),
    ("implausible_affine", {"sform_code": 0, "qform_code": 1, "pixdim": [1, -4, 4, 4, 2, 0, 0, 0]}),
    ("implausible_affine", {"sform_code": 0, "qform_code": 1, "pixdim": [1, 4, 4, -4, 2, 0, 0, 0]}),
    ("implausible_affine", {"srow_y": [0, 4, 0, -10_001]}),
    ("implausible_affine", {"srow_z": [0, 0, 4, 1e38]}),
    ("nonfinite_header", {"srow_x": NAN_ROW}),
    ("nonfinite_header", {"pixdim": [1, 4, 4, 4, float("inf"), 0, 0, 0]}),
    ("nonfinite_header", {"sform_code": 0, "qform_code": 1, "qoffset_x": float("nan")}),
    ("bad_scaling", {"scl_slope": float("nan")}),
    ("bad_scaling", {"scl_slope": 1, "scl_inter": float("inf")}),
    ("bad_scaling", {"scl_slope": 1e17}),
    ("bad_scaling", {"scl_slope": -2e9}),
    ("bad_scaling", {"scl_slope": 1e-30}),
    ("bad_scaling", {"scl_slope": 1, "scl_inter": 2e12}),
    ("bad_scaling", {"scl_slope": 0, "scl_inter": float("nan")}),
    ("bad_data_offset", {"vox_offset": 0}),
    ("bad_data_offset", {"vox_offset": 351}),
    ("bad_data_offset", {"vox_offset": -352}),
    ("bad_data_offset", {"vox_offset": 352.5}),
    ("bad_data_offset", {"vox_offset": float("nan")}),
    ("header_too_large", {"vox_offset": 1e9}),
    ("scan_too_large", {"dim": dims(32767, 32767, 32767, 32767)}),
    ("scan_too_large", {"dim": dims(5, 6, 7, 32767)}),
    ("cifti", {"intent_code": 3001}),
    ("nifti_pair", {"magic": b"ni1"}),
    ("not_nifti", {"magic": b"xxxx"}),
    ("analyze_format", {"magic": b""}),
]


@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize(("code", "fields"), DEFECTS, ids=[f"{c}-{i}" for i, (c, _) in enumerate(DEFECTS)])
def test_one_defect_is_refused_for_that_defect(code, fields, byte_order, write_nifti, small_bold):
    assert refused(write_nifti(small_bold, byte_order=byte_order, **fields)).code == code


NIFTI2_DEFECTS = [
    ("complex_data", {"datatype": 32}),
    ("bad_dimensions", {"dim": dims(5, 6, 7, -(2**62))}),
    ("scan_too_large", {"dim": dims(2**60, 2**60, 2**60, 2**60)}),
    ("bad_data_offset", {"vox_offset": 540}),
    ("header_too_large", {"vox_offset": 2**62}),
    ("cifti", {"intent_code": 3001}),
    ("implausible_affine", {"srow_x": [1e300, 0, 0, 0]}),
]


@pytest.mark.parametrize(("code", "fields"), NIFTI2_DEFECTS, ids=[c for c, _ in NIFTI2_DEFECTS])
def test_nifti2_is_checked_alike(code, fields, write_nifti, small_bold):
    assert refused(write_nifti(small_bold, nifti2=True, **fields)).code == code


def test_a_cifti_extension_tells_cifti_without_its_intent(write_nifti, small_bold):
    extension = struct.pack("<ii", 32, 6) + b"a comment".ljust(24) + struct.pack("<ii", 16, 32) + b"<CIFTI/>"
    assert refused(write_nifti(small_bold, nifti2=True, extension=extension)).code == "cifti"


def test_a_cifti_extension_is_found_after_another(write_nifti, small_bold):
    """Each extension states its own size; the second is found by the first's."""
    comment = struct.pack("<ii", 48, 6) + b"a comment".ljust(40)
    for extension in (comment + struct.pack("<ii", 16, 32) + b"<CIFTI/>", comment + comment):
        path = write_nifti(small_bold, nifti2=True, extension=extension)
        if b"CIFTI" in extension:
            assert refused(path).code == "cifti"
        else:
            assert open_scan(path).shape == small_bold.shape


def test_other_extensions_are_passed_over(write_nifti, small_bold):
    extension = struct.pack("<ii", 32, 4) + b"AFNI".ljust(24)
    scan = open_scan(write_nifti(small_bold, extension=extension))
    (block,) = scan.blocks(frames_per_block=30)
    np.testing.assert_array_equal(block, small_bold)


@pytest.mark.parametrize("nifti2", [False, True])
@pytest.mark.parametrize("byte_order", ["<", ">"])
def test_a_sound_header_is_read(nifti2, byte_order, write_nifti, small_bold):
    affine = np.array([[-4, 0, 0, 96], [0, 4, 0, -132], [0, 0, 4, -70], [0, 0, 0, 1.0]])
    scan = open_scan(write_nifti(small_bold, affine=affine, nifti2=nifti2, byte_order=byte_order, tr=2.2))
    assert scan.shape == (5, 6, 7, 30)
    np.testing.assert_array_equal(scan.affine, affine)
    assert scan.affine.dtype == np.float64
    assert scan.tr_s == 2.2
    assert scan.zooms_mm == (4, 4, 4)
    assert scan.dtype == np.dtype(byte_order + "i2")
    assert scan.warnings == ()


@pytest.mark.parametrize("slope", [0, 2e-9, -1e9])
def test_an_unusual_scale_is_no_defect(slope, write_nifti, small_bold):
    scan = open_scan(write_nifti(small_bold, scl_slope=slope, scl_inter=-1e11))
    assert scan.samples.slope == pytest.approx(slope or 1)


def test_a_fifth_axis_of_one_is_no_axis(write_nifti, small_bold):
    scan = open_scan(write_nifti(small_bold, dim=dims(5, 6, 7, 30, 1)))
    assert scan.shape == (5, 6, 7, 30)


def test_a_refusal_carries_typed_details(write_nifti, small_bold):
    error = refused(write_nifti(small_bold, dim=dims(5, 6, 7, 19)))
    assert isinstance(error, TooFewFramesError)
    assert error.details() == {"found": 19, "expected": 20}
    huge = refused(write_nifti(small_bold, dim=dims(32767, 32767, 32767, 32767)))
    assert isinstance(huge, ScanTooLargeError)
    assert huge.quantity == "voxels a frame"
    assert huge.found == 32767**3
    late = refused(write_nifti(small_bold, vox_offset=2**25))
    assert isinstance(late, HeaderTooLargeError)
    assert late.found_bytes == 2**25
    broken = refused(write_nifti(small_bold, srow_x=NAN_ROW))
    assert isinstance(broken, NonfiniteHeaderError)
    assert broken.field == "srow_x"


@pytest.mark.parametrize("length", [4, 100, 347])
def test_a_header_cut_short_is_an_incomplete_file(length, write_nifti, small_bold, tmp_path):
    content = write_nifti(small_bold).read_bytes()[:length]
    path = tmp_path / "cut.nii"
    path.write_bytes(content)
    assert refused(path).code == "data_incomplete"


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 347), value=st.integers(0, 255))
def test_no_header_byte_can_cause_anything_but_a_refusal(position, value, write_nifti, small_bold, tmp_path):
    content = bytearray(write_nifti(small_bold).read_bytes())
    content[position] = value
    path = tmp_path / "changed.nii"
    path.write_bytes(content)
    with suppress(ScanError):
        scan = open_scan(path)
        for block in scan.blocks():
            assert block.shape[:3] == scan.shape[:3]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=700),
    start=st.sampled_from([b"", struct.pack("<i", 348), struct.pack(">i", 540)]),
)
def test_arbitrary_bytes_are_refused(content, start, tmp_path):
    path = tmp_path / "bytes"
    path.write_bytes(start + content)
    assert refused(path).code
