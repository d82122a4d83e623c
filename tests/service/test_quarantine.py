"""What leaves quarantine is a checked copy without free text, made by a limited child."""

import gzip
import hashlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from imaging import ScanError, open_scan
from service import quarantine
from service.enclosure import Enclosure, ReaderDiedError, ReaderTimeLimitError
from service.quarantine import CheckedCopy, copy_checked, open_quarantine
from tests.service.api.serving import scan_bytes

SECRET = b"Jane Doe"


@pytest.fixture(scope="module")
def enclosure() -> Iterator[Enclosure]:
    opened = open_quarantine()
    yield opened
    opened.close()


def checked(
    enclosure: Enclosure, content: bytes, folder: Path, *, time_s: float = 30
) -> tuple[CheckedCopy, bytes]:
    upload, copy = folder / "upload", folder / "copy"
    upload.write_bytes(content)
    found = copy_checked(enclosure, upload, copy, size_bytes=len(content), time_s=time_s)
    return found, copy.read_bytes()


def named(content: bytes) -> bytes:
    """Write a person's name into ``descrip``."""
    inside = bytearray(gzip.decompress(content))
    inside[148 : 148 + len(SECRET)] = SECRET
    return gzip.compress(bytes(inside))


def test_a_scan_is_described_and_its_copy_says_nothing_of_a_person(
    enclosure: Enclosure, tmp_path: Path
) -> None:
    content = named(scan_bytes())
    found, copy = checked(enclosure, content, tmp_path)
    assert found.header == {
        "shape": [12, 12, 10, 40],
        "zooms_mm": [4.0, 4.0, 4.0],
        "tr_s": 2.0,
        "n_frames": 40,
    }
    assert found.emptied_fields == ["descrip"]
    assert found.sha256 == hashlib.sha256(copy).hexdigest()
    assert SECRET not in gzip.decompress(copy)
    assert gzip.decompress(copy)[352:] == gzip.decompress(content)[352:]


def test_a_zip_is_kept_as_it_came(enclosure: Enclosure, tmp_path: Path) -> None:
    packed = BytesIO()
    with ZipFile(packed, "w") as archive:
        archive.writestr("one", scan_bytes())
    # Damage is found where it is unpacked.
    for content in (packed.getvalue(), packed.getvalue()[:-100]):
        found, copy = checked(enclosure, content, tmp_path)
        assert (found.header, found.emptied_fields, copy) == (None, None, content)
        assert found.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    "content",
    [b"", b"text" * 200, scan_bytes(shape=(12, 12, 10)), scan_bytes(tr_s=0.0), scan_bytes()[:-5000]],
    ids=["empty", "text", "3-D", "no TR", "cut"],
)
def test_a_refusal_is_the_one_that_the_reader_itself_gives(
    enclosure: Enclosure, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "direct"
    path.write_bytes(content)
    with pytest.raises(ScanError) as direct:
        list(open_scan(path).blocks())
    with pytest.raises(ScanError) as enclosed:
        checked(enclosure, content, tmp_path)
    assert enclosed.value.code == direct.value.code
    assert str(enclosed.value) == str(direct.value)
    assert enclosed.value.details() == direct.value.details()


def test_a_file_may_not_hold_its_reader_for_ever(enclosure: Enclosure, tmp_path: Path) -> None:
    # Eight gigabytes of zeros that the header does promise, in a form that cannot be spliced: two streams.
    head = bytearray(gzip.decompress(scan_bytes(shape=(1, 1, 1, 20)))[:352])
    for axis, length in enumerate((200, 200, 200, 500)):
        head[42 + 2 * axis : 44 + 2 * axis] = length.to_bytes(2, "little")
    content = gzip.compress(bytes(head)) + gzip.compress(bytes(100 << 20), 1) * 77
    with pytest.raises(ReaderTimeLimitError):
        checked(enclosure, content, tmp_path, time_s=1)
    assert checked(enclosure, scan_bytes(), tmp_path)[0].header["n_frames"] == 40


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"header": {}, "emptied_fields": [], "sha256": "../etc/passwd"},
        {"header": {}, "emptied_fields": [{}], "sha256": "0" * 64},
        {"header": {}, "emptied_fields": [], "sha256": "0" * 64, "more": 1},
    ],
)
def test_an_answer_that_does_not_fit_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: dict[str, Any]
) -> None:
    enclosure = open_quarantine()
    monkeypatch.setattr(enclosure, "run", lambda *_args, **_named: quarantine_answer(values))
    with pytest.raises(ReaderDiedError, match="an answer that no reader gives"):
        checked(enclosure, b"", tmp_path)


def quarantine_answer(values: dict[str, Any]) -> Any:
    from service.enclosure import Answer

    return Answer(values, None)


def test_the_caller_itself_loads_nothing_to_read_files_with() -> None:
    assert not {"np", "nib", "numpy"} & vars(quarantine).keys()
