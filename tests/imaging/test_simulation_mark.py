"""The simulator's mark is known wherever the file goes, and nothing else of the field is ever told."""

import json

import pytest

from imaging import BoldScan, check_scan, open_scan
from imaging.simulation_mark import SIMULATION_MARK

PERSON = b"Erika Mustermann, born 1964-08-12"


def codes(scan: BoldScan) -> list[str]:
    return [warning.code for warning in scan.warnings]


def test_the_mark_is_that_of_every_file_written_so_far():
    assert SIMULATION_MARK == b"RestNet simulated scan"


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("nifti2", [False, True])
def test_the_mark_is_read_from_every_form_of_the_file(write_nifti, small_bold, name, byte_order, nifti2):
    form = {"name": name, "byte_order": byte_order, "nifti2": nifti2}
    marked = write_nifti(small_bold, descrip=b"RestNet simulated scan", **form)
    assert codes(open_scan(marked)) == ["simulated_scan"]
    assert codes(open_scan(write_nifti(small_bold, descrip=PERSON, **form))) == []


@pytest.mark.parametrize(
    "text",
    [
        b"RestNet simulated scan; smoothed, 6 mm",
        b"resampled: RestNet simulated scan",
        b"RestNet simulated scan\0 what an earlier text left behind",
        b"RestNet simulated scan".rjust(80),
    ],
)
def test_words_of_other_programs_around_the_mark_do_not_hide_it(write_nifti, small_bold, text):
    assert codes(open_scan(write_nifti(small_bold, descrip=text))) == ["simulated_scan"]


@pytest.mark.parametrize("text", [b"", b"RestNet", b"simulated scan", b"RestNet simulated sca", b"\xff" * 80])
def test_another_text_is_no_mark(write_nifti, small_bold, text):
    assert codes(open_scan(write_nifti(small_bold, descrip=text))) == []


def test_only_the_mark_is_told_and_it_comes_first(grids, athena_bold, write_nifti):
    text = SIMULATION_MARK + b" of " + PERSON
    path = write_nifti(athena_bold, affine=grids["athena"][1], descrip=text, xyzt_units=2)
    report = check_scan(path).to_json()
    assert [warning["code"] for warning in report["warnings"]][:2] == ["simulated_scan", "time_unit_missing"]
    assert "nobody was measured" in report["warnings"][0]["message"]
    assert "Mustermann" not in json.dumps(report) + repr(open_scan(path))
