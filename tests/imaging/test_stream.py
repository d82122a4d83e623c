"""What a damaged, cut or overlong file does: it is refused, and its samples are never used."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from isal import igzip

from imaging import ScanError, open_scan
from imaging.stream import DataIncompleteError, DataTooLongError, GzipCorruptError, open_scan_bytes


def decode(path: Path) -> np.ndarray:
    return np.concatenate(list(open_scan(path).blocks(frames_per_block=7)), axis=3)


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
def test_samples_come_back_as_written(name, write_nifti, small_bold):
    np.testing.assert_array_equal(decode(write_nifti(small_bold, name=name)), small_bold)


def test_compression_is_told_by_content_not_by_name(write_nifti, small_bold, tmp_path):
    plain = tmp_path / "plain.nii.gz"
    plain.write_bytes(write_nifti(small_bold, name="a.nii").read_bytes())
    squeezed = tmp_path / "squeezed.nii"
    squeezed.write_bytes(write_nifti(small_bold, name="a.nii.gz").read_bytes())
    np.testing.assert_array_equal(decode(plain), small_bold)
    np.testing.assert_array_equal(decode(squeezed), small_bold)


def test_a_stream_of_several_gzip_members_is_legal(write_nifti, small_bold, tmp_path):
    content = write_nifti(small_bold).read_bytes()
    path = tmp_path / "members.nii.gz"
    path.write_bytes(gzip.compress(content[:5000]) + gzip.compress(content[5000:]))
    np.testing.assert_array_equal(decode(path), small_bold)


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
@pytest.mark.parametrize("missing", [1, 421, 5000])
def test_fewer_bytes_than_promised(name, missing, write_nifti, small_bold):
    data = small_bold.tobytes(order="F")
    with pytest.raises(DataIncompleteError) as caught:
        decode(write_nifti(small_bold, name=name, data=data[:-missing]))
    assert caught.value.expected_bytes == len(data)
    assert caught.value.found_bytes == len(data) - missing


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
@pytest.mark.parametrize("extra", [1, 2, 5000])
def test_more_bytes_than_promised(name, extra, write_nifti, small_bold):
    data = small_bold.tobytes(order="F") + b"\0" * extra
    with pytest.raises(DataTooLongError):
        decode(write_nifti(small_bold, name=name, data=data))


def test_a_plain_file_of_the_wrong_length_is_refused_before_it_is_decoded(write_nifti, small_bold):
    data = small_bold.tobytes(order="F")
    with pytest.raises(DataIncompleteError):
        open_scan(write_nifti(small_bold, data=data[:-1]))
    with pytest.raises(DataTooLongError):
        open_scan(write_nifti(small_bold, data=data + b"\0"))


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_a_truncated_gzip_stream_is_incomplete(kept, write_nifti, small_bold, tmp_path):
    content = write_nifti(small_bold, name="whole.nii.gz").read_bytes()
    path = tmp_path / "cut.nii.gz"
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(DataIncompleteError):
        decode(path)


@pytest.mark.parametrize("missing", range(1, 9))
def test_a_missing_checksum_is_not_called_missing_samples(missing, write_nifti, small_bold, tmp_path):
    content = write_nifti(small_bold, name="whole.nii.gz").read_bytes()
    path = tmp_path / "cut.nii.gz"
    path.write_bytes(content[:-missing])
    with pytest.raises(DataIncompleteError, match="bytes of samples and the end of their gzip stream"):
        decode(path)


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
def test_a_header_without_its_samples_is_not_called_an_empty_file(name, write_nifti, small_bold):
    with pytest.raises(DataIncompleteError, match="ends before the first of them can be read") as caught:
        decode(write_nifti(small_bold, name=name, data=b""))
    assert (caught.value.part, caught.value.found_bytes) == ("samples", 0)


def test_a_gzip_stream_cut_among_the_first_samples_says_that_none_of_them_can_be_read(
    write_nifti, small_bold, tmp_path
):
    content = write_nifti(small_bold, name="whole.nii.gz").read_bytes()
    path = tmp_path / "cut.nii.gz"
    path.write_bytes(content[: len(content) // 50])
    with pytest.raises(
        DataIncompleteError, match="samples and the end of their gzip stream, found a file"
    ) as caught:
        decode(path)
    assert caught.value.found_bytes == 0
    assert "ends before the first of them can be read" in str(caught.value)


@pytest.mark.parametrize("kept", range(2, 31))
def test_a_gzip_stream_cut_to_its_first_bytes_is_not_called_empty(kept, write_nifti, small_bold, tmp_path):
    content = write_nifti(small_bold, name="whole.nii.gz").read_bytes()
    path = tmp_path / "cut.nii.gz"
    path.write_bytes(content[:kept])
    with pytest.raises(DataIncompleteError) as caught:
        open_scan(path)
    assert (caught.value.part, caught.value.found_bytes) == ("header", 0)


@pytest.mark.parametrize("name_bytes", [100, 600 * 1024, 2**20])
def test_a_gzip_header_of_any_length_is_read_or_refused(name_bytes, write_nifti, small_bold, tmp_path):
    content = write_nifti(small_bold).read_bytes()
    plain = gzip.compress(content)
    # RFC 1952: flag FNAME is 8, and the zero-terminated name follows the ten fixed bytes.
    path = tmp_path / "named.nii.gz"
    path.write_bytes(plain[:3] + b"\x08" + plain[4:10] + b"n" * name_bytes + b"\0" + plain[10:])
    if name_bytes == 100:
        np.testing.assert_array_equal(decode(path), small_bold)
        return
    with pytest.raises(GzipCorruptError):
        decode(path)


@pytest.mark.parametrize("position", [-8, -4])
def test_checksum_and_length_are_verified(position, write_nifti, small_bold, tmp_path):
    content = bytearray(write_nifti(small_bold, name="whole.nii.gz").read_bytes())
    content[position] ^= 1
    path = tmp_path / "damaged.nii.gz"
    path.write_bytes(content)
    with pytest.raises(GzipCorruptError):
        decode(path)


@pytest.mark.parametrize("rubbish", [b"x", b"rubbish", b"rubbish, and more of it than a gzip header has"])
def test_rubbish_after_the_gzip_stream_is_not_passed_over(rubbish, write_nifti, small_bold, tmp_path):
    path = tmp_path / "tail.nii.gz"
    path.write_bytes(write_nifti(small_bold, name="whole.nii.gz").read_bytes() + rubbish)
    with pytest.raises((GzipCorruptError, DataIncompleteError)):
        decode(path)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1, exclude_max=True), mask=st.integers(1, 255))
def test_no_flipped_byte_changes_a_sample_unnoticed(where, mask, write_nifti, small_bold, tmp_path):
    content = bytearray(write_nifti(small_bold[:, :, :, :21], name="whole.nii.gz").read_bytes())
    content[int(where * len(content))] ^= mask
    path = tmp_path / "flipped.nii.gz"
    path.write_bytes(content)
    try:
        samples = decode(path)
    except ScanError:
        return
    # Only bytes of the gzip envelope that say nothing about the content (time, system) may differ.
    np.testing.assert_array_equal(samples, small_bold[:, :, :, :21])


def test_every_byte_of_the_gzip_envelope(write_nifti, small_bold, tmp_path):
    whole = write_nifti(small_bold, name="whole.nii.gz").read_bytes()
    path = tmp_path / "flipped.nii.gz"
    for position in [*range(18), *range(-10, 0)]:
        for bit in range(8):
            content = bytearray(whole)
            content[position] ^= 1 << bit
            path.write_bytes(content)
            try:
                samples = decode(path)
            except ScanError:
                continue
            np.testing.assert_array_equal(samples, small_bold)


def test_a_bomb_behind_a_small_header_stops_at_once(write_nifti, small_bold, monkeypatch):
    data = small_bold.tobytes(order="F") + bytes(64 * 2**20)
    path = write_nifti(small_bold, name="bomb.nii.gz", data=data)
    decompressed = []
    original = igzip.IGzipFile.read1

    def counting(self: igzip.IGzipFile, size: int = -1) -> bytes:
        piece = original(self, size)
        decompressed.append(len(piece))
        return piece

    monkeypatch.setattr(igzip.IGzipFile, "read1", counting)
    with pytest.raises(DataTooLongError) as caught:
        decode(path)
    assert caught.value.expected_bytes == small_bold.nbytes
    # Header read twice (once to check, once to skip), then the samples.
    assert small_bold.nbytes < sum(decompressed) <= small_bold.nbytes + 2 * 352


def test_fill_says_how_far_the_file_went(tmp_path):
    path = tmp_path / "bytes"
    path.write_bytes(b"0123456789")
    with open_scan_bytes(path) as source:
        buffer = bytearray(4)
        assert source.fill(memoryview(buffer)) == 4
        assert buffer == b"0123"
        buffer = bytearray(100)
        assert source.fill(memoryview(buffer)) == 6
        assert buffer[:6] == b"456789"
