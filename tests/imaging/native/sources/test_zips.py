"""Zips that do harm, or are damaged: refused by what they say of themselves, before anything is unpacked."""

import io
import stat
import struct
import zipfile
from contextlib import suppress
from pathlib import Path
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZipFile, ZipInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imaging import ScanError
from imaging.native.sources import take_in
from imaging.native.sources.tree import MOST_FILES
from imaging.native.sources.zips import open_zip
from tests.imaging.native.sources.series import write_series, zipped


def refusal(path: Path) -> ScanError:
    with pytest.raises(ScanError) as raised:
        read_all(path)
    return raised.value


def read_all(path: Path) -> None:
    with open_zip(path) as entries:
        for entry in entries:
            entry.read(2**40)


def archive(path: Path, *members: ZipInfo | str, content: bytes = b"x") -> Path:
    with ZipFile(path, "w", ZIP_DEFLATED) as made:
        for member in members:
            made.writestr(member, content)
    return path


def test_files_are_read_by_their_place(tmp_path):
    path = archive(tmp_path / "a", "one/two.txt", "three", content=b"words")

    with open_zip(path) as entries:
        found = [(entry.parts, entry.size, entry.read(100)) for entry in entries]

    assert found == [(("one", "two.txt"), 5, b"words"), (("three",), 5, b"words")]


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../up", "a/../../up", "a\\..\\..\\up", "C:\\Windows\\x", "C:/x", "\\\\server\\x"]
)
def test_a_name_that_leads_out_is_refused(tmp_path, name):
    member = ZipInfo("x")
    member.filename = name

    found = refusal(archive(tmp_path / "a", member))

    assert (found.code, found.found) == ("zip_refused", "one that leads out of it")


def linked(name: str, kind: int) -> ZipInfo:
    member = ZipInfo(name)
    member.external_attr = (kind | 0o777) << 16
    return member


@pytest.mark.parametrize(
    ("kind", "found"), [(stat.S_IFLNK, "a link"), (stat.S_IFCHR, "a special file"), (stat.S_IFIFO, "special")]
)
def test_links_and_devices_are_refused(tmp_path, kind, found):
    told = refusal(archive(tmp_path / "a", linked("x", kind), content=b"/etc/passwd"))

    assert told.code == "zip_refused"
    assert found in told.found


def test_an_encrypted_file_is_refused(tmp_path):
    path = archive(tmp_path / "a", "x")
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    path.write_bytes(content)

    assert refusal(path).found == "an encrypted one"


def test_one_name_twice_is_refused(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate"):
        path = archive(tmp_path / "a", "x", "x")

    assert refusal(path).found == "one name twice"


def test_another_compression_is_named(tmp_path):
    with ZipFile(tmp_path / "a", "w", ZIP_BZIP2) as made:
        made.writestr("x", b"x")

    assert refusal(tmp_path / "a").found == "method 12"


def test_a_bomb_is_refused_unopened(tmp_path):
    with ZipFile(tmp_path / "a", "w", ZIP_DEFLATED) as made, made.open("x", "w") as member:
        for _ in range(300):
            member.write(bytes(2**20))

    found = refusal(tmp_path / "a")

    assert found.code == "zip_refused"
    assert "packed at most 100 times" in found.expected


def test_more_bytes_than_a_run_has_are_refused_by_the_directory(tmp_path):
    path = archive(tmp_path / "a", *map(str, range(9)))
    content = bytearray(path.read_bytes())
    at = 0
    while (at := content.find(b"PK\x01\x02", at)) >= 0:
        struct.pack_into("<I", content, at + 24, 2**31)
        at += 4
    path.write_bytes(content)

    found = refusal(path)

    assert (found.code, found.unit, found.found) == ("source_too_large", "bytes", 9 * 2**31)


@pytest.mark.parametrize(("at", "kind", "value"), [(10, "<H", 65_535), (12, "<I", 2**30)])
def test_a_directory_that_would_fill_the_memory_is_not_read(tmp_path, monkeypatch, at, kind, value):
    from imaging.native.sources import zips

    monkeypatch.setattr(zips, "MOST_FILES", 60_000)
    path = archive(tmp_path / "a", "x")
    content = bytearray(path.read_bytes())
    struct.pack_into(kind, content, content.index(b"PK\x05\x06") + at, value)
    path.write_bytes(content)
    monkeypatch.setattr(zipfile, "ZipFile", None)

    assert refusal(path).code == "source_too_large"


def test_a_large_directory_is_found_behind_its_locator(tmp_path):
    path = archive(tmp_path / "a", "x")
    content = path.read_bytes()
    at = content.index(b"PK\x05\x06")
    end_64 = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, *[MOST_FILES + 1] * 2, 47, at - 47)
    locator = b"PK\x06\x07" + struct.pack("<IQI", 0, at, 1)
    path.write_bytes(content[:at] + end_64 + locator + content[at:])

    found = refusal(path)

    assert (found.code, found.found) == ("source_too_large", MOST_FILES + 1)


