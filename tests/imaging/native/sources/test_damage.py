"""DICOM that was damaged ends with a code or a run; benchmarks/damaged_dicom.py tries some hundreds."""

import re
from pathlib import Path

import pytest

from tests.imaging.native.sources.damage import ACCEPTED, damaged, outcome, planted_series

DOCUMENT = Path(__file__).resolve().parents[4] / "docs" / "errors.md"
# One of each kind, and what was once worth a look; all are quick.
NUMBERS = (0, 1, 2, 3, 4, 5, 6, 8, 16, 21, 28, 35)


@pytest.fixture(scope="module")
def series(tmp_path_factory) -> Path:
    return planted_series(tmp_path_factory.mktemp("planted") / "series")


def test_damage_ends_with_a_code_that_says_nothing_of_the_person(series, tmp_path):
    known = set(re.findall(r"^\| `(\w+)`", DOCUMENT.read_text(), flags=re.MULTILINE)) | {ACCEPTED}

    found = {
        number: outcome(damaged(series, tmp_path / f"case-{number}", number=number), tmp_path / "work")[0]
        for number in NUMBERS
    }

    assert set(found.values()) <= known
    # Neither is everything refused at the door, nor does anything pass.
    assert len(set(found.values())) > 2


def test_the_same_number_is_the_same_damage(series, tmp_path):
    again = planted_series(tmp_path / "again")
    one, other = (
        damaged(source, tmp_path / name, number=9) for source, name in ((series, "one"), (again, "other"))
    )

    files = sorted(path.name for path in one.iterdir())
    assert all((one / name).read_bytes() == (other / name).read_bytes() for name in files)
    assert any((one / name).read_bytes() != (series / name).read_bytes() for name in files)
