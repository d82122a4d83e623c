"""What DICOM images say of a person, and whether any file below a folder says it too, packed or not."""

import gzip
import re
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from pydicom import dcmread
from pypdf import PdfReader

# Names, texts, dates, moments and identifiers; codes and numbers are shared by everybody.
_NAMES, _TEXTS, _TIMES = {"PN"}, {"LO", "SH", "LT", "ST", "UT", "UC", "AE"}, {"DA", "DT", "TM"}
# Shorter ones stand in any file by chance.
_SHORTEST, _SHORTEST_NAME = 8, 6
# What the standard itself has given an identifier.
_OF_THE_STANDARD = "1.2.840.10008."
_IMAGE = slice(128, 132)
# Images of a series differ in little: so many of them are read.
_READ_IMAGES = 5


def identity_of(packed: Path) -> set[bytes]:
    """Gather what images of a zip say of whom they show, when, where and by what."""
    words: set[str] = set()
    with ZipFile(packed) as archive:
        members = archive.namelist()
        images = [name for name in members if archive.open(name).read(132)[_IMAGE] == b"DICM"]
        for name in images[:: max(1, len(images) // _READ_IMAGES)]:
            words |= _said(archive.read(name))
    assert words
    return {word.encode() for word in words}


def telling(folder: Path, words: set[bytes]) -> list[str]:
    """List which files below a folder hold which words, also within gzip, zip and PDF."""
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        for content in _contents(path.read_bytes()):
            found += [f"{path.relative_to(folder)}: {word!r}" for word in sorted(words) if word in content]
    return found


def _said(content: bytes) -> set[str]:
    image = dcmread(BytesIO(content), stop_before_pixels=True)
    words = set()
    for element in (*image.file_meta, *image.iterall()):
        values = element.value if element.VM > 1 else [element.value]
        for value in map(str, values or []):
            if element.VR in _NAMES:
                parts = (value, *re.split(r"[\^=_ ]", value))
                words |= {part for part in parts if len(part) >= _SHORTEST_NAME}
            elif len(value) >= _SHORTEST and (
                element.VR in _TIMES
                # One plain word is a term.
                or (element.VR in _TEXTS and not value.isalpha())
                or (element.VR == "UI" and not value.startswith(_OF_THE_STANDARD))
            ):
                words.add(value)
    return words


def _contents(content: bytes) -> Iterator[bytes]:
    yield content
    if content.startswith(b"\x1f\x8b"):
        yield from _contents(gzip.decompress(content))
    elif content.startswith(b"PK"):
        try:
            with ZipFile(BytesIO(content)) as archive:
                for member in archive.namelist():
                    yield member.encode()
                    yield from _contents(archive.read(member))
        except BadZipFile:
            return
    elif content.startswith(b"%PDF"):
        # Its letters are numbers of glyphs.
        yield "\n".join(page.extract_text() for page in PdfReader(BytesIO(content)).pages).encode()
        for stream in re.findall(rb"stream\r?\n(.*?)endstream", content, re.DOTALL):
            try:
                yield zlib.decompress(stream)
            except zlib.error:
                continue
