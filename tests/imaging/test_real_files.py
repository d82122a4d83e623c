"""Real scans, and real damage: what the folder of test data says must happen, happens."""

import csv
from pathlib import Path

import numpy as np
import pytest

from imaging import ScanError, check_scan, open_scan, preprocess

pytestmark = pytest.mark.real_data

ATHENA_LIKE = "athena_like/sfnwmrda9990002_session_1_rest_1.nii.gz"

# The control of malformed/ and its sound variants are crops: only coverage speaks against them.
MALFORMED = {
    "analyze75.hdr": "analyze_format",
    "analyze75.img": "not_nifti",
    "bad_magic.nii.gz": "not_nifti",
    "empty.nii.gz": "empty_file",
    "five_volumes.nii.gz": "too_few_frames",
    "gz_named_but_raw.nii.gz": "not_in_template_space",
    "gzip_bitflip.nii.gz": "gzip_corrupt",
    "gzip_bomb_50MB_zeros.nii.gz": "data_too_long",
    "nan_voxels.nii.gz": "nonfinite_values",
    "nifti2.nii.gz": "not_in_template_space",
    "no_sform_no_qform.nii.gz": "no_orientation",
    "ok_int16.nii.gz": "not_in_template_space",
    "only_3d.nii.gz": "not_four_dimensional",
    "third_party/5d_1x2x3x1x3.nii": "not_four_dimensional",
    "third_party/analyze_header_only.hdr": "analyze_format",
    "third_party/bigendian_float_3d.nii.gz": "not_four_dimensional",
    "third_party/cifti_matrix.dconn.nii": "cifti",
    "third_party/complex128_2d.nii": "complex_data",
    "third_party/complex64_2d.nii": "complex_data",
    "third_party/crash-08123ef3.nii": "not_nifti",
    "third_party/crash-1.nii": "not_nifti",
    "third_party/crash-98aa0543.nii": "not_nifti",
    "third_party/crash-d03c6346.nii": "not_nifti",
    "third_party/crash-ed7d4634.nii": "not_nifti",
    "third_party/freesurfer_4d.mgz": "not_nifti",
    "third_party/mask_40x20x1x2.nii.gz": "too_few_frames",
    "third_party/minimal_gz_pair.hdr.gz": "nifti_pair",
    "third_party/minimal_gz_pair.img.gz": "not_nifti",
    "third_party/minimal_pair.hdr": "nifti_pair",
    "third_party/minimal_pair.img": "not_nifti",
    "third_party/nifti2_2vols_TR2000sec.nii.gz": "too_few_frames",
    "third_party/not_nifti.nii": "not_nifti",
    "third_party/rgb24_3d.nii": "colour_data",
    "third_party/rgb24_4d.nii": "colour_data",
    "third_party/rgba32_4d.nii": "colour_data",
    "tr_msec.nii.gz": "not_in_template_space",
    "tr_zero.nii.gz": "missing_repetition_time",
    "truncated_half.nii.gz": "data_incomplete",
}

WRONG_MODALITY = {
    "ASL_pcasl_52x68x20x10.nii.gz": "too_few_frames",
    "CT_head_175x248x58.nii.gz": "not_four_dimensional",
    "EPI_phantom_GE_64x64x8x8.nii.gz": "too_few_frames",
    "T1w_crop_33x41x25.nii": "not_four_dimensional",
    "T1w_defaced_104x150x133.nii.gz": "not_four_dimensional",
}

# The nitime crop holds 352 bytes more than its header promises: a writer left a gap behind the header, so
# that a reader which trusts the offset (nibabel does) gets every sample 176 places late.
BOLD = {
    "GE_epi_human_64x64x15x10.nii.gz": "too_few_frames",
    "Siemens_epi_human_86x86x39x2.nii.gz": "too_few_frames",
    "ds205_sub-03_bold_53x53x27x40_TR2.2.nii.gz": "not_in_template_space",
    "nipy_functional_17x21x3x20.nii.gz": "not_in_template_space",
    "nipype_ds003_sub-01_16x16x9x20.nii.gz": "no_orientation",
    "nitime_fmri1_10x10x18x40.nii.gz": "data_too_long",
}


def code_of(path: Path) -> str:
    with pytest.raises(ScanError) as caught:
        check_scan(path)
    return caught.value.code


@pytest.mark.parametrize(("name", "code"), MALFORMED.items())
def test_malformed_files_are_refused_for_their_defect(name, code, shared_data):
    assert code_of(shared_data / "malformed" / name) == code


@pytest.mark.parametrize(("name", "code"), WRONG_MODALITY.items())
def test_wrong_modalities_are_refused(name, code, shared_data):
    assert code_of(shared_data / "wrong_modality" / name) == code


@pytest.mark.parametrize(("name", "code"), BOLD.items())
def test_real_scans_outside_template_space_are_refused(name, code, shared_data):
    assert code_of(shared_data / "bold" / name) == code


def test_the_tables_above_are_complete(shared_data):
    with (shared_data / "malformed" / "EXPECT.tsv").open() as table:
        assert {row["file"] for row in csv.DictReader(table, delimiter="\t")} == set(MALFORMED)
    for folder, known in (("wrong_modality", WRONG_MODALITY), ("bold", BOLD)):
        assert {path.name for path in (shared_data / folder).iterdir()} == set(known)


@pytest.mark.parametrize(
    "name", ["ok_int16.nii.gz", "nifti2.nii.gz", "gz_named_but_raw.nii.gz", "tr_msec.nii.gz"]
)
def test_sound_variants_of_the_control_hold_the_same_scan(name, shared_data):
    control = open_scan(shared_data / "malformed" / "ok_int16.nii.gz")
    variant = open_scan(shared_data / "malformed" / name)
    assert variant.tr_s == 2.2
    np.testing.assert_allclose(variant.affine, control.affine, atol=1e-5)
    for one, other in zip(variant.blocks(), control.blocks(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_athena_like_scan_is_accepted(shared_data):
    report = check_scan(shared_data / ATHENA_LIKE)
    assert report.scan["shape"] == [49, 58, 47, 82]
    quality = report.quality
    assert (quality.n_frames, quality.tr_s) == (82, 2.2)
    # Zero mean, so no tSNR and no intensity; its lowest slices are empty; filtered before.
    assert (quality.tsnr, quality.mean_intensity) == (None, None)
    assert quality.temporal_sd is not None
    assert 0.8 < quality.template_coverage < 0.92
    assert quality.in_band_power is not None
    assert quality.in_band_power > 0.7
    assert 0.8 < quality.dvars_mean < 1.3


def test_the_athena_like_scan_becomes_input(shared_data):
    prepared = preprocess(open_scan(shared_data / ATHENA_LIKE))
    assert prepared.frames.shape == (90, 34, 34, 34)
    assert np.isfinite(prepared.frames).all()
    starts, windows = prepared.windows()
    assert windows.shape == (8, 20, 34, 34, 34)
    assert (starts[0], starts[-1]) == (0, 70)