@pytest.mark.parametrize("kept", [0.2, 0.6, 0.99])
def test_a_cut_archive_is_damaged(tmp_path, kept):
    path = zipped(write_series(tmp_path / "s", n_frames=2), tmp_path / "a")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])

    assert refusal(path).code == "zip_damaged"


def test_a_changed_byte_is_found(tmp_path):
    path = archive(tmp_path / "a", "x", content=bytes(range(256)) * 20)
    content = bytearray(path.read_bytes())
    content[60] ^= 0xFF
    path.write_bytes(content)

    found = refusal(path)

    assert (found.code, found.reason) == ("zip_damaged", "a file in it is not what was packed")


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    return zipped(write_series(folder / "s", n_slices=1, n_frames=20), folder / "a")


@settings(max_examples=60, deadline=None)
@given(
    # Mostly in the directory, where it does the most.
    last_bytes=st.sampled_from([60, 3000, 30_000]),
    changes=st.lists(st.tuples(st.integers(0, 30_000), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_damage_of_any_kind_is_refused_or_read(tmp_path_factory, sound, last_bytes, changes):
    content = bytearray(sound.read_bytes())
    within = min(last_bytes, len(content))
    for place, value in changes:
        content[-1 - place % within] = value
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "a").write_bytes(content)
    (folder / "work").mkdir()

    with suppress(ScanError):
        take_in(folder / "a", folder / "work")


def test_a_zip_of_a_later_version_is_said(tmp_path):
    path = archive(tmp_path / "a", "x")
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 6] = 250
    path.write_bytes(content)

    assert refusal(path).found == "a later kind of zip"


def test_names_in_other_encodings_are_no_obstacle(tmp_path):
    folder = write_series(tmp_path / "s")
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as made:
        for number, path in enumerate(sorted(folder.iterdir())):
            # Stored as it is, without the mark of UTF-8: bytes that are Cyrillic to some and Greek to others.
            made.writestr(f"{number}_###", path.read_bytes())
    (tmp_path / "a").write_bytes(buffer.getvalue().replace(b"_###", b"_\xcf\xc0\xd1"))
    (tmp_path / "work").mkdir()

    run = take_in(tmp_path / "a", tmp_path / "work")

    assert run.origin == "dicom"


@pytest.mark.parametrize(
    ("content", "found"),
    [(b"words", "neither among 2 files"), (b"PK\x03\x04...", "a zip archive inside; unpack it first")],
)
def test_a_zip_with_neither_is_refused(tmp_path, content, found):
    (tmp_path / "work").mkdir()
    path = archive(tmp_path / "a", "x", "y", content=content)

    with pytest.raises(ScanError) as raised:
        take_in(path, tmp_path / "work")

    assert (raised.value.code, raised.value.found) == ("no_run_found", found)


def test_an_empty_zip_holds_no_file(tmp_path):
    (tmp_path / "work").mkdir()

    with pytest.raises(ScanError) as raised:
        take_in(archive(tmp_path / "a"), tmp_path / "work")

    assert (raised.value.code, raised.value.found) == ("no_run_found", "no file")
