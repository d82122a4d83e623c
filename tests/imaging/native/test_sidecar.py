"""Sidecars: what is read, and what is refused with what was expected."""

import json

import pytest

from imaging.native.sidecar import BadSidecarError, RepetitionTimesDifferError, read_sidecar


def test_reads_the_two_fields_that_matter(tmp_path):
    path = tmp_path / "bold.json"
    path.write_text(json.dumps({"RepetitionTime": 2.0, "SliceTiming": [0, 1, 0.5], "PatientName": "child"}))

    found = read_sidecar(path)

    assert (found.tr_s, found.slice_times_s) == (2.0, (0.0, 1.0, 0.5))
    assert "child" not in repr(found)


def test_letters_of_another_encoding_do_not_matter(tmp_path):
    path = tmp_path / "bold.json"
    path.write_bytes(b'\xef\xbb\xbf{"ProtocolName": "M\xfcller\n1", "RepetitionTime": 2}')

    assert read_sidecar(path).tr_s == 2.0


def test_what_is_missing_is_none_and_asks_for_nothing(tmp_path):
    path = tmp_path / "bold.json"
    path.write_text("{}")

    found = read_sidecar(path)

    assert (found.tr_s, found.slice_times_s) == (None, None)
    found.require_tr(1.7)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected JSON"),
        ("[1]", "expected a JSON object, found list"),
        ('{"RepetitionTime": "Ann"}', "RepetitionTime in seconds, found str"),
        ('{"RepetitionTime": -2}', "found -2"),
        ('{"RepetitionTime": true}', "RepetitionTime in seconds"),
        ('{"SliceTiming": [0, "Ann"]}', "a list of seconds, found list"),
        ('{"SliceTiming": 3}', "found 3"),
        (" " * 2**20 + "{}", "at most"),
    ],
)
def test_a_sidecar_that_cannot_be_is_refused(tmp_path, content, message):
    path = tmp_path / "bold.json"
    path.write_text(content)

    with pytest.raises(BadSidecarError, match=message) as refusal:
        read_sidecar(path)

    assert "Ann" not in str(refusal.value)


def test_a_repetition_time_other_than_the_files_is_refused(tmp_path):
    path = tmp_path / "bold.json"
    path.write_text('{"RepetitionTime": 2.0}')
    found = read_sidecar(path)

    found.require_tr(2.0004)
    with pytest.raises(RepetitionTimesDifferError, match=r"2\.5 s in the file's header and 2 s"):
        found.require_tr(2.5)


def test_frames_that_were_left_out_before_are_added_up(tmp_path):
    path = tmp_path / "bold.json"
    path.write_text(json.dumps({"NumberOfVolumesDiscardedByScanner": 3, "NumberOfVolumesDiscardedByUser": 2}))

    assert read_sidecar(path).discarded_volumes == 5


@pytest.mark.parametrize("count", [-1, 2.5, "three", True, 10**6])
def test_a_number_of_such_frames_that_is_none_is_refused(tmp_path, count):
    path = tmp_path / "bold.json"
    path.write_text(json.dumps({"NumberOfVolumesDiscardedByScanner": count}))

    with pytest.raises(BadSidecarError, match="as a number of frames"):
        read_sidecar(path)
