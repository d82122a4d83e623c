"""A file that is not NIfTI is called by its own name."""

import gzip
import struct

import numpy as np
import pytest

from imaging import ScanError, open_scan
from imaging.file_format import NotNiftiError, recognise

OTHERS = [
    (b"\0" * 128 + b"DICM" + b"\0" * 300, "a DICOM file"),
    (b"\x89PNG\r\n\x1a\n" + b"\0" * 400, "a PNG picture"),
    (b"PK\x03\x04" + b"\0" * 400, "a zip archive"),
    (b"\0" * 257 + b"ustar" + b"\0" * 300, "a tar archive"),
    (b"\x89HDF\r\n\x1a\n" + b"\0" * 400, "an HDF5 file (MINC 2 or MATLAB)"),
    (b"NRRD0004\n" + b"\0" * 400, "an NRRD image"),
    (struct.pack(">7i", 1, 3, 4, 5, 2, 3, 0) + b"\0" * 400, "a FreeSurfer MGH/MGZ image"),
    (b"subject\tdiagnosis\n0010001\tnone\n", "text"),
    ("Größe in Millimetern\n".encode() * 30, "text"),
]


@pytest.mark.parametrize(("content", "name"), OTHERS, ids=[name for _, name in OTHERS])
@pytest.mark.parametrize("compressed", [False, True])
def test_another_kind_of_file_is_named(content, name, compressed, tmp_path):
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(gzip.compress(content) if compressed else content)
    with pytest.raises(NotNiftiError) as caught:
        open_scan(path)
    assert caught.value.found == name


def test_noise_is_not_called_text():
    with pytest.raises(NotNiftiError, match="bytes without a header"):
        recognise(np.random.default_rng(0).bytes(348))


def test_a_file_compressed_twice_is_said_to_be(tmp_path):
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(gzip.compress(gzip.compress(b"\0" * 1000)))
    with pytest.raises(NotNiftiError, match="compressed twice"):
        open_scan(path)


@pytest.mark.parametrize("content", [b"", gzip.compress(b"", mtime=0)])
def test_an_empty_file_is_said_to_be_empty(content, tmp_path):
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(content)
    with pytest.raises(ScanError) as caught:
        open_scan(path)
    assert caught.value.code == "empty_file"


@pytest.mark.parametrize("byte_order", ["little", "big"])
@pytest.mark.parametrize("version", [1, 2])
def test_version_and_byte_order_are_told(version, byte_order):
    if version == 1:
        first = (348).to_bytes(4, byte_order) + b"\0" * 340 + b"n+1\0"
    else:
        first = (540).to_bytes(4, byte_order) + b"n+2\0\r\n\x1a\n" + b"\0" * 336
    layout = recognise(first)
    assert (layout.version, layout.byte_order) == (version, byte_order)
    assert layout.header_bytes == (348 if version == 1 else 540)


def test_a_nifti2_damaged_by_text_mode_is_not_nifti():
    first = (540).to_bytes(4, "little") + b"n+2\0\n\x1a\n\0" + b"\0" * 336
    with pytest.raises(NotNiftiError, match="magic"):
        recognise(first)
