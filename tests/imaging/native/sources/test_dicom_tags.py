"""The reader of tags, beside a library that reads them all."""

from contextlib import suppress
from importlib import resources

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import DeflatedExplicitVRLittleEndian

from imaging.native.sources.dicom_tags import HEAD_BYTES, Tag, is_dicom, read_tags

EXAMPLES = sorted(
    path
    for path in (resources.files("pydicom") / "data" / "test_files").iterdir()
    if path.name.endswith(".dcm") and is_dicom(path.read_bytes())
)
# Says explicit and is written implicit.
LIES = "SC_rgb_jpeg.dcm"


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_it_reads_what_another_reader_does(path):
    found = read_tags(path.read_bytes()[:HEAD_BYTES])

    other = pydicom.dcmread(str(path), stop_before_pixels=True)
    if other.file_meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian or path.name == LIES:
        return
    for tag in Tag:
        element = (other.file_meta if tag >> 16 == 2 else other).get(int(tag))
        expected = "" if element is None or element.value is None else element.value
        assert same(found.get(tag, ""), expected), tag.name


def same(found: str, expected: object) -> bool:
    parts = found.split("\\")
    values = list(expected) if isinstance(expected, pydicom.multival.MultiValue) else [expected]
    with suppress(ValueError):
        return np.allclose([float(part) for part in parts], [float(value) for value in values])
    return parts == [str(value) for value in values]


def test_nothing_of_a_person_is_decoded():
    groups = {tag >> 16 for tag in Tag}

    # Group 0010 is the patient's, 0008 holds names and dates among what is read.
    assert groups == {0x0002, 0x0008, 0x0018, 0x0020, 0x0028}
    assert not any(word in tag.name for tag in Tag for word in ("NAME", "DATE", "DESCRIPTION", "COMMENT"))


@given(st.data())
def test_damage_ends_the_reading_and_raises_nothing(data):
    path = data.draw(st.sampled_from(EXAMPLES[:20]))
    content = bytearray(path.read_bytes()[:4096])
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(132, len(content) - 1))] = data.draw(st.integers(0, 255))

    read_tags(bytes(content[: data.draw(st.integers(132, len(content)))]))


def test_sequences_in_sequences_come_to_an_end():
    item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    sequence = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff"
    content = bytes(128) + b"DICM" + (sequence + item) * 20_000

    assert read_tags(content) == {}
