"""The ways in which scanners and archives write the same run, each converted to the last sample."""

import gzip
from importlib import resources
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGLosslessSV1, MRImageStorage, generate_uid

from imaging import ScanError, open_scan
from imaging.native.sources import Asked, take_in
from tests.imaging.native.sources.lossless_jpeg import lossless_jpeg
from tests.imaging.native.sources.multiframe import write_multiframe
from tests.imaging.native.sources.series import N_FRAMES, N_SLICES, volumes, write_series

COMPRESSED = {
    "MR_small_RLE.dcm": "RLE Lossless",
    "MR_small_jp2klossless.dcm": "JPEG 2000",
    "MR_small_jpeg_ls_lossless.dcm": "JPEG-LS",
    "MR_small_bigendian.dcm": "Big Endian",
    "MR_small_implicit.dcm": "Implicit",
}


@pytest.fixture
def work(tmp_path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def written_in(folder: Path, name: str) -> Path:
    """A run whose every image is one of pydicom's own examples."""
    folder.mkdir()
    path = resources.files("pydicom") / "data" / "test_files" / name
    image = pydicom.dcmread(str(path))
    series = generate_uid()
    for number in range(60):
        frame, slice_ = divmod(number, 3)
        image.SeriesInstanceUID, image.InstanceNumber = series, number + 1
        image.SOPClassUID, image.SOPInstanceUID = MRImageStorage, generate_uid()
        image.TemporalPositionIdentifier = frame + 1
        image.ImagePositionPatient = [0, 0, 4 * slice_]
        image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        image.SliceThickness = image.SpacingBetweenSlices = 4
        image.RepetitionTime = 2000
        image.save_as(folder / str(number))
    return folder


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
@pytest.mark.parametrize("name", COMPRESSED)
def test_a_compressed_series_has_the_samples_of_the_plain_one(tmp_path, work, name):
    syntax = pydicom.dcmread(str(resources.files("pydicom") / "data" / "test_files" / name)).file_meta
    assert COMPRESSED[name] in syntax.TransferSyntaxUID.name

    run = take_in(written_in(tmp_path / "packed", name), work)

    plain = pydicom.dcmread(str(resources.files("pydicom") / "data" / "test_files" / "MR_small.dcm"))
    found = np.asanyarray(nib.load(run.path).dataobj)
    assert found.shape == (64, 64, 3, 20)
    assert np.array_equal(found[:, :, 1, 7], plain.pixel_array.T[:, ::-1])


def test_lossless_jpeg_has_the_same_samples(tmp_path, work):
    def compressed(image, frame, slice_):
        samples = volumes(N_FRAMES, N_SLICES)[frame, slice_]
        image.PixelData = encapsulate([lossless_jpeg(samples)])
        image["PixelData"].is_undefined_length = True
        image.file_meta.TransferSyntaxUID = JPEGLosslessSV1

    run = take_in(write_series(tmp_path / "packed", change=compressed), work)

    expected = volumes(N_FRAMES, N_SLICES).transpose(3, 2, 1, 0)[:, ::-1]
    assert np.array_equal(np.asanyarray(nib.load(run.path).dataobj), expected)


def test_a_run_in_one_file(tmp_path, work):
    run = take_in(write_multiframe(tmp_path / "run"), work)

    assert (run.origin, run.facts.tr_s, run.tr_from) == ("dicom", 2.0, "dicom")
    expected = volumes(24, 4).transpose(3, 2, 1, 0)[:, ::-1]
    assert np.array_equal(np.asanyarray(nib.load(run.path).dataobj), expected)
    assert not any(word in run.path.read_bytes() for word in (b"Zaphodson", b"1952", b"2014"))


def test_one_volume_in_one_file_is_no_run(tmp_path, work):
    with pytest.raises(ScanError) as refusal:
        take_in(write_multiframe(tmp_path / "run", samples=volumes(1, 30)), work)

    assert refusal.value.code == "not_four_dimensional"


def mosaics(folder: Path, *, n_frames: int = 22, without: int | None = None) -> Path:
    """A run in the pattern of Siemens scanners: a real image of nibabel's own examples, many times."""
    folder.mkdir()
    packed = resources.files("nibabel") / "nicom" / "tests" / "data" / "siemens_dwi_0.dcm.gz"
    with gzip.open(str(packed)) as file:
        image = pydicom.dcmread(file)
    series = generate_uid()
    image.RepetitionTime = 2000
    for frame in range(n_frames):
        image.SeriesInstanceUID, image.SOPInstanceUID = series, generate_uid()
        image.InstanceNumber = image.AcquisitionNumber = frame + 1
        image.AcquisitionTime = image.ContentTime = f"{101500 + 2 * frame:013.6f}"
        if frame != without:
            image.save_as(folder / str(frame))
    return folder


def test_mosaics_are_laid_apart(tmp_path, work):
    run = take_in(mosaics(tmp_path / "s"), work, asked=Asked(slice_order="ascending"))

    assert open_scan(run.path).shape == (128, 128, 48, 22)
    assert (run.facts.tr_s, run.tr_from) == (2.0, "dicom")
    # The scanner's times of the slices came along; those that were asked for stand above them.
    assert "slice_order_overridden" in {warning.code for warning in run.warnings}


def test_times_of_slices_that_the_repetition_time_cannot_hold_are_refused(tmp_path, work):
    # The example was scanned with 6.6 s a frame: its slices say so still.
    with pytest.raises(ScanError) as refusal:
        take_in(mosaics(tmp_path / "s"), work)

    assert refusal.value.code == "bad_slice_times"


def test_a_missing_mosaic_is_found(tmp_path, work):
    with pytest.raises(ScanError) as refusal:
        take_in(mosaics(tmp_path / "s", without=9), work)

    assert refusal.value.code == "dicom_incomplete"
